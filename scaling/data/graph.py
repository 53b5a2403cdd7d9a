"""Nodes of a graph with two labels, seen through one graph convolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float

from scaling.data.dataset import Dataset, split
from scaling.fields import Checked, Count, NonNegative, Positive
from scaling.keys import rng_for

Graph = Literal["gaussian", "directed_sbm"]


@dataclass(frozen=True, kw_only=True)
class GraphNodes(Checked):
    """Rows of h = A X for the nodes of a graph, with the label of each.

    Half of the N = n_train + n_eval nodes have label 1 and half -1, in random order; the first
    n_train are trained on. With y the labels,

        X = sqrt(feature_signal / N) y u' + N(0, 1 / dimension),  u the first unit vector
        A = (graph_signal / N) y y' + noise of variance 1 / N, not symmetric

    - "gaussian": the noise of A is normal (Shi et al., arXiv 2212.13069, not symmetric);
    - "directed_sbm": A is the centred adjacency of a directed block model of mean degree `degree`,
      (edges - degree / N) / sqrt(degree), whose edges are drawn with probability
      (degree +- graph_signal sqrt(degree)) / N within and between the labels.

    Features of the test nodes are seen in training (transductive), their labels are not. Classes
    are 0 for label -1 and 1 for label 1; with one output, squared error has labels as targets.
    """

    kind: ClassVar[str] = "graph_nodes"
    n_train: Count
    n_eval: Count
    dimension: Count
    graph_signal: NonNegative
    feature_signal: NonNegative
    graph: Graph = "gaussian"
    degree: Positive = 20.0

    n_outputs: ClassVar[int] = 1
    n_classes: ClassVar[int | None] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.graph != "directed_sbm":
            return
        apart = self.graph_signal * self.degree**0.5
        if apart > self.degree or self.degree + apart > self.n_nodes:
            raise ValueError(
                f"graph_nodes.degree = {self.degree:g} with graph_signal = {self.graph_signal:g} "
                f"asks for {self.degree - apart:.3g} to {self.degree + apart:.3g} edges a node of "
                f"{self.n_nodes} nodes: give a degree of {self.graph_signal**2:.3g} or more, and "
                "more nodes than it"
            )

    @property
    def n_nodes(self) -> int:
        """N, nodes of the graph."""
        return self.n_train + self.n_eval

    @property
    def n_inputs(self) -> int:
        """Features of a node."""
        return self.dimension

    def fingerprint(self) -> str:
        """Name and version of the generator: raised whenever the same seed draws other data."""
        return "graph_nodes/1"

    def load(self, seed: int) -> Dataset:
        """The data of one run; labels, features and graph are streams of their own."""
        labels = np.arange(self.n_nodes) % 2
        labels = rng_for(seed, "labels").permutation(labels)
        y = 2.0 * labels - 1
        shape = (self.dimension, self.n_nodes)  # feature by feature: fewer are the first of more
        features = rng_for(seed, "features").standard_normal(shape).T / self.dimension**0.5
        features[:, 0] += np.sqrt(self.feature_signal / self.n_nodes) * y
        seen = self._graph(y, rng_for(seed, "graph")) @ features
        return split(seen, labels, self.n_train)

    def _graph(
        self, y: Float[np.ndarray, " nodes"], rng: np.random.Generator
    ) -> Float[np.ndarray, "nodes nodes"]:
        n = self.n_nodes
        same = np.multiply.outer(y, y)
        if self.graph == "gaussian":
            return self.graph_signal / n * same + rng.standard_normal((n, n)) / n**0.5
        chance = (self.degree + self.graph_signal * self.degree**0.5 * same) / n
        return ((rng.random((n, n)) < chance) - self.degree / n) / self.degree**0.5
