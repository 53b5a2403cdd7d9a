"""What the rounding of printed constants leaves open in a number that follows from them."""

from collections.abc import Callable, Mapping

from experiments.experiment import Measured


def left_open(
    function: Callable[[Mapping[str, float]], float],
    constants: Mapping[str, float],
    half: Mapping[str, float],
) -> Measured:
    """Returns a function of printed constants with the interval that their rounding leaves.

    The interval adds up, constant by constant, the largest change within half a unit of the last
    digit: to first order what roundings can do together.

    Args:
        function: The number, from constants by name.
        constants: As printed.
        half: Half a unit of the last digit printed, of those that are rounded.
    """
    value = function(constants)
    reach = sum(
        max(
            abs(function({**constants, name: constants[name] + sign * step}) - value)
            for sign in (-1, 1)
        )
        for name, step in half.items()
    )
    return Measured(value=value, low=value - reach, high=value + reach)
