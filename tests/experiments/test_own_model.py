"""A model of one's own: the page that shows one is true, and workers of a command run its code."""

import json
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from products import flops_by_xla

from experiments import catalogue
from experiments.cli import main
from scaling import own_code
from scaling.models.family import Family
from scaling.run import run
from sweeps import publishing
from sweeps.computing import computing
from sweeps.plan import make_plan
from sweeps.store import Store
from sweeps.worker import load_tasks, work

PAGE = Path(__file__).parents[2] / "docs/own_model.md"
TINY = Path(__file__).with_name("tiny.py").read_text()


def shown() -> str:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return code


@pytest.fixture(scope="module")
def plain_gru(tmp_path_factory) -> type[Family]:
    path = tmp_path_factory.mktemp("own") / "plain_gru.py"
    path.write_text(shown())
    return own_code.load_file(path, "experiment_file.plain_gru").PlainGRU


def test_the_model_its_sweep_and_its_figure_take_less_than_sixty_lines():
    lines = [line for line in shown().splitlines() if line.strip()]
    assert len(lines) < 60
    assert max(map(len, lines)) <= 100


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 9), st.integers(1, 3), st.integers(1, 6), st.integers(1, 12))
def test_parameters_and_flops_shown_are_those_of_the_model(plain_gru, width, depth, context, vocab):
    family = plain_gru(width=width, depth=depth)
    model = family.build(context, vocab)
    params = jax.eval_shape(model.init, jax.random.key(0))
    sizes = [leaf.size for leaf in jax.tree.leaves(params)]
    assert sum(family.count_params(context, vocab).values()) == sum(sizes)
    assert family.count_matmul(context, vocab) == sum(sizes[1:])


def test_flops_shown_are_those_of_xla(plain_gru):
    """One block, which XLA counts once as it runs once; element-wise work is some two per cent."""
    family, context, vocab, batch = plain_gru(width=256, depth=1), 64, 256, 2
    model = family.build(context, vocab)
    params = jax.eval_shape(model.init, jax.random.key(0))
    tokens = jax.ShapeDtypeStruct((batch, context), jnp.int32)

    def gradient(params, tokens):
        return jax.grad(lambda p: jnp.sum(model.apply(p, tokens) ** 2))(params)

    forward, backward = (f(context, vocab) for f in (family.flops_forward, family.flops_backward))
    for function, flops in ((model.apply, forward), (gradient, forward + backward)):
        counted = flops_by_xla(function, params, tokens)
        assert counted == pytest.approx(batch * flops, rel=0.05)


def test_the_model_shown_is_the_recurrence_that_it_says_and_sees_no_later_token(plain_gru):
    context, vocab = 9, 5
    model = plain_gru(width=4, depth=2).build(context, vocab)
    init, apply = model.init, model.apply
    params = init(jax.random.key(1))
    tokens = jax.random.randint(jax.random.key(2), (1, context), 0, vocab)
    embedding, readout, *layers = (np.asarray(leaf, np.float64) for leaf in params)

    def standard(x):
        return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)

    x = embedding[np.asarray(tokens[0])]
    for gate, candidate, out in zip(*layers, strict=True):
        h, states = np.zeros(4), []
        for each in standard(x):
            z = 1 / (1 + np.exp(-each @ gate))
            h = (1 - z) * h + z * (each @ candidate)
            states.append(h)
        x = x + np.array(states) @ out
    np.testing.assert_allclose(
        apply(params, tokens)[0], standard(x) @ readout, rtol=2e-4, atol=1e-5
    )
    changed = apply(params, tokens.at[0, 6].add(1) % vocab)[0]
    np.testing.assert_array_equal(changed[:6], apply(params, tokens)[0, :6])
    assert not np.allclose(changed[6:], apply(params, tokens)[0, 6:])


def _kept(results: Path) -> dict[str, float]:
    found = [
        json.loads(path.read_text())["record"] for path in results.glob("runs/*/*/result.json")
    ]
    return {record["run_id"]: record["eval_loss_nats"] for record in found}


