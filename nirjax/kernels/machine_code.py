"""Machine code for this processor, through LLVM, as functions that XLA calls.

It needs llvmlite (the extra "cpu"), and a version of jaxlib whose foreign function interface is known.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.util
import re
import threading
from pathlib import Path
from typing import Any

import jax
from jax import Array
from jax.typing import DTypeLike

from nirjax.kernels.llvm_handler import VERSIONS
from nirjax.kernels.llvm_step import FLOATS
from nirjax.kernels.walk import Arrays, NotKnownError

NAME = "walk"
"""What the handler is called in a program."""

_ONE_AT_A_TIME = threading.Lock()
"""XLA takes a name once, and threads may lower the same program."""


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


def fits(constants: Arrays, carry: Arrays, sequences: Arrays) -> bool:
    """Is machine code to be had for these arrays: a known number of elements, not none, all of one dtype that fits?"""
    shape, dtype = sequences[0].shape, sequences[0].dtype
    same = all(one.dtype == dtype for one in (*constants, *carry, *sequences))
    return (
        available()
        and same
        and str(dtype) in FLOATS
        and all(isinstance(size, int) for size in shape)
        and 0 not in shape[1:]
    )


def struct(dtype: DTypeLike, *shape: int) -> jax.ShapeDtypeStruct:
    """What a function gives."""
    return jax.ShapeDtypeStruct(shape, dtype)  # type: ignore[no-untyped-call]


def call(
    name: str, arguments: list[Array], results: list[jax.ShapeDtypeStruct], in_place: dict[int, int] | None = None
) -> list[Array]:
    """Call a function that XLA has been told of.

    Args:
        in_place: of arguments, the result that takes its memory. (XLA copies one that is still needed, or not its own.)
    """
    return list(jax.ffi.ffi_call(name, results, input_output_aliases=in_place)(*arguments))


def compiled(text: str) -> str:
    """Compile a program, in which `walk` is a handler, and tell XLA of it.

    Returns:
        the name by which XLA knows it, which says what it computes.

    Raises:
        NotKnownError: LLVM cannot, on this machine.
    """
    name = f"nirjax_walk_{hashlib.sha256(text.encode()).hexdigest()[:32]}"
    try:
        with _ONE_AT_A_TIME:
            _registered(name, text)
    except RuntimeError as error:
        raise NotKnownError(str(error)) from error
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
    handler = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(engine.get_function_address(NAME))
    jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(handler), platform="cpu")  # type: ignore[no-untyped-call]
    return engine
