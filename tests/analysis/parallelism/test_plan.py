"""Memory, traffic and time of a step: published closed forms, identities, and the choice."""

import time
from dataclasses import replace

import numpy as np
import pytest

from analysis.parallelism import devices
from analysis.parallelism.choice import choose, enough
from analysis.parallelism.layout import Layout, Recipe, misfits, parse_mesh
from analysis.parallelism.memory import held, layer_bytes, memory
from analysis.parallelism.plan import plan
from analysis.parallelism.shape import TransformerShape
from analysis.parallelism.step_time import step_time
from analysis.parallelism.traffic import links, traffic

GPT = TransformerShape(
    layers=96, width=12288, heads=96, kv_heads=96, head_size=128, ff_width=49152,
    vocabulary=51200, context=2048,
)  # fmt: skip
EXPERTS = replace(GPT, experts=64, chosen=2, ff_width=12288)
A100 = devices.find("a100")
ONE = Layout()
PLAIN = Recipe(batch=1024, recompute="none", sequence=False, flash=False, dropout=True)


def test_activations_are_those_of_korthikanti():
    """Equations 1, 2 and 4: s b h (34 + 5 a s / h), and with tensor parallelism t."""
    s, h, a = GPT.context, GPT.width, GPT.heads
    assert layer_bytes(GPT, ONE, PLAIN) * s == pytest.approx(s * h * (34 + 5 * a * s / h))
    t = 8
    split, divided = Layout(tensor=t), replace(PLAIN, sequence=True)
    expected = s * h * (10 + 24 / t + 5 * a * s / (h * t))
    assert layer_bytes(GPT, split, PLAIN) * s == pytest.approx(expected)
    expected = s * h / t * (34 + 5 * a * s / h)
    assert layer_bytes(GPT, split, divided) * s == pytest.approx(expected)


def test_parameters_and_flops_are_those_of_narayanan():
    """Equations 2 and 3: P = 12 l h^2 (1 + V / (12 l h)), F = 72 B s l h^2 (1 + s/6h + V/12lh)."""
    n, h, s, v = GPT.layers, GPT.width, GPT.context, GPT.vocabulary
    assert GPT.parameters == 12 * n * h * h + v * h
    expected = 72 * n * h**2 * (1 + s / (6 * h) + v / (12 * n * h))
    assert GPT.training_flops == pytest.approx(expected)


@pytest.mark.parametrize("shape", [GPT, EXPERTS])
def test_the_devices_of_a_copy_hold_every_parameter_once(shape: TransformerShape):
    whole = sum(held(shape, ONE))
    assert whole == shape.parameters
    for layout in (Layout(tensor=8), Layout(fsdp=8), Layout(pipe=8), Layout(tensor=4, pipe=2)):
        part = memory(shape, layout, PLAIN).weights * layout.size
        beside = (layout.pipe - 1) * shape.readout_parameters  # every stage is judged as the last
        assert part == pytest.approx((whole + beside) * PLAIN.weight_bytes, rel=1e-12)


def test_experts_are_divided_and_the_rest_copied():
    one, eight = held(EXPERTS, ONE), held(EXPERTS, Layout(expert=8))
    assert eight.dense == one.dense and 8 * eight.experts == one.experts


def test_traffic_is_that_of_rings():
    """A ring all-reduce of n devices sends 2 (n - 1) / n of its array."""
    sent = traffic(GPT, Layout(tensor=8), PLAIN)
    reduced = 4 * GPT.layers * PLAIN.batch * GPT.context * GPT.width * 2
    assert sent.tensor == pytest.approx(2 * 7 / 8 * reduced)
    assert sent.data == sent.fsdp == sent.pipe == sent.context == sent.expert == 0
    of_gradients = traffic(GPT, Layout(data=16), PLAIN).data
    assert of_gradients == pytest.approx(2 * 15 / 16 * 2 * GPT.parameters)
    # Sharded weights: two gathers and a scatter, half as much more than an all-reduce.
    whole = replace(PLAIN, microbatch=64)
    gathered = traffic(GPT, Layout(fsdp=16), whole).fsdp
    assert gathered == pytest.approx(1.5 * of_gradients)


def test_an_axis_that_leaves_the_node_takes_the_slow_link():
    near = links(Layout(tensor=8, pipe=2, data=4), A100)
    assert near["tensor"].is_near and near["tensor"].speed == A100.link
    for axis in ("pipe", "data"):  # each group has one device in a node
        assert not near[axis].is_near and near[axis].speed == A100.between


def test_a_ring_through_a_node_takes_the_adapters_of_all_its_devices():
    assert links(Layout(data=32), A100)["data"].speed == 8 * A100.between
    assert links(Layout(tensor=2, fsdp=32), A100)["fsdp"].speed == 4 * A100.between
    slow_node = replace(A100, link=1.5 * A100.between)  # it is no faster than inside
    assert links(Layout(data=32), slow_node)["data"].speed == slow_node.link
    # Of 16 destinations of an all-to-all 8 are in the node, so that 8 in 15 leave it.
    sent = links(Layout(expert=16), A100)["expert"].speed
    assert sent == pytest.approx(A100.between * 15 / 8)


def test_nodes_are_filled_evenly():
    """Twelve devices are six in each of two nodes of eight, and tensor = 6 stays inside one."""
    assert links(Layout(tensor=6, data=2), A100)["tensor"].is_near
    assert not links(Layout(tensor=6, data=4), A100)["tensor"].is_near  # three nodes of eight


def test_the_bubble_is_its_formula():
    recipe = replace(PLAIN, recompute="full", microbatch=2, interleave=2)
    layout = Layout(tensor=8, pipe=8, data=4)
    found = step_time(GPT, layout, recipe, A100)
    busy = found.products + found.memory + found.tensor + found.pipe
    assert found.bubble == pytest.approx(busy * 7 / (2 * 1024 / (4 * 2)))


