"""Small regression problems in ten dimensions, from which causes of double descent are removed."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from jaxtyping import Float

from scaling.data.dataset import Dataset
from scaling.extras import needed
from scaling.fields import Checked, Count, Range
from scaling.keys import rng_for

DIMENSION = 10
N_EVAL = 200
_EXAMPLES = {"diabetes": 442, "student_teacher": 1000}

Source = Literal["diabetes", "student_teacher"]
Table = tuple[Float[np.ndarray, "examples 10"], Float[np.ndarray, " examples"]]


@dataclass(frozen=True, kw_only=True)
class SmallTable(Checked):
    """Regression on ten inputs, with the ablations of Schaeffer et al. (arXiv 2303.14151).

    The last 200 examples are held out from every run; a run's seed draws its `n_train` from the
    others without replacement. Inputs and target are centred, and scaled to a variance of 1 (each
    input of "diabetes", all of "student_teacher" together).

    Attributes:
        n_train: Training examples.
        source: "diabetes" (Efron et al. 2004), which scikit-learn carries along; or
            "student_teacher": Gaussian inputs with variances 1 / i, a linear target, a square of
            the first input and noise that together make up a third of its variance.
        labels: "as_measured", or "linear": those of the best linear function of all examples, so
            that the best model of the class makes no error.
        leading_modes: Number of leading singular modes of the training inputs onto which held-out
            inputs are projected; None leaves them as they are.
    """

    kind: ClassVar[str] = "small_table"
    n_train: Count
    source: Source = "student_teacher"
    labels: Literal["as_measured", "linear"] = "as_measured"
    leading_modes: Annotated[int, Range(low=1, high=DIMENSION)] | None = None

    n_inputs: ClassVar[int] = DIMENSION
    n_outputs: ClassVar[int] = 1
    n_classes: ClassVar[int | None] = None
    n_eval: ClassVar[int] = N_EVAL

    def __post_init__(self) -> None:
        super().__post_init__()
        available = _EXAMPLES[self.source] - N_EVAL
        if self.n_train > available:
            raise ValueError(
                f"small_table.n_train = {self.n_train} exceeds the {available} examples of "
                f"{self.source!r} that are not held out: give fewer"
            )

    def fingerprint(self) -> str:
        """Name and version of the generator: raised whenever the same seed draws other data."""
        return "small_table/1"

    def load(self, seed: int) -> Dataset:
        """The data of one run; at one seed a smaller training set begins a larger one.

        Raises:
            ValueError: scikit-learn is missing, and the source needs it.
        """
        inputs, targets = examples(self.source)
        if self.labels == "linear":
            targets = inputs @ np.linalg.lstsq(inputs, targets)[0]
        available = len(inputs) - N_EVAL
        chosen = rng_for(seed, "data").permutation(available)[: self.n_train]
        held_out = inputs[available:]
        if self.leading_modes is not None:
            _, _, modes = np.linalg.svd(inputs[chosen], full_matrices=False)
            leading = modes[: self.leading_modes]
            held_out = held_out @ leading.T @ leading
        return Dataset(
            train_inputs=inputs[chosen],
            train_targets=targets[chosen],
            train_targets_clean=targets[chosen],
            eval_inputs=held_out,
            eval_targets=targets[available:],
        )


@functools.cache
def examples(source: Source) -> Table:
    """All examples of a source, the held-out ones last; read-only."""
    inputs, targets = _diabetes() if source == "diabetes" else _student_teacher()
    targets = (targets - np.mean(targets)) / np.std(targets)
    inputs.flags.writeable = targets.flags.writeable = False
    return inputs, targets


def _diabetes() -> Table:
    user, otherwise = "data.source = 'diabetes'", "use data.source = 'student_teacher'"
    datasets = needed("sklearn.datasets", user, extra="digits", otherwise=otherwise)
    inputs, targets = (
        np.asarray(each, np.float64) for each in datasets.load_diabetes(return_X_y=True)
    )
    order = rng_for(0, "small_table_split").permutation(len(inputs))
    inputs = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
    return inputs[order], targets[order]


def _student_teacher() -> Table:
    rng, n = rng_for(0, "student_teacher"), _EXAMPLES["student_teacher"]
    inputs = rng.standard_normal((n, DIMENSION)) / np.sqrt(np.arange(1, DIMENSION + 1))
    inputs *= np.sqrt(DIMENSION / np.sum(np.var(inputs, axis=0)))
    linear = inputs @ rng.standard_normal(DIMENSION)
    linear /= np.std(linear)
    square = inputs[:, 0] ** 2
    rest = (square - np.mean(square)) / np.std(square) + rng.standard_normal(n)
    return inputs - inputs.mean(axis=0), linear + rest / 2
