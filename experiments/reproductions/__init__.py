"""Published scaling laws, refitted from their own data: one file, one paper.

The docstring is the card. `DATA` names the data, `PUBLISHED` holds the numbers of the paper,
`refit(table) -> Findings` finds them anew, and `figure(findings) -> Figure` draws what the paper
shows. `experiments.commands.reproduce` obtains the data, compares, draws and reports.
"""
