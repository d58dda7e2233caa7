"""Presets: what they promise in words, and that they lower every graph of their framework."""

import inspect
import itertools
import json
import warnings

import pytest
from engine.graphs import graph, lif, linear, ports
from test_golden import CASES, GOLDEN

import nirjax
from nirjax import dialects

ARGUMENTS = {
    "snntorch": {"reset_mechanism": ["subtract", "zero", "none"], "reset_delay": [True, False]},
    "norse": {"reset_method": ["value", "subtract"], "rho_reset": [0, 3]},
    "lava": {"refractory_period": [0, 2]},
    "rockpool": {"decay": ["exp", "bitshift"]},
    "sinabs": {
        "spike_fn": ["MultiSpike", "SingleSpike", "MaxSpike"],
        "reset_fn": ["MembraneSubtract", "MembraneReset"],
        "min_v_mem": [None, -1.0],
        "norm_input": [True, False],
        "max_num_spikes_per_bin": [None],
    },
    "spyx": {"flatten": ["channels_first", "channels_last"]},
    "norse_import": {"reset_method": ["value", "subtract"]},
    "snntorch_import": {"nested": [False, True]},
    "rockpool_import": {"nested": [False, True]},
}


def every(name):
    """The preset under all its arguments, the defaults first."""
    words = ARGUMENTS.get(name, {})
    return [getattr(dialects, name)(**dict(zip(words, v, strict=True))) for v in itertools.product(*words.values())]


@pytest.mark.parametrize("name", CASES)
def test_every_graph_of_a_framework_is_lowered_by_its_preset(name):
    framework = name.split("/")[0]
    dt = json.loads((GOLDEN / name / "meta.json").read_text())["dt"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nirjax.RepairWarning)
        graph = nirjax.read(GOLDEN / name / "graph.nir", repair=True, trusted=True)
    for dialect in every(framework):
        assert nirjax.from_nir(graph, dt=dt, dialect=dialect).dialect == dialect


@pytest.mark.parametrize("name", dialects.names())
def test_the_arguments_are_all_here_and_the_first_are_the_defaults(name):
    preset = getattr(dialects, name)
    assert [*inspect.signature(preset).parameters] == [*ARGUMENTS.get(name, {})]
    assert every(name)[0] == preset()
    assert all(dialects.dialect_of(dialect.name) == dialect for dialect in every(name))
    assert len(set(every(name))) == len(every(name))


@pytest.mark.parametrize("name", dialects.names())
def test_a_preset_says_where_it_was_read(name):
    preset = getattr(dialects, name)
    assert preset().source
    assert preset.__doc__
    assert preset().name.startswith(f"{name}(")
    if name not in ("nir", "exact", "lava", "spinnaker2"):
        assert any(character.isdigit() for character in preset().source), "a version"
        assert ".py" in preset().source


@pytest.mark.parametrize("name", dialects.names())
def test_an_argument_that_a_preset_does_not_know_is_answered_with_what_it_does(name):
    for word, values in ARGUMENTS.get(name, {}).items():
        if isinstance(values[0], str):
            with pytest.raises(nirjax.ArgumentError) as error:
                getattr(dialects, name)(**{word: "something"})
            assert all(value in str(error.value) for value in values)
            assert word in str(error.value)


@pytest.mark.parametrize(
    ("preset", "word", "value"),
    [
        *(("sinabs", "min_v_mem", "low"), ("sinabs", "max_num_spikes_per_bin", 0)),
        *(("norse", "rho_reset", -1), ("lava", "refractory_period", 1.5)),
    ],
)
def test_a_number_that_is_none_is_blamed_under_the_name_that_was_given(preset, word, value):
    words = {"spike_fn": "MaxSpike"} if word.startswith("max") else {}
    with pytest.raises(nirjax.ArgumentError) as error:
        getattr(dialects, preset)(**words, **{word: value})
    assert error.value.field == word


def test_a_recurrent_neuron_is_refused_as_what_it_is():
    recurrent = graph(ports() | {"lif": lif(), "w": linear()}, "in lif w lif out")
    with pytest.raises(nirjax.UnsupportedByTarget, match=r"'lif'.*cannot run a LIF that lies on a cycle"):
        nirjax.from_nir(recurrent, dt=1e-4, dialect="sinabs_import")


def test_import_presets_never_start_a_register_at_rest():
    """NIRTorch and SpikingJelly start a delayed edge at zero; in Spyx' import the recurrent bias is gone."""
    for name in dialects.names():
        if name.endswith("_import") and name != "spyx_import":
            assert getattr(dialects, name)().registers == "zero"
