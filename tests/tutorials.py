"""The tutorials as programs: files that they show, and commands with the output that they print."""

import contextlib
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import jax
from house import HOUSE

from experiments.cli import main

_FILE = re.compile(r"```\{code-block\} \w+\n:caption: (\S+)\n\n(.*?)```\n", re.DOTALL)
_CONSOLE = re.compile(r"```console\n(.*?)```\n", re.DOTALL)
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class File:
    """A file that a page shows under its name."""

    name: str
    text: str


@dataclass(frozen=True)
class Command:
    """A command of a page, and what it is to print; `...` stands for anything."""

    line: str
    prints: str


def steps(page: Path) -> list[File | Command]:
    """The files and commands of a page in its order."""
    text = page.read_text()
    found: list[tuple[int, File | Command]] = [
        (match.start(), File(match[1], match[2])) for match in _FILE.finditer(text)
    ]
    for match in _CONSOLE.finditer(text):
        for block in re.split(r"^\$ ", match[1], flags=re.MULTILINE)[1:]:
            line, _, prints = block.partition("\n")
            found.append((match.start(), Command(line, prints)))
    return [step for _, step in sorted(found, key=lambda each: each[0])]


def follow(page: Path, folder: Path) -> None:
    """Does what a page says in an empty folder; fails where a command prints something else."""
    for step in steps(page):
        if isinstance(step, File):
            (folder / step.name).write_text(step.text)
            continue
        status, printed, errors = _done(step.line, folder)
        said = f"$ {step.line}\n{printed}{errors}"
        assert status == 0, said
        assert doctest.OutputChecker().check_output(step.prints, printed, _FLAGS), said


def _done(line: str, folder: Path) -> tuple[int, str, str]:
    """Does a command; its exit status, and what it prints as output and as errors."""
    if line.startswith("scaling ") and not set(line) & set("|&;<>$\"'"):
        return _done_here(shlex.split(line)[1:], folder)
    done = subprocess.run(
        ["bash", "-c", line], cwd=folder, env=_environment(), capture_output=True, text=True
    )
    return done.returncode, done.stdout, done.stderr


def _done_here(words: list[str], folder: Path) -> tuple[int, str, str]:
    """Does a command of this program in this process, which has loaded what it needs."""
    printed, errors = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder),
        mock.patch.dict(os.environ, _environment(), clear=True),
        jax.numpy_rank_promotion("allow"),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(errors),
    ):
        status = main(words)
    return status, printed.getvalue(), errors.getvalue()


def _environment() -> dict[str, str]:
    """The environment of a user who has installed this package, on a screen of 100 columns."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    strict = ("JAX_DEBUG_KEY_REUSE", "JAX_LEGACY_PRNG_KEY", "JAX_NUMPY_RANK_PROMOTION")
    kept = {name: value for name, value in os.environ.items() if name not in strict}
    return kept | {"PATH": path, "PYTHONPATH": str(HOUSE), "COLUMNS": "100"}