@pytest.mark.slow
def test_the_experiment_shown_is_run_by_workers_and_read_without_its_class(tmp_path, capsys):
    mine, results = tmp_path / "plain_gru.py", tmp_path / "results"
    one_width = shown().replace("sweep([8, 16], 2**14)", "sweep([8], 2**14)")
    mine.write_text(one_width)
    command = ["run", str(mine), "--budget", "smoke", "--results", str(results), "--workers", "1"]
    assert main(command) == 0
    assert "4 runs: 4 done" in capsys.readouterr().out
    trained = _kept(results / "plain_gru")
    assert len(trained) == 4 and all(0 < loss < np.log(256) for loss in trained.values())
    assert (results / "plain_gru/reports/smoke/figure.png").exists()

    mine.write_text(one_width.replace("loss (nats a byte)", "loss, nats a byte"))
    assert main(command) == 0
    assert "4 runs: 4 kept" in capsys.readouterr().out

    mine.unlink()
    assert main(["table", str(results), "--to", str(tmp_path / "runs.parquet")]) == 0
    table = pd.read_parquet(tmp_path / "runs.parquet")
    assert set(table["model.kind"]) == {"plain_gru", "transformer"}
    of_own = table["model.kind"] == "plain_gru"
    assert table["model.fingerprint"].notna().equals(of_own)
    blocks = 3 * 2 * table["model.width"] ** 2 + 2 * 256 * table["model.width"]
    assert (table["n_params_total"] == blocks)[of_own].all()


FEATURES = """
@dataclass(frozen=True, kw_only=True)
class Rotated(Family):
    kind: ClassVar[str] = "rotated"
    n_features: int

    def feature_map(self, n_inputs):
        return Model(lambda key: {}, lambda params, x: (POWER * x)[:, : self.n_features])

    def build(self, n_inputs, n_outputs):
        raise NotImplementedError

    def count_params(self, n_inputs, n_outputs):
        return {"readout": self.n_features * n_outputs}

    def flops_forward(self, n_inputs, n_outputs):
        return 2 * self.n_features * n_outputs


def _sweep"""
OWN_TINY = (
    TINY.replace("def _sweep", FEATURES, 1)
    .replace("model=Linear(", "model=Rotated(")
    .replace("noise_variance=0.1)", "noise_variance=0.1, n_eval=50)")
    .replace("eval_excess_risk", "eval_squared_error")
    .replace(
        "from scaling.models.linear import Linear",
        "from dataclasses import dataclass\nfrom typing import ClassVar\n"
        "from scaling.model import Model\nfrom scaling.models.family import Family\nPOWER = 1.0",
    )
)


@pytest.mark.slow
def test_workers_run_the_file_that_the_command_was_given(tmp_path, capsys):
    mine, results = tmp_path / "own_tiny.py", tmp_path / "results"
    mine.write_text(OWN_TINY)
    command = ["run", str(mine), "--results", str(results), "--workers", "1"]
    assert main(command) == 0
    assert "9 runs: 9 done" in capsys.readouterr().out
    assert len(_kept(results / "own_tiny")) == 9

    # Another architecture under the same name is another run, and what is kept names no code.
    mine.write_text(OWN_TINY.replace("POWER = 1.0", "raise SystemExit"))
    assert main(["status", str(results)]) == 0
    assert "9 done" in capsys.readouterr().out
    mine.write_text(OWN_TINY.replace("POWER = 1.0", "POWER = 2.0"))
    assert main(command) == 0
    assert "9 runs: 9 done" in capsys.readouterr().out
    assert len(_kept(results / "own_tiny")) == 18


@pytest.mark.medium
def test_a_file_that_changes_while_workers_start_is_reported(tmp_path, monkeypatch, capsys):
    mine = tmp_path / "own_tiny.py"
    mine.write_text(OWN_TINY)
    command = ["run", str(mine), "--results", str(tmp_path / "results"), "--workers", "1"]
    load = own_code.load_file

    def loaded(path, name):
        module = load(path, name)
        own_code.origin(module.Rotated)
        mine.write_text(OWN_TINY.replace("POWER = 1.0", "POWER = 3.0"))
        return module

    monkeypatch.setattr(own_code, "load_file", loaded)
    assert main(command) == 2
    printed = capsys.readouterr().err
    assert "the workers cannot load Rotated of" in printed
    assert "Rotated has changed since this command began" in printed
    assert not _kept(tmp_path / "results" / "own_tiny")


def test_a_worker_loads_no_code_but_what_its_settings_name(tmp_path):
    mine = tmp_path / "own_tiny.py"
    mine.write_text(OWN_TINY)
    plan = make_plan("own", catalogue.load(str(mine)).sweep["cpu"]()[:1])
    store = Store.create(tmp_path / "results")
    publishing.declare(store, plan)
    publishing.make_folders(store, [plan.runs[0].run_id])
    mine.write_text("raise SystemExit('loaded')")
    events = []
    job = {"root": str(store.root), "plan_id": plan.plan_id, "attempts_before": {}}
    compute = computing(run)
    work(
        [[load_tasks([job])]],
        compute,
        lease=10,
        emit=lambda kind, **more: events.append((kind, more)),
    )
    kind, more = events[-1]
    assert kind == "failed"
    assert "model.kind = 'rotated' is not a family of this package" in more["message"]
