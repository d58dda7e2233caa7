"""nirjax: any NIR graph as one pure, jitted, differentiable JAX function.

    graph = nirjax.read("model.nir")
    model = nirjax.from_nir(graph, dt=1e-4)
    spikes, state = model(x)                      # x: (time, *batch, *shape)

Importing nirjax imports neither jax nor flax: names are looked up when they are first used, so that reading,
inspecting and checking files is instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_NAMES = {
    "NIRGraph": "nirjax.ir.graph",
    "read": "nirjax.ir.hdf5",
    "write": "nirjax.ir.hdf5",
    "diff": "nirjax.ir.diff",
    "flatten": "nirjax.ir.flatten",
    "suggest_dt": "nirjax.ir.timestep",
    "from_nir": "nirjax.engine.model",
    "Model": "nirjax.engine.model",
    "Run": "nirjax.engine.model",
    "to_nir": "nirjax.engine.exporting",
    "Schedule": "nirjax.engine.schedule",
    "Primitive": "nirjax.primitives.base",
    "Dialect": "nirjax.dialects",
    "Discretisation": "nirjax.dialects",
    "partition": "nirjax.finetuning.partition",
    "combine": "nirjax.finetuning.partition",
    "finetune": "nirjax.finetuning.loop",
    "FinetuneResult": "nirjax.finetuning.loop",
    "evaluate": "nirjax.evaluation",
    "Evaluation": "nirjax.evaluation",
}
_MODULES = {
    "ir": "nirjax.ir",
    "errors": "nirjax.errors",
    "surrogate": "nirjax.surrogate",
    "dialects": "nirjax.dialects",
    "data": "nirjax.data",
    "losses": "nirjax.finetuning.losses",
    "metrics": "nirjax.metrics",
}
_ERRORS = (
    "NIRError FileError GraphError ShapeError ParameterError AlgebraicLoopError UnknownNodeError UnsupportedByTarget "
    "PatternError DataError TrainingError CheckpointError ArgumentError MissingExtraError NIRWarning RepairWarning"
).split()

__all__ = [*_NAMES, *_MODULES, *_ERRORS, "__version__"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name in _NAMES:
        value = getattr(importlib.import_module(_NAMES[name]), name)
    elif name in _ERRORS:
        value = getattr(importlib.import_module("nirjax.errors"), name)
    else:
        raise AttributeError(f"module 'nirjax' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


if TYPE_CHECKING:
    from nirjax import data, dialects, errors, ir, metrics, surrogate
    from nirjax.dialects import Dialect, Discretisation
    from nirjax.engine.exporting import to_nir
    from nirjax.engine.model import Model, Run, from_nir
    from nirjax.engine.schedule import Schedule
    from nirjax.errors import *  # noqa: F403
    from nirjax.evaluation import Evaluation, evaluate
    from nirjax.finetuning import losses
    from nirjax.finetuning.loop import FinetuneResult, finetune
    from nirjax.finetuning.partition import combine, partition
    from nirjax.ir.diff import diff
    from nirjax.ir.flatten import flatten
    from nirjax.ir.graph import NIRGraph
    from nirjax.ir.hdf5 import read, write
    from nirjax.ir.timestep import suggest_dt
    from nirjax.primitives.base import Primitive
