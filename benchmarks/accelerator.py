"""Model FLOP/s of a 124M-parameter model on this device, over its ceiling of a matrix product.

    python benchmarks/accelerator.py [--batch 32] [--steps 128] [--width 768 --depth 12]

The model is GPT-2's smallest (Radford et al. 2019): width 768, 12 blocks of 12 heads, learned
positions, LayerNorm, GELU, a tied vocabulary of 50,304; context 1,024, bfloat16 with parameters,
norms, softmaxes and logits in float32; AdamW, clipped. It is trained by `scaling.run.run` itself,
on tokens drawn by Zipf's law from a file, evaluation included, compilation not.

FLOPs are the model's own, in closed form, attention counted in full as if nothing were masked
(`scaling.models.transformer`). The share with half of the attention, as much as a causal kernel has
to do, is printed too. The ceiling is that of 20 products in a row of two bfloat16
matrices of 8,192 x 8,192 random numbers, the fastest of five rows before and five after.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from figures import Figure, options, report

from scaling.config import RunConfig
from scaling.data.text import Text
from scaling.data.tokenizing import Tokenized
from scaling.models.transformer import Transformer
from scaling.pretraining import Pretraining
from scaling.run import run
from scaling.training import Adam

VOCAB, CONTEXT = 50_304, 1024


def ceiling(size: int, at_a_time: int = 20, trials: int = 5) -> float:
    """FLOP/s of products of two square bfloat16 matrices, the fastest of some rows of them."""
    a, b = (
        jax.random.normal(jax.random.key(i), (size, size), jnp.float32).astype(jnp.bfloat16)
        for i in range(2)
    )
    product = jax.jit(jnp.matmul)
    product(a, b).block_until_ready()
    seconds = []
    for _ in range(trials):
        start = time.perf_counter()
        # Products wait for one another on the device alone: it never waits for this process.
        jax.block_until_ready([product(a, b) for _ in range(at_a_time)])
        seconds.append((time.perf_counter() - start) / at_a_time)
    return 2 * size**3 / min(seconds)


def zipf_tokens(folder: Path, n_tokens: int) -> None:
    """Two files of tokens, to train on and held out, the r-th most frequent 1/r times as often."""
    rng = np.random.default_rng(0)
    shares = 1 / np.arange(1, VOCAB + 1)
    cumulated = np.cumsum(shares / shares.sum())
    for name, count in (("train", n_tokens), ("val", 64 * (CONTEXT + 1))):
        tokens = np.searchsorted(cumulated, rng.random(count)).clip(max=VOCAB - 1)
        tokens.astype(np.uint16).tofile(folder / f"{name}.bin")


def config(folder: str, batch: int, width: int, depth: int) -> RunConfig:
    """A run of GPT-2's shape on the tokens of a folder."""
    model = Transformer(
        width=width,
        depth=depth,
        head_size=64,
        positions="learned",
        norm="layer",
        activation="gelu",
        tied=True,
        compute_dtype="bfloat16",
    )
    return RunConfig(
        model=model,
        data=Text(
            path=folder,
            context=CONTEXT,
            tokenizer=Tokenized(vocab_size=VOCAB),
            n_eval=batch,
            repeat=True,
        ),
        train=Pretraining(
            optimizer=Adam(learning_rate=6e-4, b2=0.95, weight_decay=0.1),
            batch_size=batch,
            steps=8,
            evaluations=1,
        ),
    )


def measured(short: RunConfig, steps: int) -> dict[str, Any]:
    """Rates of a run, after one that compiles."""
    assert isinstance(short.train, Pretraining)
    began = time.perf_counter()
    run(short)
    first = time.perf_counter() - began
    record, _ = run(replace(short, train=replace(short.train, steps=steps)))
    assert record.model_flops_per_second is not None and record.tokens_per_second is not None
    model = short.model
    assert isinstance(model, Transformer)
    in_full = 12 * model.depth * CONTEXT * model.width
    per_token = record.flops_train / (record.n_tokens_seen or 1)
    return {
        "batch": short.train.batch_size,
        "n_params": record.n_params_total,
        "first_run_seconds": round(first, 1),
        "ms_per_step": 1e3 * short.train.batch_size * CONTEXT / record.tokens_per_second,
        "tokens_per_second": record.tokens_per_second,
        "model_flops_per_second": record.model_flops_per_second,
        "with_half_the_attention": record.model_flops_per_second * (1 - in_full / per_token / 2),
        "eval_loss_nats": record.eval_loss_nats,
    }


def main() -> None:
    """Measures and prints one JSON line."""
    parser = options(__doc__)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=128)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--depth", type=int, default=12)
    parser.add_argument("--ceiling-size", type=int, default=8192)
    given = parser.parse_args()
    before = ceiling(given.ceiling_size)
    with tempfile.TemporaryDirectory() as folder:
        zipf_tokens(Path(folder), 2**22)
        found = measured(config(folder, given.batch, given.width, given.depth), given.steps)
    top = max(before, ceiling(given.ceiling_size))
    found |= {
        "ceiling_flops_per_second": top,
        "share_of_ceiling": found["model_flops_per_second"] / top,
        "share_with_half_the_attention": found["with_half_the_attention"] / top,
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
    }
    print(json.dumps(found))
    figure = Figure(
        what=f"model FLOPs of a {found['n_params'] / 1e6:.0f}M model on {found['device']}, "
        f"bfloat16, context {CONTEXT:,}, over those of a matrix product",
        asked=45, at_least=True, measured=(100 * found["share_of_ceiling"],), unit="%",
        command="python benchmarks/accelerator.py",
    )  # fmt: skip
    report([figure], given.json)


if __name__ == "__main__":
    main()
