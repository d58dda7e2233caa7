"""The worker process: what it costs, what it may do, and what happens when it fails."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nirjax.errors import FileError
from nirjax.ir import limits, process
from nirjax.ir import nodes as ir
from nirjax.ir.diff import diff
from nirjax.ir.graph import NIRGraph
from nirjax.ir.hdf5 import read, write

ROOT = Path(__file__).parents[2]
GRAPH = NIRGraph.from_list(ir.Scale(np.ones(3, np.float32)))


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    write(tmp_path / "sound.nir", GRAPH)
    return tmp_path / "sound.nir"


def posing(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Put other code in the worker's place."""
    monkeypatch.setattr(process, "_START", f"import json, os, struct, sys, time\n{code}")


FRAME = "w = lambda k, c: os.write(1, k + struct.pack('<Q', len(c)) + c)\n"
HEADER = {
    "version": "1.0.8",
    "digest": None,
    "notices": [],
    "slots": [],
    "root": ["NIRGraph", {}, {}, {}, []],
}


def header(**changes: Any) -> str:
    return f"{FRAME}w(b'H', {json.dumps({**HEADER, **changes}).encode()!r})\n"


def test_the_asking_process_needs_neither_jax_nor_h5py(sound: Path) -> None:
    code = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import nirjax
nirjax.read({str(sound)!r})
assert "jax" not in sys.modules and "flax" not in sys.modules and "h5py" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_safety_costs_little_more_than_starting_python(sound: Path) -> None:
    """Half a second at most, unless the machine is so busy that NumPy and h5py alone take as long to start."""

    def best(action: Callable[[], object]) -> float:
        times = []
        for _ in range(4):
            start = time.perf_counter()
            action()
            times.append(time.perf_counter() - start)
        return min(times)

    bare = best(lambda: subprocess.run([sys.executable, "-c", "import numpy, h5py"], check=True))
    cost = best(lambda: read(sound)) - best(lambda: read(sound, trusted=True))
    assert cost < max(0.5, 2 * bare)


def test_a_worker_is_found_from_any_folder(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("numpy.py", "h5py.py", "json.py", "nirjax.py"):
        (tmp_path / name).write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert diff(read("sound.nir"), GRAPH) == []


def test_many_threads_may_read_at_once(sound: Path) -> None:
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(read(sound))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [diff(graph, GRAPH) for graph in found] == [[]] * 4


def test_nothing_is_left_open(sound: Path) -> None:
    read(sound)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        read(sound)
        with pytest.raises(FileError):
            read(ROOT / "pyproject.toml")
    assert len(os.listdir("/proc/self/fd")) == before


def test_without_a_process_the_error_names_trusted(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for executable in ("", None, "/nowhere/python"):
        monkeypatch.setattr(sys, "executable", executable)
        with pytest.raises(FileError, match="trusted=True") as caught:
            read(sound)
        assert caught.value.file == str(sound)
        read(sound, trusted=True)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("os.abort()", "crashes HDF5"),
        ("import signal; os.kill(os.getpid(), signal.SIGSEGV)", "crashes HDF5"),
        ("sys.exit(3)", "exit code 3"),
        ("raise ImportError", "trusted=True"),
        ("time.sleep(60)", "too long"),
        (FRAME + "w(b'H', b'not JSON')", "no sense"),
        (FRAME + "w(b'H', b'{}')", "no sense"),
        (FRAME + "w(b'H', b'[' * 100000)", "no sense"),
        (FRAME + "w(b'Z', b'')", "no sense"),
        ("os.write(1, b'H' + b'\\xff' * 8)", "no sense"),
        (FRAME + 'w(b\'E\', b\'{"kind": "SystemExit", "message": "hello"}\')', "hello"),
        (header(slots=[["<f4", [10**9], 4 * 10**9, None, None, None]]), "no sense"),
        (header(slots=[["<f4", [-1], -4, None, None, None]]), "no sense"),
        (header(slots=[["O", [1], 8, None, None, None]]), "no sense"),
        (header(slots=[["<f4", [3], 4, None, None, None]]), "no sense"),
        (header(slots=[["<f4", [1], 4, None, None, None]]) + "w(b'A', b'12345678')", "no sense"),
        (
            header(slots=[[None, [2], 3, None, None, None]]) + "w(b'A', b'\\1\\0\\0\\0' * 2); w(b'A', b'abc')",
            "no sense",
        ),
        (header(root=["NIRGraph", {"a": 7}, {}, {}, []]) + "w(b'Z', b'')", "no sense"),
        (header(slots=[["<f4", [3], 12, None, None, 2**62]]), "no sense"),
        (header(root=["NIRGraph"]) + "w(b'Z', b'')", "no sense"),
    ],
)
def test_whatever_comes_back_is_an_error(code: str, words: str, sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    posing(monkeypatch, code)
    monkeypatch.setattr(process, "PATIENCE", 0.5)
    monkeypatch.setattr(limits, "SECONDS", 0)
    with pytest.raises(FileError, match=words):
        read(sound)


def confined(code: str, **bounds: int) -> str:
    """What code says that runs under the worker's limits."""
    start = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from nirjax.ir.limits import Limits
from nirjax.ir import worker
worker._confine(Limits(**{ {"bytes": 2**28, "groups": 1, "chunks": 1, "seconds": 2} | bounds!r}))
"""
    done = subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, check=False)
    return f"{done.returncode} {done.stdout}{done.stderr}"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits are those of Linux")
def test_the_worker_has_limits(tmp_path: Path) -> None:
    assert "MemoryError" in confined("import numpy; numpy.ones(2**27)")
    assert "0 " in confined("import numpy; numpy.ones(2**24)")
    assert "File too large" in confined(f"open({str(tmp_path / 'a')!r}, 'w', buffering=1).write('x\\n')")
    assert "Too many open files" in confined("worker._close_the_door(); open('/etc/hostname')")
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    assert confined("while True: pass", seconds=1).startswith("-")
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 3


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits are those of Linux")
def test_a_chunk_that_inflates_for_ever_is_refused(tmp_path: Path) -> None:
    import zlib

    with h5py.File(tmp_path / "a.nir", "w") as file:
        file["version"] = "1.0.8"
        file["node/type"] = "NIRGraph"
        file["node/nodes/x/type"] = "Scale"
        file["node/edges"] = np.zeros((0, 2))
        data = file.create_dataset("node/nodes/x/scale", (4, 4), "f4", chunks=(4, 4), compression="gzip")
        data.id.write_direct_chunk((0, 0), zlib.compress(bytes(2**26)))
    for trusted in (True, False):
        with pytest.raises(FileError) as caught:
            read(tmp_path / "a.nir", trusted=trusted)
        assert (caught.value.node, caught.value.field) == ("x", "scale")
