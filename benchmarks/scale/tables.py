"""The numbers of `worker.py` as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.scale.cost_model import ACCELERATORS, LINK, PEAK, Cost, cost

SHARES = (0.01, 0.1)
"""Of an accelerator's peak, where none is at hand: a small network and a middling one."""


def document(command: str, alone: Sequence[dict[str, Any]], shared: Sequence[dict[str, Any]]) -> str:
    """All tables, and what they were measured on.

    Args:
        command: that this is the outcome of.
        alone: of each network.
        shared: of each network and number of virtual devices.
    """
    machine = alone[0]["machine"]
    lines = [
        "# Scale: what was measured",
        "",
        f"    {command}",
        "",
        f"{machine['device']}, {machine['cores']} cores, Python {machine['python']}, JAX {machine['jax']}.",
        *(f"{found['title']}: {found['graph']}." for found in alone),
        "",
        "Recordings a second, by the least time of all rounds; a share is of what the bare products reach.",
        "",
        *batch_sizes(alone),
        "",
        *(devices(shared) if shared else ()),
        *measured_pieces(alone),
        "",
        *costs(alone),
    ]
    return "\n".join(lines) + "\n"


def batch_sizes(alone: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Rates against the batch size."""
    heads = (
        "network",
        "batch",
        "bare products",
        "Gflop/s",
        "model",
        "its share",
        "evaluate",
        "its share",
        "bytes moved",
    )
    yield from header(heads)
    for found in alone:
        for row in found["rates"]:
            yield line(
                found["title"], row["batch"], f"{row['bare']:,.0f}", f"{gflops(row, 'bare'):,.1f}",
                f"{row['model']:,.0f}", f"{row['model'] / row['bare']:.2f}",
                f"{row['evaluate']:,.0f}", f"{row['evaluate'] / row['bare']:.2f}", f"{row['bytes_per_recording']:,.0f}",
            )  # fmt: skip


def devices(shared: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Rates against the number of virtual devices, which share the cores of the machine."""
    yield from header(("network", "batch", "virtual devices", "evaluate", "of one device"))
    for found in shared:
        (row,) = found["rates"]
        one = next(other["rates"][0] for other in shared if other["network"] == found["network"])
        share = f"{row['evaluate'] / one['evaluate']:.2f}"
        yield line(found["title"], row["batch"], row["devices"], f"{row['evaluate']:,.0f}", share)
    yield ""


def measured_pieces(alone: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What the cost model is made of, and whether it says what `evaluate` was measured to do."""
    heads = ("network", "start, s", "take, us", "send, GB/s", "write, us", "bytes", "Mflop", "model says, of evaluate")
    yield from header(heads)
    for found in alone:
        best, pieces = fastest(found), found["pieces"]
        said = 1 / max(1 / best["model"], pieces["take"], pieces["send"] * pieces["bytes"])
        yield line(
            found["title"], f"{found['start']:.1f}", f"{pieces['take'] * 1e6:.1f}", f"{1e-9 / pieces['send']:.1f}",
            f"{pieces['write'] * 1e6:.2f}", f"{pieces['bytes']:,}", f"{best['flops_per_recording'] / 1e6:,.1f}",
            f"{said / best['evaluate']:.2f}",
        )  # fmt: skip


def costs(alone: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A million recordings on paper, and what limits them."""
    yield from header(("a million recordings", "computing", *(f"{n} accelerators" for n in ACCELERATORS)))
    for found in alone:
        best, pieces = fastest(found), found["pieces"]
        accelerated = found["machine"]["accelerated"]
        computing = {
            f"{share:.0%} of {PEAK / 1e12:.0f} Tflop/s": best["flops_per_recording"] / (PEAK * share)
            for share in SHARES
        }
        if accelerated:
            computing = {f"measured, {gflops(best, 'model') / 1e3:.2f} Tflop/s": 1 / best["model"]}
        for how, compute in computing.items():
            send = pieces["send"] if accelerated else 1 / LINK
            totals = [
                cost(compute, pieces["take"], send, pieces["write"], found["start"], pieces["bytes"], n)
                for n in ACCELERATORS
            ]
            yield line(found["title"], how, *map(told, totals))


def told(total: Cost) -> str:
    return f"{total.seconds:,.0f} s ({total.limit})"


def fastest(found: dict[str, Any]) -> dict[str, Any]:
    """The batch size at which most recordings are evaluated a second."""
    row: dict[str, Any] = max(found["rates"], key=lambda row: row["evaluate"])
    return row


def gflops(row: dict[str, Any], what: str) -> float:
    return float(row["flops_per_recording"] * row[what] / 1e9)


def header(heads: Sequence[str]) -> Iterator[str]:
    yield line(*heads)
    yield "|" + "---|" * len(heads)


def line(*cells: Any) -> str:
    return f"| {' | '.join(map(str, cells))} |"
