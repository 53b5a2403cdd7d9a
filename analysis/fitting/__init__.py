"""One law fitted to one table, with intervals and a verdict on how far to trust them.

`fit` returns a `result`, judged by `verdict` and printed by `render`. `engine/` finds optima,
`bootstrap/` makes replicates, `profile*` walk the likelihood, `ranking` compares laws by what they
predict beyond the rows that they were fitted to, and `audit` evaluates published constants.
"""
