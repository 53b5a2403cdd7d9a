"""A budget of compute allocated by a published law.

| symbol | meaning | unit |
|---|---|---|
| N, D | parameters, as the paper counts them; training tokens | 1 |
| C | training compute, 6 N D | FLOPs |
"""

import math

from analysis.estimate import Estimate, factor_text
from analysis.guards import positive
from analysis.laws.chinchilla import FLOPS_PER_PARAMETER_AND_TOKEN
from analysis.planning.allocate import allocate_by
from analysis.planning.allocation import Allocation
from analysis.planning.best_models import Family, require_allocatable
from analysis.published.entry import Entry
from analysis.published.optimum import MOST_BEYOND, Best, best_model, gives_optimum, rules, surface


def family_of(entry: Entry, curve: str | None, unique_tokens: float | None = None) -> Family:
    """Returns the law whose least loss gives the best model; it has no replicates.

    Raises:
        ValueError: As `surface`; a law whose rules give sizes without a loss; unique tokens for a
            law in which all tokens are new.
    """
    found = surface(entry, curve)
    if found is None:
        others = [each.name for each in entry.curves if gives_optimum(each)]
        by_curve = f"choose its loss by --curve {others[0]!r}, or " if others else ""
        raise ValueError(
            f"{entry.name} gives N and D of a budget by rules (`scaling laws compare` draws them), "
            "which say nothing of other sizes, of serving, or of repeated tokens: "
            f"{by_curve}choose a law of N and D, such as hoffmann2022-approach3"
        )
    require_allocatable(found.law, unique_tokens)
    return Family(found.law, found.theta[None], unique_tokens)


def allocate_published(
    entry: Entry,
    flops: float,
    *,
    curve: str | None = None,
    inference_tokens: float | None = None,
    unique_tokens: float | None = None,
    far: bool = False,
) -> Allocation:
    """Finds the model to train on a budget by a published law; no interval is known.

    Args:
        entry: The law.
        flops: C, counted as the paper does.
        curve: A loss in N and D to go by; None for what the paper goes by: its own rules for N and
            D where it has some, else its loss.
        inference_tokens: As in `analysis.planning.allocate.allocate`; needs a loss in N and D.
        unique_tokens: Likewise.
        far: Whether a budget more than `MOST_BEYOND` times outside the law's data is allowed.

    Raises:
        ValueError: An entry that gives no optimum or less than is asked, a number out of range, or
            a budget too far from the data.
        FitError: The loss is monotone along the budget.
    """
    positive("flops", flops, "give e.g. 1e21")
    found = surface(entry, curve)
    if found is None and inference_tokens is None and unique_tokens is None:
        best = best_model(entry, flops)
        notes = _notes(entry, best, far)
        spent = FLOPS_PER_PARAMETER_AND_TOKEN * best.parameters * best.tokens / flops
        if not 0.95 < spent < 1.05:
            notes += (
                f"6 N D of these two is {spent:.3g} times the budget: the paper's rules for N and "
                "D were fitted one by one.",
            )
        return _by_rules(entry, flops, best, notes)
    family = family_of(entry, curve, unique_tokens)
    assert found is not None
    notes = _notes(entry, best_model(entry, flops, curve), far)
    return allocate_by(family, flops, inference_tokens=inference_tokens, notes=notes)


def _by_rules(entry: Entry, flops: float, best: Best, notes: tuple[str, ...]) -> Allocation:
    n, d, loss = (
        None if value is None else Estimate(value, math.nan, math.nan, math.nan)
        for value in (best.parameters, best.tokens, best.loss)
    )
    assert n is not None and d is not None
    return Allocation(
        law=entry.name,
        formula=", ".join(
            each.law.formula.replace("y", each.output, 1) for each in rules(entry).values()
        ),
        flops=float(flops),
        level=math.nan,
        parameters=n,
        tokens=d,
        tokens_per_parameter=Estimate(best.tokens_per_parameter, math.nan, math.nan, math.nan),
        epochs=None,
        loss=loss,
        off=(),
        over_trained=None,
        notes=notes,
    )


def _notes(entry: Entry, best: Best, far: bool) -> tuple[str, ...]:
    """What a reader must know of an allocation by an entry.

    Raises:
        ValueError: A budget too far from its data.
    """
    notes = [f"{entry.name}: {entry.paper}. N counts {entry.parameters}; C is {entry.compute}."]
    if best.inferred:
        notes.append(f"The paper gives one size alone: {best.inferred} follows from C = 6 N D.")
    if best.factor is None:
        notes.append("How far the budget lies beyond the law's data is not known.")
    elif best.factor > MOST_BEYOND and not far:
        raise ValueError(
            f"the budget lies {factor_text(best.factor)} times outside the data of {entry.name}, "
            f"at most {MOST_BEYOND:g} is allowed: choose another law, or give --far (far=True in "
            "Python)"
        )
    elif best.factor > 1:
        notes.append(
            f"The budget lies {factor_text(best.factor)} times outside the law's data: whether it "
            "holds there is not known."
        )
    notes.append("No interval: the uncertainty of constants that move together is not published.")
    return tuple(notes)
