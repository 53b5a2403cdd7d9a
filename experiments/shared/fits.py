"""Fits of an experiment as a report keeps and shows them.

Each with its verdict, its constants, their profiles, and the same law under other losses.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from analysis.errors import FitError
from analysis.estimate import Redrawn
from analysis.fitting.alternatives import refit_under_losses
from analysis.fitting.profile import Profile, profile_likelihood
from analysis.fitting.result import FitResult

MOST_ROWS = 2_000
"""Most rows of a fit that is profiled and fitted again; above, both would take long."""


@dataclass(frozen=True, kw_only=True)
class Constant:
    """A parameter, or a number derived from several; None where there is no such number.

    Attributes:
        name: Its name.
        value: The estimate.
        error: Standard error; None of a parameter that was held.
        low: Lower end of the bootstrap's interval.
        high: Upper end.
        profile_low: Lower end of the interval of its profile; None where that is open or not made.
        profile_high: Upper end.
        doubt: Why the rows do not identify it; empty where they do.
    """

    name: str
    value: float | None
    error: float | None
    low: float | None
    high: float | None
    profile_low: float | None = None
    profile_high: float | None = None
    doubt: str = ""


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """The same law fitted to the same rows under another loss.

    Attributes:
        loss: The loss, in words.
        values: The parameters, in the order of the fit's; none where there is no fit.
        verdict: The verdict, or the reason why there is no fit.
    """

    loss: str
    values: tuple[float | None, ...]
    verdict: str


@dataclass(frozen=True, kw_only=True)
class ShownFit:
    """A fit.

    Attributes:
        name: Unique in its experiment.
        formula: The law.
        loss: What was minimised, in words.
        verdict: The gravest doubt, or none.
        reason: The verdict in a sentence or more.
        level: Nominal coverage of the intervals.
        n_points: Rows fitted.
        rms: Root mean square residual.
        n_starts: Starts tried.
        n_starts_agreeing: Those that ended at the best objective.
        resampling: What the bootstrap redrew.
        n_replicates: Its replicates.
        constants: Parameters, and after them what is derived from them.
        n_params: How many of them are parameters.
        alternatives: The law under other losses.
    """

    name: str
    formula: str
    loss: str
    verdict: str
    reason: str
    level: float
    n_points: int
    rms: float
    n_starts: int
    n_starts_agreeing: int
    resampling: Redrawn
    n_replicates: int
    constants: tuple[Constant, ...]
    n_params: int
    alternatives: tuple[Alternative, ...]


def shown_fits(details: object) -> tuple[ShownFit, ...]:
    """Returns the fits among what a figure needs, ready to be kept and shown."""
    return tuple(_shown(name, fit) for name, fit in fits_of(details).items())


def fits_of(details: object) -> dict[str, FitResult]:
    """Returns the fitted laws among what a figure needs, by law and, where fits share it, loss.

    Args:
        details: `Findings.details`: fits, in named tuples, dataclasses, mappings and sequences.
    """
    unique = list({id(each): each for each in _walk(details)}.values())
    names = [each.law.name for each in unique]
    found: dict[str, FitResult] = {}
    copies = Counter[str]()
    for each, law in zip(unique, names, strict=True):
        loss = "squared" if each.loss.delta is None else "Huber"
        name = law if names.count(law) == 1 else f"{law} {loss}"
        copies[name] += 1
        found[name if copies[name] == 1 else f"{name} no {copies[name]}"] = each
    return found


def _walk(value: object) -> Iterator[FitResult]:
    if isinstance(value, FitResult):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _walk(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _walk(each)
    elif dataclasses.is_dataclass(value):
        for each in dataclasses.fields(value):
            yield from _walk(getattr(value, each.name))


def _shown(name: str, fit: FitResult) -> ShownFit:
    table = fit.table()
    profiles, why = _profiles(fit)
    return ShownFit(
        name=name,
        formula=table.formula,
        loss=f"{table.loss} of {table.residuals}",
        verdict=table.verdict,
        reason=table.reason,
        level=table.level,
        n_points=table.n_points,
        rms=table.rms,
        n_starts=table.n_starts,
        n_starts_agreeing=table.n_starts_agreeing,
        resampling=table.bootstrap.resampling,
        n_replicates=table.bootstrap.n_replicates,
        constants=tuple(
            _constant(row.name, (row.value, row.error, *(row.interval or (None, None))),
                      profiles.get(row.name), why)
            for row in (*table.params, *table.derived)
        ),
        n_params=len(table.params),
        alternatives=tuple(_alternatives(fit)),
    )  # fmt: skip


def _profiles(fit: FitResult) -> tuple[dict[str, Profile], str]:
    """The profiles of a fit; where there are none, the reason, and none of a fit without rows."""
    if fit.rows is None or fit.n_points > MOST_ROWS or fit.loss.above != 1:
        return {}, ""
    try:
        return profile_likelihood(fit), ""
    except FitError as error:
        return {}, str(error)


def _constant(
    name: str, numbers: tuple[float | None, ...], profile: Profile | None, why: str
) -> Constant:
    value, error, low, high = map(_finite, numbers)
    ends = (None, None) if profile is None else tuple(map(_finite, profile.interval))
    doubt = "" if profile is None or profile.identifiable else profile.reason
    return Constant(
        name=name,
        value=value,
        error=error,
        low=low,
        high=high,
        profile_low=ends[0],
        profile_high=ends[1],
        doubt=doubt or why,
    )


def _alternatives(fit: FitResult) -> Iterator[Alternative]:
    if fit.rows is None or fit.n_points > MOST_ROWS:
        return
    for loss, other in refit_under_losses(fit):
        words = f"{loss} of {'logs' if loss.scale == 'log' else 'values'}"
        if isinstance(other, FitResult):
            values = tuple(_finite(other.params[name]) for name in fit.params)
            yield Alternative(loss=words, values=values, verdict=str(other.verdict))
        else:
            yield Alternative(loss=words, values=(), verdict=other)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
