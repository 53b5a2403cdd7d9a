"""Runs of different code, libraries or devices: counted, for they may differ in their numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

_LIBRARIES = ("python", "scaling-descent", "jax", "jaxlib", "flax", "optax", "numpy", "scipy")
_COLUMNS = (*_LIBRARIES, "device")
_CODE = ("git_commit", "git_dirty", "git_diff_sha256")
_SHORT = 7
"""Digits of a hash that are printed, as git does."""


class _Code(NamedTuple):
    """A state of the code: the commit, and whether and by what it differs from it."""

    commit: str | None
    dirty: bool | None
    changes: str | None


def differences(environments: Iterable[tuple[Mapping[str, Any], int]]) -> list[str]:
    """Returns a sentence for each thing in which runs were computed differently.

    Args:
        environments: `environment` of runs that were computed, and how many runs have it.
    """
    listed = [each for each in environments if each[0]]
    found = []
    code = Counter[_Code]()
    for environment, n in listed:
        code[_Code(*map(environment.get, _CODE))] += n
    if len(code) > 1:
        # Two states of one commit are named by their changes.
        commits = {state.commit for state in code}
        counts = {_code(state, len(commits) < len(code)): n for state, n in code.items()}
        apart_by = [name for i, name in enumerate(_CODE) if len({state[i] for state in code}) > 1]
        found.append(_sentence(counts, apart_by))
    for name in _COLUMNS:
        values = Counter[Any]()
        for environment, n in listed:
            values[environment.get(name)] += n
        if len(values) > 1:
            what = "" if name == "device" else f"{name} "
            counts = {f"{what}{'unknown' if v is None else v}": n for v, n in values.items()}
            found.append(_sentence(counts, [name]))
    return found


def _sentence(counts: Mapping[str, int], names: Sequence[str]) -> str:
    """How many runs are of each kind, and the columns by which `--where` takes one."""
    columns = ", ".join(f"environment.{name}" for name in names)
    ordered = sorted(counts.items(), key=lambda each: -each[1])
    (first, n), *others = ordered
    verb = "runs are" if n > 1 else "run is"
    rest = ", ".join(f"{m:,} of {what}" for what, m in others)
    return f"{n:,} {verb} of {first}, {rest} (tell them apart by {columns})"


def _code(state: _Code, several: bool) -> str:
    name = f"commit {state.commit[:_SHORT]}" if state.commit else "unknown commit"
    if not state.dirty:
        return name
    changes = f" {state.changes[:_SHORT]}" if several and state.changes else ""
    return f"{name} with changes{changes}"
