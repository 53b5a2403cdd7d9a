"""Sharpness: the largest eigenvalue of the Hessian of the training loss, by Lanczos' method."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from scaling.config import RunConfig
from scaling.keys import rng_for
from scaling.measures.trained import Trained, trained
from scaling.model import Params
from scaling.trainers import objectives
from scaling.training import Gradient

Vector = Float[np.ndarray, " n"]


class TopEigenvalue(NamedTuple):
    """The largest eigenvalue of a symmetric matrix.

    Attributes:
        value: The estimate; it lies below the true one, but for rounding.
        residual: Norm of `A v - value v` for its unit vector v: some eigenvalue lies that close.
        n_products: Products with the matrix that it took.
    """

    value: float
    residual: float
    n_products: int


def top_eigenvalue(
    product: Callable[[Vector], Vector],
    n: int,
    *,
    tolerance: float = 1e-4,
    most_products: int = 200,
    seed: int = 0,
) -> TopEigenvalue:
    """Finds the largest eigenvalue of a symmetric matrix that is known by its products alone.

    Lanczos' method with full reorthogonalisation, in float64 but for the products. It ends where
    the residual falls to `tolerance` times the value, where the Krylov space is exhausted, or after
    `most_products`.

    Args:
        product: Maps a vector, shape (n,), to its product with the matrix.
        n: Size of the matrix.
        tolerance: Relative residual at which it ends.
        most_products: Products that it may take.
        seed: Seed of the first vector.

    Raises:
        ValueError: n below 1, or a product that is not finite.

    Reference: Golub & Van Loan, Matrix Computations, 4th ed., section 10.1.
    """
    if n < 1:
        raise ValueError(f"n = {n}: a matrix has 1 row or more: give its rows")
    first = rng_for(seed, "lanczos").standard_normal(n)
    basis = [first / np.linalg.norm(first)]
    diagonal: list[float] = []
    beside: list[float] = []
    while True:
        new = np.asarray(product(basis[-1]), dtype=np.float64)
        if not np.all(np.isfinite(new)):
            raise ValueError(
                "a product with the matrix is not finite: the weights have diverged. Give others"
            )
        diagonal.append(float(new @ basis[-1]))
        known = np.array(basis)
        for _ in range(2):  # twice is enough (Parlett, The Symmetric Eigenvalue Problem, 6.9)
            new = new - known.T @ (known @ new)
        norm, k = float(np.linalg.norm(new)), len(diagonal)
        values, vectors = scipy.linalg.eigh_tridiagonal(
            diagonal, beside, select="i", select_range=(k - 1, k - 1)
        )
        value, residual = float(values[0]), norm * abs(float(vectors[-1, 0]))
        scale = max(abs(value), max(map(abs, diagonal)), 1e-300)
        if residual <= tolerance * scale or k >= min(n, most_products):
            return TopEigenvalue(value, residual, k)
        basis.append(new / norm)
        beside.append(norm)


def hessian_product(
    loss: Callable[[Params], Array], params: Params
) -> tuple[Callable[[Vector], Vector], int]:
    """Products with the Hessian of a loss at some weights, and its size.

    The product is the derivative of the gradient along a vector: one forward and one backward
    pass, whatever the size. Weights are flattened into one vector.
    """
    flat, restore = ravel_pytree(params)

    def along(vector: Array) -> Array:
        gradient = jax.grad(lambda weights: loss(restore(weights)))
        return jax.jvp(gradient, (flat,), (vector,))[1]

    compiled = jax.jit(along)
    return lambda vector: np.asarray(compiled(np.asarray(vector, flat.dtype))), flat.size


def sharpness(run: RunConfig | Trained, plan: Gradient | None = None) -> TopEigenvalue:
    """Sharpness of a trained network: the largest eigenvalue of the Hessian of its training loss.

    Full-batch descent at learning rate r is unstable beyond 2 / r.

    Args:
        run: A run, which is trained; or one that is trained already.
        plan: How it was trained, which says its objective; needed for one that is trained already.

    Raises:
        ValueError: A run without weights, or `plan` missing.

    Reference: Cohen et al., arXiv 2103.00065 (the edge of stability).
    """
    if isinstance(run, RunConfig):
        assert not isinstance(run.train, Gradient) or plan is None or plan == run.train
        run, plan = trained(run), run.train if isinstance(run.train, Gradient) else None
    if plan is None:
        raise ValueError("a model that is trained already needs its plan: give `plan`")
    model, params, dataset = run
    inputs = jnp.asarray(dataset.train_inputs, jnp.float32)
    targets = jnp.asarray(dataset.train_targets)

    def loss(weights: Params) -> Array:
        outputs = model.apply(weights, inputs)
        if plan.objective == "cross_entropy":
            return jnp.mean(objectives.cross_entropy(outputs, targets))
        n_classes = outputs.shape[1] if jnp.issubdtype(targets.dtype, jnp.integer) else None
        coded = objectives.as_targets(targets, n_classes)
        return jnp.mean(objectives.squared_error(outputs, coded))

    product, n = hessian_product(loss, params)
    return top_eigenvalue(product, n)
