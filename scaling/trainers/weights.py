"""Final weights of a run, kept for the runs that name it; a cache, which saves training."""

from __future__ import annotations

import logging
from pathlib import Path

from scaling.model import Params
from scaling.sealed import DamagedFileError, digest, seal, unseal
from scaling.trainers import checkpoint
from scaling.trainers.history import deciding_environment

log = logging.getLogger(__name__)

_DIVERGED = "diverged.json"


def save(folder: Path, run_id: str, params: Params, scratch: Path) -> None:
    """Leaves the final weights of a run, beside those of other programs and machines.

    They save work and change no result, so a disk that refuses them ends no run. They are made in
    `scratch`, which is this run's own: readers of `folder` remove what is unfinished there.
    """
    try:
        checkpoint.save(_here(folder), run_id, 0, params, {}, scratch)
    except (OSError, ValueError) as error:
        log.warning("no weights of run %s: %s", run_id, error)


def load(folder: Path, run_id: str, like: Params) -> Params | None:
    """The final weights that a run has left; None if there are none, or they are damaged."""
    found = checkpoint.latest(_here(folder), run_id, like)
    return None if found is None else found.state


def save_divergence(folder: Path, run_id: str, step: int) -> None:
    """Says instead that a run diverged after some steps, so that it is not trained once more."""
    here = _here(folder)
    try:
        here.mkdir(parents=True, exist_ok=True)
        (here / _DIVERGED).write_text(seal("divergence", {"run_id": run_id, "step": step}))
    except OSError as error:
        log.warning("run %s, which diverged, does not say so: %s", run_id, error)


def diverged_at(folder: Path, run_id: str) -> int | None:
    """The step at which a run diverged; None if it did not, or has not said so."""
    try:
        said = unseal("divergence", (_here(folder) / _DIVERGED).read_bytes())
    except (OSError, DamagedFileError):
        return None
    return said["step"] if said["run_id"] == run_id else None


def _here(folder: Path) -> Path:
    # Weights of another program or machine may differ in their last bits.
    return folder / digest(deciding_environment())[:16]
