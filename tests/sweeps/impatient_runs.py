"""Runs that go wrong, in workers that hardly wait before they try again."""

from __future__ import annotations

from trivial_runs import mixed

from sweeps import retries

__all__ = ["mixed"]

retries.FIRST_WAIT_SECONDS = 0.01