def test_more_recomputation_is_slower_and_smaller():
    layout = Layout(tensor=8, pipe=8, data=4)
    each = [
        plan(GPT, A100, layout, replace(PLAIN, recompute=r)) for r in ("none", "selective", "full")
    ]
    seconds = [float(p.seconds.total) for p in each]
    room = [float(p.memory.activations) for p in each]
    assert seconds == sorted(seconds) and room == sorted(room, reverse=True)
    assert each[2].hardware_utilisation > each[2].utilisation
    assert each[0].hardware_utilisation == pytest.approx(each[0].utilisation)


def test_many_layouts_at_once_are_each_as_alone():
    layouts = Layout(data=np.array([1, 4]), tensor=np.array([8, 2]), pipe=np.array([4, 4]))
    together = step_time(GPT, layouts, PLAIN, A100).total
    for i, layout in enumerate((Layout(tensor=8, pipe=4), Layout(data=4, tensor=2, pipe=4))):
        alone = step_time(GPT, layout, PLAIN, A100).total
        assert np.asarray(together)[i] == pytest.approx(float(alone))


def test_the_choice_for_4096_devices_fits_and_takes_less_than_two_seconds():
    began = time.process_time()
    found = choose(GPT, A100, 4096, Recipe(batch=2048))
    assert time.process_time() - began < 2
    assert len(found.best) == 3 and all(each.fits for each in found.best)
    assert all(each.layout.size == 4096 for each in found.best)
    assert [each.utilisation for each in found.best] == sorted(
        (each.utilisation for each in found.best), reverse=True
    )
    best = found.best[0]
    for lost in found.lost:
        assert (getattr(lost.plan.layout, lost.axis) > 1) is lost.uses
        assert (getattr(best.layout, lost.axis) > 1) is not lost.uses
        assert lost.plan.seconds.total >= best.seconds.total or not lost.plan.fits


def test_nothing_fits_on_too_few():
    found = choose(GPT, A100, 8, Recipe(batch=64))
    assert not found.best and not found.lost
    assert found.too_large is not None and not found.too_large.fits
    more, others = enough(GPT, A100, 8, Recipe(batch=64))
    assert more is not None and more.fits
    assert not choose(GPT, A100, int(more.layout.size) // 2, Recipe(batch=64)).best
    assert all(each.fits and each.layout.size == 8 for each in others)


@pytest.mark.parametrize(
    ("layout", "says"),
    [
        ("tensor=7", "tensor = 7 does not divide 96 heads: give 6 or 8"),
        ("expert=2", "expert = 2 divides experts, and there is one: give expert = 1"),
        ("context=3", "context = 3 does not divide 2,048 tokens of the context: give 2 or 4"),
        ("data=3", "does not divide the 1,024 sequences of a batch: give 2 or 4 together"),
        ("pipe=128", "needs 128 layers, and there are 96: give fewer"),
    ],
)
def test_what_does_not_divide_is_named_with_what_does(layout: str, says: str):
    assert any(says in each for each in misfits(GPT, parse_mesh(layout).layout, PLAIN))
    with pytest.raises(ValueError, match="give"):
        plan(GPT, A100, parse_mesh(layout).layout, PLAIN)


@pytest.mark.parametrize(
    ("read", "says"),
    [
        (lambda: parse_mesh("data=0"), "no axis of a mesh"),
        (lambda: parse_mesh("tenser=2"), "did you mean 'tensor'"),
        (lambda: parse_mesh("data=2,data=4"), "gives data twice"),
        (lambda: devices.many("2048h100"), "give e.g. 2048xh100"),
        (lambda: devices.many("8xh10"), "did you mean 'h100'"),
        (lambda: devices.find("none.toml"), "no such file"),
        (
            lambda: choose(GPT, A100, 7919, Recipe(batch=1024)),
            "give 4,096 devices, or another batch",
        ),
        (lambda: plan(GPT, A100, ONE, PLAIN).days(-1), "tokens = -1"),
    ],
)
def test_mistakes_get_a_sentence(read, says: str):
    with pytest.raises(ValueError, match=says):
        read()


def test_a_users_device_is_one_file(tmp_path):
    path = tmp_path / "mine.toml"
    numbers = {"peak": 1e14, "memory": 4e10, "memory_bandwidth": 1e12, "node": 4, "link": 5e10}
    lines = [f"{name} = {value}" for name, value in (numbers | {"between": 1e10}).items()]
    path.write_text("\n".join(lines) + "\n")
    found = devices.many(f"16x{path}")
    assert found[0] == 16 and found[1].name == "mine" and found[1].node == 4
    path.write_text(path.read_text().replace("between = 10000000000.0\n", ""))
    with pytest.raises(ValueError, match="mine has no between: add between = NUMBER"):
        devices.find(str(path))
    path.write_text(path.read_text() + "between = true\n")
    with pytest.raises(ValueError, match="between of mine is True: give a number"):
        devices.find(str(path))
    right = path.read_text().replace("between = true", "between = 1e10")
    path.write_text(right.replace("node = 4", "node = 0.5"))
    with pytest.raises(ValueError, match=r"node of mine is 0\.5: give a whole number"):
        devices.find(str(path))
    path.write_text(right + 'fused_attention = "yes"\n')
    with pytest.raises(ValueError, match="fused_attention of mine is 'yes': give true or false"):
        devices.find(str(path))


def test_peaks_are_those_of_the_table_of_prices():
    from analysis.planning.device_prices import PEAK_FLOPS

    for name, peak in PEAK_FLOPS.items():
        assert devices.find(name).peak == peak
