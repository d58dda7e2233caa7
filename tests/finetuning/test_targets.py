"""Chips as values: their formats, dialects, names, sources."""

import dataclasses
import pickle
import subprocess
import sys

import jax
import numpy as np
import pytest

import nirjax
from finetuning.chip_networks import DT, GRAPHS, network
from nirjax import Target, lint, targets
from nirjax.errors import ArgumentError
from nirjax.ir.chips import CHIPS
from nirjax.ir.grids import Format, signed


def test_each_chip_has_what_a_target_has():
    assert targets.names() == ("loihi2", "speck", "spinnaker2", "xylo", "xylo_audio2", "xylo_imu")
    assert set(CHIPS) == set(targets.names())
    for name in targets.names():
        target = targets.target_of(name)
        assert getattr(targets, name) is target is targets.target_of(target)
        assert target.name == name
        assert isinstance(target.dialect, nirjax.Dialect)
        assert target.source
        assert "weight" in target.bits
        assert str(target).startswith(f"Target({name}: weight: 8 bits")


def test_the_command_line_knows_them_all():
    from nirjax.cli.arguments import CHIPS as NAMES

    assert targets.names() == NAMES


def test_the_figures_are_those_of_the_sources():
    """sinabs 3.1.3 discretize.py; rockpool 3.0.3 quantize_methods.py; lava 0.10.0 lif/models.py, dense/models.py;
    py-spinnaker2 s2_nir.py."""
    bits = {
        name: {field: form.bits for field, form in targets.target_of(name).bits.items()} for name in targets.names()
    }
    assert bits["speck"] == {"weight": 8, "bias": 8, "v_threshold": 16}
    assert bits["xylo"] == {"weight": 8, "bias": 0, "v_threshold": 16, "tau_mem": None, "tau_syn": None}
    assert bits["loihi2"] == {
        "weight": 8, "bias": 13, "v_threshold": 17, "tau": 12, "tau_mem": 12, "tau_syn": 12, "delay": 6
    }  # fmt: skip
    assert bits["spinnaker2"] == {"weight": 8}
    assert targets.xylo.bits["weight"] == targets.spinnaker2.bits["weight"] == Format(-127, 127)


def test_a_target_is_a_value():
    other = dataclasses.replace(targets.speck)
    assert other == targets.speck
    assert hash(other) == hash(targets.speck)
    assert targets.speck != targets.xylo
    with pytest.raises(dataclasses.FrozenInstanceError):
        targets.speck.name = "other"
    with pytest.raises(TypeError, match="immutable"):
        targets.speck.bits["weight"] = signed(4)


def test_a_target_of_one_s_own():
    mine = Target("mine", nirjax.dialects.nir(), {"weight": signed(5)}, (), "my desk", scale="channel")
    assert lint(GRAPHS["loihi2"](), dt=DT, target=mine) == lint(GRAPHS["loihi2"](), dt=DT)
    stored = nirjax.quantize(mine)(network("loihi2"))
    assert stored.grids["fc"]["weight"].scale.shape == (5, 1)
    with pytest.raises(ArgumentError, match="no such scale"):
        Target("mine", nirjax.dialects.nir(), {}, (), "", scale="row")


def test_an_unknown_target_is_answered_with_the_known_ones():
    with pytest.raises(ArgumentError, match=r"no such target.*'akida'.*loihi2, speck"):
        targets.target_of("akida")


def test_no_jax_is_imported_for_targets():
    code = "import sys, nirjax; nirjax.targets.speck; print(*{'jax', 'flax', 'optax'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


@pytest.mark.parametrize("chip", sorted(GRAPHS))
def test_a_chip_holds_its_network_and_its_dialect_runs_it(chip):
    findings = lint(GRAPHS[chip](), dt=DT, target=targets.target_of(chip))
    assert [str(one) for one in findings if one.severity == "error"] == []
    whole = network(chip)
    shape = whole.graph.nodes["in"].shape
    out, _ = nirjax.quantize(chip)(whole)(np.ones((30, *shape), np.float32))
    assert np.isfinite(out).all()
    assert np.any(out)


def test_xylo_s_decay_is_a_shift():
    """With tau = dt 2^n a state keeps 1 - 2^-n in a step (rockpool 3.0.3, lif_bitshift_torch.py)."""
    stored = nirjax.quantize("xylo")(network("xylo"))
    quiet = jax.tree.map(lambda leaf: leaf, stored.params)
    quiet["hidden"] |= {"v_threshold": quiet["hidden"]["v_threshold"] * 0 + 1e9}
    x = np.zeros((4, 3), np.float32)
    x[0] = 1
    current = stored.replace(params=quiet).run(x, record="hidden.i").traces["hidden.i"]
    shifts = np.round(np.log2(np.asarray(stored.params["hidden"]["tau_syn"]) / DT))
    np.testing.assert_allclose(current[1:], current[:-1] * (1 - 2.0**-shifts), rtol=1e-5)


def test_formats_check_themselves():
    for words in (
        {"lowest": 0, "highest": 3, "form": "integer"},
        {"lowest": -1, "highest": 4, "step": 2},
        {"lowest": 3, "highest": 2},
        {"lowest": 0, "highest": 4, "form": "reciprocal"},
        {"lowest": 0, "highest": 4, "step": 0},
    ):
        with pytest.raises(ArgumentError):
            Format(**words)
    assert pickle.loads(pickle.dumps(targets.loihi2.bits)) == targets.loihi2.bits
