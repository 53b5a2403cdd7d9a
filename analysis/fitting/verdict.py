"""The verdict on a fit that has found its optimum, with a sentence for each doubt."""

from collections.abc import Iterator
from enum import StrEnum

import numpy as np

from analysis.fitting.bootstrap.replicates import Replicates
from analysis.fitting.engine.ending import Ending
from analysis.fitting.engine.optimum import Optimum
from analysis.laws.law import Law

_AGREEING_SHARE = 0.25
_MAX_UNCONVERGED_SHARE = 0.01
_FEW_ROWS = 2  # a parameter


class Verdict(StrEnum):
    """The gravest doubt about a fit, or none."""

    CONVERGED = "converged"
    """Nothing is doubtful."""
    BOUND_HIT = "bound_hit"
    """An estimate lies on a bound of the law."""
    SEVERAL_OPTIMA = "several_optima"
    """Separate sets of parameters fit the rows equally well."""
    STARTS_DISAGREE = "starts_disagree"
    """Few starts reached the best objective."""
    ILL_CONDITIONED = "ill_conditioned"
    """The parameters are not identifiable from the rows; the curve may be."""
    INTERVAL_AT_BOUND = "interval_at_bound"
    """An end of an interval is that of a bound."""
    IMPLAUSIBLE = "implausible"
    """The curve says nothing of the rows, or has the wrong sign (`analysis.fitting.nonsense`)."""


def judge(
    law: Law,
    optimum: Optimum,
    replicates: Replicates,
    level: float,
    *,
    n_points: int,
    held: tuple[str, ...] = (),
) -> tuple[Verdict, str]:
    """Returns the verdict on a fit and a sentence for each doubt, the gravest first.

    Args:
        law: The law, or its view without the parameters held.
        optimum: What the search found.
        replicates: The refits to redrawn rows.
        level: Nominal coverage of the intervals.
        n_points: Rows fitted.
        held: Names of the parameters that a caller held.
    """
    doubts = [*_at_the_optimum(optimum), *_in_the_replicates(law, optimum, replicates, level)]
    if not doubts:
        return Verdict.CONVERGED, (
            f"Fits agree for {optimum.n_starts_agreeing} of {optimum.n_starts} starts."
        )
    sentences = [sentence for _, sentence in doubts]
    if any(verdict is Verdict.ILL_CONDITIONED for verdict, _ in doubts):
        sentences += _advice(law, optimum.ending, n_points, held)
    return doubts[0][0], " ".join(sentences)


def _at_the_optimum(optimum: Optimum) -> Iterator[tuple[Verdict, str]]:
    ending = optimum.ending
    if not ending.is_stationary:
        yield Verdict.ILL_CONDITIONED, _unsettled(ending)
    if ending.bounds_hit:
        yield (
            Verdict.BOUND_HIT,
            f"{_and(ending.bounds_hit)} {'lies' if len(ending.bounds_hit) == 1 else 'lie'} on a "
            "bound of the law: its interval may cover too much or too little.",
        )
    if optimum.n_optima > 1:
        sentence = (
            f"{optimum.n_optima} separate sets of parameters, with {optimum.n_curves} different "
            "curves, fit the rows equally well."
            if optimum.n_curves > 1
            else f"{optimum.n_optima} separate sets of parameters have the same curve."
        )
        yield Verdict.SEVERAL_OPTIMA, f"{sentence} Intervals belong to the set reported."
    if optimum.n_starts_agreeing < _AGREEING_SHARE * optimum.n_starts:
        yield (
            Verdict.STARTS_DISAGREE,
            f"Only {optimum.n_starts_agreeing} of {optimum.n_starts} starts reached the best "
            "objective: a lower minimum may exist.",
        )
    if ending.is_stationary and not ending.is_identified:
        yield (
            Verdict.ILL_CONDITIONED,
            "The parameters are not identifiable from these rows: the condition number is "
            f"{ending.condition_number:.1e}.",
        )


def _unsettled(ending: Ending) -> str:
    """What still changed where the search stopped."""
    if ending.is_settled:
        return "The objective and the curve have settled, the parameters have not."
    return (
        f"The search stopped while the objective still fell, by {ending.fall:.1e} of it in its "
        "last round: the curve may still change."
    )


def _advice(law: Law, ending: Ending, n_points: int, held: tuple[str, ...]) -> Iterator[str]:
    """What helps, by the plainest cause for which parameters are not identified."""
    if held:
        was = "was" if len(held) == 1 else "were"
        yield f"{_and(held)} {was} held: other values, or none, may suit the rows better."
    elif ending.without_effect:
        names, one = _and(ending.without_effect), len(ending.without_effect) == 1
        yield (
            f"{names} {'has' if one else 'have'} no effect on the curve: fit a law without "
            f"{'it, or hold it' if one else 'them, or hold them'}."
        )
    elif n_points < _FEW_ROWS * len(law.params):
        yield (
            f"{n_points} rows are few for {len(law.params)} parameters: add rows, or fit a law "
            "with fewer parameters."
        )
    elif ending.bounds_hit:
        each = "it" if len(ending.bounds_hit) == 1 else "each"
        yield f"{_and(ending.bounds_hit)} ran to a bound: hold {each} at a known value."
    elif not ending.is_identified:
        yield (
            f"{_and(ending.valley)} may change together and leave the curve as it is: hold one of "
            "them, add rows over a wider range, or fit a law with fewer parameters."
        )


def _and(names: tuple[str, ...]) -> str:
    return " and ".join(names)


def _in_the_replicates(
    law: Law, optimum: Optimum, replicates: Replicates, level: float
) -> Iterator[tuple[Verdict, str]]:
    how, theta = replicates.how, replicates.theta
    if how.n_unconverged > _MAX_UNCONVERGED_SHARE * how.n_replicates:
        yield (
            Verdict.ILL_CONDITIONED,
            f"{how.n_unconverged} of {how.n_replicates} replicates found no minimum: with "
            "this noise some parameters are not identifiable.",
        )
    on_bound = np.mean((theta <= law.lower) | (theta >= law.upper), axis=0)
    for name, share in zip(law.params, on_bound, strict=True):
        if share > (1 - level) / 2 and name not in optimum.ending.bounds_hit:
            yield (
                Verdict.INTERVAL_AT_BOUND,
                f"{name} lies on a bound in {share:.0%} of the replicates: an end of its "
                "interval is set by that bound, not by the rows.",
            )
