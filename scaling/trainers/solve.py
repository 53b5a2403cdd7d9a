"""Closed-form runs: ridgeless and ridge regression on features or kernels, in float64.

Runs on the same inputs share their work: one factorisation serves every ridge, cut-off and draw of
label noise; sizes of a nested family share features and grow one Gram matrix.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from scaling.config import RunConfig
from scaling.data.dataset import Dataset
from scaling.models.family import KernelFamily, LinearFamily, NestedFamily
from scaling.solving import Ridge, Ridgeless
from scaling.trainers.read_out import Outputs, Problem, coded, errors, features_of
from scaling.trainers.spectral import Matrix, Spectrum, eigenvalues, nested_grams, spectrum_of

N_PROBES = 128
"""Held-out examples at most over which effective parameters are averaged."""

COARSE_CUT_OFF = 1e-3
"""Relative size below which a singular value is small enough for the cut-off to matter: the answer
without them is measured too. A run with a coarser cut-off is compared with float64's own."""


def solve(config: RunConfig, dataset: Dataset) -> dict[str, Any]:
    """Fits the read-out of a run exactly and measures it.

    With training features Phi = U diag(s) V', (n, p), the read-out is V diag(s g) U'y, with
    g = 1 / s^2 above the cut-off and 0 below it (ridgeless), or 1 / (s^2 + n ridge).

    Returns:
        Columns of a RunRecord.
    """
    return solve_together([config], [dataset])[0]


def fit(config: RunConfig, dataset: Dataset) -> tuple[Problem, Matrix, dict[str, Any]]:
    """Fits the read-out of a run on features exactly.

    Returns:
        The linear problem, the read-out, shape (p, outputs), and the columns of a RunRecord that
        say how it was penalised.
    """
    run = _asked(config, dataset)
    design, _ = next(_designs([run]))
    assert isinstance(design, _Features)
    weights = _shrinkage(design, run)[:, None] * design.projected(run.targets)
    readout = design.solution(weights).readout
    assert readout is not None
    features, held_out = np.split(design.rows, [design.n])
    problem = Problem(config, dataset, features, held_out, run.targets)
    return problem, readout, _penalty(design, run)


def solve_together(
    configs: Sequence[RunConfig], datasets: Sequence[Dataset]
) -> list[dict[str, Any]]:
    """Fits runs of one seed on the same inputs, as `solve` does each; they share factorisations.

    Args:
        configs: Runs that differ in estimator, label noise and, in a nested family, number of
            features alone.
        datasets: Data of each run.

    Returns:
        Columns of a RunRecord, of each run.
    """
    runs = [_asked(*each) for each in zip(configs, datasets, strict=True)]
    columns: list[dict[str, Any]] = [{} for _ in runs]
    for design, members in _designs(runs):
        solved = _solved(design, [runs[i] for i in members])
        for i, found in zip(members, solved, strict=True):
            columns[i] = found
    return columns


class _Run(NamedTuple):
    """A run, and what it asks for."""

    config: RunConfig
    dataset: Dataset
    estimator: Ridge | Ridgeless
    targets: Matrix  # (n, outputs)

    @property
    def penalty(self) -> float:
        """What is added to squared singular values."""
        estimator = self.estimator
        return len(self.targets) * estimator.ridge if isinstance(estimator, Ridge) else 0.0


def _asked(config: RunConfig, dataset: Dataset) -> _Run:
    estimator = config.train.resolve(config.model, config.data)
    assert isinstance(estimator, Ridge | Ridgeless)
    return _Run(config, dataset, estimator, coded(config, dataset.train_targets))


class _Solution(NamedTuple):
    """Outputs of training and held-out examples, (rows, columns), and what made them."""

    outputs: Matrix
    squared_norms: Float[np.ndarray, " columns"]
    readout: Matrix | None  # None for kernels


