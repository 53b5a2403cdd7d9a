"""`scaling plan NAME --devices 2048xh100`: its largest run over many devices, on paper."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from analysis.guards import positive
from analysis.parallelism import devices, layout
from analysis.parallelism.choice import Choice, Lost, choose, enough
from analysis.parallelism.devices import Device
from analysis.parallelism.layout import Recipe
from analysis.parallelism.plan import Plan, plan
from analysis.parallelism.published_runs import PublishedRun
from analysis.parallelism.shape import TransformerShape
from experiments.commands.console import console, print_table, write_json
from experiments.commands.options.training import ShowPlanOptions
from experiments.shared.planned_runs import RECOMPUTES, recipe_of, shape_of
from experiments.shared.words import shown_bytes, shown_seconds
from scaling.config import RunConfig
from scaling.data.token_dataset import TokenSource
from scaling.memory import optimizer_bytes
from scaling.models.transformer import Transformer
from scaling.pretraining import Pretraining

_TRILLION = 1e12
_NARROW = 2  # bytes of a number in bfloat16
_BRIEF = 0.01  # seconds


class _Asked(NamedTuple):
    """The training to plan.

    Attributes:
        title: What stands above the plan; may be empty.
        shape: The model.
        recipe: How a step is computed; what is open is sought.
        given: The same with all that was chosen for the run, where its mesh is given.
        tokens: Tokens of the training.
    """

    title: str
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
    title = f"{run.name}: {run.source}\n"
    return _show(_Asked(title, run.shape, run.recipe, run.recipe, _TRILLION), options)


def _show(asked: _Asked, options: ShowPlanOptions) -> int:
    if options.devices is None:
        raise ValueError(
            "A published run is planned over devices: give --devices, e.g. --devices 2048xh100"
        )
    n_devices, device = devices.many(options.devices)
    if options.dollars_per_hour is not None:
        positive("--dollars-per-hour", options.dollars_per_hour, "give e.g. 2.5")
    shape, recipe = asked.shape, asked.recipe
    if recipe.own and not device.fused_attention:
        recipe = replace(recipe, flash=False)
        asked = asked._replace(given=replace(asked.given, flash=False))
    if options.mesh is None:
        chosen = choose(shape, device, n_devices, recipe)
    else:
        given = _given(asked, n_devices, device, options.mesh)
        chosen = Choice((given,), (), None, given, 1)
    judged = f"; {chosen.n_judged:,} ways to divide it judged" if options.mesh is None else ""
    console.print(
        f"{asked.title}{shape.parameters:.4g} parameters in {shape.layers} layers of width "
        f"{shape.width:,}, {recipe.batch:,} sequences of {shape.context:,} tokens a step, "
        f"{asked.tokens:.4g} tokens, on {options.devices}{judged}\n",
        soft_wrap=True,
    )
    if chosen.best:
        _print_best(chosen.best, asked.tokens, options.dollars_per_hour)
    _print_lost(chosen)
    more, others = None, ()
    if not (chosen.best and chosen.best[0].fits):
        more, others = enough(shape, device, n_devices, recipe)
        _say_what_it_takes(chosen.smallest, n_devices, more, others, options.mesh is not None)
    write_json(
        options.json,
        {
            "plans": [_plain(each, asked.tokens) for each in chosen.best],
            "lost": [_plain_lost(each, asked.tokens) for each in chosen.lost],
            "too_large": chosen.too_large and _plain(chosen.too_large, asked.tokens),
            "smallest": _plain(chosen.smallest, asked.tokens),
            "enough": [
                _plain(each, asked.tokens) for each in (*((more,) if more else ()), *others)
            ],
        },
    )
    return 0 if chosen.best and chosen.best[0].fits else 1


def _print_best(best: Sequence[Plan], tokens: float, price: float | None) -> None:
    _print_plans(best, tokens, price)
    _print_parts(best[0])
    console.print()
    if best[0].recipe.own:
        console.print(f"The first is trained by {' '.join(_settings(best[0]))}", soft_wrap=True)
    products = "bfloat16" if best[0].recipe.activation_bytes == _NARROW else "float32"
    console.print(
        f"Products and activations are taken in {products}. Three constants of the time were set "
        "on published runs; for eight others the predicted utilisation is within 9 points "
        "(docs/many_devices.md).",
        soft_wrap=True,
    )
    if float(best[0].seconds.total) < _BRIEF:
        console.print(
            "Starting kernels and messages takes some 10 us each, which the plan leaves out: a "
            "step this short will be slower.",
            soft_wrap=True,
        )
    console.print()


def _settings(each: Plan) -> list[str]:
    """Options of `scaling run` that train by a plan of this project's program."""
    mesh = {name: int(n) for name, n in vars(each.layout).items() if n != 1}
    if each.recipe.interleave != 1:
        mesh["interleave"] = int(each.recipe.interleave)
    remat = next(name for name, what in RECOMPUTES.items() if what == each.recipe.recompute)
    fields = {f"train.mesh.{name}": str(n) for name, n in mesh.items()}
    fields |= {"train.microbatches": f"{each.recipe.microbatches(each.layout):g}"}
    return [f"--set {name}={value}" for name, value in {**fields, "model.remat": remat}.items()]


