"""`print(model)`."""

import numpy as np
import pytest

import nirjax
from engine.graphs import affine, cubalif, graph, linear, ports
from nirjax.ir import nodes as ir


@pytest.fixture
def lines() -> list[str]:
    nodes = {**ports(), "fc": affine(4, 3), "lif": cubalif(4), "rec": linear(4, 4), "out": ir.Output((4,))}
    nodes["delay"] = ir.Delay(np.float32([0.5, 1, 2, 3]))
    made = graph(nodes, "in fc delay lif out", "lif rec lif")
    return repr(nirjax.from_nir(made, dt=0.5, dtype="float32", product_dtype="bfloat16")).splitlines()


def test_the_choices_head_the_table(lines: list[str]) -> None:
    assert lines[0] == "nirjax.Model(dt=0.5, dialect=nir(), dtype=float32, product_dtype=bfloat16)"


def test_a_row_for_each_node_in_the_order_of_execution(lines: list[str]) -> None:
    rows = [line.split()[0] for line in lines[3:-1]]
    assert rows == ["in", "fc", "delay", "lif", "rec", "out"]


def test_a_row_tells_type_shapes_parameters_and_variables(lines: list[str]) -> None:
    (row,) = [line for line in lines if line.startswith("fc")]
    assert row.split("  ")[-1].strip() == "weight (4, 3), bias (4,)"
    assert "Affine" in row
    assert "(3,)" in row
    (row,) = [line for line in lines if line.startswith("lif")]
    assert row.startswith("lif (loop)")
    assert row.endswith("v, i, spikes")


def test_feedback_and_its_absence_are_said(lines: list[str]) -> None:
    assert lines[-1] == "delayed by one step: rec -> lif"
    assert repr(nirjax.from_nir(graph(ports(), "in out"), dt=1)).endswith("none")
