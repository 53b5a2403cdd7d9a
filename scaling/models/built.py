"""The check that the model of a family has the parameters that the family counts."""

from __future__ import annotations

import inspect
from typing import Any

from scaling.model import Model, parameters_of
from scaling.models.family import Family, TranslatingFamily, offers


def _size(params: Any) -> int:
    import jax

    return sum(leaf.size for leaf in jax.tree.leaves(parameters_of(params)))


def built(family: Family, n_inputs: int, n_outputs: int) -> Model:
    """Builds the model of a family for a shape, and checks its parameters and outputs.

    Without the check, sizes and losses of a wrong model would be silently wrong.

    Raises:
        ValueError: other numbers of parameters than the family counts, outputs of another shape,
            or an `apply` that does not take what the family says.
    """
    import jax

    model = family.build(n_inputs, n_outputs)
    params = jax.eval_shape(model.init, jax.random.key(0))
    counted = sum(family.count_params(n_inputs, n_outputs).values())
    if counted != (found := _size(params)):
        raise ValueError(
            f"model.kind = {family.kind!r} counts {counted:,} parameters for {n_inputs} inputs and "
            f"{n_outputs} outputs, and its model has {found:,}: correct count_params or build"
        )
    tokens, wanted = family.takes_tokens, (2, n_outputs)
    if tokens:
        wanted = (2, n_inputs, n_outputs)
    elif offers(family, TranslatingFamily):
        tokens, wanted = True, (2, n_inputs - family.source_length, n_outputs)
    inputs = jax.ShapeDtypeStruct((2, n_inputs), "int32" if tokens else "float32")
    calls: list[dict[str, Any]] = [{}]
    if family.takes_tokens and family.takes_segments:
        calls.append({"segments": inputs})
    if family.takes_tokens and family.visibilities != ("causal",):
        calls.append({"visible": jax.ShapeDtypeStruct((2,), "int32")})
    if family.takes_tokens and family.takes_dropout:
        calls.append({"dropout_key": jax.random.key(0)})
    for more in calls:
        try:
            inspect.signature(model.apply).bind(params, inputs, **more)
        except TypeError as error:
            raise ValueError(
                f"model.kind = {family.kind!r} cannot be applied to "
                f"{' and '.join(['params', 'inputs', *more])}: {error}: correct build, "
                "or takes_segments, visibilities and takes_dropout"
            ) from None
        if (shape := jax.eval_shape(model.apply, params, inputs, **more).shape) != wanted:
            raise ValueError(
                f"model.kind = {family.kind!r} maps {inputs.shape} to {shape}, not {wanted}: "
                "correct build"
            )
    return model
