"""Training steps a second, beside the same model written plainly in flax.linen and in PyTorch.

    python benchmarks/train_step.py [--rounds 15] [--widths 16 32 64 128]
    python benchmarks/train_step.py --families [--rounds 15]

All train a GPT of the form that each library writes naturally: learned positions, LayerNorm with a
gain, attention in heads of 16, GELU (by tanh), an untied read-out, no bias; float32; 16 sequences
of 64 bytes of the standard library's source code; AdamW (gains do not decay), a cosine after a
warm-up, the gradient's norm clipped to 1. At every width and depth the parameters of one
initialisation are handed to all, their numbers are compared, and so are the losses of the first
ten steps on the same batches: what is timed is one and the same computation.

- `ours`: the trainer of `scaling`, many steps a call on the device, with the gathering of batches.
- `linen`: flax.linen, optax, one jitted step a batch, called from Python.
- `torch`: eager PyTorch, one step a batch, `AdamW(fused=True)`. Left out where there is none.

`--families` compares the other families of tokens, two layers of width 64, with the same models
written in flax.linen (`plain_families.py`). At width 128 it also reports the FLOPs of matrix
products a second that three of them make in training, over those of a large product on the same
core.

The peers' loops gather a batch, step, and fetch the loss of every tenth step. One process on one
core, every library with one thread, as workers run. Times are those of the processor, which other
work of the machine does not add to. The contestants take turns, for about a third of a second each,
and a ratio is the median over the rounds of the ratios within each, so that what slows the
processor slows both.
"""

from __future__ import annotations

import importlib.util
import math
import os
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from figures import Figure, machine, options, report
from flax import linen as nn
from flax.training.train_state import TrainState
from plain_families import HEAD_SIZE, Plain, attention, families

from scaling.config import RunConfig, shape_of
from scaling.data.text import Text
from scaling.keys import key_for
from scaling.models.transformer import Transformer
from scaling.pretraining import Pretraining
from scaling.schedules import Cosine
from scaling.trainers.token_programs import compiled, steps_in_block
from scaling.trainers.token_step import Arguments
from scaling.training import Adam

DEPTHS = {16: 2, 32: 2, 64: 2, 128: 4}
DATA = Text(context=64)
VOCAB = DATA.n_outputs
RATE, B1, B2, DECAY, FLOOR, CLIP = 3e-3, 0.9, 0.95, 0.1, 0.1, 1.0
BATCH, STEPS, WARMUP = 16, 5000, 100
PLAN = Pretraining(
    optimizer=Adam(learning_rate=RATE, b1=B1, b2=B2, weight_decay=DECAY),
    schedule=Cosine(floor=FLOOR),
    batch_size=BATCH,
    warmup_tokens=WARMUP * BATCH * DATA.context,
    clip_norm=CLIP,
    steps=STEPS,
)
CHECKED = 10
TURN_SECONDS = 0.3


class Contestant(NamedTuple):
    """One way to train.

    Attributes:
        n_params: Its parameters.
        losses: The losses of the first steps, on the batches of the dataset in their order; to be
            called first.
        run: Takes a number of steps.
    """

    n_params: int
    losses: list[float]
    run: Callable[[int], None]


LIMITS = {"linen": ("flax.linen and optax", 1.5), "torch": ("eager PyTorch", 1.3)}
"""The peers: their titles, and how many times as fast is asked."""

SHARED = ("lstm", "convolutional", "mixture_of_experts")
"""Families whose share of the ceiling is reported."""

Peers = dict[str, Callable[[Any, Any], Contestant]]


