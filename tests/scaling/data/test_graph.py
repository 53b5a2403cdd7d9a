"""Nodes of a graph: moments of graph and features, nesting, signs as targets, refusals."""

import dataclasses

import numpy as np
import pytest

from scaling.config import RunConfig
from scaling.data.graph import GraphNodes
from scaling.keys import rng_for
from scaling.models.linear import Linear
from scaling.run import run
from scaling.solving import Ridge

DATA = GraphNodes(n_train=150, n_eval=250, dimension=80, graph_signal=2.0, feature_signal=1.0)


@pytest.mark.parametrize("graph", ["gaussian", "directed_sbm"])
def test_the_graph_has_the_moments_it_says(graph):
    data = dataclasses.replace(DATA, graph=graph, degree=30.0)
    y = np.where(np.arange(400) % 2, 1.0, -1.0)
    drawn = np.array([data._graph(y, rng_for(seed, "graph")) for seed in range(3)])
    noise = drawn - 2.0 / 400 * np.multiply.outer(y, y)
    assert np.mean(noise) == pytest.approx(0, abs=4 / 400 / 20 / 3**0.5)
    assert 400 * np.var(noise) == pytest.approx(1, rel=0.05 if graph == "gaussian" else 0.1)
    assert y @ drawn.mean(axis=0) @ y / 400 == pytest.approx(2.0, abs=0.15)


def test_labels_are_balanced_and_fewer_features_are_the_first_of_more():
    data = DATA.load(5)
    labels = np.concatenate([data.train_targets, data.eval_targets])
    assert labels.sum() == 200 and set(labels) == {0, 1}
    fewer = dataclasses.replace(DATA, dimension=20).load(5)
    np.testing.assert_allclose(fewer.train_inputs[:, 1:] / 2, data.train_inputs[:, 1:20])


def test_two_classes_on_one_output_are_signs():
    config = RunConfig(model=Linear(n_features=80), data=DATA, train=Ridge(ridge=0.1), seed=2)
    record, _ = run(config)
    data = DATA.load(2)
    x, y = data.train_inputs, 2.0 * data.train_targets - 1
    fit = np.linalg.solve(x.T @ x / 150 + 0.1 * np.eye(80), x.T @ y / 150)
    held = data.eval_inputs @ fit
    truth = 2.0 * data.eval_targets - 1
    assert record.eval_squared_error == pytest.approx(np.mean((held - truth) ** 2), rel=1e-9)
    assert record.eval_error == pytest.approx(np.mean(held * truth <= 0))
    assert record.train_error == pytest.approx(np.mean((x @ fit) * y <= 0))
    assert record.label_noise_fraction == 0


def test_a_degree_that_the_graph_cannot_have_is_refused_with_one_that_it_can():
    with pytest.raises(ValueError, match=r"degree = 3 .* give a degree of 4 or more"):
        dataclasses.replace(DATA, graph="directed_sbm", degree=3.0)
    dataclasses.replace(DATA, graph="directed_sbm", degree=4.0)
