"""The order of the rooms: each imports only from those below it, and what has no JAX in it stays so."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "nirjax"
ROOMS = (
    *("assets", "errors", "ir", "surrogate", "dialects", "primitives", "kernels", "engine"),
    *("nonfinite", "exporting", "data", "finetuning", "evaluation", "comparison", "metrics", "plot", "nnx", "cli"),
)
FILES = sorted(PACKAGE.rglob("*.py"))
WITHOUT_JAX = ("errors", "ir")


def name_of(file: Path) -> str:
    """`nirjax.ir.graph` for nirjax/ir/graph.py, `nirjax.ir` for nirjax/ir/__init__.py."""
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """(line, module) of every import of a file: those inside functions, and those for type checking alone, count."""
    package = name_of(file).split(".") if file.name == "__init__.py" else name_of(file).split(".")[:-1]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = PACKAGE.parent.joinpath(*module.split("."), alias.name)
                is_module = inner.is_dir() or inner.with_suffix(".py").is_file()
                yield node.lineno, f"{module}.{alias.name}" if is_module else module


def room_of(module: str) -> str | None:
    """The room of a module of nirjax; None for nirjax itself, and for what is not nirjax."""
    parts = module.split(".")
    return parts[1] if parts[0] == "nirjax" and len(parts) > 1 else None


def test_every_file_is_in_a_room() -> None:
    assert {room_of(name_of(file)) for file in FILES} <= {*ROOMS, None, "__main__"}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_from_those_below(room: str) -> None:
    allowed = set(ROOMS[: ROOMS.index(room) + 1])
    wrong = [
        f"{file.relative_to(PACKAGE.parent)}:{line} imports {module}"
        for file in FILES
        if room_of(name_of(file)) == room
        for line, module in imports(file)
        if room_of(module) is not None and room_of(module) not in allowed
    ]
    assert wrong == []


def test_the_graph_as_data_knows_no_jax() -> None:
    heavy = ("jax", "flax", "optax", "orbax")
    wrong = [
        f"{file.relative_to(PACKAGE.parent)}:{line} imports {module}"
        for file in FILES
        if room_of(name_of(file)) in WITHOUT_JAX
        for line, module in imports(file)
        if module.split(".")[0] in heavy
    ]
    assert wrong == []


def test_the_core_knows_no_flax() -> None:
    wrong = [
        f"{file.relative_to(PACKAGE.parent)}:{line} imports {module}"
        for file in FILES
        if room_of(name_of(file)) in ROOMS[: ROOMS.index("engine") + 1]
        for line, module in imports(file)
        if module.split(".")[0] in ("flax", "optax", "orbax")
    ]
    assert wrong == []


BATTERY = Path(__file__).parent / "data" / "battery" / "p_lif.nir"


@pytest.mark.parametrize(
    "words",
    [
        "nirjax",
        "nirjax.read",
        "nirjax.errors, nirjax.ir, nirjax.NIRGraph, nirjax.suggest_dt, nirjax.diff, nirjax.write, nirjax.flatten",
        "nirjax.merge_linear",
        f"nirjax.read({str(BATTERY)!r}, trusted=True)",
    ],
    ids=["import", "read", "ir", "merging", "reading"],
)
def test_what_needs_no_jax_imports_none(words: str) -> None:
    code = f"import sys, nirjax; {words}; print(*{{'jax', 'flax', 'optax'}} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "\n"


def test_no_file_is_named_after_nothing() -> None:
    assert not [file.name for file in FILES if file.stem in ("utils", "util", "helpers", "common", "misc")]


def test_the_engine_and_the_primitives_can_be_read_in_half_an_hour() -> None:
    files = [file for file in FILES if room_of(name_of(file)) in ("engine", "primitives")]
    assert sum(len(file.read_text().splitlines()) for file in files) < 2500
