"""Writing what analysis leaves: figures and tables appear whole or not at all."""

import os
import secrets
from pathlib import Path


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
