"""What a family of models offers: a frozen dataclass that builds its models and counts them.

Families of this package and a user's own (docs/own_model.md) offer the same things. Methods with a
plain default have it here; a class whose base is `Family` gets them.
"""

from __future__ import annotations

import functools
from dataclasses import Field
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Literal,
    Protocol,
    Self,
    TypeGuard,
    TypeVar,
    runtime_checkable,
)

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    from jax import Array

    from scaling.devices.mesh import Axis
    from scaling.model import Model, Params
    from scaling.models.parametrization import Tree

Visibility = Literal["causal", "prefix", "full"]
"""What positions of a sequence see: those before; also a prefix its own; or all of them all."""

NEEDED = ("kind", "build", "count_params", "flops_forward")
"""What a class must define itself, even if its base is `Family`."""

UNMULTIPLIED = ("embedding", "norm")
"""Groups of parameters that are looked up, or multiply and shift elements one by one."""


class Family(Protocol):
    """The configuration of a model: its fields describe all but the shape of the data.

    Attributes:
        kind: Name of the family in configurations, tables and overrides.
        takes_tokens: Whether its models map tokens, (batch, context), to logits of the token after
            each, (batch, context, vocabulary), none of which may depend on a later token.
            `n_inputs` is then the context and `n_outputs` the vocabulary. Other models map (batch,
            n_inputs) to (batch, n_outputs).
        takes_segments: Whether its models of tokens can keep within documents: `apply` takes
            `segments`, as `scaling.model.Model` says.
        visibilities: What positions of its models of tokens may see. Where that is more than
            ("causal",), `apply` takes `visible`, as `scaling.model.Model` says.
    """

    kind: ClassVar[str]
    takes_tokens: ClassVar[bool] = False
    takes_segments: ClassVar[bool] = False
    visibilities: ClassVar[tuple[Visibility, ...]] = ("causal",)
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def check(self, n_inputs: int) -> None:
        """Refuses inputs that the family cannot take; here, none."""
        return

    def resolve(self) -> Self:
        """The configuration with every open field filled in; here, none is open."""
        return self

    def build(self, n_inputs: int, n_outputs: int) -> Model:
        """Builds the model for a shape."""
        ...

    def count_params(self, n_inputs: int, n_outputs: int) -> dict[str, int]:
        """Parameters by group.

        For families that take tokens, three names have a meaning: "embedding" is looked up by token
        or position, "readout" makes the logits, "norm" multiplies or shifts elements.
        """
        ...

    def count_trainable(self, n_inputs: int, n_outputs: int) -> int:
        """Parameters that training changes: all."""
        return sum(self.count_params(n_inputs, n_outputs).values())

    def count_matmul(self, n_inputs: int, n_outputs: int) -> int:
        """Parameters in products with activations: all groups but "embedding" and "norm"."""
        groups = self.count_params(n_inputs, n_outputs)
        return sum(count for group, count in groups.items() if group not in UNMULTIPLIED)

    def flops_forward(self, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of the matrix products of one forward pass, an example (a sequence of tokens)."""
        ...

    def flops_backward(self, n_inputs: int, n_outputs: int) -> int:
        """FLOPs of one backward pass, an example: the gradients of both factors of each product.

        Work that is repeated to save memory is a cost of the machine and is not counted.
        """
        return 2 * self.flops_forward(n_inputs, n_outputs)

    @property
    def takes_dropout(self) -> bool:
        """Whether training uses dropout, so that `apply` takes `dropout_key`.

        See `scaling.model.Model`.
        """
        return False


@runtime_checkable
class LinearFamily(Family, Protocol):
    """A family that is linear in what is trained: a read-out of the outputs of a fixed map."""

    @property
    def n_features(self) -> int:
        """Features read out."""
        ...

    def feature_map(self, n_inputs: int) -> Model:
        """The map, (batch, n_inputs) -> (batch, n_features)."""
        ...


@runtime_checkable
class NestedFamily(LinearFamily, Protocol):
    """A family whose smaller maps may be the beginning of its larger ones, but for a factor."""

    @property
    def feature_scale(self) -> float:
        """Factor that all features have in common, which may depend on their number."""
        ...


@runtime_checkable
class TranslatingFamily(Family, Protocol):
    """A family of encoders and decoders, which predict a target from a source.

    Its models map (batch, n_inputs) tokens to logits (batch, n_inputs - source_length, n_outputs).
    The first `source_length` tokens are the source, which every logit may depend on. The others
    precede those that are predicted, and no logit may depend on one that comes after.
    """

    @property
    def source_length(self) -> int:
        """Tokens of the source."""
        ...


@runtime_checkable
class RoutedFamily(Family, Protocol):
    """A family of tokens that go to different parts of its models, where they compete for places.

    Its models offer `penalised` (`scaling.model.Model`).
    """

    def check_share(self, n_tokens: int) -> None:
        """Refuses shares of a batch that have too few tokens for the parts of a model.

        Args:
            n_tokens: Tokens that are routed together: those of a microbatch.
        """
        ...


@runtime_checkable
class SharedFamily(Family, Protocol):
    """A family of tokens whose models the devices of a mesh can share.

    It says what the axes of its parameters count (`scaling.models.parametrization.Along`), and its
    models offer `spread` (`scaling.model.Model`).
    """

    def parameters(self, n_inputs: int, n_outputs: int) -> Tree:
        """Every parameter by name."""
        ...

    def divided_by(self, axis: Axis) -> dict[str, int] | None:
        """What an axis of a mesh divides in a model, each with its number.

        None where the family knows nothing of the axis.
        """
        ...


@runtime_checkable
class KernelFamily(Family, Protocol):
    """A family given by a kernel, with a coefficient for each training example."""

    def gram(
        self, left: Float[np.ndarray, "_ dimension"], right: Float[np.ndarray, "_ dimension"]
    ) -> Float[np.ndarray, "_ _"]:
        """The kernel between two sets of inputs, (m, dimension) and (n, dimension): (m, n)."""
        ...


@runtime_checkable
class ObservedFamily(Family, Protocol):
    """A family that takes tokens and offers the output of each part of its models."""

    def activations(
        self, params: Params, tokens: Array, *, segments: Array | None = None
    ) -> dict[str, Array]:
        """Output of every part, by name, each (batch, context, features).

        `segments` is for families that take them, as in `scaling.model.Model`.
        """
        ...


@runtime_checkable
class SizedFamily(Family, Protocol):
    """A family whose size follows its width."""

    @property
    def width(self) -> int:
        """Width of the hidden layers."""
        ...


Offered = TypeVar("Offered")

_OFFERS: dict[tuple[type, type], bool] = {}


def offers(model: Any, more: type[Offered]) -> TypeGuard[Offered]:
    """Whether a family offers what one of the protocols above asks beyond `Family`.

    The answer is that of `isinstance`, which takes 20 microseconds each time on Python 3.11, and is
    remembered for the class: sweeps ask it of every run.
    """
    key = (type(model), more)
    if key not in _OFFERS:
        _OFFERS[key] = isinstance(model, more)
    return _OFFERS[key]


def check_offers(family: Family) -> None:
    """Refuses a configuration whose class lacks something that a family must offer.

    Raises:
        ValueError: something is missing, or a field has a reserved name.
    """
    _check_class(type(family))


@functools.cache
def _check_class(cls: type) -> None:
    """Refuses a class, each time; one that is complete is looked at once."""
    asked = dict.fromkeys((*Family.__annotations__, *vars(Family)))
    if missing := [name for name in asked if name[0] != "_" and _lacks(cls, name)]:
        raise ValueError(
            f"{cls.__name__} lacks {', '.join(missing)}: define what scaling.models.family.Family "
            f"lists; a class with that base needs only {', '.join(NEEDED)}"
        )
    if "fingerprint" in cls.__dataclass_fields__:
        raise ValueError(
            f"{cls.__name__} has a field 'fingerprint', which is the name of the hash of its code: "
            "rename the field"
        )


def _lacks(cls: type, name: str) -> bool:
    found = getattr(cls, name, None)
    return found is None or (name in NEEDED and found is getattr(Family, name, None))
