"""Writing what analysis leaves: figures and tables appear whole or not at all."""

import json
import math
import os
import secrets
from pathlib import Path
from typing import Any

import numpy as np


def replace_file(path: Path, data: bytes) -> None:
    """Writes a file under a name of this call's own, then puts it in the place of an older one.

    Raises:
        OSError: the file cannot be written; an older one stands, and nothing else is left behind.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def dumps(value: Any) -> str:
    """JSON text of nested results; lists for arrays and tuples, null for numbers not finite."""
    return json.dumps(_plain(value), allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
