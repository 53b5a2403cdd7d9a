"""`scaling fit`: anybody's table -> a law, how far to trust it, and how other choices change it."""

import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.checks.flags import without_flagged
from analysis.errors import FitError
from analysis.estimate import Bootstrap, Redrawn
from analysis.fitting.alternatives import Fitted, other_losses, refit_under
from analysis.fitting.engine.loss import Loss
from analysis.fitting.fit import estimate, fit
from analysis.fitting.highest_floor import WITH_FLOOR, at_highest_floor
from analysis.fitting.known_errors import goodness_of_fit, weights_of
from analysis.fitting.profile import Profile, profile_likelihood
from analysis.fitting.result import FitResult
from analysis.laws import LAWS, Law
from analysis.planning.paid_growth import counting_paid
from analysis.planning.training_cost import SIX_N_D, paid_cost
from analysis.tables import read
from analysis.tables.names import words
from analysis.tables.origins import Column
from analysis.tables.values import FRACTIONS, read_values
from experiments.commands import beside, doubts, fit_output
from experiments.commands.console import console, write_text
from experiments.commands.fit_output import Alternative
from experiments.commands.hold_out import held_out, score_of
from experiments.commands.options.analyses import FitOptions
from experiments.commands.pairs import FIX
from experiments.commands.rows import print_flags, read_rows, settled
from scaling.fields import nearest

_ALONG_A_RUN = frozenset("step iteration iter update epoch token example sample image".split())
"""Words of a column that grows along a run, without the s of a plural."""

MOST_ROWS_PROFILED = 20_000
"""Most rows for which profiles are made: above, they agree with standard errors and take long."""


@dataclass(frozen=True)
class Choices:
    """How a law is fitted.

    Attributes:
        loss: The loss.
        fixed: Values of the parameters held, by name.
        kind: What the bootstrap redraws; None for the best that the rows allow.
        weights: Weight of each row, by the index of the table; None for equal ones.
        errors: Known standard error of each row, likewise, in units of y.
        one_run: Whether the rows are evaluations of one run.
    """

    loss: Loss
    fixed: Mapping[str, float]
    kind: Redrawn | None
    weights: pd.Series | None = None
    errors: pd.Series | None = None
    one_run: bool = False

    def weights_in(self, table: pd.DataFrame, output: str) -> np.ndarray | None:
        """The weights of the rows of a table."""
        if self.errors is not None:
            errors, y = (each.loc[table.index].to_numpy() for each in (self.errors, table[output]))
            return weights_of(errors, y, self.loss.scale)
        return None if self.weights is None else self.weights.loc[table.index].to_numpy()


def run(options: FitOptions) -> int:
    """Reads, checks and fits a table, and prints the fit beside its alternatives."""
    law = _settled_as_asked(load_law(options.law), options.floor)
    # The error of a score between 0 and 1 is a difference, not a percentage.
    scale = options.scale or ("linear" if law.output in FRACTIONS else "log")
    fixed = FIX.parse_numbers(options.fix) if options.fix else {}
    choices = Choices(Loss(options.huber, options.above, scale), fixed, options.bootstrap)
    source = read_rows(options, (*law.inputs, law.output))
    source, kept = held_out(source, options.holdout)
    source, flags, found = settled(source, law.inputs, law.output, options.flagged)
    choices = _weighed(choices, source, law.output, options)
    choices = replace(choices, one_run=_is_one_run(source, law))
    laws = beside.found(options.beside, source.table, law.output)

    # The verdict, the numbers, the doubts, the files.
    try:
        result = _fit(law, source.table, choices)
    except FitError:
        print_flags(found, options.flagged)  # perhaps why there is no fit
        raise
    counted = _counted(result, source.table)
    console.print(f"\n{counted.summary()}\n")
    goodness = None if choices.errors is None else goodness_of_fit(result)
    if goodness is not None:
        console.print(f"{goodness}\n")
    if (n_runs := result.bootstrap.n_clusters) is not None:
        console.print(
            f"{result.n_points:,} rows come from {n_runs:,} runs (column run): rows of one run are "
            "taken to err together\n"
        )
    score = None if kept is None else score_of(result, kept, options.holdout or "")
    if score is not None:
        console.print(f"{score}\n", highlight=False)
    profiles = _profiles(result)
    fit_output.print_profiles(profiles)
    # Only a JSON file shows intervals of the others.
    others = list(_alternatives(law, source, flags, choices, in_full=options.json is not None))
    fit_output.print_alternatives(result, others)
    beside.show(result, laws)
    print_flags(found, options.flagged)
    _print_cost(counted, source.table)
    about_rows = doubts.about(source.table, law.inputs)
    doubts.print_about(about_rows)

    if options.json is not None:
        provenance = _provenance(law, source, options)
        provenance["holdout"] = None if score is None else score.to_dict()
        known = {
            "doubts": about_rows,
            "source": provenance,
            "goodness_of_fit": None if goodness is None else asdict(goodness),
            "beside": [each.to_dict() for each in laws],
        }
        write_text(options.json, fit_output.as_json(counted, profiles, others, flags, known))
    if options.latex is not None:
        write_text(options.latex, counted.to_latex())
    if options.figures is not None:
        from experiments.commands import fit_figures

        folder = Path(options.figures)
        fit_figures.draw(result, profiles, source.table, flags, folder, kept)
        if laws:
            fit_figures.draw_beside(result, source.table, laws, folder)
    return 0


