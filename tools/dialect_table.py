"""Writes the table of docs/dialects.md from the presets themselves: `python tools/dialect_table.py`."""

import dataclasses
from pathlib import Path

from nirjax.dialects import Discretisation, imports, presets

PAGE = Path(__file__).parent.parent / "docs" / "dialects.md"
MARK = "<!-- the tables below are written by tools/dialect_table.py -->\n"
COLUMNS = [field.name for field in dataclasses.fields(Discretisation)]


def row(name: str, rule: object) -> str:
    """One discretisation: only what differs from the default one is said beside the order."""
    default, found = Discretisation(), rule.discretisation
    place = {"any": "", "cycle": " on a cycle", "chain": " on no cycle"}[rule.place]
    others = [
        f"{field} {_words(getattr(found, field))}"
        for field in COLUMNS[1:]
        if getattr(found, field) != getattr(default, field)
    ]
    node = "every node" if rule.node_type == "*" else rule.node_type
    return f"| {name} | {node}{place} | {' '.join(found.order)} | {', '.join(others) or 'as nir()'} |"


def _words(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(f"{item[0]}={item[1]:g}" if isinstance(item, tuple) else str(item) for item in value)
    return f"`{value}`"


def table(functions: tuple) -> list[str]:
    """A row for each rule of each preset, with its default arguments."""
    lines = ["| preset | node | order of phases | what differs from the default dialect |", "|---|---|---|---|"]
    for function in functions:
        dialect = function()
        lines += [row(f"`{function.__name__}()`", rule) for rule in dialect.rules]
    lines += ["", "| preset | registers start | unit of time constants | Flatten | refuses | read from |"]
    lines += ["|---|---|---|---|---|---|"]
    for function in functions:
        d = function()
        refused = ", ".join(sorted(d.refused)) or "nothing"
        lines.append(
            f"| `{function.__name__}()` | at {d.registers} | {d.time_unit} | {d.flatten} | {refused} | {d.source} |"
        )
    return lines


def text() -> str:
    """The page with its tables renewed."""
    head = PAGE.read_text().partition(MARK)[0]
    home = ["", "## Home presets", "", *table(presets.ALL)]
    away = ["", "## Import presets", "", *table(imports.ALL)]
    return head + MARK + "\n".join([*home, *away]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(text())
