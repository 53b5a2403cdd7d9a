"""Anybody's table becomes parameters N, tokens D, compute C and loss, in base units.

`results` holds the tables of our own runs; `read` takes files of any origin: `files`, `formats`,
`json_forms`, `logs`, `wandb` and `folders` open them, `wide` makes columns of sizes rows, `cells`
makes nested cells text, `selection` takes the rows that are asked for, and `states` leaves out runs
that did not finish. `names` and `headings` say what the name of a column means, `columns` decides
which column holds what, `values` and `units` turn cells into numbers, and `plausibility` doubts
columns in other units. `origins` records where each quantity comes from, and `conventions` lists
the ways to count N and C that a table allows.
"""
