"""What to think of a fit that has found its optimum."""

from enum import StrEnum

import numpy as np

from analysis.estimate import Floats
from analysis.fitting.bootstrap.replicates import Replicates
from analysis.fitting.engine.optimum import MAX_CONDITION_NUMBER, Optimum
from analysis.laws.law import Law

_AGREEING_SHARE = 0.25
_MAX_UNCONVERGED_SHARE = 0.01


class Verdict(StrEnum):
    """The gravest thing to say of a fit; its sentence says the rest."""

    CONVERGED = "converged"
    BOUND_HIT = "bound_hit"
    SEVERAL_OPTIMA = "several_optima"
    STARTS_DISAGREE = "starts_disagree"
    ILL_CONDITIONED = "ill_conditioned"
    INTERVAL_AT_BOUND = "interval_at_bound"


def judge(law: Law, optimum: Optimum, replicates: Replicates, level: float) -> tuple[Verdict, str]:
    """The verdict on a fit and a sentence for each doubt, the gravest first.

    Args:
        law: The law.
        optimum: Its fit.
        replicates: Of the fit.
        level: Of the intervals.

    Returns:
        The verdict, and one or more sentences.
    """
    doubts = [
        *_at_the_optimum(optimum),
        *_in_the_replicates(law, optimum, replicates, level),
    ]
    if not doubts:
        return Verdict.CONVERGED, (
            f"{optimum.n_starts_agreeing} of {optimum.n_starts} starts agree on a minimum inside "
            "the bounds."
        )
    return doubts[0][0], " ".join(sentence for _, sentence in doubts)


def _at_the_optimum(optimum: Optimum) -> list[tuple[Verdict, str]]:
    doubts = []
    if optimum.bounds_hit:
        doubts.append(
            (
                Verdict.BOUND_HIT,
                f"{' and '.join(optimum.bounds_hit)} lies on a bound: the estimate is the bound's, "
                "and intervals there may cover too much or too little.",
            )
        )
    if optimum.n_optima > 1:
        sentence = (
            f"{optimum.n_optima} separate sets of parameters have an objective as low, of "
            f"{optimum.n_curves} different curves: the rows do not say which is right."
            if optimum.n_curves > 1
            else f"{optimum.n_optima} separate sets of parameters draw the same curve: the rows do "
            "not say which is right."
        )
        doubts.append((Verdict.SEVERAL_OPTIMA, f"{sentence} Intervals are those of the one given."))
    if optimum.n_starts_agreeing < _AGREEING_SHARE * optimum.n_starts:
        doubts.append(
            (
                Verdict.STARTS_DISAGREE,
                f"Only {optimum.n_starts_agreeing} of {optimum.n_starts} starts reached the best "
                "objective: a lower minimum may exist.",
            )
        )
    if optimum.condition_number > MAX_CONDITION_NUMBER:
        doubts.append(
            (
                Verdict.ILL_CONDITIONED,
                f"The condition number is {optimum.condition_number:.1e}: some change of the "
                "parameters leaves the curve as it is at every x given.",
            )
        )
    return doubts


def _in_the_replicates(
    law: Law, optimum: Optimum, replicates: Replicates, level: float
) -> list[tuple[Verdict, str]]:
    doubts = []
    how = replicates.how
    if how.n_unconverged > _MAX_UNCONVERGED_SHARE * how.n_replicates:
        doubts.append(
            (
                Verdict.ILL_CONDITIONED,
                f"{how.n_unconverged} of {how.n_replicates} replicates found no minimum: data as "
                "noisy as these do not identify every parameter.",
            )
        )
    for name, share in zip(law.params, _shares_on_a_bound(law, replicates.theta), strict=True):
        if share > (1 - level) / 2 and name not in optimum.bounds_hit:
            doubts.append(
                (
                    Verdict.INTERVAL_AT_BOUND,
                    f"{share:.0%} of the replicates put {name} on a bound: an end of its interval "
                    "is the bound's, not the data's.",
                )
            )
    return doubts


def _shares_on_a_bound(law: Law, theta: Floats) -> list[float]:
    on_bound = (theta <= np.array(law.lower)) | (theta >= np.array(law.upper))
    return on_bound.mean(axis=0).tolist()
