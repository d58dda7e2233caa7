"""Several processes that do one command together: `--distributed`."""

from __future__ import annotations

import argparse

from nirjax.errors import ArgumentError

AUTO = "auto"


def add_distributed(parser: argparse.ArgumentParser) -> None:
    """--distributed."""
    parser.add_argument(
        "--distributed",
        nargs="?",
        const=AUTO,
        metavar="HOST:PORT,I,N",
        help="do this together with the other processes that are started with the same command: alone, where SLURM, "
        "Open MPI or Kubernetes starts them; else with the address of the first one, this one's number from 0, and "
        "how many there are",
    )


def join(args: argparse.Namespace) -> bool:
    """Joins the other processes, if there are any: is this the one that writes and shows?

    Raises:
        ArgumentError: not such an address and numbers; no launcher that JAX knows, or others that do not come.
    """
    if args.distributed is None:
        return True
    import jax

    try:
        if args.distributed == AUTO:
            jax.distributed.initialize()
        else:
            address, index, count = _place(args.distributed)
            jax.distributed.initialize(address, count, index)
    except (RuntimeError, ValueError) as error:
        if isinstance(error, ArgumentError):
            raise
        raise ArgumentError(
            "the processes cannot join", field="--distributed", found=str(error).partition("\n")[0],
            expected="a launcher that JAX knows, or HOST:PORT,I,N",
        ) from error  # fmt: skip
    return int(jax.process_index()) == 0


def _place(text: str) -> tuple[str, int, int]:
    address, *numbers = text.split(",")
    if ":" in address and len(numbers) == 2 and all(number.isdecimal() for number in numbers):
        index, count = map(int, numbers)
        if index < count:
            return address, index, count
    raise ArgumentError(
        "this says no place among processes", field="--distributed", found=text,
        expected="HOST:PORT,I,N with I from 0 to N - 1, such as node1:9911,0,2",
    )  # fmt: skip
