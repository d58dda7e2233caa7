"""The same model as a `flax.nnx.Module`, to put between other layers and train with them.

Time comes first and channels come first, (time, *batch, *shape): unlike `nnx.RNN`, which is batch-major by default, and
`nnx.Conv`, which is channels-last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flax import nnx
from jax import Array
from jax.typing import ArrayLike

from nirjax.engine.model import Model, Params, Signal
from nirjax.engine.program import Program
from nirjax.engine.states import States
from nirjax.errors import ArgumentError
from nirjax.finetuning.partition import WEIGHTS_AND_BIASES, partition


class Frozen(nnx.Variable[Array]):
    """A parameter that is not trained: `nnx.Optimizer(net, tx, wrt=nnx.Param)` does not see it."""


class NIRModule(nnx.Module):
    """A model whose chosen parameters are `nnx.Param` and whose others are `Frozen`.

    Attributes:
        parameters: `parameters[node path][field]`, an `nnx.Param` or a `Frozen` each.
        program: the model's program, static.
    """

    def __init__(self, model: Model, trainable: Sequence[str] | str) -> None:
        chosen, _ = partition(model, trainable)
        self.parameters = nnx.Dict(
            {
                node: nnx.Dict(
                    {
                        field: nnx.Param(value) if field in chosen.get(node, {}) else Frozen(value)
                        for field, value in fields.items()
                    }
                )
                for node, fields in model.params.items()
            }
        )
        self.program: Program = model.program

    def __call__(self, x: ArrayLike | Mapping[str, ArrayLike], state: States | None = None) -> tuple[Signal, States]:
        """Run all time steps: (outputs, the state after the last), as `nirjax.Model`."""
        return from_nnx(self)(x, state)


def to_nnx(model: Model, *, trainable: Sequence[str] | str = WEIGHTS_AND_BIASES) -> NIRModule:
    """The model as an nnx Module.

    Args:
        trainable: patterns of the parameters that become `nnx.Param`; weights and biases by default.

    Raises:
        PatternError: a pattern that matches nothing.
    """
    return NIRModule(model, trainable)


def from_nnx(module: Any) -> Model:
    """The model of an nnx Module that `to_nnx` made, with the parameters as they stand.

    Raises:
        ArgumentError: another kind of module.
    """
    if not isinstance(module, NIRModule):
        raise ArgumentError("not a module that to_nnx made", field="module", found=type(module).__name__)
    params: Params = {
        node: {field: variable[...] for field, variable in fields.items()} for node, fields in module.parameters.items()
    }
    return Model(params, module.program)
