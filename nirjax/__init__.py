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
    "lint": "nirjax.ir.lint",
    "Finding": "nirjax.ir.lint",
    "flatten": "nirjax.ir.flatten",
    "merge_linear": "nirjax.ir.merging",
    "suggest_dt": "nirjax.ir.timestep",
    "from_nir": "nirjax.engine.model",
    "Model": "nirjax.engine.model",
    "Run": "nirjax.engine.model",
    "to_nir": "nirjax.exporting",
    "Schedule": "nirjax.engine.schedule",
    "first_nonfinite": "nirjax.nonfinite",
    "compare": "nirjax.comparison",
    "Comparison": "nirjax.comparison",
    "Primitive": "nirjax.primitives.base",
    "Dialect": "nirjax.dialects",
    "Discretisation": "nirjax.dialects",
    "partition": "nirjax.finetuning.partition",
    "combine": "nirjax.finetuning.partition",
    "finetune": "nirjax.finetuning.loop",
    "FinetuneResult": "nirjax.finetuning.loop",
    "quantize": "nirjax.finetuning.quantization",
    "mismatch": "nirjax.finetuning.transforms",
    "prune": "nirjax.finetuning.transforms",
    "tie": "nirjax.finetuning.transforms",
    "Target": "nirjax.finetuning.targets",
    "evaluate": "nirjax.evaluation",
    "to_nnx": "nirjax.nnx",
    "from_nnx": "nirjax.nnx",
    "Evaluation": "nirjax.evaluation",
}
_MODULES = {
    "ir": "nirjax.ir",
    "errors": "nirjax.errors",
    "surrogate": "nirjax.surrogate",
    "dialects": "nirjax.dialects",
    "data": "nirjax.data",
    "losses": "nirjax.finetuning.losses",
    "targets": "nirjax.finetuning.targets",
    "metrics": "nirjax.metrics",
    "plot": "nirjax.plot",
}
_ERRORS = (
    *("NIRError", "FileError", "GraphError", "ShapeError", "ParameterError", "AlgebraicLoopError", "UnknownNodeError"),
    *("UnsupportedByTarget", "PatternError", "DataError", "TrainingError", "CheckpointError", "ArgumentError"),
    *("DistributedError", "MissingExtraError", "NIRWarning", "RepairWarning"),
)


def __dir__() -> list[str]:
    return sorted([*_NAMES, *_MODULES, *_ERRORS, "__version__"])


if TYPE_CHECKING:
    from nirjax import data as data
    from nirjax import dialects as dialects
    from nirjax import errors as errors
    from nirjax import ir as ir
    from nirjax import metrics as metrics
    from nirjax import plot as plot
    from nirjax import surrogate as surrogate
    from nirjax.comparison import Comparison as Comparison
    from nirjax.comparison import compare as compare
    from nirjax.dialects import Dialect as Dialect
    from nirjax.dialects import Discretisation as Discretisation
    from nirjax.engine.model import Model as Model
    from nirjax.engine.model import Run as Run
    from nirjax.engine.model import from_nir as from_nir
    from nirjax.engine.schedule import Schedule as Schedule
    from nirjax.errors import AlgebraicLoopError as AlgebraicLoopError
    from nirjax.errors import ArgumentError as ArgumentError
    from nirjax.errors import CheckpointError as CheckpointError
    from nirjax.errors import DataError as DataError
    from nirjax.errors import DistributedError as DistributedError
    from nirjax.errors import FileError as FileError
    from nirjax.errors import GraphError as GraphError
    from nirjax.errors import MissingExtraError as MissingExtraError
    from nirjax.errors import NIRError as NIRError
    from nirjax.errors import NIRWarning as NIRWarning
    from nirjax.errors import ParameterError as ParameterError
    from nirjax.errors import PatternError as PatternError
    from nirjax.errors import RepairWarning as RepairWarning
    from nirjax.errors import ShapeError as ShapeError
    from nirjax.errors import TrainingError as TrainingError
    from nirjax.errors import UnknownNodeError as UnknownNodeError
    from nirjax.errors import UnsupportedByTarget as UnsupportedByTarget
    from nirjax.evaluation import Evaluation as Evaluation
    from nirjax.evaluation import evaluate as evaluate
    from nirjax.exporting import to_nir as to_nir
    from nirjax.finetuning import losses as losses
    from nirjax.finetuning import targets as targets
    from nirjax.finetuning.loop import FinetuneResult as FinetuneResult
    from nirjax.finetuning.loop import finetune as finetune
    from nirjax.finetuning.partition import combine as combine
    from nirjax.finetuning.partition import partition as partition
    from nirjax.finetuning.quantization import quantize as quantize
    from nirjax.finetuning.targets import Target as Target
    from nirjax.finetuning.transforms import mismatch as mismatch
    from nirjax.finetuning.transforms import prune as prune
    from nirjax.finetuning.transforms import tie as tie
    from nirjax.ir.diff import diff as diff
    from nirjax.ir.flatten import flatten as flatten
    from nirjax.ir.graph import NIRGraph as NIRGraph
    from nirjax.ir.hdf5 import read as read
    from nirjax.ir.hdf5 import write as write
    from nirjax.ir.lint import Finding as Finding
    from nirjax.ir.lint import lint as lint
    from nirjax.ir.merging import merge_linear as merge_linear
    from nirjax.ir.timestep import suggest_dt as suggest_dt
    from nirjax.nnx import from_nnx as from_nnx
    from nirjax.nnx import to_nnx as to_nnx
    from nirjax.nonfinite import first_nonfinite as first_nonfinite
    from nirjax.primitives.base import Primitive as Primitive

else:  # type checkers see the names above, and no others

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
