"""Presets: what they promise in words, and that they lower every graph of their framework."""

import inspect
import itertools
import json
import warnings

import pytest
from test_golden import CASES, GOLDEN

import nirjax
from nirjax import dialects

ARGUMENTS = {
    "snntorch": {"reset_mechanism": ["subtract", "zero", "none"], "reset_delay": [True, False]},
    "norse": {"reset_method": ["value", "subtract"]},
    "sinabs": {
        "spike_fn": ["MultiSpike", "SingleSpike"],
        "reset_fn": ["MembraneSubtract", "MembraneReset"],
        "min_v_mem": [None, -1.0],
        "norm_input": [True, False],
    },
    "rockpool": {"decay": ["exp", "bitshift"]},
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


def test_import_presets_never_start_a_register_at_rest():
    """NIRTorch and SpikingJelly start a delayed edge at zero; in Spyx' import the recurrent bias is gone."""
    for name in dialects.names():
        if name.endswith("_import") and name != "spyx_import":
            assert getattr(dialects, name)().registers == "zero"
