"""`--tune` and `--adapt`: runs of a sweep that are chosen as results arrive."""

import json
import math
from dataclasses import replace

import pytest
from paused_runs import DONE, RATE, STEPS, loss, perform, plan_of
from paused_runs import run as planted

from experiments.cli import main
from experiments.commands.chooser import say_cost
from scaling.accounting import account
from sweeps.deciding import Decided
from sweeps.decisions import Choice, Decision, Outcome
from sweeps.store import Store

SWEEP = (
    *("sweep", "--name", "rates", "--model", "transformer", "--set", "model.heads=2"),
    *("--set", "model.depth=1", "--set", "data.kind=ngram", "--set", "data.vocab_size=8"),
    *("--set", "data.context=8", "--set", "data.n_tokens=65536", "--set", "data.n_eval=8"),
    *("--set", "train.batch_size=2"),
)
RATES = ("--grid", f"{RATE}=0.001,0.003,0.01,0.03,0.1", "--set", f"train.steps={STEPS}")
WIDTH = ("--set", "model.width=8")
SIZES = ("--grid", "model.width=8..64*2", "--grid", "train.steps=8..512*2")


def by_size(config, workspace):
    """Chinchilla's law with noise of at most 0.2 %, spread evenly by the golden ratio."""
    record, curve = planted(config, workspace)
    counts = account(config)
    place = counts.n_params_total * counts.n_tokens_seen * (math.sqrt(5) - 1) / 2
    noise = 0.002 * (2 * (place % 1) - 1)
    value = 1.5 + 20 / counts.n_params_total**0.4 + 30 / counts.n_tokens_seen**0.5
    return replace(record, status="done", eval_loss_nats=value * (1 + noise)), curve


@pytest.fixture
def said(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)

    def printed(*words, run=planted):
        def run_sweeps(jobs, *, stops, **more):
            ((root, plan),) = jobs
            if run is None:
                return replace(DONE, interrupted=True, settled=False)
            return perform(Store.open(root), plan, stops, run)

        monkeypatch.setattr("sweeps.runner.run_sweeps", run_sweeps)
        code = main([*map(str, words)])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return printed


def choices_in(folder):
    paths = sorted(folder.glob("decisions/*/*.json"))
    return [json.loads(path.read_text())["decision"]["choice"] for path in paths]


@pytest.mark.medium
def test_tune_names_the_best_of_each_group_and_what_it_cost(said, tmp_path):
    words = (*SWEEP, *RATES, "--grid", "model.width=8,16", "--tune", RATE, "--json", "found.json")
    code, printed = said(*words)
    assert code == 0 and "width 16  learning_rate 0.01" in printed
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["best"] == [
        {"group": {"model.width": width}, "best": {RATE: 0.01}, "loss_nats": loss(0.01, 0, STEPS)}
        for width in (8, 16)
    ]
    # Of five, two go on after 23 steps and one after 45 of 90.
    assert found["flops"] / found["flops_of_all"] == pytest.approx((5 * 23 + 2 * 22 + 45) / 450)
    assert found["complete"] and found["decisions"] == 4
    assert said(*words) == (code, printed)
    # What the decisions left as it is lacks nothing, until they have not come to an end.
    looks = ("status", "results/rates"), ("table", "results/rates", "--to", "runs.csv")
    looks = (*looks, ("doctor", "results/rates"), ("watch", "results/rates"))
    assert [said(*look)[0] for look in looks] == [0, 0, 0, 0]
    _, printed = said("status", "results/rates", "--json", "status.json")
    assert "10 runs: 2 done, 8 paused" in printed and "--tune came to an end after 4" in printed
    (status,) = json.loads((tmp_path / "status.json").read_text())["folders"]
    assert status["left"] == 8 and status["troubled"] == status["holes"] == []
    (last,) = (tmp_path / "results").glob("rates/decisions/*/000004.json")
    last.unlink()
    assert [said(*look)[0] for look in looks[:3]] == [1, 1, 1]
    code, printed = said("doctor", "results/rates")
    assert printed.count("has paused after step 23 (--tune)") == 6
    assert "--tune has not come to an end after 3 decisions" in printed


def test_an_interrupted_call_says_how_far_it_came(said):
    words = (*SWEEP, *RATES, *WIDTH, "--tune", RATE)
    code, printed = said(*words, run=None)
    assert code == 130 and "not known yet" in printed and "\n1 decision chose " in printed
    assert "--tune has not come to an end: 5 chosen runs to do. The same command goes" in printed


def test_where_every_run_has_ended_no_rest_is_promised(capsys):
    plan = plan_of(0.01, 0.1)
    ended = [Outcome(run.run_id, "done", None, 2.0) for run in plan.runs]
    for news, promised in ((ended, False), (ended[:1], True)):
        say_cost(plan, Decided((Decision(tuple(news), Choice({}, "enough")),), None), "--tune")
        assert ("does the rest" in capsys.readouterr().out) is promised


def test_adapt_says_the_number_with_its_interval_and_stops(said, tmp_path):
    words = ("--adapt", "chinchilla", "--quantity", "alpha", "--width", "0.3", "--flops", "1e12")
    code, printed = said(*SWEEP, *SIZES, *words, "--json", "found.json", run=by_size)
    assert code == 0 and "the interval is narrow enough" in printed
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["low"] <= 0.4 <= found["high"] and found["high"] - found["low"] <= 0.3
    assert found["flops"] < 0.1 * found["flops_of_all"]
    code, printed = said("status", "results/rates")
    assert code == 0 and "were not chosen stay so" in printed and "narrow enough" in printed
    assert said("doctor", "results/rates")[0] == 0
    assert said("table", "results/rates", "--to", "runs.csv")[0] == 0
    runs = (tmp_path / "runs.csv").read_text().splitlines()
    done = sum(len(decision["jobs"]) for decision in choices_in(tmp_path / "results" / "rates"))
    assert sum(",missing," in row and ",not chosen," in row for row in runs) == 28 - done > 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--tune", "seed", "--plan"), "'seed' is no field that can be tuned"),
        (("--tune", RATE, "--reduction", "1"), "reduction = 1"),
        (("--tune", RATE, "--adapt", "chinchilla"), "give one of them"),
        (("--rungs", "4", "--plan"), "--rungs has no effect without --tune"),
        (("--width", "1"), "--width has no effect without --adapt"),
        (("--tune", RATE, "--hosts"), "--hosts does not go with --tune"),
        (("--tune", RATE, "--beside", "hoffmann2022"), "--beside does not go with --tune"),
        (("--adapt", "chinchilla"), "--adapt chinchilla needs --quantity"),
        (("--adapt", "x", "--quantity", "E", "--width", "1", "--flops", "1"), "no such law"),
        (
            ("--adapt", "chinchilla", "--quantity", "alpha", "--width", "1", "--flops", "1e9"),
            "in every run, so chinchilla, a law of N, D, cannot be fitted",
        ),
    ],
)
def test_mistakes_end_before_anything_is_written(said, tmp_path, words, says):
    code, printed = said(*SWEEP, *RATES, *WIDTH, *words)
    assert code == 2 and says in printed and printed.count("\n") == 1, printed
    assert not any(tmp_path.iterdir())


def test_several_sweeps_facts_and_runs_with_parents_have_nothing_to_tune(said, tmp_path):
    for name, says in (
        ("double_descent", "--tune is for one sweep"),
        ("named_models", "nothing is"),
        ("distillation", "some runs start from others"),
    ):
        code, printed = said("run", name, "--budget", "smoke", "--tune", "seed")
        assert code == 2 and says in printed
    assert not any(tmp_path.iterdir())
