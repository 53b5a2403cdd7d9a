"""Every axis of a mesh: the losses of one device, the order of arrays, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from emulated_devices import found_by
from jax.sharding import PartitionSpec as P

from scaling.config import RunConfig, load_config, resolved, run_id
from scaling.data.ngram import NGram
from scaling.devices import processes
from scaling.devices.axes import ONE
from scaling.devices.mesh import Mesh
from scaling.models.encoder_decoder import EncoderDecoder
from scaling.models.gru import GRU
from scaling.models.mixture_of_experts import MixtureOfExperts
from scaling.models.placement import over_vocabulary, rearranged, specs
from scaling.models.transformer import Transformer
from scaling.objectives.span import Span
from scaling.overrides import replace_at, replace_together
from scaling.pretraining import Pretraining, axes_of
from scaling.trainers import checkpoint, tokens
from scaling.trainers.objectives import cross_entropy
from scaling.trainers.shared import cross_entropy as divided_cross_entropy
from scaling.training import Adam
from scaling.workspace import Workspace

ROUNDING = 1e-5
"""Relative: see `test_mesh.ROUNDING`."""

RUN = RunConfig(
    model=Transformer(width=16, depth=4, heads=4, kv_heads=2),
    data=NGram(vocab_size=8, context=8, n_tokens=2**12, n_eval=32),
    train=Pretraining(optimizer=Adam(learning_rate=0.01), batch_size=16, steps=4),
)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("axes") / "checkpoints"
    return found_by(Path(__file__).with_name("axes_runs.py"), 8, folder)


def agree(some: dict[str, Any], others: dict[str, Any]) -> None:
    for name in ("train", "eval", "end"):
        assert len(some[name]) == len(others[name]) == (2 if name == "end" else 5)
        assert some[name] == pytest.approx(others[name], rel=ROUNDING), name


@pytest.mark.slow
def test_devices_along_tensor_expert_and_pipe_do_the_work_of_one(found: Any):
    """At a capacity of 1: which tokens get a place depends on those of every device."""
    agree(found["whole"], found["one"])


@pytest.mark.slow
def test_attention_over_divided_sequences_keeps_to_prefixes_and_documents(found: Any):
    one, divided = map(np.array, found["masked"])
    np.testing.assert_allclose(divided, one, rtol=ROUNDING)


@pytest.mark.slow
def test_an_encoder_decoder_has_the_loss_and_gradient_of_one_device(found: Any):
    """On two devices along fsdp, tensor and context, and along context and an interleaved pipe.

    Biases of keys have no gradient.
    """
    one, *divided = found["paired"]
    assert len(one) == 48 and np.sum(np.array(one) < 1e-8) == 3
    assert divided == [pytest.approx(one, rel=ROUNDING, abs=1e-8)] * 2


@pytest.mark.slow
def test_a_resumed_run_has_the_bits_of_an_uninterrupted_one(found: Any):
    again = found["again"]
    assert again["resumed"] == [8] and not found["whole"]["resumed"]
    assert {**again, "resumed": []} == found["whole"]


@pytest.mark.slow
def test_a_run_goes_on_with_the_devices_that_are_left_and_says_so(found: Any):
    """Here with one, on which the arrays have another order."""
    agree(found["left"], found["whole"])
    assert found["left"]["resumed"] == [8]
    assert found["left"]["meshes"] == ["data = 1 x fsdp = 1"]


@pytest.mark.slow
def test_noise_of_gradients_is_told_as_soon_as_no_pipeline_hides_it(found: Any):
    one, whole, left = (found[name]["noise"] for name in ("one", "whole", "left"))
    assert None not in one and whole == [None] * 5
    assert left[:4] == whole[:4] and left[4] == pytest.approx(one[4], rel=1e-3)


def test_axes_that_are_not_there_leave_identities_as_they_were():
    again = replace_at(replace_at(RUN, "train.mesh.data", 2), "train.mesh.fsdp", 2)
    assert resolved(again)["train"]["mesh"] == {"data": 2, "fsdp": 2}
    tensor = replace_at(RUN, "train.mesh.tensor", 2)
    assert run_id(tensor) != run_id(RUN) and run_id(load_config(resolved(tensor))) == run_id(tensor)
    assert tensor.n_devices == 2


def test_a_shard_has_its_part_of_each_matrix_side_by_side():
    """Two heads of queries, one of keys and one of values on each of two devices."""
    parameters = RUN.model.parameters(8, 8)
    columns = np.broadcast_to(np.arange(32), (4, 16, 32))
    state = {"blocks": {"qkv": columns}, "count": np.zeros(())}
    moved = rearranged(parameters, state, Mesh(), Mesh(tensor=2))
    first, second = np.split(np.asarray(moved["blocks"]["qkv"][0, 0]), 2)
    assert first.tolist() == [*range(8), *range(16, 20), *range(24, 28)]
    assert sorted([*first.tolist(), *second.tolist()]) == list(range(32))
    for before, after in ((Mesh(tensor=2), Mesh()), (Mesh(tensor=2), Mesh(pipe=2, interleave=2))):
        other = rearranged(parameters, rearranged(parameters, moved, before, after), after, before)
        assert jax.tree.all(jax.tree.map(np.array_equal, other, moved))


def test_groups_of_layers_go_to_devices_in_turn():
    parameters = RUN.model.parameters(8, 8)
    gain = np.arange(4)[:, None] * np.ones((1, 16))
    mesh = Mesh(pipe=2, interleave=2)
    moved = rearranged(parameters, {"blocks": {"ff_norm": gain}}, Mesh(), mesh)
    assert moved["blocks"]["ff_norm"][:, 0].tolist() == [0, 2, 1, 3]


def test_every_device_of_a_pipeline_has_layers_of_either_stack():
    paired = EncoderDecoder(width=16, depth=4, heads=4, source_length=6)
    found = specs(paired.parameters(10, 12), Mesh(pipe=4))
    for stack in ("encoder", "decoder"):
        assert {spec[0] for spec in jax.tree.leaves(found[stack])} == {"pipe"}
        assert jax.tree.leaves(found[f"{stack}_norm"]) == [P(None)] * 2


def test_roles_decide_what_divides_each_axis():
    mesh = Mesh(data=2, fsdp=2, tensor=2, expert=2, pipe=2)
    mixture = MixtureOfExperts(width=16, depth=4, heads=4, expansion=4)
    found = specs(mixture.parameters(8, 8), mesh)
    assert found["embedding"] == P(("pipe", "tensor"), ("fsdp",))
    assert found["blocks"]["ff_in"] == P(("pipe",), ("expert",), ("fsdp",), ("tensor",))
    assert found["blocks"]["attention_out"] == P(("pipe",), ("tensor",), ("fsdp",))
    assert found["blocks"]["router"] == P(("pipe",), ("fsdp",), None)
    assert found["final_norm"] == P(("fsdp",))
    # What does not divide the vocabulary leaves it whole.
    assert [over_vocabulary(mesh, size) for size in (8, 6, 7)] == [
        ("pipe", "tensor"),
        ("tensor",),
        (),
    ]


def test_cross_entropy_of_one_part_is_that_of_all():
    """Ties too: the first of the largest is predicted."""
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(5, 7)), jnp.asarray(random.integers(0, 7, 5))
    logits[3:] = 1
    logits, labels = jnp.asarray(logits), labels.at[3:].set(jnp.array([0, 4]))

    @jax.jit
    def both(logits, labels):
        whole = cross_entropy(logits, labels), jax.nn.logsumexp(logits, axis=-1)
        return divided_cross_entropy(ONE, (), logits, labels), whole

    (each, normaliser, is_wrong), whole = both(logits, labels)
    np.testing.assert_allclose((each, normaliser), whole, rtol=1e-6)
    assert is_wrong.tolist() == (np.argmax(logits, axis=-1) != np.asarray(labels)).tolist()


def test_fewer_devices_keep_what_cannot_be_copied():
    mesh = Mesh(data=2, fsdp=4, tensor=2, pipe=2)
    assert [next(mesh.fitting(n)) for n in (32, 16, 5)] == [
        mesh,
        Mesh(fsdp=4, tensor=2, pipe=2),
        Mesh(tensor=2, pipe=2),
    ]
    assert list(Mesh(pipe=2, interleave=2).fitting(1)) == [Mesh()]
    # Copies may be of any number, and more where other axes are shorter.
    left = list(Mesh(data=2, tensor=4).fitting(6))
    assert left == [Mesh(tensor=4), *(Mesh(data=n, tensor=2) for n in (3, 2, 1)),
                    *(Mesh(data=n) for n in range(6, 0, -1))]  # fmt: skip


@pytest.mark.parametrize(
    ("n_devices", "n_processes", "batch", "left"),
    [
        (6, 1, 16, Mesh(data=2, tensor=2)),
        (6, 3, 24, Mesh(data=3, tensor=2)),
        (6, 3, 16, None),
        (8, 4, 16, Mesh(data=4, tensor=2)),
    ],
)
def test_devices_that_are_left_are_used_as_batch_and_hosts_allow(
    monkeypatch: Any, tmp_path: Path, n_devices: int, n_processes: int, batch: int, left: Any
):
    """Runs that start from others too; all devices of several processes must take part."""
    own = {"train.mesh": Mesh(data=4, tensor=2), "train.batch_size": batch}
    parent = replace_together(RUN, own)
    config = dataclasses.replace(parent, init_from=parent)
    monkeypatch.setattr(jax, "device_count", lambda: n_devices)
    monkeypatch.setattr(jax, "process_count", lambda: n_processes)
    monkeypatch.setattr(processes, "broadcast_from_first", lambda make: make())
    monkeypatch.setattr(checkpoint, "is_in", lambda folder: True)
    if left is not None:
        assert tokens._on_devices_here(config, Workspace(tmp_path)).mesh == left
        return
    sentence = r"needs 8 devices, and 6 are left in 3 processes, .* no mesh of 6 .* with 4 devices"
    with pytest.raises(ValueError, match=sentence):
        tokens._on_devices_here(config, Workspace(tmp_path))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"tensor": 3}, "tensor = 3 does not divide the 4 heads: give 2 or 4"),
        ({"tensor": 4}, "tensor = 4 does not divide the 2 heads of keys and values: give 2"),
        ({"pipe": 3}, "pipe = 3 does not divide the 4 layers: give 2 or 4"),
        (
            {"pipe": 4, "interleave": 2},
            r"pipe = 4 with interleave = 2 .* 4 layers: give 4 as pipe \* interleave",
        ),
        ({"context": 3}, "context = 3 does not divide the 8 tokens of data.context: give 2 or 4"),
        (
            {"expert": 2},
            "expert = 2 cannot divide model.kind = 'transformer': set train.mesh.expert = 1 and "
            "use train.mesh.data, train.mesh.fsdp, .* or train.mesh.tensor",
        ),
        ({"fsdp": 3, "tensor": 2}, "does not divide the 16 sequences of a batch"),
        ({"pipe": 2, "interleave": 2}, "microbatches = 1: give a multiple of 2, or interleave = 1"),
        ({"interleave": 2}, "pipe = 1 has none: give interleave = 1, or a larger pipe"),
    ],
)
def test_what_cannot_be_divided_is_refused_in_a_sentence(changes: Any, sentence: str):
    with pytest.raises(ValueError, match=sentence):
        replace_at(RUN, "train.mesh", Mesh(**changes))


def test_families_without_roles_and_what_needs_one_device_are_refused():
    tensor = replace_at(RUN, "train.mesh.tensor", 2)
    with pytest.raises(ValueError, match=r"cannot divide model.kind = 'gru'"):
        replace_at(tensor, "model", GRU(width=8, depth=1))
    span = Span(rate=0.25, mean=2)
    paired = EncoderDecoder(width=16, depth=6, heads=4, source_length=span.source(8))
    own = {"model": paired, "train.objective": span, "train.mesh.pipe": 4}
    with pytest.raises(ValueError, match=r"pipe = 4 does not divide the 6 layers of either stack"):
        replace_together(RUN, own)
    with pytest.raises(ValueError, match=r"dropout works .* on train.mesh.data and .*fsdp alone"):
        replace_at(tensor, "model.dropout", 0.1)
    mixture = MixtureOfExperts(width=16, depth=4, heads=4, expansion=4, dropout=0.1)
    with pytest.raises(ValueError, match=r"dropout works .* on one device alone, not on a mesh of"):
        replace_together(RUN, {"model": mixture, "train.mesh.data": 2})


@pytest.mark.parametrize(
    ("model", "axes"),
    [
        (
            MixtureOfExperts(width=16, depth=4, heads=4, expansion=4),
            ("data", "fsdp", "pipe", "expert", "context", "tensor"),
        ),
        (
            Transformer(width=16, depth=4, heads=4),
            ("data", "fsdp", "pipe", "context", "tensor"),
        ),
        (
            EncoderDecoder(width=16, heads=4, source_length=2),
            ("data", "fsdp", "pipe", "context", "tensor"),
        ),
        (GRU(width=8, depth=1), ("data", "fsdp")),
    ],
    ids=lambda each: getattr(each, "kind", ""),
)
def test_axes_of_a_family(model: Any, axes: tuple[str, ...]):
    """The table of docs/many_devices.md."""
    assert axes_of(model) == axes
