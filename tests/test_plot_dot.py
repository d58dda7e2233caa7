"""A graph in Graphviz's language: read back by a reader of that language written here."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from engine.graphs import graph, lif, linear, ports

import nirjax
from nirjax.ir import nodes as ir
from nirjax.plot import to_dot

DIGITS = Path(nirjax.__file__).parent / "assets" / "digits.nir"


@dataclass
class Dot:
    """What a file of DOT says: attributes by node, edges, and which cluster each node lies in."""

    nodes: dict[str, dict[str, str]] = field(default_factory=dict)
    edges: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    clusters: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def named(self, label: str) -> str:
        (found,) = [key for key, attributes in self.nodes.items() if attributes["label"].split("\n")[0] == label]
        return found


TOKEN = re.compile(r'\s*(?:("(?:[^"\\]|\\.)*")|(->|[{}\[\]=;,])|([A-Za-z_0-9.#]+))')


def tokens(text: str) -> list[str]:
    found, at = [], 0
    while text[at:].strip():
        match = TOKEN.match(text, at)
        assert match is not None, text[at : at + 40]
        found.append(match.group().strip())
        at = match.end()
    return found


def value(token: str) -> str:
    """The text that a string shows: escapes and entities undone as Graphviz undoes them in labels."""
    if not token.startswith('"'):
        return token
    shown = re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m.group(1), m.group(1)), token[1:-1])
    assert not re.search(r"&(?!amp;)", shown)
    return shown.replace("&amp;", "&")


def parsed(text: str) -> Dot:
    """As much of the language as `to_dot` writes; anything else fails."""
    rest, dot = tokens(text), Dot()
    assert rest[:2] == ["digraph", "{"]
    rest = rest[2:]
    inside: list[str] = []
    while rest:
        first, *rest = rest
        if first == "}":
            if not inside:
                break
            inside.pop()
        elif first == "subgraph":
            assert rest[:4][1:] == ["{", "label", "="]
            inside.append(value(rest[4]))
            assert rest[5] == ";"
            rest = rest[6:]
        elif rest[0] == "=":
            rest = rest[3:]
        elif rest[0] == "->":
            attributes, rest = described(rest[2:]) if rest[2] == "[" else ({}, rest[2:])
            dot.edges[first, rest_of(first, text, len(dot.edges))] = attributes
            assert rest.pop(0) == ";"
        else:
            attributes, rest = described(rest)
            if first not in ("node", "edge"):
                dot.nodes[first], dot.clusters[first] = attributes, tuple(inside)
            assert rest.pop(0) == ";"
    assert rest == []
    return dot


def rest_of(source: str, text: str, number: int) -> str:
    """The end of the edge of this number."""
    found = re.findall(r"^ *(n\d+) -> (n\d+)", text, flags=re.MULTILINE)
    assert found[number][0] == source
    return found[number][1]


def described(rest: list[str]) -> tuple[dict[str, str], list[str]]:
    assert rest[0] == "["
    end = rest.index("]")
    words = rest[1:end]
    assert all(words[at] == "=" for at in range(1, len(words), 4))
    return {words[at]: value(words[at + 2]) for at in range(0, len(words), 4)}, rest[end + 1 :]


def recurrent() -> nirjax.NIRGraph:
    nodes = {**ports(), "fc": linear(), "lif": lif(), "w": linear()}
    return graph(nodes, "in fc lif w lif", "lif out")


def test_nodes_and_edges_are_the_graph_s() -> None:
    dot = parsed(to_dot(recurrent()))
    names = {key: attributes["label"].split("\n")[0] for key, attributes in dot.nodes.items()}
    assert sorted(names.values()) == sorted(recurrent().nodes)
    assert {(names[a], names[b]) for a, b in dot.edges} == set(recurrent().edges)
    assert dot.nodes[dot.named("fc")]["label"] == "fc\nLinear  3"


def test_cycles_and_delayed_edges_are_marked() -> None:
    dot = parsed(to_dot(recurrent()))
    strong = {attributes["label"].split("\n")[0] for attributes in dot.nodes.values() if "penwidth" in attributes}
    assert strong == {"lif", "w"}
    delayed = {edge for edge, attributes in dot.edges.items() if attributes.get("style") == "dashed"}
    assert delayed == {(dot.named("w"), dot.named("lif"))}
    model = nirjax.from_nir(recurrent(), dt=1, feedback=[("lif", "w")])
    dot = parsed(to_dot(model))
    delayed = {edge for edge, attributes in dot.edges.items() if attributes.get("label") == "-1 step"}
    assert delayed == {(dot.named("lif"), dot.named("w"))}
    dot = parsed(to_dot(recurrent(), feedback=[("fc", "lif")]))
    assert [edge for edge, attributes in dot.edges.items() if attributes] == [(dot.named("fc"), dot.named("lif"))]


def test_parameters_on_demand() -> None:
    assert "tau" not in to_dot(recurrent())
    dot = parsed(to_dot(recurrent(), parameters=True))
    assert "tau 2\nr 2\nv_leak 0\nv_threshold 1" in dot.nodes[dot.named("lif")]["label"]


def test_subgraphs_are_clusters() -> None:
    inner = graph({**ports(), "lif": lif()}, "in lif out")
    middle = nirjax.NIRGraph(
        {"in": ir.Input((3,)), "deep": inner, "out": ir.Output((3,))}, [("in", "deep"), ("deep", "out")]
    )
    outer = nirjax.NIRGraph(
        {"in": ir.Input((3,)), "a b": middle, "c": inner, "out": ir.Output((3,))},
        [("in", "a b"), ("a b", "c"), ("c", "out")],
    )
    dot = parsed(to_dot(outer))
    places = sorted((dot.clusters[key], attributes["label"].split("\n")[0]) for key, attributes in dot.nodes.items())
    assert [(where, name) for where, name in places if name == "lif"] == [(("a b", "deep"), "lif"), (("c",), "lif")]
    assert [where for where, name in places if name == "in"] == [(), ("a b",), ("a b", "deep"), ("c",)]


HOSTILE = [
    'a" [shape=none]; evil -> evil; "b', "back\\slash\\", "end\\", "\\N \\G \\n \\l", "<b>html</b>", "&amp; &#65; &lt;",
    "new\nline", "tab\tbell\a", "digraph", "subgraph", "ü λ 神経", "\u202eright to left", "// no comment", "# none",
    "{}[]=;", "\udc80", "''", "%s {0}", " ",
]  # fmt: skip


def test_names_stay_text() -> None:
    nodes = {name: ir.Scale(np.ones(3, np.float32)) for name in HOSTILE}
    chain = ["in", *HOSTILE, "out"]
    made = nirjax.NIRGraph({**ports(), **nodes}, list(pairwise(chain)))
    for text in (to_dot(made, title=HOSTILE[0]), to_dot(nirjax.NIRGraph({HOSTILE[0]: made}))):
        dot = parsed(text)
        found = {attributes["label"].split("\n")[0] for attributes in dot.nodes.values()}
        assert found == {name if name.isprintable() else ascii(name)[1:-1] for name in chain}
        assert len(dot.nodes) == len(chain)
        assert len(dot.edges) == len(chain) - 1
        text.encode()


def test_a_file_will_do() -> None:
    assert to_dot(DIGITS) == to_dot(nirjax.read(DIGITS)) == to_dot(nirjax.read(DIGITS).to_reference())
    with pytest.raises(nirjax.FileError):
        to_dot("missing.nir")


def test_nothing_has_to_be_installed() -> None:
    code = f"""
import sys
sys.modules["matplotlib"] = None
import nirjax
print(nirjax.plot.to_dot({str(DIGITS)!r})[:9])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=DIGITS.parents[2], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout == "digraph {\n", done.stderr
