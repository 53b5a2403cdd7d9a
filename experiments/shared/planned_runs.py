"""A configured Transformer and its training step, as `analysis.parallelism` plans them."""

from __future__ import annotations

from analysis.parallelism.layout import Recipe, Recompute
from analysis.parallelism.shape import TransformerShape
from scaling.models.architecture import fits_fused_kernel
from scaling.models.mixture_of_experts import MixtureOfExperts
from scaling.models.transformer import Transformer

RECOMPUTES: dict[str, Recompute] = {"none": "none", "dots": "selective", "full": "full"}
"""What is computed again, by `model.remat`."""


def shape_of(model: Transformer, context: int, vocabulary: int) -> TransformerShape:
    """Returns the sizes of a model."""
    heads, kv_heads, head_size, ff_width = model.sizes
    routed = isinstance(model, MixtureOfExperts)
    return TransformerShape(
        layers=model.depth,
        width=model.width,
        heads=heads,
        kv_heads=kv_heads,
        head_size=head_size,
        ff_width=ff_width // model.granularity if routed else ff_width,
        gated=model.activation == "swiglu",
        vocabulary=vocabulary,
        context=context,
        experts=model.n_experts if routed else 1,
        chosen=model.n_active if routed else 1,
        capacity=model.capacity_factor if routed else 1.0,
        tied=model.tied,
    )


def recipe_of(model: Transformer, batch_size: int, optimizer_bytes: int) -> Recipe:
    """Returns how this project's program computes a step, a sequence at once.

    Weights and gradients are float32, and all of the state is divided by `fsdp` alone. Attention is
    fused where `scaling.models.layers.causal_attention` can, on a device that has the kernel.

    Args:
        model: The model.
        batch_size: Sequences of a step.
        optimizer_bytes: What the optimizer keeps on devices, for a parameter.
    """
    return Recipe(
        batch=batch_size,
        recompute=RECOMPUTES[model.remat],
        sequence=False,
        flash=fits_fused_kernel(model.compute_dtype, model.sizes.head_size),
        dropout=model.dropout > 0,
        weight_bytes=4,
        gradient_bytes=4,
        optimizer_bytes=optimizer_bytes,
        shard_optimizer=False,
        activation_bytes=4 if model.compute_dtype == "float32" else 2,
        own=True,
    )
