"""How long a million recordings take, on paper.

    seconds = start + N/D (max(compute, take, send, D read) + write) + gather

for N recordings and D accelerators, one process for each of them. Within a process a batch is computed while the next
one is taken and sent, and all processes read from one store, so the slowest of the four decides; each process writes
its own shards; at the end every process tells all others its results.

    start      a cold process up to the results of its first batch, compiled anew: measured
    compute    seconds for one recording. Measured where an accelerator is at hand; else flops / (peak x share): the
               flops of the network's products are counted, the share of the peak that it reaches is assumed
    take       seconds of one thread for one recording, from a file that lies in memory: measured
    send       bytes of a recording over the bandwidth of the link: measured on an accelerator, else assumed
    read       the same bytes over the bandwidth of the store, which all processes share: assumed
    write      seconds for one result: measured
    gather     N results of 12 bytes over the network: assumed
"""

from __future__ import annotations

from dataclasses import dataclass

RECORDINGS = 1_000_000
ACCELERATORS = (8, 64, 512)
PEAK = 60e12
"""Single-precision operations a second of a present data-centre accelerator, without its matrix units' shortcuts."""

LINK = 25e9
"""Bytes a second from host memory to one accelerator (PCIe of the fourth generation, 16 lanes)."""

STORE = 10e9
"""Bytes a second that a shared file system gives to all processes together."""

NETWORK = 1e9
"""Bytes a second into one process, for the results."""

RESULT = 12
"""Bytes of a result: three metrics."""


@dataclass(frozen=True)
class Cost:
    """Seconds of an evaluation, and what sets them.

    Args:
        seconds: in all.
        limit: "compute", "take", "send" or "read".
    """

    seconds: float
    limit: str


def cost(compute: float, take: float, send: float, write: float, start: float, size: int, accelerators: int) -> Cost:
    """The formula above, for recordings of `size` bytes; `send` is seconds a byte."""
    each = {"compute": compute, "take": take, "send": size * send, "read": size * accelerators / STORE}
    limit = max(each, key=lambda name: each[name])
    seconds = start + RECORDINGS / accelerators * (each[limit] + write) + RECORDINGS * RESULT / NETWORK
    return Cost(seconds, limit)
