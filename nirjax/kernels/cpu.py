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

from nirjax.kernels import llvm_rows
from nirjax.kernels import walk as scan
from nirjax.kernels.llvm_step import FLOATS, NotKnownError
from nirjax.kernels.llvm_walk import VERSIONS, WIDTH, Layout, module
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
        # results have their own shapes at once: XLA copies what is given another one on its way out of the program
        places = [*[tuple(shape)] * len(carry), *[(time, *shape)] * taken.results]
        results = [jax.ShapeDtypeStruct(place, dtype) for place in places]  # type: ignore[no-untyped-call]
        found = jax.ffi.ffi_call(name, results)(*given)
        return found[: len(carry)], found[len(carry) :]

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


def walk_of_rows(
    step: Step,
    constants: Arrays,
    carry: Arrays,
    sequences: Arrays,
    *,
    lead: int,
    backward: bool = False,
    several: bool = False,
) -> tuple[list[Array], list[Array]]:
    """The same for a step that is not elementwise: arrays are (*lead, n), of `lead` axes that are treated alike."""
    samples = sequences[0].shape[: 1 + lead]
    fits = all(one.shape[:lead] == samples[1:] and one.ndim == lead + 1 for one in carry)
    fits &= all(one.shape[: 1 + lead] == samples and one.ndim == lead + 2 for one in sequences)
    if fits and available() and not several and 0 not in samples and _numbers(constants, carry, sequences):
        try:
            return as_rows(step, constants, carry, sequences, lead=lead, backward=backward)
        except NotKnownError:
            pass
    return scan.walk(step, constants, carry, sequences, backward=backward)


def as_rows(
    step: Step, constants: Arrays, carry: Arrays, sequences: Arrays, *, lead: int, backward: bool = False
) -> tuple[list[Array], list[Array]]:
    """The walk of rows as machine code.

    Raises:
        NotKnownError: the step has an operation that cannot be written.
    """
    dtype, shape = sequences[0].dtype, sequences[0].shape[1 : 1 + lead]
    time, samples = len(sequences[0]), math.prod(shape)
    struct = lambda *shape: jax.ShapeDtypeStruct(shape, dtype)  # type: ignore[no-untyped-call] # noqa: E731
    given = [
        *(struct(*one.shape) for one in constants),
        *(struct(llvm_rows.SAMPLES, one.shape[-1]) for one in (*carry, *sequences)),
    ]
    traced = jax.make_jaxpr(lambda *arrays: _flat(step, arrays, len(constants), len(carry)))(*given)
    widths = [one.shape[-1] if one.shape[:-1] == (llvm_rows.SAMPLES,) else 0 for one in traced.out_avals]
    if 0 in widths:
        raise NotKnownError("a result that is no row")
    program = llvm_rows.taken_apart(traced, len(constants))
    shapes = llvm_rows.Shapes(
        tuple(program.sizes[: len(constants)]),
        tuple(widths[: len(carry)]),
        tuple(one.shape[-1] for one in sequences),
        tuple(widths[len(carry) :]),
    )
    first = (True,) * (len(constants) + len(program.matrices))
    layout = Layout(first, len(carry), len(sequences), len(shapes.results), str(dtype), backward)
    name = _named(llvm_rows.module("walk", program, shapes, layout, interface_version()))
    arguments = [
        *(_constant(one, n, dtype) for one, n in zip(constants, shapes.constants, strict=True)),
        *(_filled_up(constants[one.constant].T if one.turned else constants[one.constant]) for one in program.matrices),
        *(one.reshape(samples, one.shape[-1]) for one in carry),
        *(one.reshape(time, samples, one.shape[-1]) for one in sequences),
    ]
    results = [*(struct(*shape, n) for n in shapes.carry), *(struct(time, *shape, n) for n in shapes.results)]
    found = jax.ffi.ffi_call(name, results)(*arguments)
    return found[: len(carry)], found[len(carry) :]


def _flat(step: Step, arrays: Arrays, constants: int, carried: int) -> list[Array]:
    second = constants + carried
    carry, results = step(arrays[:constants], arrays[constants:second], arrays[second:])
    return [*carry, *results]


def _constant(constant: Array, n: int, dtype: Any) -> Array:
    """A constant as one axis; of a matrix, which is given elsewhere, nothing."""
    return jnp.zeros(1, dtype) if n < 0 else constant.reshape(max(n, 1))


def _filled_up(matrix: Array) -> Array:
    """A matrix whose lines are whole vectors."""
    return jnp.pad(matrix, ((0, 0), (0, -matrix.shape[1] % WIDTH)))


def compiled(step: TracedStep, layout: Layout) -> str:
    """Compile a walk and tell XLA of it; the name by which XLA knows it."""
    return _named(module("walk", step, layout, interface_version()))


def _named(text: str) -> str:
    """Compile a program; its name, which says what it computes."""
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
