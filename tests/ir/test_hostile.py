"""The corpus of hostile and borderline files: every one gets its verdict, in time, with an error that names the place.

The corpus is made by `tests/data/hostile/make_hostile.py`; `manifest.json`, which it writes too, has the verdicts.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nirjax.errors import FileError, NIRError, NIRWarning
from nirjax.ir.graph import NIRGraph
from nirjax.ir.hdf5 import read

ROOT = Path(__file__).parents[2]
HOSTILE = ROOT / "tests" / "data" / "hostile"

# Verdicts that are `policy` in the manifest and decided otherwise here, with the reason.
DECIDED = {
    "no_input.nir": "accepted: when compiled, a node that nothing enters gets an Input, as in the reference package",
    "no_output.nir": "accepted: when compiled, a node that nothing leaves gets an Output, as in the reference package",
}
# Faults that only compiling can see; the engine's tests refuse them.
COMPILED = {
    "delay_huge.nir",
    "algebraic_loop_linear.nir",
    "algebraic_self_loop.nir",
    "algebraic_loop_delay0.nir",
    "algebraic_loop_nested.nir",
}
# The manifest means "any of l0 to l9"; the error names the first.
NODES = {"hardlink_billion_laughs.nir": "l0"}
# Legal files that are read with a warning that the manifest does not ask for.
ALSO_WARNED = {"edges_empty_float.nir": "nothing that enters the graph reaches"}
LARGE = {"nodes_100k.nir", "edges_1M.nir"}

CASES = json.loads((HOSTILE / "manifest.json").read_text())
_MIB = 2**20


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All files of the corpus but the large ones."""
    folder = tmp_path_factory.mktemp("hostile")
    return made(folder, "^(?!nodes_100k|edges_1M)")


def made(folder: Path, only: str) -> Path:
    subprocess.run(
        [sys.executable, HOSTILE / "make_hostile.py", folder, "--only", only], check=True, stdout=subprocess.DEVNULL
    )
    return folder


def outcome(path: Path, **options: Any) -> tuple[NIRGraph | NIRError, list[str], float]:
    """What reading gives, with which warnings, and how long it takes this process and its children to compute it."""
    before = _used()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result: NIRGraph | NIRError = read(path, **options)
        except NIRError as error:
            result = error
    assert all(warning.category is NIRWarning for warning in caught)
    return result, [str(warning.message) for warning in caught], _used() - before


def _used() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, kinds))


def judge(case: dict[str, Any], result: NIRGraph | NIRError, messages: list[str]) -> None:
    """Hold the verdict of the manifest, as decided here, against what reading gave."""
    name = case["file"]
    if case["expect"] == "accept" or name in DECIDED or name in COMPILED:
        assert isinstance(result, NIRGraph), result
        if case["warn"]:
            assert messages
            assert case["field"] is None or case["field"] in messages[0]
            assert not case["node"] or case["node"] in messages[0] or ascii(case["node"]) in messages[0]
        elif case["expect"] == "accept":
            allowed = ALSO_WARNED.get(name)
            assert all(allowed is not None and allowed in message for message in messages)
        return
    assert isinstance(result, NIRError), "accepted"
    assert result.file is not None
    assert result.file.endswith(name)
    if case["node"] is not None:
        node = NODES.get(name, case["node"])
        assert result.node is not None
        assert result.node == node or result.node.replace(".", "/").endswith(node), result.node
    if case["field"] is not None:
        assert result.field == case["field"]
    if case["node"] is None and case["field"] is None:
        assert isinstance(result, FileError)
    assert str(result).isprintable()
    assert len(str(result)) < 2000


_SMALL = [case for case in CASES if case["file"] not in LARGE]


