"""Points converted to the way in which a published law counts, and its losses to another unit."""

import numpy as np

from analysis.errors import nearest_name
from analysis.estimate import Floats, factor_text
from analysis.published.conversions import Shape, convert_loss
from analysis.published.entry import Curve, Entry
from analysis.published.optimum import MOST_BEYOND
from experiments.commands.options.analyses import PredictOptions
from experiments.commands.pairs import SHAPE

_FORM = "give --shape layers=12,width=768,vocabulary=50257,context=1024"
_SIZES = ("layers", "width", "vocabulary", "context")


def as_counted(at: dict[str, Floats], entry: Entry, options: PredictOptions) -> dict[str, Floats]:
    """Returns the points with N as a law counts it.

    Raises:
        ValueError: A count that the law's does not turn into, or no shape to turn it by.
    """
    if options.count is None or options.count == entry.count:
        return at
    if "N" not in at:
        raise ValueError(
            f"--count {options.count} says how N is counted, and the points have "
            f"{', '.join(at)}: leave --count out"
        )
    if entry.count is None:
        raise ValueError(
            f"{entry.name} counts N as {entry.parameters or 'it does not say'}, and "
            f"{options.count} cannot be converted to that: give N as it counts, without --count"
        )
    if options.shape is None:
        raise ValueError(
            f"{entry.name} counts N as {entry.count}, not as {options.count}, and what they differ "
            f"by depends on the model: {_FORM}"
        )
    shape = _shape(options.shape)
    converted = at["N"] + shape.convert(0.0, options.count, entry.count)
    if np.any(converted <= 0):
        raise ValueError(
            f"N = {at['N'].min():g} is less than the embeddings of the shape {options.shape}: give "
            "the shape of this model"
        )
    return {**at, "N": converted}


def _shape(text: str) -> Shape:
    numbers = SHAPE.parse_numbers(text)
    for name in numbers:
        if name not in _SIZES:
            raise ValueError(f"--shape {text} has {name}: {nearest_name(name, _SIZES)}")
    layers, width, vocabulary, context = (int(numbers.get(name, 0)) for name in _SIZES)
    if min(layers, width, vocabulary, context) < 1:
        raise ValueError(f"--shape {text} must have layers, width, vocabulary and context: {_FORM}")
    return Shape(layers=layers, width=width, vocabulary=vocabulary, context=context)


def in_unit(losses: Floats, curve: Curve, entry: Entry, options: PredictOptions) -> Floats:
    """Returns losses in the unit asked for.

    Raises:
        ValueError: No loss, or a loss per token beside one per byte without bytes_per_token.
    """
    if options.unit is None:
        return losses
    if curve.output != "loss" or entry.loss_unit is None:
        raise ValueError(
            f"--unit {options.unit} is one of a loss, and {entry.name}, {curve.name} predicts "
            f"{curve.output}: leave --unit out"
        )
    convert = (entry.loss_unit, options.unit, options.bytes_per_token)
    return np.array([convert_loss(float(loss), *convert) for loss in losses])


def require_near(curve: Curve, at: dict[str, Floats], options: PredictOptions) -> None:
    """Refuses compute more than 1,000 times outside the data of a law.

    Raises:
        ValueError: It is, and `--far` is not given.
    """
    if options.far or "C" not in curve.ranges:
        return
    low, high = curve.ranges["C"]
    beyond = curve.beyond(at).get("C", 1.0)
    if beyond > MOST_BEYOND:
        raise ValueError(
            f"C lies {factor_text(beyond)} times outside the data of {curve.name} ({low:.3g} to "
            f"{high:.3g} FLOPs), at most {MOST_BEYOND:g} is allowed: choose another law, or give "
            "--far"
        )