def _counted(result: FitResult, table: pd.DataFrame) -> FitResult:
    """The fit with growth under the cost that the table paid, at its middle compute."""
    middle = _middle_flops(table)
    if middle is None:
        return result
    return replace(result, law=counting_paid(result.law, paid_cost(table), middle))


def _middle_flops(table: pd.DataFrame) -> float | None:
    """The geometric mean of C; None where the table counts 6 N D."""
    if paid_cost(table) == SIX_N_D:
        return None
    return float(np.exp(np.mean(np.log(table["C"].to_numpy(np.float64)))))


def _print_cost(counted: FitResult, table: pd.DataFrame) -> None:
    """Says by which compute a fit is counted, where that is not 6 N D."""
    cost, middle = paid_cost(table), _middle_flops(table)
    if middle is not None:
        grows = {"a", "b", "G"} <= set(counted.derived())
        local = f"; a, b and G are local, at {middle:.3g} FLOPs" if grows else ""
        console.print(
            f"compute by the table's own FLOPs: {cost}, extrapolated beyond these sizes{local}\n"
        )


def load_law(name: str, flag: str = "--law") -> Law:
    """Returns a law by its name, or a user's own as `module:NAME`, found from this folder.

    Raises:
        ValueError: No such law (the nearest name is given), or a module without it.
    """
    module, colon, attribute = name.partition(":")
    if not colon:
        if name not in LAWS:
            raise ValueError(
                f"{flag} {name}: no such law; {nearest(name, LAWS)}, or your own module:NAME"
            )
        return LAWS[name]
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)
    try:
        law = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # whatever a user's module raises is the answer
        raise ValueError(
            f"{flag} {name}: it cannot be imported ({type(error).__name__}: {error}). Give "
            "module:NAME of a module that Python finds from this folder"
        ) from None
    if not isinstance(law, Law):
        raise ValueError(
            f"{flag} {name}: it is a {type(law).__name__}, not a law. Give an analysis.laws.Law, "
            "such as law_of in analysis.laws.own makes of a function"
        )
    return law


def _settled_as_asked(law: Law, floor: str | None) -> Law:
    """The law, its floor settled at the highest minimum where that is asked for."""
    if floor is None:
        return law
    if law.name not in WITH_FLOOR:
        raise ValueError(
            f"--floor {floor}: {law.name} has no floor of this kind; give --law "
            f"{' or --law '.join(WITH_FLOOR)}, or leave --floor out"
        )
    return at_highest_floor(law)


def _weighed(choices: Choices, source: read.Source, output: str, options: FitOptions) -> Choices:
    """The choices with the weights or errors of the rows, each checked."""
    if options.weights and options.error:
        raise ValueError(
            f"--weights {options.weights} and --error {options.error}: an error is a weight "
            "already, 1 / error^2; give one of them"
        )
    table = source.table
    if options.weights:
        column = Column("weight", (options.weights,))
        return replace(choices, weights=read_values(table, column, positive=True))
    if not options.error:
        return choices
    origin = source.origins[output]
    unit = origin.unit if isinstance(origin, Column) else None
    if unit is not None and unit.is_perplexity:
        raise ValueError(
            f"--error {options.error}: an error of a perplexity is none of a loss in nats; add a "
            "column of the log of the perplexity, and one of its error"
        )
    column = Column("standard error", (options.error,), unit)
    return replace(choices, errors=read_values(table, column, positive=True))


def _fit(law: Law, table: pd.DataFrame, choices: Choices) -> FitResult:
    return _fitted(partial(fit, bootstrap=Bootstrap(kind=choices.kind)), law, table, choices)


def _estimate(law: Law, table: pd.DataFrame, choices: Choices) -> dict[str, float]:
    return _fitted(estimate, law, table, choices)


