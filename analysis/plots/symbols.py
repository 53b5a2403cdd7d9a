"""Names as print wants them: Greek letters and subscripts for parameters, units on axes."""

import re
from collections.abc import Mapping

_GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau phi "
    "chi psi omega".split()
)
_NAME = re.compile(r"(?P<letter>[A-Za-z]+?)(?:_(?P<index>[A-Za-z0-9]+)|(?P<number>\d+))?")

_AXES = {
    "x": "scale $x$",
    "loss": "loss (nats)",
    "accuracy": "accuracy",
    "error": "error",
    "X": "experts $X$",
    "N": "parameters $N$",
    "D": "training tokens $D$",
    "C": "training compute $C$ (FLOPs)",
    "M": "tokens per parameter $M$",
    "epochs": "epochs",
}


def symbol(name: str) -> str:
    """A parameter's name as mathematics: "alpha" is a Greek letter, "c0" and "N_c" have an index.

    Args:
        name: A Python identifier.

    Returns:
        Text for matplotlib; a name that is a word of its own stays one.
    """
    parts = _NAME.fullmatch(name)
    if parts is None:
        return name.replace("_", " ")
    letter, index = parts["letter"], parts["index"] or parts["number"]
    if letter in _GREEK:
        letter = f"\\{letter}"
    elif len(letter) > 1:
        return name.replace("_", " ")
    return f"${letter}_{{{index}}}$" if index else f"${letter}$"


def axis_label(name: str, labels: Mapping[str, str]) -> str:
    """What an axis says: the caller's words for an input or output, else ours, else the symbol.

    Args:
        name: Of an input or the output of a law.
        labels: The caller's words, by name.
    """
    return labels.get(name) or _AXES.get(name) or symbol(name)
