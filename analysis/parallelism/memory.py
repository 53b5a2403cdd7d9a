"""Memory of one device by part.

Activations are those of Korthikanti et al. 2022 (arXiv 2205.05198, equations 1 to 6), with sizes
of heads and feed-forward layers as they are. The fullest stage decides: the first ones of a
pipeline keep the most microbatches, the last has the logits.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.parallelism.layout import Layout, Numbers, Recipe
from analysis.parallelism.shape import TransformerShape

_LOGIT_BYTES = 4 + 4  # a logit and its gradient, in float32
_ACTIVATION_BYTES = 2


class Memory(NamedTuple):
    """Bytes of the fullest device, by part."""

    weights: Numbers
    gradients: Numbers
    optimizer: Numbers
    activations: Numbers
    logits: Numbers
    buffers: Numbers

    @property
    def total(self) -> Numbers:
        """Bytes in all."""
        return sum(self[1:], start=self[0])


class Held(NamedTuple):
    """Parameters that one device multiplies by, before `fsdp` divides what it keeps of them."""

    dense: Numbers
    experts: Numbers


class Stages(NamedTuple):
    """How layers are divided over a pipeline.

    Attributes:
        layers: Layers of the longest stage.
        lighter: Whether the first and the last stage have a layer less, in whose place they hold
            embedding and read-out, as where depth + 2 divides and depth does not (Le Scao et al.
            2022, arXiv 2211.05100, section 3.3).
    """

    layers: Numbers
    lighter: NDArray[np.bool_]


def stages(shape: TransformerShape, layout: Layout) -> Stages:
    """Returns how the layers are divided over the stages."""
    p = np.asarray(layout.pipe)
    lighter = (shape.layers % p != 0) & ((shape.layers + 2) % p == 0)
    return Stages(np.ceil(shape.layers / p), lighter)


def held(shape: TransformerShape, layout: Layout) -> Held:
    """Returns the parameters of a device in the fullest stage, with embedding or read-out."""
    (n, lighter), t = stages(shape, layout), layout.tensor
    readout = shape.readout_parameters / t
    attention, expert = shape.attention_parameters / t, shape.expert_parameters / t
    experts = shape.experts * expert / layout.expert
    beside = np.where(lighter, np.maximum(readout - attention - experts, 0.0), readout)
    if shape.experts == 1:
        return Held(n * (attention + expert) + beside, 0.0 * n)
    return Held(n * attention + beside, n * experts)


def tokens_at_once(shape: TransformerShape, layout: Layout, recipe: Recipe) -> Numbers:
    """Returns the tokens of a microbatch on one device."""
    return recipe.microbatch * shape.context / layout.context


def layer_bytes(shape: TransformerShape, layout: Layout, recipe: Recipe) -> Numbers:
    """Returns what the backward pass needs of one layer, nothing computed again, a token."""
    t = layout.tensor
    attended, kept = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
    inside = shape.chosen * shape.ff_width * (3 if shape.gated else 2)
    divided = _ACTIVATION_BYTES * (2 * attended + 2 * kept + inside) / t
    # Inputs of norms and products; with dropout the masks too.
    whole = (10 if recipe.dropout else 8) * shape.width / (t if recipe.sequence else 1)
    return divided + whole + _score_bytes(shape, layout, recipe)


def memory(shape: TransformerShape, layout: Layout, recipe: Recipe) -> Memory:
    """Returns the memory of the fullest device."""
    t, p, m = layout.tensor, layout.pipe, recipe.microbatches(layout)
    parameters = held(shape, layout)
    dense, experts = parameters.dense / layout.fsdp, parameters.experts / layout.fsdp
    kept = dense + experts
    copies = layout.data if recipe.shard_optimizer else 1
    of_dense = dense / (copies * (layout.expert if recipe.shard_optimizer else 1))
    tokens, (n, lighter) = tokens_at_once(shape, layout, recipe), stages(shape, layout)

    # 1. Activations: what is kept of every layer for the backward pass, and one layer at work.
    whole = layer_bytes(shape, layout, recipe)
    scores = _score_bytes(shape, layout, recipe)
    of_input = _ACTIVATION_BYTES * shape.width / (t if recipe.sequence else 1)
    of_layer = {"none": whole, "selective": whole - scores, "full": of_input}[recipe.recompute]
    at_work = tokens * (whole - of_layer)
    overlap = 1 + (p - 1) / (p * recipe.interleave)
    overlap = np.where(np.asarray(recipe.interleave) > 1, overlap, 1.0)
    layers_kept = np.maximum(
        np.where(lighter, n - 1, n) * np.minimum(m, p), n * np.minimum(m, np.maximum(p - 1, 1))
    )
    first = tokens * layers_kept * overlap * of_layer + at_work
    last = tokens * n * of_layer + at_work

    # 2. Logits on the last stage alone; the fuller of the two stages counts.
    logits = tokens * shape.vocabulary / t * _LOGIT_BYTES
    is_last = last + logits > first
    gathered = 2 * (parameters.dense + parameters.experts) / n * recipe.weight_bytes
    return Memory(
        kept * recipe.weight_bytes,
        kept * recipe.gradient_bytes,
        (of_dense + experts / copies) * recipe.optimizer_bytes,
        np.where(is_last, last, first),
        np.where(is_last, logits, 0.0),
        np.where(layout.fsdp > 1, gathered, 0.0) + _ACTIVATION_BYTES * tokens * shape.width,
    )


def _score_bytes(shape: TransformerShape, layout: Layout, recipe: Recipe) -> Numbers:
    """Bytes a token of scores: their softmax, and with dropout the mask and what it leaves."""
    each = 5 if recipe.dropout else 2
    scores = shape.heads * shape.context / layout.tensor
    return each * scores * recipe.writes_scores(layout)
