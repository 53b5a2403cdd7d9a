"""Packages that only some configurations need: extras of this package, imported when first used."""

from __future__ import annotations

import importlib
from typing import Any


def needed(module: str, by: str, *, extra: str, otherwise: str) -> Any:
    """Imports a module of an extra.

    Args:
        module: Name of the module.
        by: What needs it, for the message.
        extra: Name of the extra in pyproject.toml.
        otherwise: What to do without it.

    Raises:
        ValueError: the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        package = module.split(".")[0].replace("sklearn", "scikit-learn")
        raise ValueError(
            f"{by} needs the package {package!r}: pip install 'scaling-descent[{extra}]', or "
            f"{otherwise}"
        ) from None