@pytest.mark.parametrize("case", _SMALL, ids=lambda case: case["file"])
def test_the_gate(case: dict[str, Any], corpus: Path) -> None:
    """In this process: the gate alone holds on every file, before a worker's limits come into play."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result, messages, seconds = outcome(corpus / case["file"], trusted=True)
    judge(case, result, messages)
    assert seconds < case["time_s"]
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < case["rss_mb"]


@pytest.mark.slow
@pytest.mark.parametrize("case", _SMALL, ids=lambda case: case["file"])
def test_the_worker(case: dict[str, Any], corpus: Path) -> None:
    """Through a worker, as it is by default."""
    result, messages, seconds = outcome(corpus / case["file"])
    judge(case, result, messages)
    assert seconds < case["time_s"]


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case["file"] in LARGE], ids=lambda case: case["file"])
def test_large_legal_files(case: dict[str, Any], tmp_path: Path) -> None:
    made(tmp_path, case["file"].removesuffix(".nir"))
    result, messages, seconds = outcome(tmp_path / case["file"])
    judge(case, result, messages)
    assert seconds < case["time_s"]
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024 < case["rss_mb"]


def test_the_corpus_is_the_one_that_was_judged() -> None:
    assert len(CASES) == 322
    assert sum(case["expect"] == "reject" for case in CASES) == 240
    policies = {case["file"] for case in CASES if case["decision"] == "policy"}
    assert set(DECIDED) <= policies
    assert {case["file"] for case in CASES if case["stage"] == "compile"} >= COMPILED


@pytest.mark.parametrize("path", sorted((HOSTILE / "fuzz_regressions").glob("*.nir")), ids=lambda path: path.stem)
def test_mutants_that_crashed_or_hung_hdf5(path: Path) -> None:
    """A sound result or a nirjax error, quickly; strings are not read through HDF5, so even in this process."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        _, _, seconds = outcome(path, trusted=True, repair=False)
    assert seconds < 2


