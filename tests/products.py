"""FLOPs of the matrix products of a program, read from its jaxpr."""

import math

from jax.extend.core import jaxprs_in_params


def flops_of_products(jaxpr) -> int:
    """FLOPs of every matrix product of a program, loops counted as often as they run."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left, out = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
            total += 2 * math.prod(out) * math.prod(left[axis] for axis in contracted)
        times = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        total += times * sum(map(flops_of_products, jaxprs_in_params(equation.params)))
    return total
