"""A dialect: which rule a node gets, single nodes by pattern, and how long a step is."""

import numpy as np
import pytest
from engine.graphs import affine, cubalif, graph, lif, linear, ports

import nirjax
from nirjax import dialects, ir
from nirjax.dialects import Dialect, Discretisation, Rule
from nirjax.ir.nodes import NODE_TYPES

ZERO, NONE = Discretisation(reset="zero"), Discretisation(reset="none")


@pytest.mark.parametrize(
    ("rule", "hits"),
    [
        (Rule("*", ZERO), {("LIF", True), ("LIF", False), ("IF", True), ("IF", False)}),
        (Rule("LIF", ZERO), {("LIF", True), ("LIF", False)}),
        (Rule("LIF", ZERO, "cycle"), {("LIF", True)}),
        (Rule("*", ZERO, "chain"), {("LIF", False), ("IF", False)}),
    ],
)
def test_a_rule_is_for_a_type_and_a_place(rule, hits):
    cases = {(kind, on_cycle) for kind in ("LIF", "IF") for on_cycle in (True, False)}
    assert {case for case in cases if rule.applies(*case)} == hits


def test_the_first_rule_that_applies_counts_and_an_override_before_it():
    dialect = Dialect("d", rules=(Rule("LIF", ZERO), Rule("*", NONE)), overrides=(("lif[12]", Discretisation()),))
    assert dialect.of("a", "LIF", False) == ZERO
    assert dialect.of("a", "IF", False) == NONE
    assert dialect.of("lif2", "LIF", True) == Discretisation()


def test_a_node_that_no_rule_is_for():
    with pytest.raises(nirjax.UnsupportedByTarget, match=r"'a'.*dialect d cannot run a LIF"):
        Dialect("d", rules=(Rule("LIF", ZERO, "cycle"),)).of("a", "LIF", False)


def test_a_refused_type_stays_refused_whatever_is_overridden():
    dialect = Dialect("d", overrides=(("*", ZERO),), refused=frozenset({"LI"}))
    with pytest.raises(nirjax.UnsupportedByTarget, match="d cannot run a LI"):
        dialect.of("a", "LI", False)


@pytest.mark.parametrize(
    ("field", "value"), [("registers", "one"), ("time_unit", "s"), ("flatten", "HWC"), ("registers", None)]
)
def test_an_unknown_choice_is_answered_with_the_known_ones(field, value):
    with pytest.raises(nirjax.ArgumentError, match=f"{field}.*expected one of"):
        Dialect("d", **{field: value})


def test_a_dialect_is_a_value():
    assert dialects.snntorch() == dialects.snntorch()
    assert hash(dialects.snntorch()) == hash(dialects.snntorch())
    assert len({getattr(dialects, name)() for name in dialects.names()}) == len(dialects.names())


@pytest.mark.parametrize("name", dialects.names())
def test_every_type_gets_a_discretisation_or_a_refusal(name):
    dialect = getattr(dialects, name)()
    for kind in NODE_TYPES:
        for on_cycle in (True, False):
            if kind in dialect.refused or (
                on_cycle and name in ("sinabs_import", "snntorch_import", "rockpool_import")
            ):
                with pytest.raises(nirjax.UnsupportedByTarget):
                    dialect.of("a", kind, on_cycle)
            else:
                assert isinstance(dialect.of("a", kind, on_cycle), Discretisation)


# ------------------------------------------------------------------------------------------------------ steps of time


def test_the_step_at_a_node():
    fast, slow = cubalif(tau_mem=4, r=3), cubalif(tau_mem=8, r=1)
    mixed = ir.CubaLIF(*(np.full(2, 2.0, np.float32),), np.array([4, 8]), np.array([3, 3]), *(np.ones(2),) * 2)
    assert dialects.nir().step_of(fast, 0.5) == 0.5
    assert dialects.norse().step_of(fast, 0.5) == 0.25
    assert dialects.sinabs_import().step_of(fast, 0.5) == 1
    assert [dialects.rockpool_import().step_of(node, 0.5) for node in (fast, slow, mixed)] == [1, 4, 1]
    assert dialects.rockpool_import().step_of(affine(), 0.5) == 0.5


# ------------------------------------------------------------------------------------------------ overrides by pattern


def net():
    nodes = {"fc": affine(), "lif1": lif(), "rec": linear(), "cuba": cubalif(), "x[0]*": lif()}
    return graph(ports() | nodes, "in fc lif1 rec lif1 cuba x[0]* out")


def rules(overrides, dialect="nir"):
    model = nirjax.from_nir(net(), dt=1, dialect=dialect, overrides=overrides)
    return {name: model.dialect.of(name, "LIF", False) for name in ("lif1", "cuba", "x[0]*")}


def test_an_override_by_fields_changes_these_alone():
    home = dialects.spyx()
    changed = rules({"cuba": {"comparison": ">="}}, home)
    assert changed["cuba"] == Discretisation(**{**vars(home.of("cuba", "CubaLIF", False)), "comparison": ">="})
    assert changed["lif1"] == home.of("lif1", "LIF", True)


def test_an_override_by_a_whole_discretisation():
    assert set(rules({"*": ZERO}).values()) == {ZERO}


def test_a_pattern_and_a_name_that_looks_like_one():
    changed = rules({"[lc]*": ZERO, "x[[]0]*": NONE})
    assert (changed["lif1"], changed["cuba"], changed["x[0]*"]) == (ZERO, ZERO, NONE)


@pytest.mark.parametrize("pattern", ["lif2", "fc", "rec", "LIF*", ""])
def test_a_pattern_that_matches_no_neuron_is_answered_with_the_neurons(pattern):
    with pytest.raises(nirjax.PatternError) as error:
        rules({pattern: ZERO})
    assert all(name in str(error.value) for name in ("lif1", "cuba", "x[0]*"))
    assert repr(pattern) in str(error.value) or pattern in str(error.value)


def test_two_overrides_of_one_node():
    with pytest.raises(nirjax.PatternError, match=r"'lif1'.*two overrides match one") as error:
        rules({"lif*": ZERO, "*1": NONE})
    assert error.value.found == ["lif*", "*1"]


def test_an_unknown_choice_in_an_override():
    with pytest.raises(nirjax.ArgumentError, match=r"'lif1'.*resett.*'order', 'decay', 'synapse_decay'"):
        rules({"lif1": {"resett": "zero"}})
    with pytest.raises(nirjax.ArgumentError, match="nothing; expected one of v_reset, zero, subtract, none"):
        rules({"lif1": {"reset": "nothing"}})


def test_overrides_can_be_replaced_and_are_part_of_the_model():
    model = nirjax.from_nir(net(), dt=1, overrides={"lif1": {"reset": "zero"}})
    assert model.replace(overrides={"cuba": {"reset": "none"}}).dialect.of("lif1", "LIF", True) == ZERO
    assert model.program != nirjax.from_nir(net(), dt=1).program
