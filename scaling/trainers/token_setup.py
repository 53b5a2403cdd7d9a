"""A model of tokens and how it is trained: what its steps and its evaluations have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from scaling.model import Model, Params
from scaling.models.parametrization import Tree
from scaling.objectives.objective import Examples, Objective, SpecialTokens
from scaling.pretraining import Pretraining
from scaling.trainers import objectives
from scaling.trainers.optimizers import build_optimizer


@dataclass(frozen=True)
class Setup:
    """A model, and how it is trained and measured.

    Attributes:
        groups: A `ParamGroup` for each parameter.
        n_eval_at_once: Held-out sequences that a device evaluates together.
        special: Tokens that text does not have.
        separator: Token that no prediction looks beyond, if any.
        activations: Gives what an evaluation measures the scales of, if anything:
            `scaling.models.family.ObservedFamily.activations`.
        teacher: Model whose predictions are learned, if any.
        source: Tokens that the model reads before it predicts, if it is an encoder-decoder.
        parameters: Every parameter by name, where the devices of the mesh share the model; else
            XLA divides the program of one device.
        parts: Parts of each of the plan's microbatches, whose gradients are added up; more than
            one where memory is short.
    """

    model: Model
    plan: Pretraining
    groups: Any
    n_eval_at_once: int
    special: SpecialTokens
    separator: int | None = None
    activations: Callable[..., dict[str, Array]] | None = None
    teacher: Model | None = None
    source: int | None = None
    parameters: Tree | None = None
    parts: int = 1

    def optimizer(self, rates: Array, rounding: Array | None) -> optax.GradientTransformation:
        """The optimizer at the learning rates of one step."""
        dtype = self.plan.optimizer_dtype
        return build_optimizer(self.plan.optimizer, self.groups, rates, dtype, rounding)

    def segments(self, tokens: Array) -> dict[str, Array]:
        """Arguments, by name, that keep a model within documents."""
        return {} if self.separator is None else {"segments": segments_of(tokens, self.separator)}

    def examples(self, objective: Objective, windows: Array, key: Array | None) -> Examples:
        """Examples of an objective, as the model takes them."""
        made = objective.examples(windows, key, self.special)
        return made if self.source is None else made.after(self.source, self.plan.mesh.context)

    def shown(self, examples: Examples) -> dict[str, Array]:
        """Arguments, by name, that say what each position sees."""
        visible = {} if examples.visible is None else {"visible": examples.visible}
        return self.segments(examples.inputs) | visible

    def logits(self, params: Params, examples: Examples) -> Array:
        """Logits of every prediction."""
        return self.model.apply(params, examples.inputs, **self.shown(examples))

    def trained_on(self, logits: Array, examples: Examples, teacher: Params | None) -> Array:
        """Loss of every prediction in training: against a teacher's, where there is one."""
        if self.teacher is None:
            return objectives.cross_entropy(logits, examples.targets)
        predicted = self.teacher.apply(teacher, examples.inputs, **self.shown(examples))
        return objectives.cross_entropy_to(logits, predicted)


def segments_of(tokens: Int[Array, "batch context"], separator: int) -> Int[Array, "batch context"]:
    """The document of each input of a sequence, counted from 0.

    From a separator the first token of the next document is predicted, so it belongs to that one;
    it is itself predicted from the document that it ends.
    """
    return jnp.cumsum(tokens == separator, axis=1, dtype=jnp.int32)


def weighted_mean(each: Array, weights: Array | None) -> Array:
    """Mean of some losses, each counted by its weight; None where all count alike."""
    return jnp.mean(each) if weights is None else jnp.sum(weights * each) / jnp.sum(weights)
