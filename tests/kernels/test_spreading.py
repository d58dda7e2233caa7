"""The kernel over several devices: each runs its own elements, and nothing but sums of constants' gradients travels."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import functools
import jax, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from kernels.loops import LOOP, arrays
from kernels.test_walks import ALL, residuals
from nirjax.kernels import gpu, time_loop

mesh = jax.make_mesh((4,), ("batch",), axis_types=(AxisType.Auto,))
SINGLE, SEQUENCE = P("batch"), P(None, "batch")
KEPT = (True, False)

def check(name, given, specs, moves, **choices):
    placed = [jax.device_put(x, NamedSharding(mesh, spec)) for x, spec in zip(given, specs)]
    walk = functools.partial(gpu.as_kernel, interpret=True, several=True)
    kernel = functools.partial(getattr(time_loop, name), loop=LOOP, kept=KEPT, walk=walk, **choices)
    program = jax.jit(kernel).lower(*placed).compile()
    assert not any(word in program.as_text() for word in ("all-gather", "all-to-all", "collective-permute"))
    assert ("all-reduce" in program.as_text()) == moves
    found = program(*placed)
    wanted = getattr(time_loop, name)(*given, loop=LOOP, kept=KEPT, **choices)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    return [one.sharding.spec for one in found]

inputs = arrays(5, (8, 3))
specs = check("forward", inputs, [P(), P(), SINGLE, SINGLE, SEQUENCE], moves=False)
assert specs == [SINGLE, SINGLE, SEQUENCE, SEQUENCE], specs
given = residuals(inputs, LOOP, KEPT)
specs = [P(), P(), *[SEQUENCE] * 3, SINGLE, SINGLE, *[SEQUENCE] * 2]
assert check("adjoint", given, specs, moves=True, moved=ALL)[-1] == SEQUENCE
"""


MODELS = """
import functools
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
import nirjax
from benchmarks.workloads import DT, feedforward
from nirjax.kernels import event_products
from nirjax.kernels.event_products import event_product

event_products.WORTH = event_products.LARGE = 0
mesh = jax.make_mesh((4,), ("batch",), axis_types=(AxisType.Auto,))
x = jnp.asarray(np.random.default_rng(0).random((6, 8, 20)) < 0.1, jnp.float32)
sharded = jax.device_put(x, NamedSharding(mesh, P(None, "batch")))

# what lies on several devices stays there, through products too; a state may lie elsewhere
model = nirjax.from_nir(feedforward(20, 32, 16), dt=DT)
wanted, state = model(x)
state = jax.device_put(state, NamedSharding(mesh, P()))
for given in ((model, sharded), (model, sharded, jax.tree.map(jnp.zeros_like, state))):
    program = jax.jit(lambda model, *given: model(*given)[0]).lower(*given).compile()
    assert not any(word in program.as_text() for word in ("all-gather", "all-to-all", "collective-permute"))
    found = program(*given)
    assert found.sharding.spec == P(None, "batch"), found.sharding
    np.testing.assert_array_equal(found, wanted)

# the gradient of a weight that all devices have is the sum of theirs
rows, weight = x.reshape(-1, 20), jnp.asarray(np.random.default_rng(1).normal(size=(20, 16)), jnp.float32)
def by(product):
    @functools.partial(jax.shard_map, mesh=mesh, in_specs=(P("batch"), P()), out_specs=P())
    def loss(rows, weight):
        return jax.lax.psum(jnp.sin(product(rows, weight)).sum(), "batch")
    return jax.jit(jax.grad(loss, 1))(rows, weight)
np.testing.assert_allclose(by(event_product), by(jnp.matmul), rtol=1e-5, atol=1e-5)
"""


@pytest.mark.parametrize("program", [PROGRAM, MODELS], ids=["kernel", "models"])
def test_each_of_four_devices_runs_its_own_samples(program: str) -> None:
    environment = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu", "PATH": ""}
    folder = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "PYTHONPATH": f"{folder}:{folder.parent}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