@dataclass(frozen=True)
class _Features:
    """Training and held-out features of one size, and their spectrum.

    Attributes:
        rows: Features of all examples before they are scaled, training examples first.
        scale: Factor of the features.
        n: Number of training examples.
        spectrum: Singular values of the scaled features of the training examples.
        probes: Scaled products of some held-out examples with the training examples; needed only
            where the spectrum has no right singular vectors.
    """

    rows: Matrix
    scale: float
    n: int
    spectrum: Spectrum
    probes: Matrix

    @property
    def cut(self) -> Float[np.ndarray, " k"]:
        """What a cut-off compares with its largest."""
        return self.spectrum.s

    def projected(self, targets: Matrix) -> Matrix:
        """Targets on the left singular vectors, times s where only the right ones are known."""
        _, left, right = self.spectrum
        if left is not None:
            return left.T @ targets
        assert right is not None
        return right.T @ (self.scale * (self.rows[: self.n].T @ targets))

    def solution(self, weights: Matrix) -> _Solution:
        """The solution with the weights g times projected targets, of shape (k, columns)."""
        s, left, right = self.spectrum
        if right is None:
            readout = self.scale * (self.rows[: self.n].T @ (left @ weights))
        else:
            readout = right @ (weights if left is None else s[:, None] * weights)
        outputs = self.rows @ (self.scale * readout)
        return _Solution(outputs, np.sum(readout**2, axis=0), readout)

    def smoother(self) -> Matrix:
        """Rows of the map from training targets to held-out outputs, transposed, where g is 1."""
        s, left, right = self.spectrum
        if right is None:
            return self.probes @ left
        held_out = self.rows[self.n : self.n + N_PROBES]
        return self.scale * (held_out @ (right * s))


@dataclass(frozen=True)
class _Kernel:
    """A kernel of all examples with the training examples, (rows, n), and its spectrum.

    The squares of the singular values are its eigenvalues.
    """

    rows: Matrix
    spectrum: Spectrum
    vectors: Matrix

    @property
    def n(self) -> int:
        """Number of training examples."""
        return self.rows.shape[1]

    @property
    def cut(self) -> Float[np.ndarray, " k"]:
        """What a cut-off compares with its largest."""
        return self.spectrum.s**2

    def projected(self, targets: Matrix) -> Matrix:
        """Targets on the eigenvectors."""
        return self.vectors.T @ targets

    def solution(self, weights: Matrix) -> _Solution:
        """The solution with the weights g times projected targets, of shape (k, columns)."""
        coefficients = self.vectors @ weights
        outputs = self.rows @ coefficients
        norms = np.sum(coefficients * outputs[: self.n], axis=0)
        return _Solution(outputs, np.maximum(norms, 0), None)

    def smoother(self) -> Matrix:
        """Rows of the map from training targets to held-out outputs, transposed, where g is 1."""
        return self.rows[self.n : self.n + N_PROBES] @ self.vectors


def _designs(runs: Sequence[_Run]) -> Iterator[tuple[_Features | _Kernel, list[int]]]:
    """Factorised features of every size, the smallest first, with the runs that use them."""
    config, data = runs[0].config, runs[0].dataset
    model = config.model
    inputs = np.concatenate([data.train_inputs, data.eval_inputs])
    if isinstance(model, KernelFamily):
        rows = model.gram(inputs, data.train_inputs)
        values, vectors = eigenvalues(rows[: rows.shape[1]])
        yield _Kernel(rows, Spectrum(np.sqrt(values), vectors, None), vectors), [*range(len(runs))]
        return
    by_size: dict[int, list[int]] = {}
    for i, run in enumerate(runs):
        assert isinstance(run.config.model, LinearFamily)
        by_size.setdefault(run.config.model.n_features, []).append(i)
    sizes, n = sorted(by_size), len(data.train_inputs)
    largest = runs[by_size[sizes[-1]][0]].config
    rows = features_of(largest, inputs)
    for p, gram in zip(sizes, nested_grams(rows[: n + N_PROBES], n, sizes), strict=True):
        members = by_size[p]
        scale = _scale(runs[members[0]].config) / _scale(largest)
        penalty = min(runs[i].penalty for i in members)
        found = spectrum_of(rows[:n, :p], gram[: min(n, p)], penalty / scale**2)
        spectrum = found._replace(s=scale * found.s)
        yield _Features(rows[:, :p], scale, n, spectrum, scale**2 * gram[n:]), members


