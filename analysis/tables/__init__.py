"""Anybody's table becomes parameters N, tokens D, compute C and loss, in base units.

`results` holds the tables of our own runs; `read` takes files of any origin: `formats` and `wandb`
open them, `columns` decides which column holds what, `values` and `units` turn cells into numbers,
`origins` records where each quantity comes from, and `conventions` lists the ways to count N and C
that a table allows.
"""
