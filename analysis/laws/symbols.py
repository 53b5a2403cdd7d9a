"""Parameter names that are printed as Greek letters, in LaTeX and in figures alike."""

GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau "
    "upsilon phi chi psi omega".split()
)
"""Lower-case letters by the names that LaTeX and matplotlib share."""
