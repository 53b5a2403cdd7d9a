"""The commands behind the `scaling` front door, one module per command.

Each takes its options (`options/`), calls the rooms, writes files and prints; none has science of
its own. `run.py` plans, trains, analyses and draws experiments, by their `jobs.py` and what
`analysing.py` finds in them; `report.py` keeps what they found, `show.py` prints it, `console.py`
has the screen and its tables. `rows.py` chooses rows of anybody's tables for `fit.py`, `rank.py`,
`isoflop.py`, `allocate.py` and `design.py`; `reproduce.py` refits published laws.
"""
