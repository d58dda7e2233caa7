"""Writes the table of docs/dialects.md from the presets themselves: `python tools/dialect_table.py`."""

import dataclasses
from pathlib import Path

from nirjax.dialects import Discretisation, imports, presets

PAGE = Path(__file__).parent.parent / "docs" / "dialects.md"
MARK = "<!-- the tables below are written by tools/dialect_table.py -->\n"
FIELDS = [field.name for field in dataclasses.fields(Discretisation)][1:]


def row(name: str, rule: object) -> str:
    """One discretisation: the order of its phases, and where it is otherwise than the default one, which says all."""
    default, found = Discretisation(), rule.discretisation
    place = {"any": "", "cycle": " on a cycle", "chain": " on no cycle"}[rule.place]
    node = "every node" if rule.node_type == "*" else rule.node_type
    other = [name for name in FIELDS if getattr(found, name) != getattr(default, name)]
    if found == default:
        other = [name for name in FIELDS if isinstance(getattr(default, name), str)]
    choices = ", ".join(f"{name} {_words(getattr(found, name))}" for name in other)
    return f"| {name} | {node}{place} | {' '.join(found.order)} | {choices} |"


def _words(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(f"{item[0]}={item[1]:g}" if isinstance(item, tuple) else str(item) for item in value)
    return f"`{value}`"


def table(functions: tuple) -> list[str]:
    """A row for each rule of each preset with its default arguments, and what belongs to the whole graph."""
    lines = ["| preset | node | order of phases | choices otherwise than `nir()`'s |", "|---|---|---|---|"]
    for function in functions:
        lines += [row(f"`{function.__name__}()`", rule) for rule in function().rules]
    lines += ["", "| preset | registers start | and | read from |", "|---|---|---|---|"]
    for function in functions:
        d = function()
        also = [f"time constants in `{d.time_unit}`"] if d.time_unit != "file" else []
        also += [f"Flatten `{d.flatten}`"] if d.flatten != "channels_first" else []
        also += [f"refuses {', '.join(sorted(d.refused))}"] if d.refused else []
        lines.append(f"| `{function.__name__}()` | at {d.registers} | {'; '.join(also)} | {d.source} |")
    return lines


def text() -> str:
    """The page with its tables renewed."""
    head = PAGE.read_text().partition(MARK)[0]
    home = ["", "## Home presets", "", *table(presets.ALL)]
    away = ["", "## Import presets", "", *table(imports.ALL)]
    return head + MARK + "\n".join([*home, *away]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(text())
