"""Programs outside Python that a test needs: there, or a skip that the summary counts."""

import shutil

import pytest

ABSENT = "program missing"
"""First words of the reason of a test that is skipped because a program is not here."""


def needs(*programs: str) -> None:
    """Skips the test where one of the programs is not here."""
    if missing := [name for name in programs if shutil.which(name) is None]:
        pytest.skip(f"{ABSENT}: {', '.join(missing)}")


def summary(reasons: list[str]) -> str | None:
    """The line on tests that were skipped for want of a program, given all reasons."""
    absent = sum(ABSENT in reason for reason in reasons)
    if not absent:
        return None
    return (
        f"{absent} tests were skipped because programs are missing. To run them: apt-get install "
        "texlive-latex-recommended texlive-fonts-recommended texlive-latex-extra texlive-luatex "
        "lmodern latexmk poppler-utils chromium slurm-wlm munge"
    )
