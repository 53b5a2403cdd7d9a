"""The plan against published trainings, and the runs that set its constants."""

import numpy as np
import pytest

from analysis.parallelism import step_time
from analysis.parallelism.published_runs import PublishedRun, find, predicted_runs, published_runs

PARAMETERS = {
    "gpt3-175b": 174.6e9,
    "gpt-1t": 1008e9,
    "mt-nlg-530b": 530e9,
    "opt-175b": 175e9,
    "bloom-176b": 176.2e9,
    "glm-130b": 130e9,
    "llama-3.1-405b": 405e9,
    "palm-540b": 540e9,
}
NAMES = sorted(PARAMETERS)


def differences(runs: list[PublishedRun]) -> list[float]:
    return [run.planned_utilisation() - run.utilisation for run in runs]


def test_utilisation_lies_within_eight_points_for_six_of_eight_runs():
    runs = list(predicted_runs())
    assert sorted(run.name for run in runs) == NAMES
    assert sum(abs(off) <= 0.08 for off in differences(runs)) >= 6


@pytest.mark.parametrize("name", NAMES)
def test_memory_fits_where_it_fitted(name: str):
    assert find(name).plan().fits


@pytest.mark.parametrize("name", NAMES)
def test_sizes_are_those_that_are_named(name: str):
    assert find(name).shape.parameters == pytest.approx(PARAMETERS[name], rel=0.02)


def setting(constant: str) -> list[PublishedRun]:
    return [run for run in published_runs().values() if run.sets == constant]


def test_constants_are_those_that_their_runs_set():
    runs = setting("PRODUCTS")
    assert len(runs) == 9 and all(run.plan().fits for run in runs)
    # A step of 0.01 in the constant moves the median by about 0.006.
    assert abs(float(np.median(differences(runs)))) < 0.004


def test_links_are_as_fast_as_their_runs_say(monkeypatch: pytest.MonkeyPatch):
    def misfit(share: float) -> float:
        monkeypatch.setattr(step_time, "LINKS", share)
        return float(np.sqrt(np.mean(np.square(differences(setting("PRODUCTS"))))))

    assert min((0.6, 0.7, 0.8, 0.9, 1.0), key=misfit) == 0.8


def test_a_half_of_gathered_weights_is_as_near_as_any_share(monkeypatch: pytest.MonkeyPatch):
    def misfit(share: float) -> float:
        monkeypatch.setattr(step_time, "HIDDEN", share)
        return float(np.sqrt(np.mean(np.square(differences(setting("HIDDEN"))))))

    each = {share: misfit(share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)}
    assert each[0.5] < min(each.values()) + 0.002 and each[0.0] > each[0.5] + 0.01
    monkeypatch.setattr(step_time, "HIDDEN", 0.5)
    assert max(map(abs, differences(setting("HIDDEN")))) < 0.08


def test_without_the_adapters_of_a_whole_node_sharded_weights_would_be_missed():
    """One adapter a device cannot carry what these runs sent in the time that they took."""
    run = find("mpt-70b-64-a100-40gb")
    planned = run.plan()
    seconds = float(planned.seconds.total) * planned.utilisation / run.utilisation
    assert float(planned.sent.fsdp) > run.device.between * seconds


def test_an_unknown_run_gets_the_nearest_name():
    with pytest.raises(ValueError, match="did you mean 'palm-540b'"):
        find("palm-540")
