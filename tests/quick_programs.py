"""A setting with which programs that a test starts compile in half the time."""

from __future__ import annotations

import jax

# Newer XLA has no such flag, and ends a program that is given it.
QUICKLY = (
    {"XLA_FLAGS": "--xla_cpu_use_fusion_emitters=false"} if jax.__version_info__ < (0, 11) else {}
)
"""Variables of the environment of a program."""
