"""`scaling plan NAME --devices 2048xh100`: its largest run over many devices, on paper."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from analysis.guards import positive
from analysis.parallelism import devices, layout
from analysis.parallelism.devices import Device
from analysis.parallelism.layout import Recipe, Recompute
from analysis.parallelism.plan import RESERVED, Plan, choose, plan
from analysis.parallelism.published_runs import PublishedRun
from analysis.parallelism.shape import TransformerShape
from experiments.commands.console import console, print_table, write_json
from experiments.commands.options.training import ShowPlanOptions
from scaling.config import RunConfig
from scaling.data.token_dataset import TokenSource
from scaling.memory import optimizer_bytes
from scaling.models.architecture import Architecture
from scaling.models.mixture_of_experts import MixtureOfExperts
from scaling.models.transformer import Transformer
from scaling.pretraining import Pretraining

_BILLION, _TRILLION = 1e9, 1e12
_RECOMPUTES: dict[str, Recompute] = {"none": "none", "dots": "selective", "full": "full"}


class _Asked(NamedTuple):
    """The training to plan.

    Attributes:
        shape: The model.
        recipe: How a step is computed; what is open is sought.
        given: The same with all that was chosen for the run, where its mesh is given.
        tokens: Tokens of the training.
    """

    shape: TransformerShape
    recipe: Recipe
    given: Recipe
    tokens: float


def show(configs: Sequence[RunConfig], options: ShowPlanOptions) -> int:
    """Prints memory, traffic and time of the largest run of a sweep, for the best few meshes.

    Raises:
        ValueError: No run of a Transformer on tokens, a mesh that does not divide it, or a number
            of devices or a price that cannot be.
    """
    return _show(_of(_largest(configs), options), options)


def show_published(run: PublishedRun, options: ShowPlanOptions) -> int:
    """Prints the same of the model of a published run, for a trillion tokens.

    Raises:
        ValueError: As `show`.
    """
    console.print(f"{run.name}: {run.source}", soft_wrap=True)
    return _show(_Asked(run.shape, run.recipe, run.recipe, _TRILLION), options)


def _show(asked: _Asked, options: ShowPlanOptions) -> int:
    assert options.devices is not None
    n_devices, device = devices.many(options.devices)
    if options.dollars_per_hour is not None:
        positive("--dollars-per-hour", options.dollars_per_hour, "give e.g. 2.5")
    shape, recipe = asked.shape, asked.recipe
    judged, lost = "", ()
    if options.mesh is None:
        chosen = choose(shape, device, n_devices, recipe)
        plans, lost, smallest = chosen.best, chosen.lost, chosen.smallest
        judged = f"; {chosen.n_judged:,} ways to divide it judged"
    else:
        smallest = _given(asked, n_devices, device, options.mesh)
        plans = (smallest,)
    console.print(
        f"{shape.parameters:.4g} parameters in {shape.layers} layers of width {shape.width:,}, "
        f"{recipe.batch:,} sequences of {shape.context:,} tokens a step, {asked.tokens:.4g} "
        f"tokens, on {options.devices}{judged}\n",
        soft_wrap=True,
    )
    _print_plans(plans, asked.tokens, options.dollars_per_hour)
    if plans:
        _print_parts(plans[0])
        console.print()
    for each, reason in lost:
        console.print(f"lost: {each.layout}: {reason}", soft_wrap=True)
    write_json(
        options.json,
        {
            "plans": [_plain(each, asked.tokens) for each in plans],
            "lost": [{**_plain(each, asked.tokens), "reason": reason} for each, reason in lost],
            "smallest": _plain(smallest, asked.tokens),
        },
    )
    if not plans:
        _say_what_it_takes(smallest)
        return 1
    console.print(
        "Products and activations are taken in bfloat16. Three constants of the time were set on "
        "published runs; of eight others the plan predicts the utilisation within 9 points "
        "(docs/many_devices.md).",
        soft_wrap=True,
    )
    return 0


def _largest(configs: Sequence[RunConfig]) -> RunConfig:
    fitting = [
        config
        for config in configs
        if isinstance(config.model, Transformer)
        and isinstance(config.train, Pretraining)
        and isinstance(config.data, TokenSource)
    ]
    if not fitting:
        kinds = ", ".join(sorted({type(config.model).__name__ for config in configs}))
        raise ValueError(
            f"--devices plans a Transformer that is trained on tokens, and this sweep has {kinds}: "
            "choose another experiment, such as chinchilla"
        )
    return max(fitting, key=lambda config: sum(config.model.count_params(
        config.data.n_inputs, config.data.n_outputs).values()))  # fmt: skip


def _of(config: RunConfig, options: ShowPlanOptions) -> _Asked:
    """Sizes of a run, what a step is, and its tokens.

    Raises:
        ValueError: A mesh under which the run's microbatches do not divide the batch.
    """
    model, train, data = config.model, config.train, config.data
    assert isinstance(model, Architecture)
    assert isinstance(train, Pretraining) and isinstance(data, TokenSource)
    heads, kv_heads, head_size, ff_width = model.sizes
    routed = isinstance(model, MixtureOfExperts)
    shape = TransformerShape(
        layers=model.depth,
        width=model.width,
        heads=heads,
        kv_heads=kv_heads,
        head_size=head_size,
        ff_width=ff_width // model.granularity if routed else ff_width,
        gated=model.activation == "swiglu",
        vocabulary=data.n_outputs,
        context=data.n_inputs,
        experts=model.n_experts if routed else 1,
        chosen=model.n_active if routed else 1,
        capacity=model.capacity_factor if routed else 1.0,
        tied=model.tied,
    )
    # Float32 weights and gradients, and what the optimizer keeps, sharded by fsdp alone.
    recipe = Recipe(
        batch=train.batch_size,
        flash=False,
        dropout=model.dropout > 0,
        weight_bytes=4,
        gradient_bytes=4,
        optimizer_bytes=optimizer_bytes(train) if train.optimizer_memory == "device" else 0,
        shard_optimizer=False,
        sequence=False,
        activation_bytes=4 if model.compute_dtype == "float32" else 2,
        own=True,
    )
    given = replace(recipe, recompute=_RECOMPUTES[model.remat])
    if options.mesh is not None:
        mesh = layout.parse_layout(options.mesh)
        together = int(mesh.replicas) * train.microbatches
        if recipe.batch % together:
            raise ValueError(
                f"data x fsdp x expert = {mesh.replicas:g} with {train.microbatches} microbatches "
                f"does not divide the {recipe.batch:,} sequences of a batch: give another mesh, or "
                "--set train.batch_size=N"
            )
        given = replace(given, microbatch=recipe.batch // together)
    return _Asked(shape, recipe, given, train.length(model, data).tokens)


def _given(asked: _Asked, n_devices: int, device: Device, text: str) -> Plan:
    """The plan of a mesh that the user gives."""
    mesh = layout.parse_layout(text)
    if mesh.size != n_devices:
        raise ValueError(
            f"--mesh {text} has {mesh.size:g} devices and --devices {n_devices:,}: give a mesh of "
            f"{n_devices:,}"
        )
    return plan(asked.shape, device, mesh, asked.given)


def _plain(each: Plan, tokens: float) -> dict[str, Any]:
    """A plan as JSON values: sizes in bytes, times in seconds."""
    return {
        "mesh": {name: int(n) for name, n in vars(each.layout).items()},
        "microbatch": int(each.recipe.microbatch),
        "interleave": int(each.recipe.interleave),
        "recompute": each.recipe.recompute,
        "fits": each.fits,
        "memory_bytes": {name: float(n) for name, n in each.memory._asdict().items()},
        "sent_bytes": {name: float(n) for name, n in each.sent._asdict().items()},
        "seconds": {name: float(n) for name, n in each.seconds._asdict().items()},
        "utilisation": each.utilisation,
        "days": each.days(tokens),
    }


def _print_plans(plans: Sequence[Plan], tokens: float, price: float | None) -> None:
    headings = [
        "mesh",
        "microbatch",
        "recomputed",
        "GB a device",
        "s a step",
        "use of peak",
        "days",
    ]
    rows = []
    for each in plans:
        groups = f" x {each.recipe.interleave:g}" if each.recipe.interleave != 1 else ""
        row = [
            f"{each.layout}{groups}",
            f"{each.recipe.microbatch:g}",
            each.recipe.recompute,
            f"{float(each.memory.total) / _BILLION:.3g}{'' if each.fits else ' (too much)'}",
            f"{float(each.seconds.total):.3g}",
            f"{100 * each.utilisation:.1f} %",
            f"{each.days(tokens):.3g}",
        ]
        if price is not None:
            hours = 24 * each.days(tokens) * float(each.layout.size)
            row.append(f"{hours * price:,.0f}")
        rows.append(row)
    if rows:
        print_table(headings + (["dollars"] if price is not None else []), rows)


def _print_parts(best: Plan) -> None:
    """Where memory, time and traffic of the first mesh go."""
    console.print()
    parts = [
        (
            name,
            f"{float(size) / _BILLION:.3g} GB",
            f"{100 * float(size) / best.device.memory:.1f} %",
        )
        for name, size in best.memory._asdict().items()
    ]
    print_table(["memory of a device", "", "of it"], parts)
    console.print()
    total = float(best.seconds.total)
    spent = [
        (name, f"{float(each):.3g} s", f"{100 * float(each) / total:.1f} %")
        for name, each in best.seconds._asdict().items()
        if float(each) > 0
    ]
    print_table(["time of a step", "", "of it"], spent)
    console.print()
    near = best.near()
    sent = [
        (axis, f"{float(size) / _BILLION:.3g} GB", "in a node" if near[axis] else "between nodes")
        for axis, size in best.sent._asdict().items()
        if float(size) > 0
    ]
    if sent:
        print_table(["sent a step by a device", "", "link"], sent)


def _say_what_it_takes(smallest: Plan) -> None:
    """Says how many times the memory of a device the least hungry mesh needs."""
    needed = float(smallest.memory.total)
    times = needed / ((1 - RESERVED) * smallest.device.memory)
    console.print(
        f"nothing fits: the mesh that needs the least, {smallest.layout} with "
        f"{smallest.recipe.recompute} recomputed, needs {needed / _BILLION:.3g} GB a device, "
        f"{times:.3g} times what is free: give about {smallest.layout.size * times:,.0f} devices, "
        "others with more memory, or a shorter context",
        soft_wrap=True,
    )
