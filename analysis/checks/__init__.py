"""Doubtful rows of a table: each check returns flags, row by row, and drops nothing.

`flags` is the type of a finding; `rows` runs all checks; `budgets` and `surface` are two of them.
`comparison` says how many standard errors two sets of runs are apart.
"""
