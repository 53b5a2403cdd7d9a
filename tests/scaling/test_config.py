"""Configurations: identity, overrides, refusals."""

import dataclasses
import json
import os
import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.config import (
    RunConfig,
    canonical_json,
    compile_key,
    load_config,
    resolved,
    run_id,
    trunk_of,
)
from scaling.data.digits import Digits
from scaling.data.gaussian import GaussianTeacher, Isotropic, PowerLaw
from scaling.data.label_noise import LabelNoise
from scaling.data.mnist1d import MNIST1D
from scaling.fields import flatten, from_dict, to_dict
from scaling.models.linear import Linear
from scaling.models.mlp import MLP
from scaling.models.random_features import RandomFeatures
from scaling.overrides import parse_overrides, replace_at
from scaling.solving import OptimalRidge, Ridge, Ridgeless
from scaling.training import SGD, Adam, Gradient

positive = st.floats(1e-6, 1e3)
noise = st.builds(
    LabelNoise,
    fraction=st.floats(0, 1, exclude_max=True),
    convention=st.sampled_from(["wrong_class", "any_class"]),
)
images = st.one_of(
    st.builds(MNIST1D, n_train=st.integers(1, 4000), label_noise=noise),
    st.builds(Digits, n_train=st.integers(1, 1400), label_noise=noise),
)
gradient = st.builds(
    Gradient,
    optimizer=st.one_of(
        st.builds(SGD, learning_rate=positive, momentum=st.floats(0, 1, exclude_max=True)),
        st.builds(Adam, learning_rate=positive),
    ),
    schedule=st.sampled_from(["constant", "cosine"]),
    steps=st.integers(1, 10**6),
)
configs = st.one_of(
    st.builds(
        RunConfig,
        model=st.builds(MLP, width=st.integers(1, 512), depth=st.integers(1, 4)),
        data=images,
        train=gradient,
        seed=st.integers(0, 2**32 - 1),
    ),
    st.builds(
        RunConfig,
        model=st.builds(
            RandomFeatures, n_features=st.integers(1, 9999), activation=st.sampled_from(["relu"])
        ),
        data=images,
        train=st.one_of(st.builds(Ridge, ridge=positive), st.builds(Ridgeless)),
    ),
    st.builds(
        RunConfig,
        model=st.builds(Linear, n_features=st.integers(1, 50)),
        data=st.builds(
            GaussianTeacher,
            n_train=st.integers(1, 500),
            dimension=st.integers(50, 60),
            noise_variance=st.floats(0.1, 10),
            spectrum=st.builds(Isotropic, signal_power=positive),
        ),
        train=st.one_of(st.builds(OptimalRidge), st.builds(Ridgeless)),
    ),
)


def small(**changes) -> RunConfig:
    base = RunConfig(
        model=MLP(width=8),
        data=MNIST1D(n_train=100),
        train=Gradient(optimizer=SGD(learning_rate=0.1), batch_size=20, steps=50),
    )
    return dataclasses.replace(base, **changes)


@settings(max_examples=60, deadline=None)
@given(configs)
def test_survives_json(config):
    assert from_dict(RunConfig, json.loads(json.dumps(to_dict(config)))) == config
    # What is stored is the resolved configuration: it has the same identity.
    stored = load_config(resolved(config))
    assert run_id(stored) == run_id(config)
    assert canonical_json(stored) == canonical_json(config)


@settings(max_examples=60, deadline=None)
@given(configs, configs)
def test_different_values_never_share_an_id(one, other):
    assert (run_id(one) == run_id(other)) == (canonical_json(one) == canonical_json(other))
    assert run_id(one) != run_id(dataclasses.replace(one, seed=(one.seed + 1) % 2**32))


@settings(max_examples=40, deadline=None)
@given(configs, st.randoms())
def test_id_is_blind_to_key_order(config, rng: random.Random):
    def shuffled(tree):
        if not isinstance(tree, dict):
            return tree
        items = list(tree.items())
        rng.shuffle(items)
        return {name: shuffled(value) for name, value in items}

    assert run_id(from_dict(RunConfig, shuffled(to_dict(config)))) == run_id(config)


