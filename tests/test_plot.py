"""Pictures: what is drawn where, not how pretty it is."""

from __future__ import annotations

import sys
import time
from itertools import pairwise

import matplotlib
import numpy as np
import pytest

import nirjax
from nirjax import plot
from nirjax.ir import nodes
from nirjax.plot.canvas import COLOURS
from nirjax.plot.layers import layout

matplotlib.use("Agg")

import matplotlib.pyplot as plt


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture
def ax():
    return plt.subplots()[1]


def rendered(ax) -> None:
    ax.get_figure().canvas.draw()


def lif(size: int = 4, tau: float = 0.01) -> nodes.LIF:
    fields = {"tau": tau, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0}
    return nodes.LIF(**{name: np.full(size, value, np.float32) for name, value in fields.items()})


def linear() -> nodes.Linear:
    return nodes.Linear(np.eye(4, dtype=np.float32))


@pytest.fixture
def recurrent() -> nirjax.NIRGraph:
    parts = {"in": nodes.Input((4,)), "lif": lif(), "w_rec": linear(), "skip": linear(), "out": nodes.Output((4,))}
    edges = (("in", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "out"), ("in", "skip"), ("skip", "out"))
    return nirjax.NIRGraph(parts, edges)


# ---------------------------------------------------------------------------------------------------------- rasters


def test_raster_marks_every_spike_where_it_is(ax):
    spikes = np.zeros((10, 3))
    spikes[2, 0] = spikes[7, 2] = spikes[7, 1] = 1
    assert plot.raster(spikes, ax=ax) is ax
    segments = ax.collections[0].get_segments()
    assert sorted((float(s[0][0]), round(float(s[:, 1].mean()))) for s in segments) == [(2, 0), (7, 1), (7, 2)]
    assert ax.get_xlabel() == "time step"
    bottom, top = ax.get_ylim()
    assert bottom > top, "the first neuron is at the top"
    rendered(ax)


@pytest.mark.parametrize(
    ("steps", "dt", "unit", "label", "last"),
    [(50, 1e-3, "s", "time (ms)", 49.0), (5000, 1e-3, "s", "time (s)", 4.999), (50, 2.0, "ms", "time (ms)", 98.0)],
)
def test_raster_with_dt_has_time_on_its_axis(ax, steps, dt, unit, label, last):
    spikes = np.zeros((steps, 2))
    spikes[-1, 1] = 1
    plot.raster(spikes, ax=ax, dt=dt, unit=unit)
    assert ax.get_xlabel() == label
    assert float(ax.collections[0].get_segments()[0][0][0]) == pytest.approx(last)


def test_raster_of_many_spikes_is_an_image_and_quick(ax):
    spikes = np.zeros((10_000, 2_000), bool)
    spikes[5_000:, 1_000:] = np.random.default_rng(0).random((5_000, 1_000)) < 0.05
    start = time.monotonic()
    plot.raster(spikes, ax=ax)
    rendered(ax)
    assert time.monotonic() - start < 10
    image = np.asarray(ax.images[0].get_array())
    assert image.shape == (1000, 2000)
    assert not image[:500].any()
    assert not image[:, :1000].any()
    assert image[500:, 1000:].mean() == pytest.approx(0.05, rel=0.05)


@pytest.mark.parametrize("spikes", [np.zeros((5, 2)), np.ones(7), np.ones((1, 1)), np.ones((4, 2, 3, 3), np.uint8)])
def test_raster_takes_silence_one_neuron_one_step_and_planes(ax, spikes):
    plot.raster(spikes, ax=ax)
    rendered(ax)


@pytest.mark.parametrize("spikes", [np.zeros((0, 3)), 3.0, np.array(["a"]), np.zeros((3, 0))])
def test_raster_refuses_what_is_no_recording(spikes):
    with pytest.raises(nirjax.errors.ArgumentError, match="not a recording"):
        plot.raster(spikes)


# ----------------------------------------------------------------------------------------------------------- traces


