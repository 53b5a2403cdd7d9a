"""The numerics of a fit: rows as observations, a loss, and all starts solved as one batch.

Nothing is compiled: everything is NumPy in float64, with a leading axis for starts and replicates.
"""
