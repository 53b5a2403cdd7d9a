"""Published data for tests: the files that commands take, or a skip that the summary counts."""

import functools
import os
from pathlib import Path

import pytest

from experiments.reproductions import data

ABSENT = "published data"
"""First words of the reason of a test that is skipped because its data are not here."""


def published_path(name: str) -> Path:
    """Where a published file lies; skips the test where the file cannot be had.

    With `SCALING_DATA_REQUIRED` set, the test fails instead.
    """
    found = located(name)
    if isinstance(found, Path):
        return found
    if os.environ.get("SCALING_DATA_REQUIRED"):
        pytest.fail(f"{ABSENT}: {found}", pytrace=False)
    pytest.skip(f"{ABSENT}: {found}")


@functools.cache
def located(name: str) -> Path | str:
    """The path of a published file, or why it cannot be had; asked for once a test run."""
    try:
        return data.published_file(name).path
    except ValueError as error:
        return str(error)


def summary(reasons: list[str]) -> str | None:
    """The line on tests that were skipped for want of published data, given all reasons."""
    absent = sum(ABSENT in reason for reason in reasons)
    if not absent:
        return None
    return (
        f"{absent} tests were skipped because published data are missing. To run them, set "
        f"{data.FOLDER} to a folder with laws/, models/ and text/ (files and addresses: "
        "experiments/reproductions/data.py)."
    )
