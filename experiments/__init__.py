"""Research questions: one file, one question from the literature, and the `scaling` command.

Files that declare `SWEEP` or `PARTS` are the experiments; their docstrings are the cards that
`scaling show` prints. `experiment.py` states what such a file declares, and `catalogue.py` finds
and checks it. `shared/` holds what several experiments use, `reproductions/` one published law
per file, `commands/` what each command does, and `cli.py` is the front door.
"""

from scaling.public import public

__all__, __getattr__, __dir__ = public(
    __name__, {"experiment": ("Expected", "Findings", "Measured", "Sweep")}
)
