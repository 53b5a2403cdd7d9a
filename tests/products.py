"""FLOPs of a program before it is compiled: of its matrix products, and of all that XLA counts."""

import math

import jax
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


def flops_by_xla(function, *arguments) -> float:
    """FLOPs that XLA counts, of element-wise work too, in a program that it has yet to optimise."""
    return jax.jit(function).lower(*arguments).cost_analysis()["flops"]
