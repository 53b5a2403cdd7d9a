"""One run in several processes, each with some of its devices: the first decides for all.

Processes compute in step: each makes the same calls in the same order, or all wait for ever. What
could differ between them, a clock or the content of a disk, is therefore looked up by the first
process alone, which sends it to the others. A run in one process sends nothing and waits for
nobody.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np

T = TypeVar("T")

_SECONDS_TO_LEAVE = 60  # how long processes wait for each other at the end


def join() -> None:
    """Joins the processes that compute together; call it before JAX does anything else.

    Slurm, Open MPI, Kubernetes and TPU pods identify their processes themselves. Elsewhere each
    process reads its environment: JAX_COORDINATOR_ADDRESS (host:port of the first, the same for
    all), JAX_NUM_PROCESSES, and JAX_PROCESS_ID, counted from 0.

    Raises:
        ValueError: the environment does not say enough.
    """
    number, own = (_count(name) for name in ("JAX_NUM_PROCESSES", "JAX_PROCESS_ID"))
    try:
        jax.distributed.initialize(
            num_processes=number, process_id=own, shutdown_timeout_seconds=_SECONDS_TO_LEAVE
        )
    except ValueError as error:
        raise ValueError(
            f"the environment does not say which processes compute together ({error}): start them "
            "through Slurm, Open MPI or Kubernetes, or set JAX_COORDINATOR_ADDRESS=host:port, "
            "JAX_NUM_PROCESSES and JAX_PROCESS_ID"
        ) from None


def leave() -> None:
    """Leaves the processes that compute together, once all of them do."""
    jax.distributed.shutdown()


def is_first() -> bool:
    """Whether this process is the first, which decides and writes."""
    return jax.process_index() == 0


def broadcast_from_first(decide: Callable[[], T]) -> T:
    """Sends what the first process decides to all processes.

    Args:
        decide: Returns a JSON value; called in the first process alone.

    Raises:
        OSError, ValueError, RuntimeError: as `decide` raised it, in every process.
    """
    if jax.process_count() == 1:
        return decide()
    answer: dict[str, Any] = {}
    error: Exception | None = None
    if is_first():
        try:
            answer = {"value": decide()}
        except Exception as caught:  # the others wait for an answer, whatever it is
            error = caught
            kind = next((k for k, c in _ERRORS.items() if isinstance(caught, c)), "RuntimeError")
            answer = {"error": str(caught), "kind": kind}
    answer = json.loads(_broadcast(json.dumps(answer).encode()))
    if error is not None:
        raise error
    if "error" in answer:
        raise _ERRORS[answer["kind"]](answer["error"])
    return answer["value"]


_ERRORS = {error.__name__: error for error in (OSError, ValueError, RuntimeError)}


def _broadcast(text: bytes) -> bytes:
    """Text of the first process; that of the others is ignored."""
    from jax.experimental import multihost_utils

    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(text))))
    padded = np.zeros(1 << size.bit_length(), np.int32)  # few lengths: each is compiled once
    if is_first():
        padded[:size] = list(text)
    return bytes(multihost_utils.broadcast_one_to_all(padded)[:size].astype(np.uint8))


def _count(name: str) -> int | None:
    text = os.environ.get(name)
    if text is None:
        return None
    if not text.isdecimal():
        raise ValueError(f"{name} = {text!r} in the environment: give a whole number")
    return int(text)
