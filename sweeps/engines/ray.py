"""Members as actors of Ray: one for each accelerator or, where there are none, for each core.

Ray places the actors and says when one is lost; nothing else of it is used. An actor holds a worker
process like every other (`sweeps.member`), which ends with the actor. The cluster is the one that
RAY_ADDRESS names; without it one is started for the call, on this machine and on loopback alone.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Collection, Sequence
from typing import Any

from scaling.extras import needed
from sweeps.member import Member, member_path
from sweeps.pool import GRACE_SECONDS

_ON_LOOPBACK = ("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "RAY_USAGE_STATS_ENABLED")
"""Variables by which a Ray that is started here listens on loopback alone, and reports to nobody.

Ray has no authentication. The first is what has it stay on loopback on two other systems.
"""

_ACCELERATORS = ("GPU", "TPU")
_SECONDS_TO_HEAR = 1.0  # more only where an actor waits for its place
_SECONDS_TO_STOP = GRACE_SECONDS + 1


class Ray:
    """Members as actors of Ray; see `sweeps.engines.Engine` for the calls."""

    detached = False

    def __init__(self) -> None:
        """Joins the cluster that is there, or starts one.

        Raises:
            ValueError: Ray is not here, or the cluster does not answer.
        """
        address = os.environ.get("RAY_ADDRESS")
        if address is None:
            for name in _ON_LOOPBACK:
                os.environ.setdefault(name, "0")  # read when Ray is imported
        self._ray = needed("ray", "--executor ray", extra="ray", otherwise="leave --executor out")
        self._actors: dict[int, tuple[Any, Any]] = {}  # each with what its call will return
        more = {} if address else {"address": "local", "include_dashboard": False}
        try:
            self._ray.init(log_to_driver=False, logging_level=logging.ERROR, **more)
        except ConnectionError:
            raise ValueError(
                f"no Ray answers at RAY_ADDRESS = {address}: start it, or unset RAY_ADDRESS to "
                "work on this machine"
            ) from None

    def workers(self, devices: int, asked: int | None) -> int:
        """Number of workers for runs over so many devices; None asks for what the cluster offers.

        Raises:
            ValueError: the cluster has too few accelerators for one run.
        """
        kind, count = self._offered()
        places = count // devices if kind in _ACCELERATORS else count
        if places < 1:
            raise ValueError(
                f"the runs need {devices} devices; the cluster has {count} of {kind}. Lower "
                "train.mesh.data or train.mesh.fsdp, or add machines to the cluster"
            )
        return asked or places

    def start(self, members: Sequence[int], settings: str) -> Sequence[int]:
        """Starts members, or starts them again. Ray keeps those that wait for room."""
        kind, _ = self._offered()
        devices = max(turn["devices"] for turn in json.loads(settings)["turns"])
        wanted = {"num_cpus": 1, "runtime_env": {"env_vars": {"PYTHONPATH": member_path()}}}
        if kind == "GPU":
            wanted["num_gpus"] = devices
        elif kind == "TPU":
            wanted["resources"] = {"TPU": devices}
        for member in members:
            # Two calls at once: while one attends, the other may stop it.
            actor = self._ray.remote(Member).options(max_concurrency=2, **wanted).remote()
            self._actors[member] = actor, actor.attend.remote(settings, member)
        return members

    def alive(self) -> Collection[int]:
        """The members that work, or wait for a place to do so."""
        calls = {call: member for member, (_, call) in self._actors.items()}
        returned = set(self._first(list(calls), 0))
        return {member for call, member in calls.items() if call not in returned}

    def why(self, member: int) -> str | None:
        """Returns why a member ended; None if it ended normally."""
        _, call = self._actors.pop(member)
        try:
            self._ray.get(call)
        except self._ray.exceptions.RayTaskError as error:
            return f"{type(error.cause).__name__}: {error.cause}"
        except self._ray.exceptions.RayError as error:
            return str(error).splitlines()[0]
        return None

    def stop(self) -> None:
        """Asks all members to end their attempts and stop; those that wait never begin."""
        calls = {actor.stop.remote(): call for actor, call in self._actors.values()}
        heard = self._first(list(calls), _SECONDS_TO_HEAR)
        self._first([calls[each] for each in heard], _SECONDS_TO_STOP)
        for actor, _ in self._actors.values():
            self._ray.kill(actor)
        self._actors.clear()
        self._ray.shutdown()

    def _first(self, calls: Sequence[Any], seconds: float) -> Sequence[Any]:
        """Calls that have returned after some seconds, or all of them before that."""
        if not calls:
            return ()
        return self._ray.wait(calls, num_returns=len(calls), timeout=seconds)[0]

    def _offered(self) -> tuple[str, int]:
        """What workers are given one each of, and how many of these the cluster has."""
        there = self._ray.cluster_resources()
        kind = next((kind for kind in _ACCELERATORS if there.get(kind)), "CPU")
        return kind, int(there.get(kind, 0))
