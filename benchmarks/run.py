"""Runs nirjax and its peers side by side.

    python benchmarks/run.py                                          everything; makes the peers' environments
    python benchmarks/run.py --envs FOLDER                            uses environments that are there already
    python benchmarks/run.py --only stream,small --rounds 5
    python benchmarks/run.py --contenders nirjax,limit,handwritten,nirjax:block=16+recompute=1

Contenders run in processes of their own, in turns, for several rounds; those that take seconds a call have fewer.
Each contender's outputs are first compared with nirjax's under that contender's dialect. Then comes what happens once
(`benchmarks/cold.py`). Writes benchmarks/results/NAME.json and benchmarks/RESULTS.md. All of it takes about half an
hour on two cores.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import cold, environments, report
from benchmarks.contenders import Contender
from benchmarks.measure import Row, compare
from benchmarks.workloads import AbsentError, named

HERE = Path(__file__).parent


def main(words: list[str] | None = None) -> None:
    arguments = parsed(words)
    chosen = contenders(arguments)
    rows: list[Row] = []
    versions: dict[str, str] = {}
    command = " ".join(["python benchmarks/run.py", *(words or sys.argv[1:])])
    for workload in named(arguments.only and arguments.only.split(",")):
        try:
            for row in compare(workload, chosen, arguments.rounds, arguments.seconds, versions):
                rows.append(row)
                print(report.progress(row, rows), flush=True)
        except AbsentError as absent:
            print(f"{workload.name}: skipped: {absent}")
        # what is there counts, should a later workload never come to its end
        write(report.as_json(rows, {}, versions, command), arguments.name)
    once = cold.measured(rounds=5, megabytes=500) if arguments.cold else {}
    write(report.as_json(rows, once, versions, command), arguments.name)


def parsed(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="workloads or families, by comma")
    parser.add_argument("--rounds", type=int, default=5, help="turns of every contender (5)")
    parser.add_argument("--seconds", type=float, default=0.25, help="about how long a turn lasts (0.25)")
    parser.add_argument(
        "--contenders",
        nargs="+",
        default=list(environments.NAMES),
        help="by comma or blank; options of nirjax behind a colon, joined by +: nirjax:block=16+recompute=1",
    )
    parser.add_argument("--envs", type=Path, action="append", default=[], help="a folder of environments to use")
    parser.add_argument("--name", default="cpu", help="of the file under benchmarks/results (cpu)")
    parser.add_argument(
        "--cold", action=argparse.BooleanOptionalAction, help="also what happens once (yes, unless --only is given)"
    )
    arguments = parser.parse_args(words)
    arguments.cold = not arguments.only if arguments.cold is None else arguments.cold
    return arguments


def contenders(arguments: argparse.Namespace) -> list[Contender]:
    """Those asked for; an environment that is missing is made."""
    words = [word for group in arguments.contenders for word in group.split(",")]
    return [environments.contender(word, arguments.envs) for word in words]


def write(text: str, name: str) -> None:
    """The JSON file, and the tables made from it."""
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / f"{name}.json").write_text(text)
    (HERE / "RESULTS.md").write_text(report.as_markdown(json.loads(text)))


if __name__ == "__main__":
    main()