def _fitted(by: Callable[..., Fitted], law: Law, table: pd.DataFrame, choices: Choices) -> Fitted:
    by_cluster = choices.kind in (None, "clusters", "rows", "sandwich")
    clusters = _clusters(table, choices) if by_cluster else None
    if choices.kind == "clusters" and clusters is None:
        raise ValueError(
            "--bootstrap clusters redraws runs, but the rows are not several runs with several "
            "rows each. Name the column of runs, as --columns run=NAME, or leave --bootstrap out"
        )
    return by(
        law,
        table.loc[:, list(law.inputs)],
        table[law.output],
        weights=choices.weights_in(table, law.output),
        clusters=clusters,
        loss=choices.loss,
        fixed=choices.fixed,
    )


def _clusters(table: pd.DataFrame, choices: Choices) -> np.ndarray | None:
    """The run of each row, where several rows come from one and err together.

    Rows of a single run over one input have one label: a fit looks for their correlation.
    """
    if choices.one_run:
        return np.zeros(len(table)) if choices.kind is None else None
    if "run" not in table or not table["run"].duplicated().any():
        return None
    return table["run"].to_numpy()


def _is_one_run(source: read.Source, law: Law) -> bool:
    """Whether the rows are evaluations of one run: by its label, or by an input that a run has."""
    table = source.table
    if len(law.inputs) != 1:
        return False
    if "run" in table:
        return len(table) > 1 and len(table["run"].unique()) == 1
    apart = [name for name in ("N", "seed") if name in table and len(table[name].unique()) > 1]
    origin = source.origins.get(law.inputs[0])
    if apart or not isinstance(origin, Column):
        return False
    found = {word.lower().removesuffix("s") for name in origin.columns for word in words(name)}
    return bool(found & _ALONG_A_RUN)


def _profiles(result: FitResult) -> dict[str, Profile] | str:
    """The profiles of a fit, or a sentence why there are none."""
    if result.n_points > MOST_ROWS_PROFILED:
        return f"no profiles: above {MOST_ROWS_PROFILED:,} rows the standard errors agree with them"
    try:
        return profile_likelihood(result)
    except (ValueError, FitError) as error:
        return f"no profiles: {error}"


def _alternatives(
    law: Law, source: read.Source, flags: pd.DataFrame, choices: Choices, *, in_full: bool
) -> Iterator[Alternative]:
    """Fits of the same law under the other choices: losses, flagged rows, ways to count.

    Those that are not `in_full` are estimates without intervals.
    """
    table = source.table
    loss = choices.loss
    losses = [replace(choices, loss=other) for other in other_losses(law, loss)]
    kept = without_flagged(table, flags)
    tried = [("all rows", table, each) for each in losses]
    if len(kept) < len(table):
        tried += [("without flagged rows", kept, each) for each in (choices, *losses)]
    for name, rows, each in tried:
        label = f"{name}, {_loss(each.loss)}"
        try:
            found = _fit(law, rows, each) if in_full else _estimate(law, rows, each)
            yield f"{label} ({len(rows):,})", found
        except (ValueError, FitError) as error:
            yield label, str(error)
    if not choices.fixed:
        in_logs = replace(choices, loss=Loss(loss.delta))
        for convention, refit in refit_under(
            fit if in_full else estimate,
            law,
            source,
            loss=in_logs.loss,
            weights=in_logs.weights_in(table, law.output),
            clusters=_clusters(table, choices),
        ):
            yield str(convention), refit


def _loss(loss: Loss) -> str:
    name = "squared error" if loss.delta is None else f"Huber {loss.delta:g}"
    return name if loss.scale == "log" else f"{name}, not of logs"


def _provenance(law: Law, source: read.Source, options: FitOptions) -> dict[str, object]:
    """Returns where the rows came from, and their ranges, for the JSON file."""
    table = source.table
    largest, cost = None, paid_cost(table)
    if {"N", "D"} <= set(table):
        n, d = (table[name].to_numpy(np.float64) for name in ("N", "D"))
        largest = float(np.max(cost.ratio(np.log(n)) * n * d))
    inputs = table.loc[:, list(law.inputs)].to_numpy(np.float64)
    ranges = zip(law.inputs, inputs.min(axis=0), inputs.max(axis=0), strict=True)
    return {
        **source.provenance(),
        "where": options.where,
        "flagged": options.flagged,
        "largest_flops": largest,
        "cost": None if cost == SIX_N_D else cost._asdict(),
        "middle_flops": _middle_flops(table),
        "range": {name: [float(low), float(high)] for name, low, high in ranges},
    }
