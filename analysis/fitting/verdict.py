"""The verdict on a fit that has found its optimum, with a sentence for each doubt."""

from collections.abc import Iterator
from enum import StrEnum

import numpy as np

from analysis.fitting.bootstrap.replicates import Replicates
from analysis.fitting.engine.optimum import MAX_CONDITION_NUMBER, Optimum
from analysis.laws.law import Law

_AGREEING_SHARE = 0.25
_MAX_UNCONVERGED_SHARE = 0.01


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
    """The parameters are not identifiable from the rows."""
    INTERVAL_AT_BOUND = "interval_at_bound"
    """An end of an interval is that of a bound."""
    IMPLAUSIBLE = "implausible"
    """The curve says nothing of the rows, or has the wrong sign (`analysis.fitting.nonsense`)."""


def judge(law: Law, optimum: Optimum, replicates: Replicates, level: float) -> tuple[Verdict, str]:
    """Returns the verdict on a fit and a sentence for each doubt, the gravest first."""
    doubts = [*_at_the_optimum(optimum), *_in_the_replicates(law, optimum, replicates, level)]
    if not doubts:
        return Verdict.CONVERGED, (
            f"Fits agree for {optimum.n_starts_agreeing} of {optimum.n_starts} starts."
        )
    return doubts[0][0], " ".join(sentence for _, sentence in doubts)


def _at_the_optimum(optimum: Optimum) -> Iterator[tuple[Verdict, str]]:
    if optimum.bounds_hit:
        yield (
            Verdict.BOUND_HIT,
            f"{' and '.join(optimum.bounds_hit)} lies on a bound of the law: its interval may "
            "cover too much or too little.",
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
    if optimum.condition_number > MAX_CONDITION_NUMBER:
        yield (
            Verdict.ILL_CONDITIONED,
            "The parameters are not identifiable from these rows: the condition number is "
            f"{optimum.condition_number:.1e}.",
        )


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
        if share > (1 - level) / 2 and name not in optimum.bounds_hit:
            yield (
                Verdict.INTERVAL_AT_BOUND,
                f"{name} lies on a bound in {share:.0%} of the replicates: an end of its "
                "interval is set by that bound, not by the rows.",
            )
