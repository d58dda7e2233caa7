"""Which weights enter which neurons, and with which gain."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from engine.graphs import affine, conv2d, cubalif, filled, graph, if_, lif, linear, ports

import nirjax
from finetuning.chip_networks import convolutional, layered, recurrent
from nirjax import dialects, ir
from nirjax.finetuning.layers import Layer, gain, layers_of


def layers(given, **options):
    return layers_of(nirjax.from_nir(given, dt=1e-3, **options).program.plan)


def test_layers_of_a_chain_of_a_cycle_and_through_what_has_no_weights():
    assert layers(convolutional()) == (Layer(("if1",), ("conv",)), Layer(("if2",), ("fc",)))
    assert layers(recurrent()) == (Layer(("hidden",), ("fc", "rec")), Layer(("last",), ("read",)))
    assert layers(layered()) == (Layer(("lif",), ("fc",)), Layer(("lif2",), ("fc2",)))
    pooled = {
        "in": ir.Input((2, 4, 4)),
        "c": conv2d(),
        "s": ir.Scale(np.float32(2)),
        "f": ir.Flatten(None, 0, -1),
        "n": if_(32),
        "out": ir.Output((32,)),
    }
    assert layers(graph(pooled, "in c s f n out")) == (Layer(("n",), ("c",)),)


def test_weights_that_enter_two_neurons_join_them():
    nodes = ports((3,)) | {"w": linear(3, 3), "a": lif(3), "b": lif(3), "v": linear(3, 3), "c": lif(3)}
    found = layers(graph(nodes, "in w a out", "w b out", "b v c out", "v a"))
    assert found == (Layer(("a", "b", "c"), ("w", "v")),)


def test_weights_alone_and_neurons_alone():
    nodes = ports((3,)) | {"n": lif(3), "w": linear(3, 3)}
    assert layers(graph(nodes, "in n w out")) == (Layer(("n",), ()), Layer((), ("w",)))


def test_subgraphs_are_looked_through():
    inner = graph(ports((3,)) | {"n": lif(3)}, "in n out")
    nodes = ports((3,)) | {"w": affine(3, 3), "sub": inner}
    assert layers(graph(nodes, "in w sub out")) == (Layer(("sub.n",), ("w",)),)


@pytest.mark.parametrize(
    ("node", "dialect", "wanted", "first"),
    [
        (lif(3, tau=0.01, r=4), dialects.nir(), 0.1 * 4, 0.1 * 4),
        (lif(3, tau=0.01, r=4), dialects.exact(), (1 - np.exp(-0.1)) * 4, (1 - np.exp(-0.1)) * 4),
        (lif(3, tau=0.01, r=4), dialects.lava(), 0.1, 0.1),
        (cubalif(3, tau_mem=0.01, tau_syn=0.004, r=4, w_in=3), dialects.nir(), 0.1 * 4 * 0.25 * 3, 0.3),
        (cubalif(3, tau_mem=0.01, tau_syn=0.004, r=10, w_in=3), dialects.lava(), 0.25 * 3, 0.25 * 3),
        (cubalif(3, tau_mem=0.01, tau_syn=0.004, r=4, w_in=3), dialects.rockpool(), 1, np.exp(-0.25)),
        (if_(3, r=4), dialects.nir(), 4e-3, 4e-3),
        (if_(3, r=4), dialects.sinabs_import(), 1, 1),
        (if_(3, r=4), dialects.lava(), 1, 1),
        (filled(ir.LI, tau=0.01, r=2, v_leak=0), dialects.nir(), 0.2, 0.2),
    ],
)
def test_a_spike_of_weight_one_moves_a_resting_membrane_by_the_gain(node, dialect, wanted, first):
    """But for what the current has lost before the membrane sees it."""
    model = nirjax.from_nir(graph(ports((3,)) | {"n": node}, "in n out"), dt=1e-3, dialect=dialect)
    np.testing.assert_allclose(gain(model.program.plan.sites["n"], model.params["n"]), wanted, rtol=1e-6)
    silent = {name: jnp.full(3, 1e9) for name in model.params["n"] if name == "v_threshold"}
    quiet = model.replace(params={**model.params, "n": model.params["n"] | silent})
    membrane = quiet.run(np.ones((1, 3), np.float32), record="n.v").traces["n.v"][0]
    np.testing.assert_allclose(membrane, first, rtol=1e-5)


def test_a_neuron_of_one_s_own_has_a_gain_of_one():
    assert gain(SimpleNamespace(node=object(), dtype=jnp.float32), {}) == 1
