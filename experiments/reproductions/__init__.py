"""Published scaling laws, found again from their own data or constants: one file, one paper.

The docstring is the card. `DATA` names the data, `PUBLISHED` holds the numbers of the paper,
`refit(table) -> Findings` finds them anew, and `figure(findings) -> Figure` draws what the paper
shows. Where no data are to be had `DATA` says which printed numbers stand in for them, and
`refit()` takes nothing. `experiments.commands.reproduce` obtains the data, compares, draws and
reports.
"""
