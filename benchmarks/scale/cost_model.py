"""How long a million recordings take, on paper.

    seconds = start + N/D max(compute, take, send) + N/H write + gather

for N recordings, D accelerators, one process for each of them, H hosts of eight. Within a process a batch is computed
while the next one is taken from disk and sent, so the slowest of the three decides; shards are written by the process
that scored them; at the end every process tells all others its results.

    compute    flops / (peak x share): what the network's products cost, and which share of the accelerator's peak a
               network of this shape reaches. The flops are counted, the share is an assumption until it is measured.
    take       seconds of one thread for one recording: measured
    send       bytes / bandwidth of the link to the accelerator: bytes counted, bandwidth assumed
    write      seconds for one result: measured
    start      a cold process up to its first batch: measured
    gather     D messages of N/D results of 12 bytes over the network: bandwidth assumed
"""

from __future__ import annotations

from dataclasses import dataclass

RECORDINGS = 1_000_000
ACCELERATORS = (8, 64, 512)
PEAK = 60e12
"""Single-precision operations a second of a present data-centre accelerator, without its matrix units' shortcuts."""

LINK = 25e9
"""Bytes a second from host memory to one accelerator (PCIe of the fourth generation, 16 lanes)."""

NETWORK = 1e9
"""Bytes a second into one process, for the results."""

RESULT = 12
"""Bytes of a result: three metrics."""


@dataclass(frozen=True)
class Cost:
    """Seconds of an evaluation, and what sets them.

    Args:
        seconds: in all.
        limit: "compute", "take" or "send".
    """

    seconds: float
    limit: str


def cost(flops: float, size: int, take: float, write: float, start: float, share: float, accelerators: int) -> Cost:
    """The formula above, for recordings of `size` bytes and a `share` of the peak."""
    each = {"compute": flops / (PEAK * share), "take": take, "send": size / LINK}
    limit = max(each, key=lambda name: each[name])
    own = RECORDINGS / accelerators
    seconds = start + own * (each[limit] + write) + RECORDINGS * RESULT / NETWORK
    return Cost(seconds, limit)
