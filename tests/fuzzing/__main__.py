"""The command line: `python -m fuzzing --help`."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from fuzzing import campaign
from fuzzing.campaign import State
from fuzzing.mutants import Mutant, mutant
from fuzzing.seeds import DATA, seeds

REGRESSIONS = DATA / "hostile" / "fuzz_regressions"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fuzzing", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="what the mutants are drawn by")
    parser.add_argument("--count", type=int, help="stop when the campaign has read so many mutants in all")
    parser.add_argument("--seconds", type=float, help="stop after so many seconds")
    parser.add_argument("--state", type=Path, help="file that keeps how far the campaign is; it goes on from there")
    parser.add_argument("--keep", type=Path, default=REGRESSIONS, help="folder for offenders (%(default)s)")
    parser.add_argument("--more", type=Path, help="folder with further files to make mutants from")
    parser.add_argument("--show", type=int, metavar="NUMBER", help="write this one mutant to standard output and stop")
    return parser.parse_args()


def confirmed(path: Path) -> str | None:
    """How `nirjax.read` itself, its worker too, fails on a file; None if it does what it promises."""
    code = (
        "import sys, warnings, nirjax\nwarnings.simplefilter('ignore')\n"
        "try: nirjax.read(sys.argv[1])\nexcept nirjax.NIRError: pass"
    )
    try:
        done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, timeout=30, check=False)
    except subprocess.TimeoutExpired:
        return "hang"
    return None if done.returncode == 0 else f"exit code {done.returncode}"


def main() -> int:
    args = arguments()
    if args.show is not None:
        sys.stdout.buffer.write(mutant(seeds(args.more), args.seed, args.show).data)
        return 0
    state = State.of(args.state, args.seed) if args.state else State(args.seed)

    def keep(words: str, made: Mutant, what: dict[str, Any]) -> None:
        name = re.sub(r"\W+", "_", words)[:60].strip("_")
        folder = args.keep / "contained" if "contained" in words else args.keep
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}_{args.seed}_{made.number}.nir"
        path.write_bytes(made.data)
        state.offenders[words]["read by itself"] = confirmed(path)
        print(f"{words}: mutant {made.number} of {made.made_from} ({made.how}), kept as {path.name}", flush=True)

    def progress(now: State) -> None:
        if args.state:
            now.save(args.state)
        if sys.stdout.isatty():
            print(f"\r{now.done} mutants, {now.seconds:.0f} s", end="", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        campaign.run(
            state,
            Path(folder),
            more=args.more,
            count=args.count,
            seconds=args.seconds if args.seconds or args.count else 60,
            on_offence=keep,
            on_progress=progress,
        )
    print(f"\n{state.done} mutants of seed {state.seed} in {state.seconds:.0f} s, the slowest {state.slowest:.2f} s")
    for words, times in sorted(state.outcomes.items()):
        print(f"{times:8d}  {words}")
    return 1 if any("contained" not in words for words in state.offenders) else 0


if __name__ == "__main__":
    raise SystemExit(main())