def _scale(config: RunConfig) -> float:
    """Factor of all features that depends on their number."""
    model = config.model
    return model.feature_scale if isinstance(model, NestedFamily) else 1.0


def _solved(design: _Features | _Kernel, runs: Sequence[_Run]) -> list[dict[str, Any]]:
    """Columns of the runs on one set of features: all are solved by the same few products."""
    # 1. A run whose cut-off matters is solved with another one, too, behind all others.
    others = {i: other for i, run in enumerate(runs) if (other := _other_cut_off(design, run))}
    asked = [*runs, *(runs[i]._replace(estimator=other) for i, other in others.items())]
    g = np.stack([_shrinkage(design, run) for run in asked], axis=1)
    # 2. One solution, in which every run has as many columns as outputs.
    targets = np.concatenate([run.targets for run in asked], axis=1)
    n_outputs = targets.shape[1] // len(asked)
    weights = np.repeat(g, n_outputs, axis=1) * design.projected(targets)
    found = design.solution(weights)
    fitted, held_out = np.split(found.outputs, [design.n])
    # 3. What each run is measured by.
    freedom = _effective_parameters(design, g)
    columns = []
    for i, run in enumerate(asked):
        mine = slice(i * n_outputs, (i + 1) * n_outputs)
        readout = None if found.readout is None else found.readout[:, mine]
        columns.append(
            {
                "weight_norm_l2": float(np.sqrt(np.sum(found.squared_norms[mine]))),
                **_penalty(design, run),
                **{name: float(values[i]) for name, values in freedom.items()},
                **errors(
                    run.config, run.dataset, Outputs(fitted[:, mine], held_out[:, mine], readout)
                ),
            }
        )
    for (i, other), its in zip(others.items(), columns[len(runs) :], strict=True):
        columns[i]["other_rcond"] = other.rcond
        columns[i]["eval_squared_error_at_other_rcond"] = its.get("eval_squared_error")
    return columns[: len(runs)]


def _kept(design: _Features | _Kernel, estimator: Ridgeless) -> Bool[np.ndarray, " k"]:
    """Which singular values count for more than zero."""
    assert estimator.rcond is not None
    return design.cut > estimator.rcond * design.cut[0]


def _other_cut_off(design: _Features | _Kernel, run: _Run) -> Ridgeless | None:
    """The estimator with another cut-off, where it keeps other singular values."""
    estimator = run.estimator
    if not isinstance(estimator, Ridgeless) or estimator.rcond is None:
        return None
    own = max(design.n, len(design.cut)) * sys.float_info.epsilon
    other = replace(estimator, rcond=COARSE_CUT_OFF if estimator.rcond < COARSE_CUT_OFF else own)
    differs = np.any(_kept(design, estimator) != _kept(design, other))
    return other if differs else None


def _shrinkage(design: _Features | _Kernel, run: _Run) -> Float[np.ndarray, " k"]:
    """The weight g of every singular value."""
    s2 = design.spectrum.s**2
    if isinstance(run.estimator, Ridge):
        return 1 / (s2 + run.penalty)
    return np.divide(1.0, s2, out=np.zeros_like(s2), where=_kept(design, run.estimator))


def _penalty(design: _Features | _Kernel, run: _Run) -> dict[str, Any]:
    """What keeps the weights of a run finite."""
    if isinstance(run.estimator, Ridge):
        return {"ridge": run.estimator.ridge}
    rank = int(np.sum(_kept(design, run.estimator)))
    return {"rcond": run.estimator.rcond, "rank": rank}


def _effective_parameters(
    design: _Features | _Kernel, g: Float[np.ndarray, "k runs"]
) -> dict[str, Float[np.ndarray, " runs"]]:
    """Effective parameters of every run, on training and on held-out examples.

    They are n times the mean squared norm of the rows of the smoother, the map from training
    targets to outputs (Curth et al., arXiv 2310.18988, section 4): on training examples p or the
    rank of minimum-norm least squares, whatever the data.
    """
    found = {"effective_params_train": np.sum((design.spectrum.s**2)[:, None] ** 2 * g**2, axis=0)}
    rows = design.smoother()
    if len(rows):
        found["effective_params_eval"] = design.n * (np.mean(rows**2, axis=0) @ g**2)
    return found
