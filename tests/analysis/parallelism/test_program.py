"""What this project's own program sends and keeps: identities, and published forms as limits."""

from dataclasses import replace

import pytest

from analysis.parallelism import devices
from analysis.parallelism.choice import choose
from analysis.parallelism.layout import Layout, Recipe, misfits
from analysis.parallelism.program import messages, program_memory
from analysis.parallelism.shape import TransformerShape
from analysis.parallelism.traffic import Traffic, traffic

SHAPE = TransformerShape(
    layers=96, width=4096, heads=32, kv_heads=8, head_size=128, ff_width=16384,
    vocabulary=51200, context=2048,
)  # fmt: skip
OWN = Recipe(batch=64, recompute="none", sequence=False, shard_optimizer=False, own=True)
OTHERS = replace(OWN, own=False)


def test_one_device_sends_nothing():
    assert not any(each.sent for each in messages(SHAPE, Layout(), OWN))
    assert not any(each.sent for each in messages(replace(SHAPE, experts=8), Layout(), OWN))


@pytest.mark.parametrize(
    "axes", [{"tensor": 8}, {"context": 4}, {"fsdp": 16}, {"data": 64}, {"pipe": 8}]
)
def test_along_one_axis_it_sends_what_published_forms_say(axes: dict[str, int]):
    """But for embedding and read-out, which they leave out or count once; here up to a tenth."""
    layout, recipe = Layout(**axes), OWN
    if "data" in axes:  # gradients of every microbatch are added up, not of a step
        recipe = replace(OWN, microbatch=1)
    own = traffic(SHAPE, layout, recipe)
    published = traffic(SHAPE, layout, replace(recipe, own=False))
    (axis,) = axes
    place = Traffic._fields.index(axis)
    bubble = (OWN.microbatches(layout) + 7) / OWN.microbatches(layout) if axis == "pipe" else 1
    if axis == "pipe":  # every boundary is crossed in the bubble too, and rows go in and come out
        assert own.pipe > bubble * published.pipe
    else:
        assert own[place] == pytest.approx(published[place], rel=0.1)


@pytest.mark.parametrize(("vocabulary", "axis"), [(12, "pipe"), (4, "tensor"), (9, "pipe")])
def test_a_divided_vocabulary_takes_the_longest_links_of_its_axes(vocabulary: int, axis: str):
    """Divided over both axes, over `tensor`, or over `pipe` where that alone divides it."""

    def sums(vocabulary: int) -> dict[str, float]:
        found = {"pipe": 0.0, "tensor": 0.0}
        shape = replace(SHAPE, vocabulary=vocabulary)
        for each in messages(shape, Layout(pipe=3, tensor=2), OWN):
            if each.kind == "all-reduce" and each.axis in found:
                found[each.axis] += float(each.sent)
        return found

    whole, divided = sums(7), sums(vocabulary)
    assert [name for name in whole if divided[name] > whole[name]] == [axis]


def test_devices_that_share_a_model_keep_it_once():
    whole = program_memory(SHAPE, Layout(), OWN)
    assert whole.weights == OWN.weight_bytes * SHAPE.parameters
    untied = program_memory(replace(SHAPE, tied=False), Layout(), OWN)
    assert untied.weights - whole.weights == OWN.weight_bytes * SHAPE.readout_parameters
    for axes in ({"tensor": 8}, {"fsdp": 16}, {"pipe": 8}, {"tensor": 2, "fsdp": 2, "pipe": 2}):
        layout = Layout(**axes)
        assert program_memory(SHAPE, layout, OWN).weights * layout.size == whole.weights


def test_only_meshes_that_training_takes_are_proposed():
    chosen = choose(SHAPE, devices.find("h100"), 64, OWN)
    assert chosen.best
    for each in chosen.best:
        assert (
            not misfits(SHAPE, each.layout, each.recipe)
            and SHAPE.kv_heads % each.layout.tensor == 0
        )
    assert misfits(SHAPE, Layout(tensor=16), OWN) == [
        "tensor = 16 does not divide 8 heads of keys and values: give 8"
    ]
    assert not misfits(SHAPE, Layout(tensor=16), OTHERS)
    (of_layers,) = misfits(SHAPE, Layout(pipe=5), OWN)
    assert of_layers == "pipe = 5 does not divide 96 layers: give 4 or 6 in all"
