"""Nodes of a block model with one feature each, averaged over neighbours again and again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from jaxtyping import Float

from scaling.data.dataset import Dataset, split
from scaling.fields import Checked, Count, Fraction, Positive, Range
from scaling.keys import rng_for


@dataclass(frozen=True, kw_only=True)
class SmoothedNodes(Checked):
    """One feature of each node after `depth` convolutions, and the label of the node.

    Half of the N = n_train + n_eval nodes have label 1 and half -1, in random order; the first
    n_train are trained on. Two nodes are joined with probability (1 +- graph_signal) degree / N,
    more often within a label (a contextual block model). A feature is feature_signal times the
    label, plus N(0, 1); a convolution replaces it by the mean over neighbours, and leaves that of a
    node without any. Features of all nodes are seen in training (transductive). Classes are 0 for
    label -1 and 1 for label 1; with one output, squared error has labels as targets.
    """

    kind: ClassVar[str] = "smoothed_nodes"
    n_train: Count
    n_eval: Count
    degree: Positive
    feature_signal: Positive
    graph_signal: Fraction
    depth: Annotated[int, Range(low=0, high=64)] = 2

    n_inputs: ClassVar[int] = 1
    n_outputs: ClassVar[int] = 1
    n_classes: ClassVar[int | None] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if (1 + self.graph_signal) * self.degree > self.n_nodes:
            raise ValueError(
                f"smoothed_nodes.degree = {self.degree:g} with graph_signal = "
                f"{self.graph_signal:g} asks for more edges than {self.n_nodes} nodes have: give a "
                f"degree of {self.n_nodes / (1 + self.graph_signal):.3g} or less"
            )

    @property
    def n_nodes(self) -> int:
        """N, nodes of the graph."""
        return self.n_train + self.n_eval

    def fingerprint(self) -> str:
        """Name and version of the draws."""
        return "smoothed_nodes/1"

    def load(self, seed: int) -> Dataset:
        """The data of one run; at one seed runs of every depth have one graph."""
        labels = rng_for(seed, "labels").permutation(np.arange(self.n_nodes) % 2)
        y = 2.0 * labels - 1
        noise = rng_for(seed, "features").standard_normal(self.n_nodes)
        feature = self.feature_signal * y + noise
        if self.depth:
            edges = self._edges(y, rng_for(seed, "graph"))
            degrees = edges.sum(axis=1)
            for _ in range(self.depth):
                feature = np.where(degrees > 0, edges @ feature / np.maximum(degrees, 1), feature)
        return split(feature[:, None], labels, self.n_train)

    def _edges(
        self, y: Float[np.ndarray, " nodes"], rng: np.random.Generator
    ) -> Float[np.ndarray, "nodes nodes"]:
        """The adjacency matrix: symmetric, without loops."""
        chance = (1 + self.graph_signal * np.multiply.outer(y, y)) * self.degree / self.n_nodes
        upper = np.triu(rng.random(chance.shape, np.float32) < chance, 1).astype(np.float32)
        return upper + upper.T
