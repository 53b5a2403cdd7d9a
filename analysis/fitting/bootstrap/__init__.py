"""Replicates of a fit: which rows or residuals are drawn, and the intervals that follow.

`replicates` refits to what `resampling` draws: rows, clusters or residuals; `autocorrelation` draws
the noise of one curve, and `sandwich` replaces refits where rows are very many. `units` corrects
variances for few clusters, and `noise_trend` tests whether the noise is of one size.
"""
