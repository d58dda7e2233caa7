"""A model as an nnx Module: same results, and only what was chosen is trained."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import nirjax
from nirjax import ir
from nirjax.nnx import Frozen, from_nnx, to_nnx


@pytest.fixture
def model():
    random = np.random.default_rng(0)
    ones = np.ones(3, np.float32)
    graph = nirjax.NIRGraph(
        {
            "input": ir.Input((4,)),
            "fc": ir.Affine(random.normal(size=(3, 4)).astype(np.float32), 0 * ones),
            "lif": ir.LIF(0.01 * ones, ones, 0 * ones, 0.05 * ones),
            "output": ir.Output((3,)),
        },
        [("input", "fc"), ("fc", "lif"), ("lif", "output")],
    )
    return nirjax.from_nir(graph, dt=1e-3)


def test_same_results_and_back(model):
    x = jnp.asarray(np.random.default_rng(1).random((12, 2, 4)), jnp.float32)
    net = to_nnx(model)
    np.testing.assert_array_equal(net(x)[0], model(x)[0])
    back = from_nnx(net)
    assert nirjax.to_nir(back) is model.graph


def test_the_optimizer_sees_the_chosen_parameters_only(model):
    net = to_nnx(model, trainable="fc.weight")
    assert isinstance(net.parameters["fc"]["weight"], nnx.Param)
    assert isinstance(net.parameters["lif"]["tau"], Frozen)
    optimizer = nnx.Optimizer(net, optax.sgd(0.1), wrt=nnx.Param)
    x = jnp.ones((12, 2, 4))

    @nnx.jit
    def step(net, optimizer):
        gradients = nnx.grad(lambda net: net(x)[0].sum())(net)
        optimizer.update(net, gradients)

    step(net, optimizer)
    trained = nirjax.to_nir(from_nnx(net))
    assert {(d.node, d.field) for d in nirjax.diff(model.graph, trained)} == {("fc", "weight")}


def test_between_other_layers(model):
    class Network(nnx.Module):
        def __init__(self, rngs):
            self.front = nnx.Linear(5, 4, rngs=rngs)
            self.spiking = to_nnx(model)
            self.back = nnx.Linear(3, 2, rngs=rngs)

        def __call__(self, x):
            return self.back(self.spiking(self.front(x))[0])

    net = Network(nnx.Rngs(0))
    gradients = nnx.grad(lambda net: (net(jnp.ones((12, 2, 5))) ** 2).sum())(net)
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(gradients))
    assert float(jnp.abs(gradients["spiking"]["parameters"]["fc"]["weight"][...]).sum()) > 0


def test_another_module_is_refused():
    with pytest.raises(nirjax.ArgumentError, match="to_nnx"):
        from_nnx(nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
