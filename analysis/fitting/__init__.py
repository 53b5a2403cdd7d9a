"""One law fitted to one table, with intervals and a verdict on how far to trust them.

`fit` returns a `result`, judged by `verdict` and printed by `render`. `engine/` finds optima,
`bootstrap/` makes replicates, `profile*` follow the likelihood, `ranking` compares laws by what
they predict beyond the rows that they were fitted to (`extrapolation`), `audit` evaluates published
constants, and `alternatives` refits under other ways to count. `survival` fits delays, some of
which no run lived to see.
"""