def test_traces_show_membrane_threshold_and_spikes(ax):
    v = np.linspace(0, 1, 20)[:, None] * [1.0, 0.5]
    spikes = v >= 1
    assert plot.traces(v, spikes=spikes, threshold=[1.0, 2.0], neurons=[0], ax=ax, name="u") is ax
    lines = {tuple(np.round(line.get_ydata(), 6)) for line in ax.lines}
    assert (1.0, 1.0) in lines
    assert tuple(np.round(v[:, 0], 6)) in lines
    assert [float(s[0][0]) for s in ax.collections[0].get_segments()] == [19]
    assert ax.get_ylabel() == "u"
    rendered(ax)


def test_traces_of_several_neurons_do_not_overlap(ax):
    v = np.random.default_rng(0).random((30, 5))
    plot.traces(v, ax=ax, neurons=[4, 1, 2])
    spans = [(line.get_ydata().min(), line.get_ydata().max()) for line in ax.lines if len(line.get_ydata()) == 30]
    assert len(spans) == 3
    assert all(low > high for (low, _), (_, high) in pairwise(spans))
    assert [text.get_text() for text in ax.get_yticklabels()] == ["neuron 4", "neuron 1", "neuron 2"]
    rendered(ax)


def test_traces_refuse_what_does_not_fit():
    with pytest.raises(nirjax.errors.ArgumentError, match="no such neuron"):
        plot.traces(np.zeros((5, 2)), neurons=[2])
    with pytest.raises(nirjax.errors.ArgumentError, match="spikes"):
        plot.traces(np.zeros((5, 2)), spikes=np.zeros((5, 3)))
    with pytest.raises(nirjax.errors.ArgumentError, match="threshold"):
        plot.traces(np.zeros((5, 2)), threshold=np.zeros(3))


def test_traces_of_a_flat_membrane(ax):
    plot.traces(np.zeros((5, 2)), ax=ax)
    rendered(ax)


# --------------------------------------------------------------------------------------------------------- activity


def test_activity_is_the_share_of_neurons_that_spike(ax):
    spikes = np.zeros((4, 10))
    spikes[1, :5] = 1
    assert plot.activity({"lif.spikes": spikes, "other": np.ones((4, 2, 3))}, ax=ax) is ax
    first, second = ax.lines
    np.testing.assert_allclose(first.get_ydata(), [0, 50, 0, 0])
    np.testing.assert_allclose(second.get_ydata(), 100)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["lif  (mean 12.5 %)", "other  (mean 100.0 %)"]
    rendered(ax)


def test_a_comparison_of_spikes_marks_what_only_one_has(ax):
    a, b = np.zeros((20, 3)), np.zeros((20, 3))
    a[[4, 9], 1] = b[[4, 11], 1] = 1
    plot.comparison(a, b, ax=ax, names=("home", "here"))
    both, only_a, only_b, first = (collection for collection in [*ax.collections, *ax.lines])
    assert [segment[0][0] for segment in both.get_segments()] == [4]
    assert [segment[0][0] for segment in only_a.get_segments()] == [9]
    assert [segment[0][0] for segment in only_b.get_segments()] == [11]
    assert first.get_xdata()[0] == 9
    assert "step 9,\nneuron 1" in ax.get_legend().get_title().get_text()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["both", "home only", "here only"]


def test_a_comparison_of_membranes_shows_the_neuron_that_parts_first(ax):
    a = np.linspace(0, 1, 40).reshape(10, 4)
    b = a.copy()
    b[6:, 2] += 0.25
    plot.comparison(a, b, ax=ax, dt=0.5)
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), b[:, 2])
    assert ax.lines[2].get_xdata()[0] == 3.0
    assert ax.get_ylabel() == "neuron 2"
    assert "10 % of" in ax.get_legend().get_title().get_text()
    same = plot.comparison(a, a)
    assert "100 % of" in plot.comparison(a, a + 1).get_legend().get_title().get_text()
    assert same.get_legend().get_title().get_text() == "nothing differs"
    assert len(same.lines) == 2


