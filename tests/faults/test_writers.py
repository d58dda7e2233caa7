"""Everything that nirjax writes goes through one writer of whole files; what does not is named here, and why."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "nirjax"

WRITING = {"write_text", "write_bytes", "save", "savez", "savez_compressed", "savefig", "savetxt", "tofile", "dump"}
OPENING = {"open", "fdopen", "File", "memmap", "NamedTemporaryFile", "mkstemp", "ZipFile"}

# where, what is called, and on what: why that is no file that could be left half written
EXCEPTIONS = {
    ("ir/writing.py", "h5py.File", "f'nirjax {secrets.token_hex(8)}'"): "a file in memory",
    ("ir/data_writing.py", "h5py.File", "f'nirjax {secrets.token_hex(8)}'"): "a file in memory",
    ("ir/worker.py", "os.fdopen", "os.dup(1)"): "the pipe to the process that asked",
    ("ir/atomic.py", "os.open", "temporary"): "the writer itself",
    ("cli/main.py", "open", "os.devnull"): "nowhere, in place of a closed stream",
    ("cli/pictures.py", "whole.savefig", "drawn"): "into memory",
    ("cli/data_files.py", "np.save", "buffer"): "into memory",
    ("cli/data_files.py", "np.savez_compressed", "buffer"): "into memory",
    ("evaluation/folder.py", "np.savez_compressed", "buffer"): "into memory",
    ("data/processes.py", "np.savez", "buffer"): "into memory, to be sent to another process",
    ("finetuning/training.py", "self.checkpoints.save", "state.step"): "Checkpoints",
    ("finetuning/checkpoints.py", "_checkpointer().save", "target"): "by orbax; counts once its digest is written",
}


def calls(file: Path) -> Iterator[tuple[str, str, str]]:
    """Calls in a file that may write one: where, what, and their first argument. (`save` by itself is nirjax's own.)"""
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.Call):
            continue
        what = ast.unparse(node.func)
        name = what.rpartition(".")[2]
        if (name in WRITING and "." in what) or (name in OPENING and not reads(what, node)):
            yield str(file.relative_to(PACKAGE)), what, ast.unparse(node.args[0]) if node.args else ""


def reads(what: str, node: ast.Call) -> bool:
    """Does a call that opens something open it for reading only?"""
    rest = [ast.unparse(argument) for argument in [*node.args[1:], *(word.value for word in node.keywords)]]
    if what == "os.open":
        return not any("O_CREAT" in argument or "O_TRUNC" in argument for argument in rest)
    if what in ("open", "os.fdopen") or what.endswith("File"):
        return not any(argument.strip("'\"b") in ("w", "wb", "a", "x", "r+", "w+", "r+b", "wt") for argument in rest)
    if what.rpartition(".")[2] in ("open", "fdopen"):
        return not any("w" in argument for argument in rest if argument.startswith("'"))
    return False


def test_everything_that_is_written_is_written_whole() -> None:
    found = {call for file in sorted(PACKAGE.rglob("*.py")) for call in calls(file)}
    assert found - EXCEPTIONS.keys() == set(), "write it with nirjax.ir.atomic.replace_file, or say here why not"
    assert EXCEPTIONS.keys() - found == set(), "no longer there"
