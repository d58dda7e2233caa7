"""What happens once: a first result from a cold process, reading a large file, and the overhead of a call.

    python benchmarks/cold.py [--rounds N] [--megabytes 500] [--only reading]

Prints medians. A cold start imports nirjax, reads the graph, compiles and runs `small`, in a new process each time;
beside it, the same with importing JAX and compiling one product alone. A call is compared with an equivalent `jax.jit`
function whose parameters come as a dict. The paper's convolutional network is compiled forward and backward.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).parents[1]))

import jax
import jax.numpy as jnp
import numpy as np

import nirjax
from benchmarks import engine, handwritten, workloads
from nirjax import ir
from nirjax.ir.inline import inline

COLD = """
import time; start = time.perf_counter(); marks = {{}}
def mark(name):
    global start
    now = time.perf_counter(); marks[name] = now - start; start = now
import nirjax; mark("import nirjax")
graph = nirjax.read({path!r}); mark("read")
import jax, numpy; mark("import jax")
model = nirjax.from_nir(graph, dt=1e-4); mark("build")
x = numpy.zeros((1000, 16, 64), numpy.float32)
jax.block_until_ready(model(x)); mark("compile and run")
jax.block_until_ready(model(x)); mark("run again")
import json; print(json.dumps(marks))
"""
BARE = """
import time; start = time.perf_counter()
import jax, jax.numpy as jnp
jax.block_until_ready(jax.jit(lambda x: x @ x)(jnp.ones((64, 64))))
import json; print(json.dumps({"import jax, compile and run one product": time.perf_counter() - start}))
"""


def cold(rounds: int) -> dict[str, float]:
    """Median seconds of each part of a cold start."""
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "small.nir"))
        nirjax.write(path, workloads.feedforward(64, 64, 64))
        for _ in range(rounds):
            for program in (COLD.format(path=path), BARE):
                answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
                marks = json.loads(answer.stdout.splitlines()[-1])
                for name, seconds in marks.items():
                    found.setdefault(name, []).append(seconds)
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def reading(rounds: int, side: int) -> dict[str, float]:
    """Median seconds to read a file of one layer of that many neurons, trusted or not; beside it, h5py alone."""
    import h5py

    weight = np.random.default_rng(0).random((side, side), np.float32)
    nodes = {"input": ir.Input((side,)), "fc": ir.Affine(weight, weight[0]), "output": ir.Output((side,))}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.nir")
        nirjax.write(path, workloads.chain(nodes), compression=None)

        def bare() -> Any:
            with h5py.File(path) as file:
                return file["node/nodes/fc/weight"][:]

        start = [sys.executable, "-c", "import numpy, h5py"]
        return turns(
            {
                "read": lambda: nirjax.read(path),
                "read, trusted": lambda: nirjax.read(path, trusted=True),
                "h5py alone": bare,
                "a process that imports NumPy and h5py": lambda: subprocess.run(start, check=True),
            },
            rounds,
            1,
        )


def calls(rounds: int) -> dict[str, float]:
    """Median seconds of a call of about 100 us: a model, and a jitted function of a dict of the same shapes."""
    graph = workloads.feedforward(128, 128, 128)
    model = nirjax.from_nir(graph, dt=workloads.DT)
    nodes = inline(graph).nodes
    layers = {name: handwritten.weights_of(nodes[name]) for name in ("fc1", "fc2")}
    cells = {name: handwritten.constants_of(nodes[name], workloads.DT) for name in ("lif1", "lif2")}
    x = jnp.asarray(np.random.default_rng(0).random((16, 4, 128), np.float32))
    program = jax.jit(lambda model, x: model(x)[0])
    by_dict = jax.jit(lambda layers, cells, x: handwritten.feedforward(list(layers.values()), list(cells.values()), x))
    raw = program.lower(model, x).compile()
    return turns(
        {
            "model(x)": lambda: jax.block_until_ready(model(x)),
            "jit(model, x)": lambda: jax.block_until_ready(program(model, x)),
            "the same, compiled ahead": lambda: jax.block_until_ready(raw(model, x)),
            "hand-written, jit(dict, x)": lambda: jax.block_until_ready(by_dict(layers, cells, x)),
            "jit(dict, x), nothing inside": empty_call(model.params, x),
            "jit(model, x), nothing inside": empty_call(model, x),
        },
        rounds,
        200,
    )


def empty_call(given: Any, x: Any) -> Callable[[], Any]:
    """A call that costs its arguments and little else."""
    program = jax.jit(lambda given, x: x + 1)
    return lambda: jax.block_until_ready(program(given, x))


def compiling(rounds: int) -> dict[str, float]:
    """Median seconds to trace and compile the paper's convolutional network."""
    try:
        graph = workloads.paper(workloads.CNN)
    except workloads.AbsentError as absent:
        print(f"compiling: skipped: {absent}")
        return {}
    x, target = jax.ShapeDtypeStruct((100, 16, 2, 34, 34), jnp.float32), jax.ShapeDtypeStruct((16, 10), jnp.float32)
    found: dict[str, list[float]] = {"cnn, forward": [], "cnn, training step": []}
    for _ in range(rounds):
        model = nirjax.from_nir(graph, dt=1.0)
        params, rest = nirjax.partition(model, ["*.weight", "*.bias"])
        jax.clear_caches()
        start = time.perf_counter()
        jax.jit(lambda model, x: model(x)[0]).lower(model, x).compile()
        found["cnn, forward"].append(time.perf_counter() - start)
        start = time.perf_counter()
        jax.jit(engine.train).lower(params, rest, x, target).compile()
        found["cnn, training step"].append(time.perf_counter() - start)
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def turns(contenders: dict[str, Callable[[], Any]], rounds: int, repeats: int) -> dict[str, float]:
    """Median seconds of each, in turns."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for call in contenders.values():
        call()
    for _ in range(rounds):
        for name, call in contenders.items():
            gc.collect()
            for _ in range(repeats):
                start = time.perf_counter()
                result = call()
                found[name].append(time.perf_counter() - start)
                del result
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def measures(rounds: int, megabytes: int) -> dict[str, Callable[[], dict[str, float]]]:
    """Title to what measures it, in seconds."""
    return {
        "a cold process": lambda: cold(rounds),
        "a call": lambda: calls(rounds),
        "compiling": lambda: compiling(rounds),
        "reading 50 kB": lambda: reading(rounds, 112),
        f"reading {megabytes} MB": lambda: reading(rounds, int(np.sqrt(megabytes * 1e6 / 4))),
    }


def measured(rounds: int, megabytes: int) -> dict[str, dict[str, float]]:
    """Title to what was measured, in seconds."""
    return {title: measure() for title, measure in measures(rounds, megabytes).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--only", default="", metavar="WORD", help="only what has this word in its title")
    arguments = parser.parse_args()
    for title, measure in measures(arguments.rounds, arguments.megabytes).items():
        if arguments.only in title:
            print(title)
            for name, value in measure().items():
                print(f"    {name:42} {1e3 * value:10.2f} ms", flush=True)


if __name__ == "__main__":
    main()
