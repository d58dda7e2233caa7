"""The kernel over several devices: each runs its own elements, and nothing but sums of constants' gradients travels."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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


def test_each_of_four_devices_runs_its_own_samples() -> None:
    environment = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    folder = Path(__file__).parents[1]
    paths = f"{folder}:{folder.parent}"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**environment, "PYTHONPATH": paths, "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
