"""Writing results: atomic files, and strict JSON."""

import errno
import json
import math
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np


def replace_file(path: Path, data: bytes) -> None:
    """Writes a file atomically and durably, in the place of an older one.

    Raises:
        OSError: The file cannot be written. An older one is kept, and nothing else is left behind.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        says = "is a file, where a folder is needed; give another name"
        raise NotADirectoryError(errno.ENOTDIR, says, str(path.parent)) from error
    if path.is_dir():
        says = "is a folder, where a file is to be written; give another name"
        raise IsADirectoryError(errno.EISDIR, says, str(path))
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        # The user knows the file that was asked for, not the one on the way to it.
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def dumps(value: Any) -> str:
    """Returns nested results as strict JSON text (`plain`)."""
    return json.dumps(plain(value), allow_nan=False)


def plain(value: Any) -> Any:
    """Returns nested results as JSON values: lists for arrays, None for numbers not finite."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True, eq=False)
class JsonResult:
    """A result that can be written as JSON; one with special values has a `to_dict` of its own."""

    def to_dict(self) -> dict[str, Any]:
        """Returns the result as plain values; None for a number that is not finite."""
        return plain(asdict(self))

    def to_json(self) -> str:
        """Returns the values of `to_dict` as strict JSON text."""
        return dumps(self.to_dict())
