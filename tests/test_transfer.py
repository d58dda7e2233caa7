"""benchmarks/transfer: what it writes for importers is the same network, it reads the data, and its report adds up."""

import json
from pathlib import Path

import numpy as np
import pytest

import nirjax
from benchmarks.transfer import graphs, parting, recordings, report
from benchmarks.transfer.destinations import CLOSED_FORM, HOME, NORSE, SINABS_AS_IT_IS, TASKS
from nirjax import dialects, ir
from nirjax.assets import DIGITS_DATA, DIGITS_GRAPH

FOLDER = Path(report.__file__).parent


def spikes(graph, dt, dialect="nir"):
    x = recordings.digits(DIGITS_DATA).valid.x[:8]
    return np.asarray(nirjax.from_nir(graph, dt=dt, dialect=dialect)(np.moveaxis(x, 1, 0))[0])


def test_a_nested_recurrent_layer_spikes_as_a_flat_one():
    graph = nirjax.read(DIGITS_GRAPH)
    other = graphs.nested(graph)
    assert [type(node).__name__ for node in other.nodes.values()].count("NIRGraph") == 1
    assert spikes(graph, 1e-4).any()
    np.testing.assert_array_equal(spikes(other, 1e-4), spikes(graph, 1e-4))


def test_a_graph_in_steps_runs_with_steps_of_one():
    graph = nirjax.read(DIGITS_GRAPH)
    np.testing.assert_array_equal(spikes(graphs.in_steps(graph, 1e-4), 1.0), spikes(graph, 1e-4))


def test_the_parts_of_the_data_share_no_sample_and_have_every_class():
    data = recordings.digits(DIGITS_DATA)
    parts = (data.train, data.valid, data.test)
    assert sum(len(part.y) for part in parts) == 1797
    assert all(set(part.y) == set(range(10)) for part in parts)
    with np.load(DIGITS_DATA) as file:
        labels = file["labels"][file["test_index"]]
    np.testing.assert_array_equal(data.test.y, labels)


def test_a_series_is_read_frame_by_frame(tmp_path):
    file = tmp_path / "series.ts"
    file.write_text("# words\n@problemName x\n@data\n1,2,3:-4,5,6.5:2\n7:8:1\n")
    (first, label), (second, other) = recordings.read_series(file)
    np.testing.assert_array_equal(first, [[1, -4], [2, 5], [3, 6.5]])
    np.testing.assert_array_equal(second, [[7, 8]])
    assert (label, other) == (1, 0)


def test_a_channel_is_on_where_a_coefficient_lies_above_its_level():
    x = recordings.above(np.array([[0.5, -1.0]]), np.array([[0.0, 0.0], [1.0, -2.0]]))
    assert x.shape == (recordings.VOWEL_STEPS, 4)
    np.testing.assert_array_equal(x[: recordings.STEPS_PER_FRAME], [[1, 0, 0, 1]] * recordings.STEPS_PER_FRAME)
    assert not x[recordings.STEPS_PER_FRAME :].any()


def row(destination, stage, accuracy, differ=0):
    return {
        "destination": destination.name,
        "stage": stage,
        "samples": 100,
        "accuracy": accuracy,
        "decisions_differ": differ,
        "counts_differ": 2 * differ,
    }