def size(tree: Any) -> int:
    """Numbers in a pytree."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def checked_batches() -> np.ndarray:
    """The batches of the first steps, (steps, batch, context + 1)."""
    return DATA.load(0).sequences(0, 0, CHECKED * BATCH).reshape(CHECKED, BATCH, -1)


def batches() -> Callable[[], np.ndarray]:
    """Random windows of the training tokens, as training scripts draw them."""
    row, rng, within = DATA.load(0).train, np.random.default_rng(0), np.arange(DATA.context + 1)

    def batch() -> np.ndarray:
        starts = rng.integers(len(row) - DATA.context, size=(BATCH, 1))
        return row[starts + within].astype(np.int64)

    return batch


def ours(config: Transformer, params: Any) -> Contestant:
    """The trainer of this project."""
    dataset = DATA.load(0)
    trainer = compiled(shape_of(RunConfig(model=config, data=DATA, train=PLAN)))
    in_block = steps_in_block(PLAN, DATA.context)
    arguments = Arguments(jnp.array([RATE]), *map(jnp.int32, (STEPS, WARMUP, 0)))
    state = trainer.init(key_for(0, "init"))._replace(params=jax.tree.map(jnp.copy, params))
    losses, before = [], 0.0
    for batch in checked_batches():
        block = jnp.asarray(np.broadcast_to(batch, (in_block, *batch.shape)))
        state, _ = trainer.advance(state, block, jnp.int32(1), arguments)
        losses.append(float(state.loss_sum) - before)
        before = float(state.loss_sum)
    taken = CHECKED

    def run(n_steps: int) -> None:
        nonlocal state, taken
        for end in range(in_block, n_steps + in_block, in_block):
            count = in_block - max(0, end - n_steps)
            block = np.zeros((in_block, BATCH, DATA.context + 1), np.int32)
            sequences = dataset.sequences(0, taken * BATCH, count * BATCH)
            block[:count] = sequences.reshape(count, BATCH, -1)
            given = jnp.asarray(block), jnp.int32(count), arguments
            state, running = trainer.advance(state, *given)
            taken += count
            running.block_until_ready()

    return Contestant(size(params), losses, run)


class Block(nn.Module):
    """A residual block in flax.linen."""

    width: int

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array) -> jax.Array:
        """(batch, context, width) -> the same."""
        heads = self.width // HEAD_SIZE
        y = nn.LayerNorm(use_bias=False)(x)
        x = x + nn.MultiHeadDotProductAttention(heads, use_bias=False)(y, mask=mask)
        y = nn.LayerNorm(use_bias=False)(x)
        y = nn.gelu(nn.Dense(4 * self.width, use_bias=False)(y))
        return x + nn.Dense(self.width, use_bias=False)(y)


class GPT(nn.Module):
    """The model in flax.linen."""

    width: int
    depth: int

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        """Tokens -> logits."""
        x = nn.Embed(VOCAB, self.width)(tokens)
        x = x + nn.Embed(DATA.context, self.width)(jnp.arange(tokens.shape[1]))
        mask = nn.make_causal_mask(tokens)
        for _ in range(self.depth):
            x = Block(self.width)(x, mask)
        return nn.Dense(VOCAB, use_bias=False)(nn.LayerNorm(use_bias=False)(x))


def as_linen(params: Any, depth: int) -> Any:
    """Parameters of `Transformer` where the linen model keeps them."""
    blocks = params["blocks"]

    def block(i: int) -> dict[str, Any]:
        layer = {name: leaf[i] for name, leaf in blocks.items()}
        return {
            "LayerNorm_0": {"scale": layer["attention_norm"]},
            "MultiHeadDotProductAttention_0": attention(layer, HEAD_SIZE),
            "LayerNorm_1": {"scale": layer["ff_norm"]},
            "Dense_0": {"kernel": layer["ff_in"]},
            "Dense_1": {"kernel": layer["ff_out"]},
        }

    return {
        "Embed_0": {"embedding": params["embedding"]},
        "Embed_1": {"embedding": params["positions"]},
        **{f"Block_{i}": block(i) for i in range(depth)},
        "LayerNorm_0": {"scale": params["final_norm"]},
        "Dense_0": {"kernel": params["readout"]},
    }


def linen(config: Transformer, params: Any) -> Contestant:
    """flax.linen and optax, a jitted step a batch."""
    mapped = as_linen(params, config.depth)
    return stepped(GPT(config.width, config.depth), mapped)


def stepped(model: nn.Module, mapped: Any) -> Contestant:
    """A model of flax.linen from given parameters, a jitted step a batch."""
    mapped = jax.tree.map(jnp.copy, mapped)
    schedule = optax.warmup_cosine_decay_schedule(
        RATE / (WARMUP + 1), RATE, WARMUP, STEPS, end_value=FLOOR * RATE
    )
    move = optax.chain(
        optax.clip_by_global_norm(CLIP),
        optax.adamw(
            schedule, B1, B2, weight_decay=DECAY,
            mask=lambda tree: jax.tree.map_with_path(
                lambda p, _: p[-1].key not in ("scale", "bias"), tree
            ),
        ),
        # Our GRU goes without this bias.
        optax.masked(optax.set_to_zero(), lambda tree: jax.tree.map_with_path(_unused, tree)),
    )  # fmt: skip
    state = TrainState.create(apply_fn=model.apply, params=mapped, tx=move)

    @jax.jit
    def step(state: TrainState, batch: jax.Array) -> tuple[TrainState, jax.Array]:
        def loss_of(params: Any) -> tuple[jax.Array, jax.Array]:
            logits, sown = state.apply_fn({"params": params}, batch[:, :-1], mutable="losses")
            each = optax.softmax_cross_entropy_with_integer_labels(logits, batch[:, 1:])
            return each.mean() + sum(jax.tree.leaves(sown)), each.mean()

        (_, loss), gradient = jax.value_and_grad(loss_of, has_aux=True)(state.params)
        return state.apply_gradients(grads=gradient), loss

    losses = []
    for batch in checked_batches():
        state, loss = step(state, jnp.asarray(batch))
        losses.append(float(loss))
    batch = batches()

    def run(n_steps: int) -> None:
        nonlocal state
        for i in range(n_steps):
            state, loss = step(state, jnp.asarray(batch()))
            if i % 10 == 9:
                losses.append(float(loss))

    unused = jax.tree.map_with_path(lambda path, leaf: _unused(path, leaf) * leaf.size, mapped)
    n_params = size(mapped) - sum(jax.tree.leaves(unused))
    return Contestant(n_params, losses[:CHECKED], run)


def _unused(path: Any, _: Any) -> bool:
    return [each.key for each in path[-2:]] == ["hn", "bias"]


def eager(config: Transformer, params: Any) -> Contestant:
    """Eager PyTorch."""
    import torch
    from torch.nn import functional as F
    from torch_gpt import GPT as TorchGPT

    torch.set_num_threads(1)
    model = TorchGPT(config.width, config.depth, config.sizes.heads, VOCAB, DATA.context)
    model.take(params)
    named = list(model.named_parameters())
    groups = [
        {"params": [p for name, p in named if "norm" not in name], "weight_decay": DECAY},
        {"params": [p for name, p in named if "norm" in name], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(B1, B2), fused=True)

    def share(step: int) -> float:
        done = max(0.0, (step - WARMUP) / (STEPS - WARMUP))
        falling = FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        return min((step + 1) / (WARMUP + 1), falling)

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)

    def step(batch: np.ndarray) -> torch.Tensor:
        tokens = torch.from_numpy(batch)
        logits = model(tokens[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        return loss

    losses = [step(batch.astype(np.int64)).item() for batch in checked_batches()]
    batch = batches()

    def run(n_steps: int) -> None:
        for i in range(n_steps):
            loss = step(batch())
            if i % 10 == 9:
                loss.item()

    return Contestant(sum(p.numel() for p in model.parameters()), losses, run)


def timed(contestant: Contestant, n_steps: int) -> float:
    """Milliseconds of the processor a step."""
    began = time.process_time()
    contestant.run(n_steps)
    return 1e3 * (time.process_time() - began) / n_steps


def transformer(width: int) -> Transformer:
    """The GPT of a width."""
    return Transformer(
        width=width, depth=DEPTHS[width], head_size=HEAD_SIZE,
        positions="learned", norm="layer", activation="gelu",
    )  # fmt: skip


def compare(config: Any, peers: Peers, rounds: int) -> dict[str, float]:
    """How many times as long the peers take for a step of one shape; prints what it measures."""
    params = config.build(DATA.context, VOCAB).init(key_for(0, "init"))
    all_of_them = {name: make(config, params) for name, make in {"ours": ours, **peers}.items()}
    first = all_of_them["ours"]
    for name, contestant in all_of_them.items():
        if contestant.n_params != first.n_params:
            raise AssertionError(f"{name} has {contestant.n_params} parameters, {first.n_params}")
        np.testing.assert_allclose(contestant.losses, first.losses, rtol=2e-4, err_msg=name)
    n_steps = {}
    for name, contestant in all_of_them.items():
        n_steps[name] = max(10, round(1e3 * TURN_SECONDS / timed(contestant, 10)))
    times = [
        {name: timed(contestant, n_steps[name]) for name, contestant in all_of_them.items()}
        for _ in range(rounds)
    ]
    median = {name: statistics.median(row[name] for row in times) for name in all_of_them}
    ratios = {name: statistics.median(row[name] / row["ours"] for row in times) for name in peers}
    times_of = "  ".join(f"{name} {ms:7.3f}" for name, ms in median.items())
    ratios_of = "  ".join(f"{name} {ratio:5.2f}" for name, ratio in ratios.items())
    shape = f"{config.kind:14} {config.width:5} {config.depth:5} {first.n_params:10,}"
    print(f"{shape}   {times_of}   {ratios_of}", flush=True)
    return ratios


def main() -> None:
    """Compares every width."""
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--families", action="store_true")
    parser.add_argument("--widths", type=int, nargs="+", choices=DEPTHS, default=list(DEPTHS))
    arguments = parser.parse_args()
    peers: Peers = {"linen": linen}
    if importlib.util.find_spec("torch"):
        peers["torch"] = eager
    else:
        print("torch is not installed: PyTorch is left out")
    about, core = machine(), max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})  # before JAX starts, which takes a thread for each core
    print(f"{about}; core {core}, one thread")
    print("family, width, depth, parameters; processor milliseconds a step; times as long as ours")
    if arguments.families:
        found = [*compare_families(arguments.rounds), *shares_of_ceiling(arguments.rounds)]
        report(found, arguments.json)
        return
    found = [compare(transformer(width), peers, arguments.rounds) for width in arguments.widths]
    for name in peers:
        mean = statistics.geometric_mean(ratios[name] for ratios in found)
        print(f"{name}: geometric mean over widths {mean:.2f}")
    report([figure_of(name, found, arguments.widths) for name in LIMITS], arguments.json)


def compare_families(rounds: int) -> list[Figure]:
    """The ratio to flax.linen of every family that is no Transformer."""
    found = []
    for plain in families(64, DATA.context):

        def peer(_: Any, params: Any, plain: Plain = plain) -> Contestant:
            return stepped(plain.network(VOCAB), plain.params(params))

        ratio = compare(plain.ours, {"linen": peer}, rounds)["linen"]
        found.append(
            Figure(
                what=f"training steps a second over flax.linen, {plain.ours.kind}, width 64",
                asked=1.3, at_least=True, measured=(ratio,), unit="times",
                command="python benchmarks/train_step.py --families",
            )
        )  # fmt: skip
    return found


def shares_of_ceiling(rounds: int) -> list[Figure]:
    """FLOPs of products a second at width 128, over those of a product of two large matrices."""
    size = 1024
    square = jnp.ones((size, size))
    product = jax.jit(lambda x: x @ square)

    def ceiling() -> float:
        began = time.process_time()
        for _ in range(5):
            product(square).block_until_ready()
        return 5 * 2 * size**3 / (time.process_time() - began)

    ceiling()
    found = []
    for plain in families(128, DATA.context):
        if plain.ours.kind not in SHARED:
            continue
        shape = (DATA.context, VOCAB)
        contestant = ours(plain.ours, plain.ours.build(*shape).init(key_for(0, "init")))
        flops = BATCH * (plain.ours.flops_forward(*shape) + plain.ours.flops_backward(*shape))
        n_steps = max(10, round(1e3 * TURN_SECONDS / timed(contestant, 10)))
        each = [1e3 * flops / timed(contestant, n_steps) / ceiling() for _ in range(rounds)]
        found.append(
            Figure(
                what=f"share of the ceiling of matrix products, {plain.ours.kind}, width 128",
                asked=0.3, at_least=True, measured=(statistics.median(each),), unit="of it",
                command="python benchmarks/train_step.py --families",
            )
        )  # fmt: skip
        print(f"{plain.ours.kind}: {found[-1].measured[0]:.2f} of the ceiling", flush=True)
    return found


def figure_of(name: str, found: list[dict[str, float]], widths: list[int]) -> Figure:
    """The ratios to one peer; none where it is not installed."""
    title, limit = LIMITS[name]
    measured = tuple(ratios[name] for ratios in found if name in ratios)
    return Figure(
        what=f"training steps a second over {title}, widths {', '.join(map(str, widths))}",
        asked=limit, at_least=True, measured=measured, unit="times",
        command="python benchmarks/train_step.py",
        note="" if measured else f"{title} is not installed",
    )  # fmt: skip


if __name__ == "__main__":
    main()
