"""Mixtures of experts and the dense models beside them, as `mixture_of_experts` trains them."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from experiments.shared.tuned import RATE
from scaling.config import RunConfig
from scaling.data.text import Text
from scaling.models.mixture_of_experts import MixtureOfExperts
from scaling.pretraining import Pretraining
from scaling.training import Adam
from sweeps.space import chain, grid

FEW = 4
"""Experts where routers are compared."""
HASH_ROOM = 4.0
"""Places of an expert of a hash over an even share: with 16 experts, 5 % of the bytes find none."""
ROUTERS = ("dense", "hash", "learned")


class Size(NamedTuple):
    """One size of the sweep.

    Attributes:
        widths: Learning rates that are tried at each width at which the law is fitted, with a hash.
        expansions: Numbers of experts there, 1 among them.
        steps: Length of these runs.
        width: Width at which routers are compared.
        routers: Learning rates that each of `ROUTERS` tries there.
        lengths: Lengths of these runs, in steps.
        n_seeds: Their seeds.
    """

    widths: Mapping[int, Sequence[float]]
    expansions: Sequence[int]
    steps: int
    width: int
    routers: Mapping[str, Sequence[float]]
    lengths: Sequence[int]
    n_seeds: int
    depth: int = 2
    head_size: int = 8
    context: int = 64
    batch_size: int = 16
    n_eval: int = 256
    compute_dtype: Literal["float32", "bfloat16"] = "float32"


def model(size: Size, expansion: int, router: Literal["hash", "learned"]) -> MixtureOfExperts:
    """A mixture of some experts at the width where routers are compared."""
    return MixtureOfExperts(
        width=size.width,
        depth=size.depth,
        head_size=size.head_size,
        activation="gelu",
        expansion=expansion,
        router=router,
        capacity_factor=HASH_ROOM if router == "hash" else 1.25,
        compute_dtype=size.compute_dtype,
    )


def base(size: Size) -> RunConfig:
    """The dense model at its first learning rate."""
    return RunConfig(
        model=model(size, 1, "hash"),
        data=Text(context=size.context, n_eval=size.n_eval, repeat=True),
        train=Pretraining(
            optimizer=Adam(learning_rate=size.routers["dense"][0]),
            batch_size=size.batch_size,
            steps=size.steps,
            evaluations=1,
        ),
    )


def sweep(size: Size) -> list[RunConfig]:
    """Every size and number of experts by hash; and every router at every length and seed."""
    law = [
        grid(base(size), {"model.width": [width], "model.expansion": size.expansions, RATE: rates})
        for width, rates in size.widths.items()
    ]
    routers = {
        "dense": model(size, 1, "hash"),
        "hash": model(size, FEW, "hash"),
        "learned": model(size, FEW, "learned"),
    }
    compared = [
        grid(
            base(size),
            {
                "model": [routers[name]],
                "train.steps": size.lengths,
                RATE: rates,
                "seed": range(size.n_seeds),
            },
        )
        for name, rates in size.routers.items()
    ]
    return chain(*law, *compared)


def _alike(*rates: float) -> dict[str, Sequence[float]]:
    return dict.fromkeys(ROUTERS, rates)


SMALL = Size(
    widths={8: (2e-2,)},
    expansions=(1, FEW),
    steps=150,
    width=8,
    routers=_alike(2e-2),
    lengths=(50, 150),
    n_seeds=1,
    depth=1,
    context=32,
    batch_size=8,
    n_eval=64,
)
_FAST, _SLOW = (1e-2, 2e-2, 4e-2), (5e-3, 1e-2, 2e-2)
MIDDLE = Size(
    widths={16: _FAST, 24: _FAST, 32: _FAST, 48: _SLOW},
    expansions=(1, 2, 4, 16),
    steps=800,
    width=32,
    routers={"dense": _FAST, "hash": _FAST, "learned": _SLOW},
    lengths=(400, 1600),
    n_seeds=5,
)
LARGE = Size(
    widths=dict.fromkeys((128, 256, 512, 1024), (1e-3, 2e-3)),
    expansions=(1, 4, 16, 64),
    steps=5000,
    width=256,
    routers=_alike(1e-3, 2e-3),
    lengths=(2500, 20_000),
    n_seeds=3,
    depth=8,
    head_size=64,
    context=512,
    batch_size=64,
    n_eval=1024,
    compute_dtype="bfloat16",
)
