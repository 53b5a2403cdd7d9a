"""What `analysis` raises besides `ValueError`."""


class FitError(Exception):
    """The data do not support the fit; the message says why and what would help."""