def test_a_comparison_of_two_shapes():
    with pytest.raises(nirjax.ArgumentError, match="one shape"):
        plot.comparison(np.zeros((5, 2)), np.zeros((4, 2)))


def test_activity_of_nothing():
    with pytest.raises(nirjax.errors.ArgumentError, match="no layers"):
        plot.activity({})


# ------------------------------------------------------------------------------------------------------------ graph


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_graph_shows_names_types_shapes_and_delayed_edges(recurrent):
    ax = plot.graph(recurrent, title="a graph")
    assert {"in", "lif", "w_rec", "skip", "out", "LIF  4", "Linear  4"} <= set(texts(ax))
    assert texts(ax).count("-1 step") == 1
    assert "on a cycle: runs step by step" in texts(ax)
    assert ax.get_title(loc="left") == "a graph"
    rendered(ax)


def test_graph_without_cycles_says_nothing_of_them():
    ax = plot.graph(nirjax.NIRGraph.from_list(lif(), linear()))
    assert "-1 step" not in texts(ax)
    assert not any("cycle" in text for text in texts(ax))


def test_graph_with_parameters(recurrent):
    ax = plot.graph(recurrent, parameters=True)
    assert "tau 0.01" in texts(ax)
    assert "weight 0 to 1" in texts(ax)


def test_graph_of_a_model_draws_its_own_registers():
    parts = {
        "in": nodes.Input((4,)),
        "lif": lif(),
        "wait": nodes.Delay(np.full(4, 0.002, np.float32)),
        "out": nodes.Output((4,)),
    }
    graph = nirjax.NIRGraph(parts, (("in", "lif"), ("lif", "wait"), ("wait", "lif"), ("lif", "out")))
    assert texts(plot.graph(graph)).count("-1 step") == 1
    assert texts(plot.graph(nirjax.from_nir(graph, dt=1e-3))).count("-1 step") == 0
    assert texts(plot.graph(graph, feedback=[("lif", "wait")])).count("-1 step") == 1


def test_graph_takes_subgraphs_self_loops_and_odd_names():
    inner = nirjax.NIRGraph.from_list(lif())
    parts = {"in": nodes.Input((4,)), "sub": inner, "$x$\n": lif(), "out": nodes.Output((4,))}
    edges = (("in", "sub"), ("sub", "$x$\n"), ("$x$\n", "$x$\n"), ("$x$\n", "out"))
    ax = plot.graph(nirjax.NIRGraph(parts, edges))
    assert {"sub.lif", "$x$\\n"} <= set(texts(ax))
    rendered(ax)


def test_graph_in_given_axes_stays_in_them(ax, recurrent):
    left, bottom, right, top = ax.get_position().extents
    assert plot.graph(recurrent, ax=ax) is ax
    rendered(ax)
    inner = ax.get_position().extents
    assert left <= inner[0] < inner[2] <= right
    assert bottom <= inner[1] < inner[3] <= top


def chain_and_skips(count: int) -> tuple[list[str], list[tuple[str, str]]]:
    names = [str(place) for place in range(count)]
    edges = list(pairwise(names))
    return names, [*edges, ("0", names[-1]), (names[-2], "1"), ("2", "2")]


def test_layout_puts_every_edge_downwards_but_those_of_cycles():
    names, edges = chain_and_skips(8)
    drawn = layout(names, edges, ["0"], dict.fromkeys(names, 1.0))
    assert drawn.backward == {("6", "1")}
    assert drawn.loops == {("2", "2")}
    for edge, route in drawn.routes.items():
        layers = [layer for _, layer in route]
        assert layers == sorted(layers, reverse=edge in drawn.backward)
        assert route[0] == drawn.places[edge[0]]
        assert route[-1] == drawn.places[edge[1]]