def _print_lost(chosen: Choice) -> None:
    """Says what is faster and too large, and by what the best mesh loses that does otherwise."""
    if (each := chosen.too_large) is not None:
        needed, free = each.memory.total, each.device.free
        console.print(
            f"too large: {each.layout}: {shown_seconds(each.seconds.total)} a step, but "
            f"{shown_bytes(needed)} a device, and {shown_bytes(free)} are free",
            soft_wrap=True,
        )
    for each in chosen.lost:
        which = f"lost {'with' if each.uses else 'without'} {each.axis}: {each.plan.layout}"
        if not each.plan.fits:
            console.print(f"{which}: does not fit: {shown_bytes(each.plan.memory.total)} a device")
            continue
        slower = float(each.plan.seconds.total) / float(chosen.best[0].seconds.total) - 1
        more = (
            f": {shown_seconds(each.seconds)} more a step for {_COSTS[each.costs]}"
            if each.costs
            else ""
        )
        console.print(f"{which}: {100 * slower:.2g} % slower{more}", soft_wrap=True)


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
            "--devices plans a Transformer that is trained on tokens, and this sweep has "
            f"{kinds or 'no runs'}: "
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
    assert isinstance(model, Transformer)
    assert isinstance(train, Pretraining) and isinstance(data, TokenSource)
    shape = shape_of(model, data.n_inputs, data.n_outputs)
    on_device = optimizer_bytes(train) if train.optimizer_memory == "device" else 0
    given = recipe = recipe_of(model, train.batch_size, on_device)
    if getattr(data, "document_mask", False):  # the kernel takes no mask of documents
        given = recipe = replace(recipe, flash=False)
    if options.mesh is not None:
        mesh, _ = layout.parse_mesh(options.mesh)
        together = int(mesh.replicas) * train.microbatches
        if recipe.batch % together:
            near = together * max(1, round(recipe.batch / together))
            raise ValueError(
                f"data x fsdp x expert = {mesh.replicas:g} times train.microbatches = "
                f"{train.microbatches} does not divide the {recipe.batch:,} sequences of a batch: "
                f"give another mesh, or --set train.batch_size={near}"
            )
        given = replace(given, microbatch=recipe.batch // together)
    return _Asked("", shape, recipe, given, train.length(model, data).tokens)


def _given(asked: _Asked, n_devices: int, device: Device, text: str) -> Plan:
    """The plan of a mesh that the user gives."""
    mesh, interleave = layout.parse_mesh(text)
    if mesh.size != n_devices:
        raise ValueError(
            f"--mesh {text} has {mesh.size:,} devices and --devices {n_devices:,}: give a mesh of "
            f"{n_devices:,}"
        )
    recipe = asked.given
    if interleave is not None:
        recipe = replace(recipe, interleave=interleave)
    elif recipe.own or mesh.pipe == 1:
        recipe = replace(recipe, interleave=1)
    return plan(asked.shape, device, mesh, recipe)


def _plain(each: Plan, tokens: float) -> dict[str, Any]:
    """A plan as JSON values: sizes in bytes, times in seconds."""
    return {
        "device": each.device.name,
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


def _plain_lost(each: Lost, tokens: float) -> dict[str, Any]:
    return {
        **_plain(each.plan, tokens),
        "axis": each.axis,
        "uses": each.uses,
        "costs": each.costs or None,
        "seconds_more": each.seconds,
    }


def _print_plans(plans: Sequence[Plan], tokens: float, price: float | None) -> None:
    headings = ["mesh", "microbatch", "recomputed", "memory", "step", "use of peak", "training"]
    rows = []
    for each in plans:
        groups = f", interleave={each.recipe.interleave:g}" * (each.recipe.interleave != 1)
        days = each.days(tokens)
        row = [
            f"{each.layout}{groups}",
            f"{each.recipe.microbatch:g}",
            each.recipe.recompute,
            f"{shown_bytes(each.memory.total)}{'' if each.fits else ' (too much)'}",
            shown_seconds(each.seconds.total),
            f"{100 * each.utilisation:.1f} %",
            shown_seconds(86_400 * days),
        ]
        if price is not None:
            row.append(f"{24 * days * each.layout.size * price:,.0f}")
        rows.append(row)
    print_table(headings + (["dollars"] if price is not None else []), rows)


def _print_parts(best: Plan) -> None:
    """Where memory, time and traffic of the first mesh go."""
    console.print()
    parts = [
        (name, shown_bytes(size), f"{100 * float(size) / best.device.memory:.1f} %")
        for name, size in best.memory._asdict().items()
        if float(size) > 0
    ]
    print_table(["memory of a device", "", "of it"], parts)
    console.print()
    total = float(best.seconds.total)
    spent = [
        (name, shown_seconds(each), f"{100 * float(each) / total:.1f} %")
        for name, each in best.seconds._asdict().items()
        if float(each) > 0
    ]
    print_table(["time of a step", "", "of it"], spent)
    near = best.near()
    sent = [
        (axis, shown_bytes(size), "in a node" if near[axis] else "between nodes")
        for axis, size in best.sent._asdict().items()
        if float(size) > 0
    ]
    if sent:
        console.print()
        print_table(["sent a step by a device", "", "link"], sent)


def _say_what_it_takes(
    smallest: Plan, n_devices: int, more: Plan | None, others: Sequence[Plan], is_given: bool
) -> None:
    """Says what the least hungry mesh needs, and on how many or which devices something fits."""
    needed, free = smallest.memory.total, smallest.device.free
    mesh = "this mesh" if is_given else f"the mesh that needs the least, {smallest.layout},"
    nothing = "The mesh does not fit" if is_given else "Nothing fits"
    lines = [
        f"{nothing}: with {smallest.recipe.recompute} recomputed, {mesh} needs "
        f"{shown_bytes(needed)} a device, and {shown_bytes(free)} are free."
    ]
    able = [each for each in (more, *others) if each]
    if is_given:
        lines.append("Leave --mesh out for the best that fit, if any do.")
    if able:
        each = [
            f"{each.layout.size:,.0f}x{each.device.name} ({each.layout}, "
            f"{shown_bytes(each.memory.total)} a device)"
            for each in able
        ]
        lines.append(f"The model fits on {', on '.join(each)}.")
    else:
        lines.append(f"Not even {n_devices * 2**11:,} devices are enough: give a smaller model.")
    console.print(" ".join(lines), soft_wrap=True)


_COSTS = {
    "products": "products",
    "memory": "reading and writing activations",
    "tensor": "sums over tensor",
    "context": "keys and values over context",
    "expert": "tokens sent to experts",
    "pipe": "activations between stages",
    "bubble": "the pipeline's bubble",
    "fsdp": "gathered weights",
    "data": "sums of gradients",
    "optimizer": "the update",
}
