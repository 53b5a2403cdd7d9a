"""Strict JSON of results: what JSON cannot hold becomes null, never NaN."""

import json
import math
from typing import Any

import numpy as np


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
