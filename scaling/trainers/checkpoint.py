"""Checkpoints: a pytree on disk beside the SHA-256 of every file, so that damage is never loaded.

    <folder>/000000001200/          one checkpoint, named by its step; the newest two are kept
        state/                      the pytree, as orbax writes it
        manifest.json               run_id, step, notes and checksums; written last, sealed
    <folder>/damaged-000000001200-<token>/

A checkpoint appears in one step, by renaming. Several processes may save to one folder, and any
of them may be killed at any moment. After a loss of power the checksums show what is damaged.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import jax

from scaling.devices import processes
from scaling.sealed import DamagedFileError, digest, seal, sha256_of_file, unseal

log = logging.getLogger(__name__)

FORMAT = 1
_KEPT = 2


class Checkpoint(NamedTuple):
    """A checkpoint that has been read: what `save` was given."""

    step: int
    state: Any
    notes: dict[str, Any]


def save(
    folder: Path,
    run_id: str,
    step: int,
    state: Any,
    notes: dict[str, Any],
    scratch: Path | None = None,
) -> None:
    """Saves a checkpoint, and returns when it is on disk.

    All processes of a run take part, each with the shards that it holds; the first alone makes and
    removes folders. A checkpoint of this step that exists already is kept: both are the same.

    Args:
        folder: Folder of a run's checkpoints; it is made if there is none.
        run_id: Run or trunk of the checkpoint.
        step: Number of steps taken.
        state: A pytree of arrays.
        notes: JSON values to keep with it.
        scratch: Folder on the same disk in which the checkpoint is made before it appears;
            `folder` unless given. `latest` of that folder removes what a killed process left.

    Raises:
        OSError: the disk refuses.
        ValueError: a note that strict JSON cannot hold.
    """
    import orbax.checkpoint.experimental.v1 as ocp

    making = Path(processes.broadcast_from_first(lambda: _unfinished(folder, scratch or folder)))
    try:
        # 1. Every process writes its shards where no reader looks.
        ocp.save(str(making / "state"), state)
        if not processes.is_first():
            return
        # 2. The first seals them, and they appear under their step at once.
        content = {
            "format": FORMAT,
            "run_id": run_id,
            "step": step,
            "structure": _structure(state),
            "notes": notes,
            "files": _checksums(making),
        }
        (making / "manifest.json").write_text(seal("checkpoint", content))
        target = folder / f"{step:012d}"
        try:
            making.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        if processes.is_first():
            shutil.rmtree(making, ignore_errors=True)
    # 3. Older ones go once the new one is there.
    for old in _checkpoints(folder)[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def latest(folder: Path, run_id: str, like: Any, steps: range = range(2**63)) -> Checkpoint | None:
    """The newest undamaged checkpoint in a folder; None if there is none.

    The first process of a run chooses, and each reads the shards that it is to hold. A damaged
    checkpoint is renamed to say so, and the one before it is used. What killed processes left
    unfinished is removed.

    Args:
        folder: Folder of a run's checkpoints.
        run_id: Run or trunk that they must belong to.
        like: A pytree of arrays with the structure, shapes, types and devices of the state.
        steps: Steps whose checkpoints may be used.

    Raises:
        ValueError: a checkpoint belongs to another run, or has another state layout.
        OSError: it cannot be read.
    """
    found = processes.broadcast_from_first(lambda: _newest(folder, run_id, _structure(like), steps))
    if found is None:
        return None
    return Checkpoint(found["step"], _load(Path(found["path"]), like), found["notes"])


def is_in(folder: Path) -> bool:
    """Whether a folder has a checkpoint, damaged or not."""
    return bool(_checkpoints(folder))


def _unfinished(folder: Path, scratch: Path) -> str:
    """Path at which a checkpoint is made before it appears in its folder."""
    for needed in (folder, scratch):
        needed.mkdir(parents=True, exist_ok=True)
    return str(scratch.resolve() / f".{secrets.token_hex(8)}.tmp")


def _newest(folder: Path, run_id: str, structure: str, steps: range) -> dict[str, Any] | None:
    """Path, step and notes of the checkpoint that `latest` is to load."""
    for unfinished in folder.glob(".*.tmp"):
        shutil.rmtree(unfinished, ignore_errors=True)
    for path in reversed(_checkpoints(folder)):
        if int(path.name) not in steps:
            continue
        try:
            content = _verified(path)
        except DamagedFileError as error:
            aside = path.with_name(f"damaged-{path.name}-{secrets.token_hex(4)}")
            with contextlib.suppress(FileNotFoundError):
                path.rename(aside)
            log.warning("%s: %s; it is set aside as %s", path, error, aside.name)
            continue
        if content["run_id"] != run_id:
            raise ValueError(
                f"{path} is a checkpoint of run {content['run_id']}, not of {run_id}: give the "
                "folder of this run, or an empty one"
            )
        if (content["format"], content["structure"]) != (FORMAT, structure):
            raise ValueError(
                f"{path} has another state layout (older code or other settings): resume with the "
                f"code that wrote it, or remove {folder} to start from the beginning"
            )
        return {"path": str(path / "state"), "step": content["step"], "notes": content["notes"]}
    return None


def _load(path: Path, like: Any) -> Any:
    """Loads the state of a checkpoint; a FileNotFoundError says that a process is removing it."""
    import orbax.checkpoint.experimental.v1 as ocp

    def shape(leaf: jax.Array) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)

    try:
        return ocp.load(str(path.resolve()), jax.tree.map(shape, like))
    except Exception as error:  # of several kinds, by what is gone already
        try:
            _verified(path.parent)
        except DamagedFileError as damage:
            raise FileNotFoundError(f"{path.parent} is being removed: {damage}") from error
        raise


def _checkpoints(folder: Path) -> list[Path]:
    """Paths of the checkpoints in a folder, oldest first."""
    return sorted(path for path in folder.glob("[0-9]*") if path.name.isdigit())


def _verified(path: Path) -> dict[str, Any]:
    """The manifest of a checkpoint, or a DamagedFileError if a file does not match it."""
    try:
        text = (path / "manifest.json").read_bytes()
    except FileNotFoundError:
        raise DamagedFileError("it has no manifest") from None
    content = unseal("checkpoint", text)
    found = _checksums(path)
    for name in sorted(found.keys() | content["files"].keys()):
        if found.get(name) != content["files"].get(name):
            raise DamagedFileError(f"{name} does not match its checksum")
    return content


def _checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a checkpoint but its manifest, by path within it."""
    sums = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path != folder / "manifest.json":
            sums[path.relative_to(folder).as_posix()] = sha256_of_file(path)
    return sums


def _structure(state: Any) -> str:
    """Digest of a pytree's names, shapes and types."""
    leaves, _ = jax.tree.flatten_with_path(state)
    return digest([[jax.tree_util.keystr(k), list(x.shape), str(x.dtype)] for k, x in leaves])
