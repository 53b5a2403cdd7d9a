"""What the plan says a program keeps and holds, against the traced program and its parameters."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from analysis.parallelism import devices
from analysis.parallelism.layout import Layout
from analysis.parallelism.plan import plan
from analysis.parallelism.program import kept, program_memory
from experiments.shared.planned_runs import recipe_of, shape_of
from scaling.models import layers, transformer_apply
from scaling.models.mixture_of_experts import MixtureOfExperts
from scaling.models.transformer import Transformer

CONTEXT, VOCABULARY, SEQUENCES = 64, 32, 4
TOKENS = SEQUENCES * CONTEXT
DENSE = Transformer(width=80, depth=2, heads=4, head_size=24, kv_heads=2, ff_width=112)
NARROW = replace(DENSE, compute_dtype="bfloat16", activation="gelu", tied=True)
EXPERTS = MixtureOfExperts(
    width=80, depth=2, heads=4, head_size=24, ff_width=112, expansion=4, granularity=2,
    compute_dtype="bfloat16",
)  # fmt: skip


def kept_by(model: Transformer) -> Counter[str]:
    """Numbers a token, by type, that the traced gradient keeps of a block, without its weights."""
    built = model.build(CONTEXT, VOCABULARY)
    params = jax.eval_shape(built.init, jax.random.key(0))
    tokens: Any = jax.ShapeDtypeStruct((SEQUENCES, CONTEXT), jnp.int32)

    def objective(params: Any, tokens: Any) -> Any:
        if built.penalised is None:
            return jnp.sum(built.apply(params, tokens))
        logits, penalty = built.penalised(params, tokens)
        return jnp.sum(logits) + penalty

    traced = jax.make_jaxpr(jax.grad(objective))(params, tokens)
    forward = next(each for each in traced.eqns if each.primitive.name == "scan")
    weights = {leaf.shape for leaf in jax.tree.leaves(params["blocks"])}
    found: Counter[str] = Counter()
    for made in (each.aval for each in forward.outvars[forward.params["num_carry"] :]):
        size, is_number = made.size // model.depth, jnp.issubdtype(made.dtype, jnp.floating)
        if is_number and size >= TOKENS and made.shape not in weights:
            found[str(made.dtype)] += size / TOKENS
    return found


@pytest.mark.medium
@pytest.mark.parametrize(
    "model",
    [DENSE, NARROW, EXPERTS, replace(EXPERTS, remat="dots")],
)
def test_a_block_keeps_what_the_plan_says(model: Transformer, monkeypatch: pytest.MonkeyPatch):
    """But for columns of one number a token, of which an expert's choice has a few more."""
    monkeypatch.setattr(transformer_apply, "UNROLLED_DEPTH", 0)
    # On one CPU a product keeps a transposed copy of its weights, which no accelerator does.
    monkeypatch.setattr(layers, "weights_are_sharded", lambda: True)
    found = kept_by(model)
    recipe = replace(recipe_of(model, SEQUENCES, 8), microbatch=SEQUENCES, flash=False)
    planned = kept(shape_of(model, CONTEXT, VOCABULARY), Layout(), recipe)
    if model.compute_dtype == "float32":
        assert sum(found.values()) == pytest.approx(sum(planned), abs=1)
    else:
        assert found["float32"] == pytest.approx(float(planned.wide), abs=6)
        assert found["bfloat16"] == pytest.approx(float(planned.narrow), abs=3)


@pytest.mark.parametrize("model", [DENSE, NARROW, EXPERTS])
def test_state_is_that_of_the_counted_parameters(model: Transformer):
    """Gains and learned positions are left out, a few in ten thousand of a model of some size."""
    counts = model.count_params(CONTEXT, VOCABULARY)
    counted = sum(counts.values()) - counts["norm"]
    found = program_memory(
        shape_of(model, CONTEXT, VOCABULARY), Layout(), recipe_of(model, SEQUENCES, 8)
    )
    assert np.array(found[:3]) == pytest.approx(counted * np.array([4.0, 4.0, 8.0]))


def test_a_model_of_124m_is_planned_within_a_tenth_of_its_measured_speed():
    """415.9 TFLOP/s on one H200, `python benchmarks/accelerator.py`, docs/results/h200.md."""
    model = Transformer(
        width=768, depth=12, heads=12, positions="learned", norm="layer", activation="gelu",
        tied=True, compute_dtype="bfloat16",
    )  # fmt: skip
    recipe = replace(recipe_of(model, 32, 8), microbatch=32)
    h200 = devices.find("h200")
    planned = plan(shape_of(model, 1024, 50_304), h200, Layout(), recipe)
    assert planned.utilisation * h200.peak == pytest.approx(415.9e12, rel=0.1)
