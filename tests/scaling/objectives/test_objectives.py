"""Objectives: what they hide, weigh and show, by inspection and by perturbation."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_parameters import random_parameters

from scaling.models.transformer import Transformer
from scaling.objectives.causal import Causal
from scaling.objectives.masked import Masked
from scaling.objectives.mixture import Mixture
from scaling.objectives.objective import Examples, Objective, SpecialTokens
from scaling.objectives.prefix import Prefix
from scaling.objectives.span import Sizes, Span

SPECIAL = SpecialTokens(100)
CONTEXT = 40
WINDOWS = np.random.default_rng(0).integers(0, 100, (64, CONTEXT + 1))
MIXTURE = Mixture(parts=(Causal(), Masked(), Span()), shares=(1, 2, 1))
EACH = [Causal(), Prefix(), Prefix(share=0.5), Masked(), Span(), MIXTURE]


def examples(objective: Objective, seed: int = 0) -> Examples:
    made = drawn(objective, WINDOWS, jax.random.key(seed))
    return Examples(*(each if each is None else np.asarray(each) for each in made))


@functools.partial(jax.jit, static_argnums=0)
def drawn(objective: Objective, windows: Any, key: jax.Array) -> Examples:
    return objective.examples(windows, key, SPECIAL)


@pytest.mark.parametrize("objective", EACH, ids=lambda each: each.kind)
def test_examples_fill_the_context_with_tokens_that_the_vocabulary_has(objective):
    inputs, targets, weights, visible = examples(objective)
    assert inputs.shape == targets.shape == (64, CONTEXT)
    known = SPECIAL.first + objective.n_special(CONTEXT)
    assert max(inputs.max(), targets.max()) < known
    counted = np.ones(inputs.shape) if weights is None else weights
    assert set(np.unique(counted)) <= {0, 1} and (counted.sum(axis=1) >= 1).all()
    # 64 sequences: the mean of what is drawn is within four standard errors.
    spread = counted.sum(axis=1).std() / 8
    assert abs(counted.sum(axis=1).mean() - objective.n_predicted(CONTEXT)) <= 4 * spread
    assert visible is None or (visible <= CONTEXT).all()
    if objective.draws and objective != Prefix(share=0.5):
        both = zip(examples(objective), examples(objective, seed=1), strict=True)
        assert any(not np.array_equal(one, other) for one, other in both)


def test_causal_and_prefix_predict_the_next_token():
    for objective in (Causal(), Prefix(), Prefix(share=0.5)):
        inputs, targets, weights, visible = examples(objective)
        assert np.array_equal(inputs, WINDOWS[:, :-1])
        assert np.array_equal(targets, WINDOWS[:, 1:])
        if weights is not None:
            assert visible is not None
            assert np.array_equal(weights.argmax(axis=1), visible - 1)
            assert np.array_equal(weights.sum(axis=1), CONTEXT - visible + 1)
    assert (examples(Prefix(share=0.5)).visible == CONTEXT // 2).all()


def test_masked_hides_what_it_predicts_and_nothing_else():
    inputs, targets, weights, visible = examples(Masked(rate=0.15))
    assert weights is not None and (weights.sum(axis=1) == 6).all()
    assert np.array_equal(inputs == SPECIAL.mask, weights == 1)
    assert np.array_equal(targets, WINDOWS[:, :-1])
    assert np.array_equal(inputs[weights == 0], targets[weights == 0])
    assert visible is not None and (visible == CONTEXT).all()


@pytest.mark.parametrize("context", [4, CONTEXT])
def test_spans_put_back_in_their_holes_are_the_text(context):
    span = Span(rate=0.15, mean=3)
    sizes = span.sizes(context)
    assert sizes.visible + sizes.predicted <= context + 1
    windows = WINDOWS[:, : context + 1]
    made = drawn(span, windows, jax.random.key(2))
    for window, inputs, targets, weights in zip(windows, *map(np.asarray, made[:3]), strict=True):
        whole = [*inputs, targets[-1]]
        text, answer = whole[: sizes.visible], whole[sizes.visible :]
        assert answer[sizes.predicted - 1] == SPECIAL.end
        assert set(answer[sizes.predicted :]) <= {SPECIAL.end}
        # Exactly the answer counts.
        assert np.flatnonzero(weights).tolist() == list(
            range(sizes.visible - 1, sizes.visible - 1 + sizes.predicted)
        )
        hidden: dict[int, list[int]] = {}
        for token in answer[: sizes.predicted - 1]:
            if token >= SPECIAL.first_sentinel:
                now = hidden.setdefault(int(token), [])
            else:
                now.append(int(token))
        assert list(hidden) == [SPECIAL.first_sentinel + i for i in range(sizes.spans)]
        assert all(hidden.values())
        filled = [t for token in text for t in hidden.get(int(token), [int(token)])]
        assert filled == window[: sizes.text].tolist()


def test_a_context_of_128_hides_15_percent_in_6_spans():
    assert Span().sizes(128) == Sizes(text=116, hidden=17, spans=6)
    with pytest.raises(ValueError, match=r"no example of 3 tokens: give a longer data.context"):
        Span(rate=0.5).check(3)


def test_a_mixture_draws_each_objective_by_its_share():
    inputs, _, _, visible = examples(MIXTURE)
    assert visible is not None
    kinds = np.where(visible == 0, 0, np.where(visible == CONTEXT, 1, 2))
    assert np.array_equal((inputs == SPECIAL.mask).any(axis=1), kinds == 1)
    assert (np.bincount(kinds) > [6, 20, 6]).all()
    assert MIXTURE.visibilities == ("causal", "full", "prefix")
    with pytest.raises(ValueError, match=r"mixture.shares has 1 numbers for 2 parts"):
        Mixture(parts=(Causal(), Masked()), shares=(1,))


@pytest.fixture(scope="module")
def changed_logits() -> Any:
    """Whether the logits at one position change with the token at another, by visible prefix."""
    model = Transformer(width=8, depth=1, heads=2).build(8, 16)
    params = random_parameters(model)
    # The last sequence is unchanged: in one batch, equal inputs give equal bits.
    sequences = np.tile(np.arange(8), (9, 1))
    sequences[range(8), range(8)] = 15

    @jax.jit
    def depends(params: Any, sequences: jax.Array, visible: jax.Array) -> jax.Array:
        logits = model.apply(params, sequences, visible=jnp.repeat(visible, 9))
        return (logits[:8] != logits[8:]).any(axis=-1)  # (changed token, position)

    return lambda visible: np.asarray(depends(params, sequences, np.array([visible])))


@pytest.mark.parametrize("visible", [0, 1, 3, 8])
def test_a_position_sees_what_came_before_and_the_visible_prefix(changed_logits, visible):
    changed, position = np.indices((8, 8))
    seen = (changed <= position) | (changed < visible)
    assert np.array_equal(changed_logits(visible), seen)
