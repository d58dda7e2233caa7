"""What single pieces cost on this CPU, on which the machine code rests.

    python -m benchmarks.pieces

Products and convolutions of what is mostly zero, by machine code and by XLA; a neuron's loop, by the length of a tile;
XLA's sum over the first axis, and a product with ones; new memory in pages of 4 KiB and in large ones (Linux). Medians
of 15 calls, milliseconds.
"""

from __future__ import annotations

import functools
import mmap
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nirjax.kernels import event_convolutions, event_products, llvm_walk
from nirjax.kernels.time_loop import Loop, time_loop
from nirjax.primitives import channels_last

CALLS = 15
SHAPES = ((1280, 700, 512), (1280, 256, 256), (16_000, 64, 64))
IMAGES = (((34, 34, 2), (5, 5, 2, 16), 2), ((16, 16, 16), (3, 3, 16, 16), 1), ((8, 8, 16), (3, 3, 16, 8), 1))
"""Shapes of an image, of a window, and the stride: the paper's network."""

SAMPLES = (80, 1600)
SHARES = (0.02, 0.05, 0.1, 0.2, 0.4)
TILES = (256, 512, 1024, 2048, 4096)
NEW = 256 * 2**20


def milliseconds(function: Callable[..., Any], *arrays: Any) -> float:
    """The median of some calls of a jitted function, the first left out."""
    run = jax.jit(function)
    jax.block_until_ready(run(*arrays))
    return 1e3 * statistics.median(seconds(lambda: jax.block_until_ready(run(*arrays))) for _ in range(CALLS))


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def products() -> None:
    random = np.random.default_rng(0)
    print("| rows, inside, outside | not zero | x W | XLA | x^T g | XLA |\n|---|---|---|---|---|---|")
    for rows, inside, outside in SHAPES:
        weight, g = (jnp.asarray(random.random((n, outside)), jnp.float32) for n in (inside, rows))
        for share in SHARES:
            x = jnp.asarray(random.random((rows, inside)) < share, jnp.float32)
            found = (
                milliseconds(event_products.multiplied_by_events, x, weight),
                milliseconds(jnp.matmul, x, weight),
                milliseconds(event_products.correlated_by_events, x, g),
                milliseconds(lambda x, g: x.T @ g, x, g),
            )
            print(f"| {rows}, {inside}, {outside} | {share} |" + " |".join(f" {one:.2f}" for one in found) + " |")


def convolutions() -> None:
    random = np.random.default_rng(0)
    print("\n| samples, image, window | not zero | x * W | XLA | gradient of W | XLA |\n|---|---|---|---|---|---|")
    for samples in SAMPLES:
        for image, window, stride in IMAGES:
            at: dict[str, Any] = {"strides": (stride,) * 2, "pads": ((1, 1), (1, 1)), "dilations": (1, 1)}
            weight = jnp.asarray(random.random(window), jnp.float32)
            whole = functools.partial(channels_last.convolve, **at)

            def gradient(x: Any, g: Any, whole: Any = whole, weight: Any = weight) -> Any:
                return jax.vjp(lambda weight: whole(x, weight), weight)[1](g)

            for share in SHARES:
                x = jnp.asarray(random.random((samples, *image)) < share, jnp.float32)
                g = jnp.cos(whole(x, weight))
                found = (
                    milliseconds(functools.partial(event_convolutions.convolved, **at), x, weight),
                    milliseconds(whole, x, weight),
                    milliseconds(functools.partial(event_convolutions.correlated, window=window[:2], **at), x, g),
                    milliseconds(gradient, x, g),
                )
                print(f"| {samples}, {image}, {window} | {share} |" + " |".join(f" {one:.2f}" for one in found) + " |")


def loops() -> None:
    """The loop of an IF over all steps: how long a tile is."""
    step = lambda threshold, v, x: (v + x - (v + x > threshold) * threshold, (v + x > threshold) * 1.0)  # noqa: E731
    print("\n| steps, neurons |" + " |".join(f" tile {tile}" for tile in TILES) + " |\n|---|" + "---|" * len(TILES))
    chosen = llvm_walk.TILE
    for steps, neurons in ((5, 65_536), (100, 65_536), (100, 1_000_000)):
        x, v, threshold = jnp.full((steps, neurons), 0.3), jnp.zeros(neurons), jnp.ones(neurons)
        found = []
        for llvm_walk.TILE in TILES:
            jax.clear_caches()
            loop = Loop(step, constants=1, states=1)
            found.append(milliseconds(lambda *given, loop=loop: time_loop(loop, given, (False,))[1], threshold, v, x))
        print(f"| {steps}, {neurons} |" + " |".join(f" {one:.2f}" for one in found) + " |")
    llvm_walk.TILE = chosen


def sums() -> None:
    x = jnp.ones((100, 1_000_000))
    plain, product = milliseconds(lambda x: x.sum(0), x), milliseconds(lambda x: jnp.ones(len(x)) @ x, x)
    print(f"\nsum of 100 x 1,000,000 numbers over the first axis: {plain:.0f}, as a product with ones {product:.0f}")


def memory() -> None:
    for name, large in (("4 KiB", False), ("2 MiB", True)):
        found = statistics.median(_touched(large) for _ in range(CALLS))
        print(f"new memory in pages of {name}: {1e6 * found / (NEW / 4096):.2f} us for every 4 KiB")


def _touched(large: bool) -> float:
    """Seconds to touch every 4 KiB of new memory."""
    with mmap.mmap(-1, NEW, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        if large:
            memory.madvise(mmap.MADV_HUGEPAGE)
        return seconds(lambda: np.ndarray((NEW,), np.uint8, buffer=memory)[::4096].fill(1))


if __name__ == "__main__":
    products()
    convolutions()
    loops()
    sums()
    memory()
