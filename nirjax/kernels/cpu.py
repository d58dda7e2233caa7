"""A walk through time as machine code for CPUs, which LLVM makes of the step, and XLA calls.

`lax.scan` writes the state and the outputs of all elements in every step, in one thread. Here a tile of elements walks
through all steps with its state in the cache, in vectors, and the tiles are spread over XLA's threads.

It needs llvmlite (the extra "cpu"), and a version of jaxlib whose interface is known; elsewhere, for other dtypes than
float32 and float64, for steps with operations that `llvm_step` has not, and in exported programs, which have to run
elsewhere, the walk is the scan.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.util
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from nirjax.kernels import walk as scan
from nirjax.kernels.llvm_step import FLOATS, NotKnownError
from nirjax.kernels.llvm_walk import VERSIONS, Layout, module
from nirjax.kernels.spreading import spread
from nirjax.kernels.steps import TracedStep, traced
from nirjax.kernels.walk import Arrays, Step


def walk(
    step: Step,
    constants: Arrays,
    carry: Arrays,
    sequences: Arrays,
    *,
    backward: bool = False,
    several: bool = False,
) -> tuple[list[Array], list[Array]]:
    """`nirjax.kernels.walk.walk`: machine code where it can be had and the step fits, else the scan."""
    if available() and _numbers(constants, carry, sequences):
        try:
            return as_kernel(step, constants, carry, sequences, backward=backward, several=several)
        except NotKnownError:
            pass
    return scan.walk(step, constants, carry, sequences, backward=backward)


@functools.cache
def available() -> bool:
    """Is llvmlite installed, and XLA's interface one of those that are known?"""
    return importlib.util.find_spec("llvmlite") is not None and interface_version() in VERSIONS


@functools.cache
def interface_version() -> tuple[int, int]:
    """The version of XLA's foreign function interface by jaxlib's header, major and minor; -1 where it says none."""
    header = Path(jax.ffi.include_dir()) / "xla" / "ffi" / "api" / "c_api.h"
    text = header.read_text() if header.is_file() else ""
    found = [re.search(rf"#define XLA_FFI_API_{part} (\d+)", text) for part in ("MAJOR", "MINOR")]
    major, minor = (int(one[1]) if one else -1 for one in found)
    return major, minor


def _numbers(constants: Arrays, carry: Arrays, sequences: Arrays) -> bool:
    """Is there a known number of elements, all of one dtype that fits?"""
    shape, dtype = sequences[0].shape, sequences[0].dtype
    same = all(one.dtype == dtype for one in (*constants, *carry, *sequences))
    return same and str(dtype) in FLOATS and all(isinstance(size, int) for size in shape) and 0 not in shape


def as_kernel(
    step: Step,
    constants: Arrays,
    carry: Arrays,
    sequences: Arrays,
    *,
    backward: bool = False,
    several: bool = False,
) -> tuple[list[Array], list[Array]]:
    """The walk as machine code.

    Raises:
        NotKnownError: the step has an operation that cannot be written.
    """
    dtype = sequences[0].dtype
    taken = traced(step, (len(constants), len(carry), len(sequences)), (8,), dtype)
    single = tuple(one.size == 1 and not several for one in constants)
    name = compiled(taken, Layout(single, len(carry), len(sequences), taken.results, str(dtype), backward))

    def one_device(constants: Arrays, carry: Arrays, sequences: Arrays) -> tuple[list[Array], list[Array]]:
        time, *shape = sequences[0].shape
        elements = math.prod(shape)
        own = _row([one for one, alone in zip(constants, single, strict=True) if not alone], shape)
        given = [
            *(_as_row(one, (1,) if alone else own) for one, alone in zip(constants, single, strict=True)),
            *(one.reshape(elements) for one in carry),
            *(one.reshape(time, elements) for one in sequences),
        ]
        places = [*[(elements,)] * len(carry), *[(time, elements)] * taken.results]
        results = [jax.ShapeDtypeStruct(place, dtype) for place in places]  # type: ignore[no-untyped-call]
        found = jax.ffi.ffi_call(name, results)(*given)
        last = [one.reshape(shape) for one in found[: len(carry)]]
        return last, [one.reshape(time, *shape) for one in found[len(carry) :]]

    return spread(one_device, constants, carry, sequences, taken.results, several)


def _row(constants: Arrays, shape: Sequence[int]) -> Sequence[int]:
    """The last axes of a shape, along which constants differ."""
    axes = max((_stripped(one).ndim for one in constants), default=0)
    return shape[len(shape) - axes :]


def _stripped(constant: Array) -> Array:
    """A constant without leading axes of one element."""
    kept = next((axis for axis, size in enumerate(constant.shape) if size != 1), constant.ndim)
    return constant.reshape(constant.shape[kept:])


def _as_row(constant: Array, shape: Sequence[int]) -> Array:
    """A constant as one axis, of the elements of the last axes."""
    return jnp.broadcast_to(_stripped(constant), shape).reshape(math.prod(shape))


def compiled(step: TracedStep, layout: Layout) -> str:
    """Compile a walk and tell XLA of it; the name by which XLA knows it, which says what it computes."""
    text = module("walk", step, layout, interface_version())
    name = f"nirjax_walk_{hashlib.sha256(text.encode()).hexdigest()[:32]}"
    _registered(name, text)
    return name


@functools.cache
def _registered(name: str, text: str) -> Any:
    """Machine code of a program, under a name; the engine that holds it."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features().flatten()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features, opt=3, jit=True
    )
    parsed = llvm.parse_assembly(text)
    parsed.verify()
    tuning = llvm.create_pipeline_tuning_options(speed_level=2)
    builder = llvm.create_pass_builder(machine, tuning)
    builder.getModulePassManager().run(parsed, builder)
    engine = llvm.create_mcjit_compiler(parsed, machine)
    engine.finalize_object()
    handler = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(engine.get_function_address("walk"))
    jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(handler), platform="cpu")  # type: ignore[no-untyped-call]
    return engine