def test_what_is_won_back_is_measured_against_the_better_of_home_and_scratch():
    rows = [row(NORSE, "before", 0.5), row(NORSE, "tuned", 0.8, differ=1), row(NORSE, "scratch", 0.9)]
    assert report.transfer(rows, NORSE, home=0.7)[-2:] == ["75 %", "1 of 300 decisions, 2 counts"]
    assert report.transfer(rows, NORSE, home=1.0)[-2] == "60 %"
    small = [row(CLOSED_FORM, stage, 0.9) for stage in ("before", "tuned", "scratch")]
    assert report.transfer(small, CLOSED_FORM, home=0.92)[-2:] == ["", "nothing to run"]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_destination_has_a_dialect_that_takes_its_network(task):
    """The networks' forms: a chain of LIF, or CubaLIF with recurrent weights."""
    assert task.destinations[0] is HOME
    one = np.ones(2, np.float32)
    neuron = (
        ir.LIF(one, one, 0 * one, one) if task.network == "feedforward" else ir.CubaLIF(one, one, one, 0 * one, one)
    )
    square = ir.Affine(np.eye(2, dtype=np.float32), 0 * one)
    nodes = {"input": ir.Input((2,)), "0": square, "1.lif": neuron, "output": ir.Output((2,))}
    edges = [("input", "0"), ("0", "1.lif"), ("1.lif", "output")]
    if task.network == "recurrent":
        nodes["1.w_rec"] = square
        edges += [("1.lif", "1.w_rec"), ("1.w_rec", "1.lif")]
    graph = nirjax.NIRGraph(nodes, edges)
    for destination in task.destinations:
        model = nirjax.from_nir(destination.form(graph), dt=0.25, dialect=destination.dialect)
        assert model.dialect.name == dialects.naming.dialect_of(destination.dialect).name


def test_the_table_is_that_of_the_results():
    results = json.loads((FOLDER / "results.json").read_text())
    assert (FOLDER / "RESULTS.md").read_text() == report.as_markdown(results), (
        "python -m benchmarks.transfer.run --report"
    )
    assert {row["task"] for row in results["rows"]} == {task.name for task in TASKS}


def test_two_runs_part_where_one_has_subtracted_a_threshold_first(tmp_path):
    def full(value, size):
        return np.full(size, value, np.float32)

    random = np.random.default_rng(0)
    lif = ir.LIF(full(4e-4, 3), full(1, 3), full(0, 3), full(1, 3))
    nodes = {"input": ir.Input((2,)), "0": ir.Affine(random.random((3, 2)).astype(np.float32), full(0, 3)), "1": lif}
    graph = nirjax.NIRGraph(nodes | {"output": ir.Output((3,))}, [("input", "0"), ("0", "1"), ("1", "output")])
    nirjax.write(tmp_path / "graph.nir", graph)
    x = (random.random((4, 9, 2)) < 0.5).astype(np.uint8)
    part = recordings.Part(x, np.zeros(4, int))
    v, counts = parting.membranes(tmp_path / "graph.nir", SINABS_AS_IT_IS, part, np.float32)
    other, fewer = v["1"].copy(), counts.copy()
    other[6:, 2, 1] += 1  # there the other run has not fired
    fewer[2, 1] -= 1
    (found,) = parting.partings(tmp_path / "graph.nir", SINABS_AS_IT_IS, part, {"0": other, "counts": fewer})
    assert (found.sample, found.node, found.neuron, found.step, found.counts) == (2, "1", 1, 6, 1)
    assert found.until_then == 0
    assert found.nirjax == min(v["1"][6, 2, 1], v["1"][6, 2, 1] - 1, key=abs)
    np.testing.assert_allclose(found.exact, found.nirjax, atol=1e-6)
    rows = [row(SINABS_AS_IT_IS, "before", 0.5) | {"task": "vowels", "seed": 3, "partings": [vars(found)]}]
    assert "| vowels | 3 | Sinabs, file as it is | before | 2 | 1 | `1` | 1 | 6 | 0.0e+00 |" in "".join(
        report.differences(rows)
    )
    assert report.differences([row(NORSE, "before", 0.5)]) == []


def test_the_numbers_of_the_readme_are_those_of_the_table():
    def table_rows(text):
        lines = [[cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines() if "±" in line]
        return [(cells[0], {cell for cell in cells if "±" in cell}) for cells in lines if len(cells) > 2]

    of_the_task = (FOLDER / "RESULTS.md").read_text().split("## ")[1]
    measured = table_rows(of_the_task)
    shown = table_rows((FOLDER.parents[1] / "README.md").read_text())
    assert shown
    for name, numbers in shown:
        assert any(name == other and numbers <= found for other, found in measured), (name, numbers)