def test_a_worker_takes_no_more_memory_than_it_may() -> None:
    """For a file whose one chunk asks for more than the gate can see: in a process of its own, for its own peak."""
    path = HOSTILE / "fuzz_worker" / "memory.nir"
    code = f"""
import resource, nirjax
try:
    nirjax.read({str(path)!r})
except nirjax.FileError as error:
    assert "memory" in str(error)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 256 + 64


@pytest.mark.slow
def test_no_other_file_is_opened(corpus: Path) -> None:
    """By strace, if there is one: of all files only the one that was asked for is opened, beside Python's own."""
    try:
        subprocess.run(["strace", "-V"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no strace here")
    paths = [str(corpus / case["file"]) for case in CASES if case["category"] == "escape"]
    code = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
import warnings; warnings.simplefilter("ignore")
from nirjax.ir.hdf5 import read
import nirjax.ir.reading
os.chdir({str(corpus)!r})
for path in {paths!r}:
    for trusted in (True, False):
        try: os.stat("/mark" + path)
        except OSError: pass
        try: read(path, trusted=trusted)
        except Exception: pass
"""
    done = subprocess.run(
        ["strace", "-f", "-qq", "-e", "trace=open,openat,stat,newfstatat", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.count("/mark") == 2 * len(paths)
    opened = re.findall(r'open(?:at)?\((?:AT_FDCWD, )?"([^"]*)"', done.stderr.split("/mark", 1)[1])
    assert opened.count(paths[0]) == 2
    other = {name for name in opened if name not in paths and _is_ours(name)}
    assert not other


def _is_ours(name: str) -> bool:
    """Not part of Python, its packages or the system's libraries; nor what Python reads to close a child's files."""
    system = ("/etc/ld.so", "/sys/", "/dev/null", "/proc/cpuinfo", "/etc/localtime")
    fine = ("/usr/", "/lib", "/proc/self/statm", "/proc/self/fd", *system)
    return name != str(ROOT) and not name.startswith(
        (*fine, sys.prefix, sys.base_prefix, os.path.dirname(os.__file__), str(ROOT / "nirjax"))
    )


# ------------------------------------------------------------------------------------------------ random damage


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes flipped, a run zeroed, a run copied over another, or the end cut off."""
    changed, kind = bytearray(data), rng.integers(4)
    if kind == 0:
        for _ in range(rng.integers(1, 9)):
            changed[rng.integers(len(changed))] ^= int(rng.integers(1, 256))
    elif kind == 1:
        at, n = rng.integers(len(changed)), int(rng.integers(4, 65))
        changed[at : at + n] = bytes(len(changed[at : at + n]))
    elif kind == 2:
        n = int(rng.integers(4, 65))
        a, b = rng.integers(len(changed) - n, size=2)
        changed[a : a + n] = changed[b : b + n]
    else:
        changed = changed[: rng.integers(1, len(changed))]
    return bytes(changed)


SEEDS = ["battery/p_lif.nir", "battery/p_conv2d_same.nir", "battery/p_subgraph.nir"]


def damage(folder: Path, count: int, *, trusted: bool, digest: bool) -> dict[str, int]:
    """How reading goes for so many mutants of each seed: right, wrong (other content), refused."""
    from nirjax.ir.diff import diff
    from nirjax.ir.hdf5 import write

    counts = {"right": 0, "wrong": 0, "refused": 0}
    for number, name in enumerate(SEEDS):
        seed = ROOT / "tests" / "data" / name
        graph = read(seed, trusted=True)
        if digest:
            seed = folder / "seed.nir"
            write(seed, graph)
        rng = np.random.default_rng(number)
        for _ in range(count):
            path = folder / "mutant.nir"
            path.write_bytes(mutated(seed.read_bytes(), rng))
            result, _, seconds = outcome(path, trusted=trusted)
            assert seconds < 5
            kind = "refused" if isinstance(result, NIRError) else "right" if diff(result, graph) == [] else "wrong"
            counts[kind] += 1
    return counts


@pytest.mark.slow
def test_random_damage_gives_errors(tmp_path: Path) -> None:
    counts = damage(tmp_path, 25, trusted=False, digest=False)
    assert counts["refused"] > 10


@pytest.mark.slow
def test_random_damage_of_a_file_with_a_digest_is_never_read_as_something_else(tmp_path: Path) -> None:
    counts = damage(tmp_path, 25, trusted=False, digest=True)
    assert counts["wrong"] == 0
    assert min(counts["right"], counts["refused"]) > 5


# ------------------------------------------------------------------------------------- cases beyond the corpus


def chain(path: Path, spoil: Any) -> Path:
    with h5py.File(path, "w") as file:
        file["version"] = "1.0.8"
        file["node/type"] = "NIRGraph"
        file["node/nodes/x/type"] = "Scale"
        file["node/nodes/x/scale"] = np.ones(3, np.float32)
        file["node/edges"] = np.zeros((0, 2))
        spoil(file)
    return path


SPOILT: dict[str, tuple[Any, str | None, str | None]] = {
    "a soft link among the nodes": (lambda f: f["node/nodes"].__setitem__("y", h5py.SoftLink("/node")), "y", None),
    "an external link in metadata": (
        lambda f: f.create_group("node/metadata").__setitem__("m", h5py.ExternalLink("/etc/passwd", "/")),
        "",
        "metadata",
    ),
    "a soft link for the version": (
        lambda f: (f.__delitem__("version"), f.__setitem__("version", h5py.SoftLink("/node/type"))),
        None,
        "version",
    ),
    "virtual metadata": (
        lambda f: f.create_virtual_dataset("node/metadata/m", h5py.VirtualLayout((2,), "f4")),
        "",
        "metadata",
    ),
    "a filter twice": (lambda f: _twice(f), "x", "scale"),
    "a chunk of 4 GiB": (
        lambda f: (
            f.__delitem__("node/nodes/x/scale"),
            f.create_dataset("node/nodes/x/scale", (1,), "f4", maxshape=(None,), chunks=(2**29,)),
        ),
        "x",
        "scale",
    ),
    "strings in compact storage": (lambda f: _compact(f), "x", "type"),
    "an empty group for a node": (lambda f: f.create_group("node/nodes/y"), "y", "type"),
    "metadata that is itself": (lambda f: _own_metadata(f), "", "metadata"),
    "too many axes": (
        lambda f: (
            f.__delitem__("node/nodes/x/scale"),
            f.create_dataset("node/nodes/x/scale", (1,) * 32, "f4", fillvalue=np.nan),
        ),
        "x",
        "scale",
    ),
}


def _twice(file: Any) -> None:
    del file["node/nodes/x/scale"]
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((3,))
    plist.set_deflate(1)
    plist.set_deflate(1)
    space = h5py.h5s.create_simple((3,))
    h5py.h5d.create(file["node/nodes/x"].id, b"scale", h5py.h5t.IEEE_F32LE, space, plist)


def _compact(file: Any) -> None:
    del file["node/nodes/x/type"]
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_layout(h5py.h5d.COMPACT)
    kind = h5py.h5t.py_create(h5py.string_dtype(), logical=True)
    h5py.h5d.create(file["node/nodes/x"].id, b"type", kind, h5py.h5s.create(h5py.h5s.SCALAR), plist)


def _own_metadata(file: Any) -> None:
    group = file.create_group("node/metadata/deep")
    group["again"] = file["node/metadata"]


@pytest.mark.parametrize("name", SPOILT)
def test_more_that_is_refused(name: str, tmp_path: Path) -> None:
    spoil, node, field = SPOILT[name]
    path = chain(tmp_path / "a.nir", spoil)
    for trusted in (True, False):
        start = time.perf_counter()
        with pytest.raises(NIRError) as caught:
            read(path, trusted=trusted)
        assert (caught.value.node, caught.value.field) == (node, field), str(caught.value)
        assert time.perf_counter() - start < 30
