"""The documentation: its Python blocks run, those of a page in order and in one namespace, and print what it says they
print; its tables and pictures are those of the code; its links lead somewhere.
"""

import contextlib
import importlib.util
import io
import math
import re
import shlex
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

import nirjax
from nirjax.assets import DIGITS_GRAPH
from nirjax.cli.demo import write_recordings
from nirjax.cli.demo_task import task
from nirjax.cli.main import main
from nirjax.ir.nodes import NODE_TYPES
from nirjax.primitives.base import Site
from nirjax.primitives.registry import REGISTRY

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
BLOCK = re.compile(r"^```(python|text|shell)\n(.*?)^```", re.DOTALL | re.MULTILINE)
PAGES = sorted(page.name for page in DOCS.glob("*.md") if "```python" in page.read_text())


def tool(name):
    found = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


# ------------------------------------------------------------------------------------------------------------ blocks


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The files that the demo leaves before it trains."""
    folder = tmp_path_factory.mktemp("demo")
    write_recordings(folder, task(0))
    shutil.copyfile(DIGITS_GRAPH, folder / "digits.nir")
    return folder


@pytest.fixture
def settings_of_jax():
    names = ("dir", "min_compile_time_secs", "min_entry_size_bytes")
    names = ["jax_compilation_cache_dir", *(f"jax_persistent_cache_{name}" for name in names[1:])]
    before = {name: getattr(jax.config, name) for name in names}
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


@pytest.mark.usefixtures("settings_of_jax")
@pytest.mark.parametrize("page", PAGES)
def test_blocks_run(page, tmp_path, monkeypatch, demo):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    (tmp_path / "nirjax-demo").symlink_to(demo)
    namespace, printed = {"__name__": "docs"}, ""
    for kind, block in BLOCK.findall((DOCS / page).read_text()):
        if kind == "text":
            assert lines(printed) == lines(block), f"{page} says that this is printed:\n{block}"
            continue
        with contextlib.redirect_stdout(io.StringIO()) as out:
            if kind == "python":
                exec(compile(block, page, "exec"), namespace)
            else:
                commands = [line for line in block.splitlines() if line.startswith("nirjax ")]
                assert commands
                assert [main(shlex.split(command)[1:]) for command in commands] == [0] * len(commands)
        printed = out.getvalue()


def test_the_example_of_the_readme_runs(tmp_path, monkeypatch, demo):
    """With the files that the demo leaves, of which a few recordings do."""
    monkeypatch.chdir(tmp_path)
    folder = Path("nirjax-demo")
    shutil.copytree(demo, folder)
    with np.load(folder / "turned-train.npz") as file:
        np.savez(folder / "turned-train.npz", **{name: file[name][:64] for name in ("x", "y")})
    (block,) = [block for kind, block in BLOCK.findall((ROOT / "README.md").read_text()) if kind == "python"]
    namespace = {}
    exec(compile(block, "README.md", "exec"), namespace)
    assert {name: trace.shape for name, trace in namespace["run"].traces.items()} == {
        "1.lif.v": (40, 500, 96), "1.lif.spikes": (40, 500, 96), "3.spikes": (40, 500, 10),
    }  # fmt: skip
    assert nirjax.diff("tuned.nir", folder / "digits.nir")
    commands = re.findall(r"^    nirjax ((?:.*\\\n)*.*)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert [shlex.split(command.replace("\\\n", ""))[0] for command in commands] == ["finetune", "evaluate"]
    assert [main(shlex.split(command.replace("\\\n", ""))) for command in commands] == [0, 0]


def lines(text):
    return [line.rstrip() for line in text.strip().splitlines()]


# ----------------------------------------------------------------------------------------------- tables and pictures


@pytest.mark.parametrize("name", ["dialect_table", "primitive_tables"])
def test_tables_are_those_of_the_code(name):
    module = tool(name)
    assert module.PAGE.read_text() == module.text(), f"run python tools/{name}.py"


def test_pictures_are_those_of_the_plan():
    for path, content in tool("draw_schedule").pictures().items():
        assert path.read_text() == content, "run python tools/draw_schedule.py"


def test_every_node_type_has_its_section():
    page = (DOCS / "primitives.md").read_text()
    for name, node in NODE_TYPES.items():
        assert f"\n### {name}\n" in page
        assert f"<!-- fields of {name} -->" in page
        assert (f"<!-- steps of {name} -->" in page) == (node.stateful and name != "Delay")


NEURONS = [node for node in NODE_TYPES.values() if node.stateful and node.__name__ != "Delay"]


@pytest.mark.parametrize("node", NEURONS, ids=lambda node: node.__name__)
def test_the_lines_of_a_step_compute_what_the_engine_computes(node):
    tables = tool("primitive_tables")
    for dialect in (*tables.HOME, *(preset() for preset in tables.imports.ALL)):
        for _, rule in tables.discretisations(dialect, node):
            expected = stepped(node, rule)
            for at in range(SAMPLES):
                found = by_lines(tables.lines_of(rule, node), node, at)
                for name, values in expected.items():
                    assert found[name] == pytest.approx(float(values[at]), abs=1e-5), (dialect.name, name)


SAMPLES, DT = 16, 0.3


def numbers(node):
    """Fields, state and input of some neurons, many of which fire, some several times."""
    random = np.random.default_rng(0)
    fields = {name: random.uniform(0.3, 1.5, SAMPLES) for name in node.parameter_names()}
    given = {**fields, "v": random.uniform(-2, 4, SAMPLES), "x": random.uniform(-2, 4, SAMPLES)}
    return fields, given | ({"i": random.uniform(-2, 4, SAMPLES)} if "tau_syn" in fields else {})


def stepped(node, rule):
    """One step by the engine's own functions: the state after it, and the spikes."""
    fields, given = numbers(node)
    made = node(**{name: values.astype(np.float32) for name, values in fields.items()})
    site = Site("n", made, (SAMPLES,), (SAMPLES,), DT, np.float32, rule, nirjax.surrogate.fast_sigmoid())
    primitive = REGISTRY[node]
    parameters = site.taken({name: np.asarray(getattr(made, name)) for name in fields})
    state = {name: np.asarray(given[name], np.float32) for name in primitive.variables}
    after, y = primitive.step(site, primitive.prepare(site, parameters), state, np.asarray(given["x"], np.float32))
    return {**after, "z" if node.spiking else "v": y}