@pytest.mark.parametrize(
    ("one", "other"),
    [("0.001", "1e-3"), ("0.5", "5e-1"), ("1", "1.0"), ("1e0", "1")],
)
def test_id_is_blind_to_float_spelling(one, other):
    path = "train.optimizer.learning_rate"
    ids = {run_id(parse_overrides(small(), f"{path}={text}")) for text in (one, other)}
    ids |= {run_id(replace_at(small(), path, kind(one))) for kind in (float, np.float64)}
    assert len(ids) == 1


def test_id_is_the_same_in_every_process():
    code = (
        "from scaling.config import *; from scaling.models.mlp import MLP;"
        "from scaling.data.mnist1d import MNIST1D; from scaling.training import *;"
        "print(run_id(RunConfig(model=MLP(width=8), data=MNIST1D(n_train=100),"
        "train=Gradient(optimizer=SGD(learning_rate=0.1), batch_size=20, steps=50))))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {run_id(small())}


def test_durations_in_other_units_are_the_same_run():
    # 50 steps of 20 are 1,000 examples, or 10 epochs of 100.
    assert run_id(parse_overrides(small(), "train.examples=1000")) == run_id(small())
    assert run_id(parse_overrides(small(), "train.epochs=10")) == run_id(small())
    assert run_id(parse_overrides(small(), "train.steps=51")) != run_id(small())
    full = parse_overrides(small(), "train.batch_size=none")
    assert run_id(full) == run_id(parse_overrides(small(), "train.batch_size=100"))


def test_a_resolved_configuration_gives_what_the_configuration_gives():
    plain = resolved(small())
    assert plain == json.loads(canonical_json(small())) == json.loads(canonical_json(plain))
    assert run_id(plain) == run_id(small()) and trunk_of(plain) is None


def test_runs_that_differ_in_arguments_have_one_compile_key():
    key = compile_key(small())
    for same in (
        "seed=1",
        "train.steps=51",
        "train.epochs=3",
        "train.evaluations=2",
        "train.spacing=geometric",
        "train.optimizer.learning_rate=0.5",
        "data.generator_seed=3",
        "data.label_noise.fraction=0.5",
    ):
        assert compile_key(parse_overrides(small(), same)) == key, same
    for other in ("train.batch_size=none", "train.schedule=cosine", "data.n_train=90"):
        assert compile_key(parse_overrides(small(), other)) != key, other
    full = parse_overrides(small(), "train.batch_size=none")
    assert compile_key(full) == compile_key(parse_overrides(small(), "train.batch_size=100"))


def test_optimal_ridge_is_the_ridge_it_resolves_to():
    config = RunConfig(
        model=Linear(n_features=30),
        data=GaussianTeacher(n_train=60, dimension=40, noise_variance=0.5),
        train=OptimalRidge(),
    )
    # 30 of 40 coordinates are seen: signal 3/4, noise 1/2 + 1/4, p/n = 1/2.
    assert run_id(config) == run_id(dataclasses.replace(config, train=Ridge(ridge=0.5)))


def test_newer_fields_at_their_default_leave_older_identities_as_they_were():
    plain = resolved(small())
    assert "initial" not in plain["model"] and "spacing" not in plain["train"]
    assert load_config(plain) == from_dict(RunConfig, to_dict(small())) != small(seed=1)
    other = parse_overrides(small(), "model.initial=torch", "train.spacing=geometric")
    assert resolved(other)["model"]["initial"] == "torch"
    assert resolved(other)["train"]["spacing"] == "geometric"
    assert load_config(resolved(other)) == load_config(json.loads(canonical_json(other)))
    assert run_id(other) != run_id(small())


def test_flatten_gives_dotted_columns():
    columns = flatten(small())
    assert columns["model.kind"] == "mlp"
    assert columns["train.optimizer.learning_rate"] == 0.1
    assert columns["data.label_noise.fraction"] == 0.0


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("train.stpes=5", "did you mean 'steps'"),
        ("modle.width=5", "did you mean 'model'"),
        ("model.width=0", "at least 1"),
        ("model.width=2.5", "whole number"),
        ("model.width=nan", "finite"),
        ("model.width=many", "whole number"),
        ("model.width.more=1", "no field 'more'"),
        ("model.kind=linear", "kind cannot be overridden"),
        ("model=mlp", "give one of"),
        ("data.n_train=4001", "4,?000"),
        ("data.label_noise.fraction=1.5", "less than 1"),
        ("data.label_noise.fraction=nan", "finite"),
        ("data.label_noise.convention=wrong", "did you mean 'wrong_class'"),
        ("train.optimizer.learning_rate=0", "greater than 0"),
        ("train.batch_size=101", "exceeds data.n_train"),
        ("train.objective=cross_entropi", "did you mean 'cross_entropy'"),
        ("train.steps=none", "exactly one"),
        ("train.steps=3000000000", "give a shorter run"),
        ("train.epochs=1e9", "give a shorter run"),
        ("train.optimizer.momentum=1", "less than 1"),
        ("seed=-1", "at least 0"),
        ("seed", "field.path=value"),
        ("=3", "field.path=value"),
    ],
)
def test_impossible_overrides_are_refused_with_a_remedy(override, says):
    with pytest.raises(ValueError, match=says):
        parse_overrides(small(), override)


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: small(train=Ridgeless()), "linear read-out"),
        (lambda: small(train=OptimalRidge()), "isotropic"),
        (lambda: small(data=GaussianTeacher(n_train=100, dimension=3)), "needs classes"),
        (lambda: Gradient(optimizer=SGD(learning_rate=1), steps=1, epochs=1), "exactly one"),
        (lambda: Ridge(ridge=float("nan")), "finite"),
        (lambda: Ridge(ridge=float("inf")), "finite"),
        (lambda: GaussianTeacher(n_train=5, dimension=True), "whole number"),
        (
            lambda: RunConfig(
                model=Linear(n_features=5),
                data=GaussianTeacher(n_train=5, dimension=4),
                train=Ridgeless(),
            ),
            "exceeds the 4 inputs",
        ),
        (
            lambda: RunConfig(
                model=Linear(n_features=4),
                data=GaussianTeacher(n_train=5, dimension=4),
                train=OptimalRidge(),
            ),
            "ridgeless",
        ),
        (
            lambda: RunConfig(
                model=Linear(n_features=4),
                data=GaussianTeacher(
                    n_train=5,
                    dimension=4,
                    spectrum=PowerLaw(eigenvalue_exponent=2, target_exponent=2),
                ),
                train=OptimalRidge(),
            ),
            "isotropic",
        ),
    ],
)
def test_impossible_configurations_are_refused(build, says):
    with pytest.raises(ValueError, match=says):
        build()


def test_a_part_that_leaves_out_the_check_is_checked_by_the_whole():
    """A class with a `__post_init__` of its own may forget that of its base."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Forgetful(Adam):
        kind = "forgetful"

        def __post_init__(self) -> None:
            pass

    part = Forgetful(learning_rate=-1.0)
    with pytest.raises(ValueError, match=r"learning_rate = -1\.0 is impossible"):
        from_dict(Adam, part)


def test_stored_configurations_with_unknown_fields_are_refused():
    plain = resolved(small())
    with pytest.raises(ValueError, match="did you mean 'width'"):
        load_config(plain | {"model": {"kind": "mlp", "widht": 3}})
    with pytest.raises(ValueError, match="missing width"):
        load_config(plain | {"model": {"kind": "mlp"}})
    with pytest.raises(ValueError, match="did you mean 'mlp'"):
        load_config(plain | {"model": {"kind": "mpl", "width": 3}})


def test_changed_data_are_another_run():
    plain = resolved(small())
    plain["data"]["fingerprint"] = "mnist1d/0"
    with pytest.raises(ValueError, match="mnist1d is now 'mnist1d/1': it has changed, so"):
        load_config(plain)