def test_layout_keeps_boxes_apart():
    rng = np.random.default_rng(0)
    names = [str(place) for place in range(40)]
    pairs = {(int(a), int(b)) for a, b in rng.integers(0, 40, (70, 2)) if a != b}
    edges = [(str(a), str(b)) for a, b in sorted(pairs)]
    widths = {name: float(width) for name, width in zip(names, rng.uniform(0.5, 3, 40), strict=True)}
    drawn = layout(names, edges, ["0"], widths)
    for layer in range(drawn.layers):
        row = sorted((x, widths[name]) for name, (x, at) in drawn.places.items() if at == layer)
        for (x, width), (other, other_width) in pairwise(row):
            assert other - x >= (width + other_width) / 2 - 1e-9
    assert all(x - widths[name] / 2 >= -1e-9 for name, (x, _) in drawn.places.items())


# --------------------------------------------------------------------------------------------------------- training


@pytest.fixture
def history() -> dict[str, np.ndarray]:
    return {
        "loss": np.linspace(2, 1, 20),
        "step": np.array([0, 10, 20]),
        "train_loss": np.array([np.nan, 1.5, 1.1]),
        "valid_loss": np.array([2.0, 1.6, 1.3]),
        "valid_accuracy": np.array([0.1, 0.5, 0.8]),
    }


def test_training_curves(ax, history):
    assert plot.training_curves(history, ax=ax) is ax
    assert [line.get_label() for line in ax.lines] == ["each step", "training", "validation"]
    np.testing.assert_array_equal(ax.lines[1].get_xdata(), [10, 20])
    np.testing.assert_array_equal(ax.lines[2].get_ydata(), [2.0, 1.6, 1.3])
    rendered(ax)


def test_training_curves_of_a_metric_and_of_a_result(ax, history):
    from nirjax.finetuning.loop import FinetuneResult

    result = FinetuneResult(None, history, 20, {})
    plot.training_curves(result, metric="accuracy", ax=ax)
    assert [line.get_label() for line in ax.lines] == ["validation", "best, step 20"]
    assert ax.get_ylabel() == "accuracy"
    rendered(ax)


def test_training_curves_refuse_what_is_not_there(history):
    with pytest.raises(nirjax.errors.PatternError, match="accuracy"):
        plot.training_curves(history, metric="frob")
    with pytest.raises(nirjax.errors.ArgumentError, match="not a history"):
        plot.training_curves([1, 2, 3])


def test_weights_before_and_after(ax):
    before, after = np.zeros(10), np.concatenate([np.zeros(5), np.ones(5)])
    assert plot.weights(before, after, bins=4, ax=ax) is ax
    assert [round(patch.get_height()) for patch in ax.patches[:4]] == [10, 0, 0, 0]
    assert len(ax.get_legend().get_texts()) == 2
    rendered(ax)


def test_weights_of_models(recurrent):
    model = nirjax.from_nir(recurrent, dt=1e-3)
    ax = plot.weights(model, model, pattern="*.tau")
    assert ax.get_xlabel() == "*.tau"
    rendered(ax)
    with pytest.raises(nirjax.errors.PatternError, match="matches nothing"):
        plot.weights(model, pattern="frob")
    with pytest.raises(nirjax.errors.ArgumentError, match="no numbers"):
        plot.weights(np.array([]))


# ------------------------------------------------------------------------------------------------------------ extra


def test_without_matplotlib_the_extra_is_named(monkeypatch, recurrent):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for draw in (lambda: plot.raster(np.ones((3, 2))), lambda: plot.graph(recurrent)):
        with pytest.raises(nirjax.errors.MissingExtraError, match=r"pip install 'nirjax\[plot\]'"):
            draw()


def test_importing_does_not_import_matplotlib():
    import subprocess
    from pathlib import Path

    program = "import sys, nirjax.plot; print([name for name in ('matplotlib', 'jax') if name in sys.modules])"
    folder = Path(nirjax.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=folder)
    assert done.stdout.strip() == "[]"


def test_colours_are_okabe_and_ito_s():
    assert len(set(COLOURS.values())) == 8
