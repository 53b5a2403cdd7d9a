"""Runs over four emulated devices: the losses of one device, a share of its state on each."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from emulated_devices import found_by
from jax.sharding import AbstractMesh

from scaling.config import RunConfig, load_config, resolved, run_id
from scaling.data.ngram import NGram
from scaling.devices.mesh import Mesh
from scaling.devices.sharding import AXES, sharded
from scaling.models.transformer import Transformer
from scaling.overrides import replace_at
from scaling.pretraining import Pretraining
from scaling.run import run
from scaling.training import Adam

ROUNDING = 1e-5
"""Relative. Devices add up losses and gradients in another order, which in float32 moves a sum by
about 1e-7 of it; where a gradient is near to 0, ten of Adam's divisions make more of that."""

RUN = RunConfig(
    model=Transformer(width=16, depth=1, heads=2),
    data=NGram(vocab_size=8, context=8, n_tokens=2**12, n_eval=32),
    train=Pretraining(optimizer=Adam(learning_rate=0.01), batch_size=64, steps=4),
)


def agree(found: dict[str, list[float]], expected: dict[str, list[float]]) -> None:
    for name in ("train", "eval", "end"):
        assert len(found[name]) == len(expected[name]) >= 2
        assert found[name] == pytest.approx(expected[name], rel=ROUNDING), name


def has_its_share(kept: Any, fsdp: int) -> None:
    """Whether each of four devices keeps as much of the state as it should."""
    each, (all_of_it,) = kept["each"], kept["all"]
    assert len(each) == 4 and len(set(each)) == 1
    # Adam's count of its steps is all that cannot be shared out.
    assert each[0] == pytest.approx(all_of_it / fsdp, abs=8)


def agrees(found: Any, one: Any, fsdp: int) -> None:
    """Whether four devices in groups of `fsdp` did the work of one as they should."""
    agree(found["losses"], one["losses"])

    has_its_share(found["kept"], fsdp)
    assert found["kept"]["drawn"] == pytest.approx(one["kept"]["drawn"], rel=1e-12)

    # Of a step's 160 tokens each device has 40: activations would have such an axis.
    sent = found["sent"]
    assert not one["sent"]
    assert sent.keys() == ({"all-gather", "all-reduce"} if fsdp > 1 else {"all-reduce"})
    assert not {40, 80, 160} & {n for kind in sent.values() for shape in kind for n in shape}
    if fsdp > 1:
        gathered = {tuple(n for n in shape if n > 1) for shape in sent["all-gather"]}
        assert gathered == {
            (16, 48),
            (16, 16),
            (16, 64),
            (64, 16),
            (24, 16),
            (8, 16),
            (16, 24),
            (16,),
        }


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("mesh") / "checkpoints"
    return found_by(Path(__file__).with_name("mesh_runs.py"), 4, folder)


@pytest.mark.slow
@pytest.mark.parametrize(("mesh", "fsdp"), [("both", 2), ("data", 1)])
def test_four_devices_do_the_work_of_one_and_keep_their_share(found: Any, mesh: str, fsdp: int):
    agrees(found[mesh], found["one"], fsdp)


@pytest.mark.slow
def test_a_resumed_run_has_the_bits_of_an_uninterrupted_one(found: Any):
    whole, again = ({**each} for each in found["resumed"])
    assert again.pop("resumed") == [8] and whole.pop("resumed") == []
    assert again == whole


@pytest.mark.slow
def test_grouped_heads_tied_embeddings_and_microbatches_too(found: Any):
    """Along fsdp alone."""
    agree(found["grouped"]["in parts"], found["grouped"]["one"])
    has_its_share(found["grouped"]["kept"], 4)


def test_only_leaves_named_right_below_blocks_are_taken_for_stacked():
    devices: Any = AbstractMesh((1, 2, 1, 1, 1, 1), AXES)
    names = jax.tree.map(
        lambda sharding: tuple(sharding.spec),
        sharded(
            devices,
            {
                "blocks": {"stacked": jnp.zeros((8, 2)), "gate": jnp.zeros(())},
                "listed": {"blocks": [{"gate": jnp.zeros(()), "matrix": jnp.zeros((8, 2))}]},
                "bare": {"blocks": [jnp.zeros(8)]},
            },
        ),
    )
    assert names == {
        "blocks": {"stacked": (None, "fsdp"), "gate": ()},
        "listed": {"blocks": [{"gate": (), "matrix": ("fsdp",)}]},
        "bare": {"blocks": [("fsdp",)]},
    }


def test_a_mesh_is_part_of_what_a_run_is():
    ids = {run_id(RUN)}
    for mesh in (Mesh(data=2), Mesh(fsdp=2), Mesh(fsdp=2, data=2)):
        config = dataclasses.replace(RUN, train=dataclasses.replace(RUN.train, mesh=mesh))
        assert config.n_devices == mesh.size
        again = load_config(resolved(config))
        assert run_id(again) == run_id(config) and again.n_devices == mesh.size
        ids.add(run_id(config))
    assert len(ids) == 4 and RUN.n_devices == 1


def test_more_devices_than_there_are_are_refused_in_a_sentence():
    with pytest.raises(
        ValueError,
        match=r"train.mesh = \(data = 32 x fsdp = 2\) needs 64 devices; JAX sees \d+. Give a "
        r"smaller mesh. .* JAX_NUM_CPU_DEVICES=64",
    ):
        run(replace_at(replace_at(RUN, "train.mesh.data", 32), "train.mesh.fsdp", 2))


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("train.mesh.fsdp", 3, "3 devices .* does not divide the 64 sequences of a batch"),
        ("train.mesh.data", 128, "give a multiple of 128 in batch_size / microbatches, or fewer"),
        ("train.mesh.data", 0, "Mesh.data = 0 is impossible: give a value at least 1"),
        ("train.mesh.model", 2, "no field 'model' in Mesh; .*valid: context, data, .*fsdp"),
    ],
)
def test_what_cannot_be_divided_is_refused_in_a_sentence(path: str, value: int, sentence: str):
    with pytest.raises(ValueError, match=sentence):
        replace_at(RUN, path, value)


def test_every_microbatch_is_divided():
    config = replace_at(replace_at(RUN, "train.microbatches", 16), "train.mesh.data", 4)
    assert config.n_devices == 4
    with pytest.raises(ValueError, match=r"mesh of 4 devices .* 2 sequences of a .*microbatch"):
        replace_at(config, "train.microbatches", 32)
