"""What `nirjax.<name>` is, and what it is called."""

from __future__ import annotations

import ast
import inspect
import pkgutil
from pathlib import Path

import pytest

import nirjax
from nirjax.ir import nodes as ir

SOURCE = Path(nirjax.__file__)
NAMES = dir(nirjax)


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_there(name: str) -> None:
    assert getattr(nirjax, name) is getattr(nirjax, name)


def test_no_public_name_is_promised_twice() -> None:
    assert len(NAMES) == len(set(NAMES))


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="load"):
        nirjax.load  # noqa: B018


def test_type_checkers_see_the_same_names() -> None:
    """The lazy names are written a second time, as imports, for those who only read the file."""
    tree = ast.parse(SOURCE.read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.asname or alias.name for line in block.body for alias in getattr(line, "names", [])}
    assert seen == set(NAMES) - {"__version__"}


def test_no_public_function_has_the_name_of_a_module_beside_it() -> None:
    """`nirjax.finetune` must not depend on what was imported before."""
    modules = {module.name for module in pkgutil.iter_modules(nirjax.__path__)}
    assert not {name for name in NAMES if inspect.isroutine(getattr(nirjax, name))} & modules


def test_every_node_of_nir_has_its_name() -> None:
    words = "Input Output Affine Linear Scale Conv1d Conv2d SumPool2d AvgPool2d Flatten Delay Threshold I IF LI LIF"
    assert {*words.split(), "CubaLI", "CubaLIF"} == set(ir.NODE_TYPES)
    for name in [*ir.NODE_TYPES, "NIRGraph"]:
        assert getattr(nirjax.ir, name).__name__ == name


ARGUMENTS = {
    "read": "path * repair trusted max_bytes node_types",
    "write": "path graph * compression custom_nodes",
    "diff": "a b",
    "suggest_dt": "graph",
    "flatten": "graph",
    "merge_linear": "graph",
    "from_nir": "graph * dt dialect overrides surrogate feedback primitives schedule max_delay dtype product_dtype",
    "to_nir": "model * provenance",
    "Model.__call__": "self x state",
    "Model.step": "self x_t state",
    "Model.run": "self x state * record",
    "Model.init_state": "self batch_shape",
    "Model.fold": "self x f init state",
    "partition": "model patterns",
    "combine": "params rest",
    "lint": "graph * dt target",
    "quantize": "target * bits scale power_of_two parameters",
    "mismatch": "std parameters",
    "prune": "what parameters",
    "tie": "parameters share",
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_the_arguments_of_the_interface(name: str) -> None:
    found = nirjax
    for part in name.split("."):
        found = getattr(found, part)
    parameters = inspect.signature(found).parameters.values()
    words = [parameter.name for parameter in parameters if parameter.kind is not parameter.KEYWORD_ONLY]
    only = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    assert " ".join([*words, *(["*", *only] if only else [])]) == ARGUMENTS[name]


def test_a_model_has_the_attributes_of_the_interface() -> None:
    words = {"graph", "dt", "dialect", "feedback", "variables", "parameters", "replace"}
    assert words <= set(dir(nirjax.Model))
    assert {"params", "program", "grids"} == set(nirjax.Model.__dataclass_fields__)
    assert {"output", "state", "traces"} == set(nirjax.Run.__dataclass_fields__)


SURROGATES = ("fast_sigmoid", "atan", "sigmoid", "triangular", "boxcar", "gaussian", "straight_through", "custom")


def test_surrogates_and_dialects_are_functions_by_name() -> None:
    for name in SURROGATES:
        assert callable(getattr(nirjax.surrogate, name))
    for name in nirjax.dialects.names():
        assert isinstance(nirjax.dialects.dialect_of(name), nirjax.Dialect)
