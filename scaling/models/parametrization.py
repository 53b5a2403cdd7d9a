"""How initial scales and learning rates follow a model's shape: standard, and maximal-update (muP).

A family lists its parameters by name and role; a parametrization is a rule from a role and a shape
to three numbers. Of width `n` and depth `L`, with `m = n / base_width`, `l = L / base_depth`,
`a = depth_exponent` and `f` the fan-in (sd: of the initial normal; rate: what Adam's learning rate
is multiplied by; out: what the product with the parameter is multiplied by):

| role           | standard: sd | rate | out    | muP: sd               | rate        | out        |
|----------------|--------------|------|--------|-----------------------|-------------|------------|
| embedding      | 1            | 1    | 1      | 1                     | 1           | 1          |
| hidden         | f^-1/2       | 1    | 1      | f^-1/2                | l^(a-1) / m | 1          |
| branch_out     | (2 L f)^-1/2 | 1    | 1      | (2 base_depth f)^-1/2 | l^(a-1) / m | l^-a       |
| gain           | starts at 1  | 1    | 1      | starts at 1           | l^(a-1)     | 1          |
| bias           | starts at 0  | 1    | 1      | starts at 0           | l^(a-1)     | 1          |
| readout        | f^-1/2       | 1    | 1      | base_width^-1/2       | 1           | 1 / m      |
| tied_embedding | 1            | 1    | n^-1/2 | 1                     | 1           | (n m)^-1/2 |

(The gain of the last norm, which is in no block, has the rate 1.)

At the base shape, heads included, muP is the standard parametrization.

References: Yang et al. 2022, arXiv 2203.03466, table 8; Everett et al. 2024, arXiv 2407.05872; for
depth, Yang et al. 2023, arXiv 2310.02244 (a = 1/2) and Dey et al. 2025, arXiv 2505.01618 (a = 1,
CompleteP). Initial 1/sqrt(2 L) of what writes to the residual stream: Radford et al. 2019.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

from scaling.fields import Checked, Count, Range

Role = Literal["embedding", "tied_embedding", "hidden", "branch_out", "gain", "bias", "readout"]

Along = Literal["layers", "experts", "heads", "hidden", "width", "vocabulary"]
"""What an axis of a parameter counts, and so which axis of a mesh divides it."""

Counted = tuple[Along | None, ...]
"""What each axis of a parameter counts; None for what no mesh divides."""


@dataclass(frozen=True)
class Parameter:
    """Description of a named parameter: its shape, role and group.

    Attributes:
        shape: Full shape, layers stacked on the first axis.
        role: Effect on activations, which decides how the parameter scales.
        group: Group in which it is counted.
        fan_in: Number of terms in each sum of the product with it.
        in_block: Whether it belongs to a residual block, of which there are `depth`.
        along: What each axis counts.
        side_by_side: Sizes of the matrices that the last axis holds one after another.
    """

    shape: tuple[int, ...]
    role: Role
    group: str
    fan_in: int
    in_block: bool = False
    along: Counted = ()
    side_by_side: tuple[int, ...] = ()


Tree = Mapping[str, "Parameter | Tree"]
"""Parameters by name, as deep as the pytree of their arrays."""


def leaves(tree: Tree) -> Iterator[Parameter]:
    """Every parameter of a tree."""
    for entry in tree.values():
        if isinstance(entry, Parameter):
            yield entry
        else:
            yield from leaves(entry)


def count_groups(tree: Tree) -> dict[str, int]:
    """Numbers in the arrays of each group of parameters."""
    counts: dict[str, int] = {}
    for parameter in leaves(tree):
        size = math.prod(parameter.shape)
        counts[parameter.group] = counts.get(parameter.group, 0) + size
    return counts


class Rule(NamedTuple):
    """Scales that a parametrization gives one parameter.

    Attributes:
        init_sd: Standard deviation of the normal it is drawn from; a gain starts at 1 instead, and
            a bias at 0.
        learning_rate: Multiplier of Adam's learning rate.
        output: Multiplier of the product with the parameter, in every forward pass.
    """

    init_sd: float
    learning_rate: float = 1.0
    output: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Standard:
    """Variance-preserving initial weights, one learning rate for all parameters."""

    kind: ClassVar[str] = "standard"

    def rule(self, role: Role, fan_in: int, in_block: bool, width: int, depth: int) -> Rule:
        """The rule of a parameter in a model of this width and depth."""
        match role:
            case "embedding":
                return Rule(1.0)
            case "tied_embedding":
                return Rule(1.0, output=width**-0.5)
            case "gain" | "bias":
                return Rule(0.0)
            case "hidden" | "readout":
                return Rule(fan_in**-0.5)
            case "branch_out":
                return Rule((2 * depth * fan_in) ** -0.5)

    def attention_scale(self, head_size: int) -> float:
        """Multiplier of the inner product of a query and a key."""
        return head_size**-0.5


@dataclass(frozen=True, kw_only=True)
class MuP(Checked):
    """Maximal-update parametrization: one learning rate is the best for every width.

    Every size of the model but its vocabulary and context grows with the width. Attention is
    scaled by base_head_size^1/2 / head_size: 1 / head_size with the default, as published; the
    standard scale where heads keep the size that is given here.

    Initial logits fall as width^-1/2. For the first steps this hides that training moves them
    equally at every width; with `zero_readout` they start at zero instead (appendix D.2 there). Use
    it for coordinate checks, not for short runs: it cost 0.13 nats at width 64 after 400 steps of
    1024 bytes of source code.

    With `base_depth` the learning rate carries over depth too, by residual branches multiplied by
    (depth / base_depth)^-depth_exponent; without it depth is treated as in `Standard`.
    """

    kind: ClassVar[str] = "mup"
    base_width: Count
    base_head_size: Count = 1
    base_depth: Count | None = None
    depth_exponent: Annotated[float, Range(low=0.5, high=1)] = 1.0
    zero_readout: bool = False

    def rule(self, role: Role, fan_in: int, in_block: bool, width: int, depth: int) -> Rule:
        """The rule of a parameter in a model of this width and depth."""
        wider = width / self.base_width
        base_depth = self.base_depth or depth
        deeper = depth / base_depth
        in_depth = deeper ** (self.depth_exponent - 1) if in_block else 1.0
        sd, _, output = Standard().rule(role, fan_in, in_block, width, base_depth)
        match role:
            case "embedding":
                return Rule(sd)
            case "tied_embedding":
                return Rule(sd, output=output * wider**-0.5)
            case "gain" | "bias":
                return Rule(sd, in_depth)
            case "hidden":
                return Rule(sd, in_depth / wider)
            case "branch_out":
                return Rule(sd, in_depth / wider, deeper**-self.depth_exponent)
            case "readout":
                return Rule(0.0 if self.zero_readout else self.base_width**-0.5, output=1 / wider)

    def attention_scale(self, head_size: int) -> float:
        """Multiplier of the inner product of a query and a key."""
        return math.sqrt(self.base_head_size) / head_size


Parametrization = Standard | MuP


@runtime_checkable
class Parametrized(Protocol):
    """A model's configuration that names its parameters and scales them by a rule."""

    def parameters(self, n_inputs: int, n_outputs: int) -> Tree:
        """Every parameter by name."""
        ...

    def rule(self, parameter: Parameter) -> Rule:
        """Rule by which a parameter is drawn, multiplied and trained."""
        ...


def learning_rate_multipliers(
    config: Parametrized, n_inputs: int, n_outputs: int
) -> dict[str, Any]:
    """Multiplier of Adam's learning rate for each parameter.

    They hold for optimizers whose steps do not depend on the scale of gradients. Multiplied into
    Adam's direction before a decoupled weight decay is added, they leave the decay over a run the
    same at every width; multiplied into the sum, wider hidden layers decay less.

    Returns:
        Numbers in a tree like the model's parameters.
    """
    import jax

    parameters = dict(config.parameters(n_inputs, n_outputs))
    return jax.tree.map(lambda parameter: config.rule(parameter).learning_rate, parameters)
