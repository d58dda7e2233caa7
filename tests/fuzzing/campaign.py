"""A campaign: mutants one after the other, what came of each, and offenders kept as regression files.

Its state is a file, so that a campaign can be stopped at any time and goes on where it was.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fuzzing import watching
from fuzzing.mutants import Mutant
from fuzzing.watching import Opens, Servant, make_victims
from nirjax.ir.atomic import replace_file
from nirjax.ir.limits import LEAST_BYTES, Limits

HANG = 5.0
"""Seconds of computing that count as a hang."""
SLACK = 64 * 2**20


@dataclass
class State:
    """How far a campaign is.

    Attributes:
        seed: what its mutants are drawn by.
        done: so many mutants have been read.
        seconds: how long that took.
        outcomes: how often each thing came of it.
        slowest: seconds of computing for one mutant, at most.
        offenders: each offence once, with the first mutant that did it.
    """

    seed: int
    done: int = 0
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    offenders: dict[str, dict[str, Any]] = field(default_factory=dict)

    @staticmethod
    def of(path: Path, seed: int) -> State:
        """The state in a file; a new one where there is none, or of another seed."""
        if path.exists():
            kept = json.loads(path.read_text())
            if kept["seed"] == seed:
                return State(**{**kept, "outcomes": Counter(kept["outcomes"])})
        return State(seed)

    def save(self, path: Path) -> None:
        replace_file(path, json.dumps(vars(self), indent=1).encode())


def offence(found: dict[str, Any], size: int) -> str | None:
    """What is wrong with how a file of this size was read, in words that are the same for the same fault."""
    if found["kind"] in ("crash", "hang"):
        return f"{found['kind']}: {found['text']}"
    if found["kind"] == "wrong error":
        return f"wrong error: {_without_numbers(found['text'])}"
    if found["odd warnings"]:
        return f"wrong warning: {_without_numbers(found['odd warnings'][0])}"
    if found.get("outside"):
        return "outside: another file was opened"
    if found["computed"] > HANG:
        return "hang: too much computing"
    most = max(LEAST_BYTES, Limits.of(size).bytes) + SLACK
    if max(found["memory"], found["worker memory"]) > most:
        return "memory: more than it may"
    if found["kind"] == "refused":
        if not found["text"].isprintable() or len(found["text"]) > 2000:
            return f"unreadable message: {_without_numbers(found['text'][:200])}"
        if found["message"] in ("its reading gave no sense", "cannot be read"):
            return f"unexplained: {_without_numbers(found['text'])}"
    return None


def contained(found: dict[str, Any]) -> str | None:
    """What the worker died of, where that is what kept the damage away from the process that asked."""
    message = found.get("message", "")
    return message if message.startswith("reading it ") or "ended early" in message else None


def _opens_again(reader: Servant, opens: Opens, path: Path, made: Mutant) -> bool:
    """Is a file outside opened at each of two more readings? The first time it may have been another process."""
    for _ in range(2):
        opens.any()
        reader.ask(path=str(path), trusted=made.in_process)
        if not opens.any():
            return False
    return True


def _without_numbers(text: str) -> str:
    return re.sub(r"\d+", "N", re.sub(r"file '[^']*'|node '[^']*'", "", text))[:200]


def run(
    state: State,
    folder: Path,
    *,
    more: Path | None = None,
    count: int | None = None,
    seconds: float | None = None,
    on_offence: Callable[[str, Mutant, dict[str, Any]], None] = lambda *_: None,
    on_progress: Callable[[State], None] = lambda _: None,
) -> State:
    """Read mutants until there are so many of them, or so many seconds are over; the state is changed in place.

    Args:
        folder: an empty one to work in.
        more: a folder with further files to make mutants from.
        on_offence: called for each offence that is new, and for each way in which a worker died.
        on_progress: called after every hundredth mutant and at the end.
    """
    make_victims(folder)
    path = folder / "mutant.nir"
    reader = Servant(watching.READER, folder, watching.PATIENCE)
    maker = Servant(watching.MAKER, folder, watching.STARTING)
    opens = Opens(folder)
    start, before = time.monotonic(), state.seconds
    try:
        while count is None or state.done < count:
            if seconds is not None and time.monotonic() - start > seconds:
                break
            told = maker.ask(campaign=state.seed, number=state.done, path=str(path), more=str(more) if more else None)
            if told["kind"] == "made":
                made = Mutant(**{**told["mutant"], "data": path.read_bytes()})
                opens.any()
                found = reader.ask(path=str(path), trusted=made.in_process)
                found["outside"] = opens.any() and _opens_again(reader, opens, path, made)
                if made.how == "bytes" and "content" in found and told["content"] not in (None, found["content"]):
                    found["kind"] = "read as something else" + (", in spite of its digest" if told["guarded"] else "")
                _note(state, made, found, on_offence)
            else:
                state.outcomes["HDF5 crashed or hung while it made the mutant"] += 1
            state.done += 1
            state.seconds = before + time.monotonic() - start
            if state.done % 100 == 0:
                on_progress(state)
    finally:
        for one in (reader, maker, opens):
            one.close()
        on_progress(state)
    return state


def _note(
    state: State, made: Mutant, found: dict[str, Any], on_offence: Callable[[str, Mutant, dict[str, Any]], None]
) -> None:
    where = "in process" if made.in_process else "worker"
    wrong, died = offence(found, len(made.data)), contained(found)
    state.outcomes[f"{where}: {found['kind']}" + (f" ({found['error']})" if "error" in found else "")] += 1
    state.slowest = max(state.slowest, found.get("computed", 0.0))
    for words in (wrong, f"contained: {died}" if died else None):
        if words is None:
            continue
        key = f"{where}: {words}"
        state.outcomes[key] += 1
        if key not in state.offenders:
            state.offenders[key] = {"number": made.number, "from": made.made_from, "how": made.how, **found}
            on_offence(key, made, found)
