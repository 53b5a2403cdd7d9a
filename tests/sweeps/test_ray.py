"""Workers as actors of a real Ray of two nodes, one of which is lost while it works."""

from __future__ import annotations

import time
from pathlib import Path

import needed_programs
import pytest
from sweep_programs import at_first, endings, published
from trivial_runs import lasting, plan_of, truth

from sweeps.engines.ray import Ray
from sweeps.runner import run_sweeps
from sweeps.store import Store

pytestmark = [
    pytest.mark.engines,
    pytest.mark.filterwarnings("default"),  # Ray leaves files and processes to the end
]

_ON_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch):
    """A cluster of two nodes with a core each."""
    for name, value in _ON_LOOPBACK.items():
        monkeypatch.setenv(name, value)
    pytest.importorskip("ray", reason=f"{needed_programs.ABSENT}: the package ray")
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    second = cluster.add_node(num_cpus=1)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    yield cluster, second
    cluster.shutdown()


def test_the_table_is_that_of_local_workers_though_a_node_is_lost(nodes, tmp_path: Path) -> None:
    cluster, second = nodes
    plan, root = plan_of(40), tmp_path / "r"

    def lose() -> None:
        """Loses the second node once the workers of both are at work."""
        end = time.monotonic() + 30
        while len(set(root.glob("runs/*/*/attempts/*"))) - len(published(root)) < 2:
            assert time.monotonic() < end, "one worker did all runs"
            time.sleep(0.02)
        cluster.remove_node(second, allow_graceful=False)

    engine = Ray()
    assert engine.workers(1, None) == 2
    summary = run_sweeps(
        [(root, plan)], run="trivial_runs:slow", lease=2.0, engine=engine, progress=at_first(lose)
    )
    assert summary.complete
    assert lasting(Store.open(root).read(plan)) == truth(plan)
    assert endings(root)["failed"] == 1
