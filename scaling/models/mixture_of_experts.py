"""Mixture of experts: a Transformer whose feed-forward layers are many, of which a token meets few.

The configuration, what it counts and what it costs; `mixture_of_experts_apply` holds the
computation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from scaling.devices.mesh import Axis
from scaling.fields import Count, NonNegative, Positive
from scaling.models.parametrization import Parameter, Tree
from scaling.models.transformer import Transformer

if TYPE_CHECKING:
    from jax import Array

    from scaling.model import Model, Params
    from scaling.models.mixture_of_experts_apply import Experts


@dataclass(frozen=True, kw_only=True)
class MixtureOfExperts(Transformer):
    """A Transformer in which a router sends each token to `top_k` of many feed-forward layers.

    There are `expansion` * `granularity` experts, each 1 / `granularity` as wide as the layer of
    the dense model (Krajewski et al. 2024, arXiv 2402.07871). By default a token meets
    `granularity` of them, so that its compute is that of the dense model but for the router. With
    an expansion and a granularity of 1 it is the dense model.

    In training an expert takes at most `capacity_factor` times its even share of the tokens. Tokens
    beyond it, in their order in the batch, pass it by (Fedus et al. 2021, arXiv 2101.03961, section
    2.2): whether one does depends on no later token. Evaluations drop none. Devices that share a
    batch share out the places that one device has.

    A learned router takes the softmax p of a product with the token's state, in float32. Training
    adds `balance` * experts * sum_i f_i p_i to the loss for every block, where f_i is the share of
    tokens that expert i is chosen for, and p_i the mean of its p over all tokens, both before any
    is dropped (equations 4 to 6 there): 1 where all is even. The router has few outputs at every
    width, and is scaled as the read-out is; experts are scaled as layers of their own width.

    Attributes:
        expansion: Parameters of all experts of a block, over those of the dense layer.
        granularity: How many times narrower an expert is than the dense layer.
        top_k: Experts that a token meets. None: `granularity`.
        router: "learned", or "hash": the number of the token modulo the number of experts (Roller
            et al. 2021, arXiv 2106.04426), which neither learns nor is balanced.
        capacity_factor: Places of an expert, over tokens * top_k / experts.
        balance: Weight of the balance loss of a learned router.
    """

    kind: ClassVar[str] = "mixture_of_experts"
    expansion: Count
    granularity: Count = 1
    top_k: Count | None = None
    router: Literal["learned", "hash"] = "learned"
    capacity_factor: Positive = 1.25
    balance: NonNegative = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        name, ff_width = self.kind, self.sizes.ff_width
        if ff_width % self.granularity:
            raise ValueError(
                f"{name}.granularity = {self.granularity} does not divide ff_width = {ff_width}: "
                "give a divisor"
            )
        if self.n_active > self.n_experts:
            raise ValueError(
                f"{name}.top_k = {self.n_active} is more than the {self.n_experts} experts: give "
                "fewer, or a larger expansion"
            )
        if self.router == "hash" and self.n_active > 1:
            raise ValueError(
                f"{name}.router = 'hash' gives every token one expert, not {self.n_active}: give "
                "granularity = 1, or router = 'learned'"
            )
        if self.router == "learned" and getattr(self.parametrization, "zero_readout", False):
            raise ValueError(
                f"{name}.parametrization.zero_readout = True would start the router at zero, where "
                "all tokens choose the first expert: give zero_readout = False or router = 'hash'"
            )

    @property
    def n_experts(self) -> int:
        """Experts of each block."""
        return self.expansion * self.granularity

    @property
    def n_active(self) -> int:
        """Experts that each token meets in a block."""
        return self.granularity if self.top_k is None else self.top_k

    def check_share(self, n_tokens: int) -> None:
        """Refuses a share of a batch that has fewer tokens than there are experts."""
        if self.n_experts > n_tokens:
            raise ValueError(
                f"model has {self.n_experts} experts and a share of a batch {n_tokens} tokens "
                "(train.batch_size * data.context / microbatches), so that some experts learn "
                "nothing: give fewer experts or larger batches"
            )

    def resolve(self) -> Self:
        """The configuration with every size filled in."""
        return replace(super().resolve(), top_k=self.n_active)

    def build(self, n_inputs: int, n_outputs: int) -> Model:
        """The model of a context of `n_inputs` tokens from a vocabulary of `n_outputs`."""
        from scaling.models import mixture_of_experts_apply as computation

        tree = self.parameters(n_inputs, n_outputs)
        return computation.build(self, self._experts(), tree, self.rule)

    def activations(
        self, params: Params, tokens: Array, *, segments: Array | None = None
    ) -> dict[str, Array]:
        """Output of every part of the model, as that of `Transformer`; no token is dropped."""
        from scaling.models import mixture_of_experts_apply as computation

        return computation.activations(self, self._experts(), params, tokens, segments)

    def _experts(self) -> Experts:
        from scaling.models.mixture_of_experts_apply import Experts

        router = self.parametrization.rule("readout", 1, True, self.width, self.depth)
        return Experts(
            n=self.n_experts,
            n_active=self.n_active,
            by_hash=self.router == "hash",
            router_multiplier=router.output,
            capacity_factor=self.capacity_factor,
            balance=self.balance,
        )

    def parameters(self, n_inputs: int, n_outputs: int) -> Tree:
        """Every parameter by name; experts are stacked on the axis after that of the blocks."""
        tree: dict[str, Any] = dict(super().parameters(n_inputs, n_outputs))
        blocks = dict(tree["blocks"])
        n, narrow = self.n_experts, self.sizes.ff_width // self.granularity
        depth, width, hidden = blocks["ff_in"].shape
        into = (depth, n, width, hidden // self.granularity)
        blocks["ff_in"] = replace(
            blocks["ff_in"],
            shape=into,
            along=("layers", "experts", "width", "hidden"),
            side_by_side=(narrow,) * (into[-1] // narrow),
        )
        out, along = (depth, n, narrow, width), ("layers", "experts", "hidden", "width")
        blocks["ff_out"] = replace(blocks["ff_out"], shape=out, fan_in=narrow, along=along)
        if self.router == "learned":
            shape = (depth, width, n)
            blocks["router"] = Parameter(
                shape, "readout", "router", width, True, ("layers", "width", None)
            )
        return tree | {"blocks": blocks}

    def divided_by(self, axis: Axis) -> dict[str, int] | None:
        """What an axis of a mesh divides in a model, each with its number."""
        if axis == "expert":
            return {"experts": self.n_experts}
        divided = super().divided_by(axis)
        if divided is not None and axis == "tensor":
            divided["features of a feed-forward layer"] = self.sizes.ff_width // self.granularity
        return divided

    def count_params(self, n_inputs: int, n_outputs: int) -> dict[str, int]:
        """Parameters by group: in "feed_forward" all experts, in "router" what chooses them."""
        return {"router": 0} | super().count_params(n_inputs, n_outputs)

    def count_matmul(self, n_inputs: int, n_outputs: int) -> int:
        """Parameters in products with a token's activations: of experts, those that it meets."""
        idle = self.depth * (self.n_experts - self.n_active) * self._of_expert
        return super().count_matmul(n_inputs, n_outputs) - idle

    def flops_forward(self, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of the matrix products of one forward pass, an example of `n_inputs` tokens.

        Every token is counted at all experts that it is sent to, as if none were dropped; places
        that stay empty are not counted.
        """
        dense = self.granularity * self._of_expert
        more = self.n_active * self._of_expert - dense
        if self.router == "learned":
            more += self.width * self.n_experts
        return super().flops_forward(n_inputs, n_outputs) + 2 * n_inputs * self.depth * more

    @property
    def _of_expert(self) -> int:
        """Parameters of an expert."""
        matrices = 3 if self.activation == "swiglu" else 2
        return matrices * self.width * self.sizes.ff_width // self.granularity