def by_lines(steps, node, at):
    """The same by the lines of the page, on plain numbers."""
    names = {name: float(values[at]) for name, values in numbers(node)[1].items()}
    names |= {"dt": DT, "exp": math.exp, "trunc": math.trunc, "ceil": math.ceil, "max": max, "min": min}
    exec("\n".join(steps), {"__builtins__": {}}, names)
    return names


# ------------------------------------------------------------------------------------------------- links, references

MARKDOWN = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for address in re.findall(r"\]\(([^)#\s]+)", text):
        assert "://" in address or (page.parent / address).exists(), address


def test_every_public_name_is_in_the_reference():
    shown = set(re.findall(r"^::: nirjax\.(\w+)", "\n".join(p.read_text() for p in DOCS.rglob("reference/*.md")), re.M))
    errors = {name for name in dir(nirjax) if name in dir(nirjax.errors)}
    assert set(dir(nirjax)) - shown - errors - {"__version__"} == set()


PAGE = """<html><body id="top"><img src="a.png" alt="a"><a href="b.html#here">b</a><a href="#top">up</a>
<a href="https://neuroir.org">elsewhere</a></body></html>"""


def site(folder, **changed):
    pages = {"a.html": PAGE, "b.html": '<h1 id="here">b</h1>', "a.png": "a picture", **changed}
    for name, content in pages.items():
        if content is not None:
            (folder / name).write_text(content)
    return tool("check_site").faults(folder)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({}, None),
        ({"b.html": None}, "a.html: b.html#here: there is no such file"),
        ({"b.html": "<h1>b</h1>"}, "a.html: b.html#here: there is no 'here' in b.html"),
        ({"a.png": ""}, "a.html: a.png: the file is empty"),
        ({"a.html": PAGE.replace('"a.png"', '"https://a.org/a.png"')}, "a.html: fetches https://a.org/a.png"),
        ({"b.html": '<p id="here"><script src="//a.org/b.js"></script>'}, "b.html: fetches //a.org/b.js"),
        ({"a.html": PAGE.replace('alt="a"', "")}, "a.html: 1 pictures without words for who cannot see them"),
    ],
)
def test_what_is_broken_in_a_site_is_found(tmp_path, changed, fault):
    assert site(tmp_path, **changed) == ([fault] if fault else [])
