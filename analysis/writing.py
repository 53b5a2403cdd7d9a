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
