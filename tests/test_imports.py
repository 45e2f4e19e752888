"""The house: what each room may use. Read from the sources, so that a wrong import fails here before it hurts."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import chunkwire

ROOT = Path(__file__).parent.parent
PYTHON = ROOT / "python" / "chunkwire"
RUST = ROOT / "rust"

# --- Python ------------------------------------------------------------------------------------------------------

PUBLIC_ONLY = ("_cli", "adapters")  # these stand outside: they use what a user can use
#: But for what summaries and `usage` use as well: how tables look, which row is first, which tokens there are, paths,
#: formats; for what is said of members that no line has, and of links in archives; and for the sessions of clients that
#: have a parser of their own, and their responses.
SHARED = (
    "_render",
    "_sources",
    "_order",
    "_breakdown",
    "_kept",
    "_live",
    "_responses",
    "_formats",
    "_links",
    "_options",
)
BELOW = {"_errors": set(), "_stats": set(), "_model": {"_errors", "_stats"}}  # what the lowest rooms may use
#: What the Python engine is made of. It must work without everything that stands above it.
ENGINE = {
    "_errors",
    "_stats",
    "_marks",
    "_model",
    "_options",
    "_blocks",
    "_packing",
    "_sse",
    "_json",
    "_streams",
    "_usage_columns",
    "_messages",
    "_reported",
    "_written",
    "_views",
    "_session",
    "_relay",
    "_clients",
    "_columns",
    "_verdicts",
    "_logs",
    "_simdjson",
}


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PYTHON.rglob("*.py")):
        name = ".".join(path.relative_to(PYTHON).with_suffix("").parts)
        found[name.removesuffix(".__init__") if name != "__init__" else ""] = path
    return found


def imports(path: Path, name: str, *, inner: bool = True) -> set[str]:
    """What a file imports of the package, without the package's name; "" is the package itself."""
    found = set()
    tree = ast.parse(path.read_text("utf-8"))
    nodes = ast.walk(tree) if inner else iter(tree.body)
    package = (
        ["chunkwire", *name.split(".")] if path.name == "__init__.py" and name else ["chunkwire", *name.split(".")[:-1]]
    )
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return {one.removeprefix("chunkwire").removeprefix(".") for one in found if one.split(".")[0] == "chunkwire"}


def room(name: str) -> str:
    return name.split(".")[0]


def test_there_are_modules_to_look_at() -> None:
    assert {"", "_errors", "_stats", "_model", "_simdjson"} <= set(modules())
    assert imports(modules()[""], "")


def test_the_reader_of_imports_sees_them(tmp_path: Path) -> None:
    sample = tmp_path / "sample.py"
    text = "import os, chunkwire\nfrom chunkwire import _a\nfrom chunkwire._b import c\nfrom . import _d\n"
    sample.write_text(text + "from ._e import f\ndef g():\n    import chunkwire._h\n")
    assert imports(sample, "sample") == {"", "_a", "_b.c", "_d", "_e.f", "_h"}
    assert imports(sample, "sample", inner=False) == {"", "_a", "_b.c", "_d", "_e.f"}


def test_rooms_at_the_edge_use_the_public_api_only() -> None:
    for name, path in modules().items():
        if room(name) not in PUBLIC_ONLY:
            continue
        siblings = {
            room(other)
            for other in modules()
            if room(other).startswith("_report") or room(other) in (*PUBLIC_ONLY, *SHARED)
        }
        for used in imports(path, name):
            allowed = used == "" or used in chunkwire.__all__ or used == "__version__" or room(used) in siblings
            assert allowed, f"{path.name} uses chunkwire.{used}, which is not public"


@pytest.mark.parametrize("name", BELOW)
def test_the_lowest_rooms_use_each_other_only(name: str) -> None:
    used = {room(one) for one in imports(modules()[name], name, inner=False)}
    assert used <= BELOW[name]
    inner = {room(one) for one in imports(modules()[name], name)} - used
    assert inner <= ({"_engine"} if name == "_model" else set())


def test_the_engine_does_not_use_the_shell() -> None:
    assert set(modules()) >= ENGINE
    for name in ENGINE:
        # Unpickling asks for the engine in use, at the time it is needed: `_model` alone may, in a function.
        for used in imports(modules()[name], name, inner=name != "_model"):
            assert room(used) in ENGINE, f"{name} uses {used or 'chunkwire itself'}"


def test_the_face_has_no_logic() -> None:
    """`chunkwire/__init__.py` is a docstring, imports and `__all__`; at most a `__getattr__` that imports late."""
    tree = ast.parse(modules()[""].read_text("utf-8"))
    assert ast.get_docstring(tree)
    for node in tree.body:
        allowed = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.Expr, ast.If, ast.Try)
        late = isinstance(node, ast.FunctionDef) and node.name in ("__getattr__", "__dir__")
        assert isinstance(node, allowed) or late, ast.unparse(node)[:80]
    for name in chunkwire.__all__:
        assert hasattr(chunkwire, name), name


def test_every_file_says_what_it_is() -> None:
    for name, path in modules().items():
        assert ast.get_docstring(ast.parse(path.read_text("utf-8"))), f"{name or '__init__'} has no docstring"


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_importing_stays_light() -> None:
    heavy = ["numpy", "rich", "pandas", "polars", "pyarrow", "asyncio", "simdjson", "zstandard"]
    loaded = run(f"import sys, chunkwire; print([name for name in {heavy!r} if name in sys.modules])")
    assert "numpy" not in loaded
    assert "rich" not in loaded
    assert "pyarrow" not in loaded
    assert "polars" not in loaded


def test_the_extension_refuses_interpreters_apart() -> None:
    pytest.importorskip("chunkwire._native")
    code = """
import sys, chunkwire._native
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
exec_in = getattr(interpreters, "exec", None) or interpreters.run_string
try:
    print(exec_in(interpreters.create(), f"import sys; sys.path[:] = {sys.path}\\nimport chunkwire._native"))
except Exception as error:
    print(error)
"""
    assert "does not support loading in subinterpreters" in run(code)


def test_decoding_needs_no_numpy(engine: str) -> None:
    code = f"""
import sys, chunkwire
chunks = list(chunkwire.decode(b'data: {{"choices":[]}}\\n\\n', engine={engine!r}))
decoder = chunkwire.Decoder(engine={engine!r})
list(decoder.feed(b'data: x')), len(list(chunkwire.events(b'data: x\\n\\n', engine={engine!r})))
print(len(chunks), 'numpy' in sys.modules)
"""
    assert run(code) == "1 False"


# --- Rust --------------------------------------------------------------------------------------------------------

ROOMS = [
    "error",
    "source",
    "event",
    "chunk",
    "decoder",
    "live",
    "record",
    "reported",
    "written",
    "log",
    "stream",
    "numbers",
    "usage",
    "columns",
    "message",
    "scan",
    "python",
]
PATHS = re.compile(r"\b(crate|super|self)((?:::(?:super|[A-Za-z_]\w*|\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}|\*))+)")


def rust_files() -> list[Path]:
    return sorted(RUST.rglob("*.rs"))


def rust_code(text: str) -> str:
    """Without comments and strings, as far as this is needed to find paths."""
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:[^"\\]|\\.)*"', " ", text, flags=re.DOTALL)


def rust_module(path: Path) -> list[str]:
    parts = list(path.relative_to(RUST).with_suffix("").parts)
    return parts[:-1] if parts[-1] in ("mod", "lib") else parts


def heads(group: str) -> set[str]:
    """The first names in a group of paths such as `{a::{b, c}, d::e}`."""
    flat = group[1:-1]
    while "{" in flat:  # the innermost groups first
        flat = re.sub(r"\{[^{}]*\}", "", flat)
    return {one.strip().split("::")[0] for one in flat.split(",")}


def rust_rooms_used(text: str, module: list[str]) -> set[str]:
    """The rooms that a file names in paths; `super` counts from its module."""
    found = set()
    for start, rest in PATHS.findall(rust_code(text)):
        base = {"crate": [], "self": module, "super": module[:-1]}[start]
        rest = rest.removeprefix("::")
        while rest.startswith("super"):
            base, rest = base[:-1], rest.removeprefix("super").removeprefix("::")
        names = {base[0]} if base else heads(rest) if rest.startswith("{") else {rest.split("::")[0]}
        # `super` inside a module of the same file stays in the room; only names of rooms tell that it left.
        found |= names if start == "crate" else names & set(ROOMS)
    return {one for one in found if one and one[0].islower()}


def test_the_reader_of_paths_sees_them() -> None:
    text = """
    use crate::error::{Error, Place}; // crate::python::x
    use crate::{chunk::{Doc, Key}, event};
    use super::super::stream; use super::text; use self::keys;
    mod m { use super::super::{usage::Row, doc}; }
    fn f() { crate::record::g("crate::message"); }
    """
    assert rust_rooms_used(text, ["chunk", "parse"]) == {"error", "chunk", "event", "stream", "usage", "record"}


@pytest.mark.skipif(not RUST.is_dir(), reason="the Rust sources are not here")
def test_each_rust_room_uses_only_rooms_before_it() -> None:
    assert len(rust_files()) >= 10
    for path in rust_files():
        module = rust_module(path)
        if not module or module[0] in ("bin", "tests"):
            continue  # lib.rs names all rooms
        assert module[0] in ROOMS, f"{path.relative_to(ROOT)} is no room of the house"
        before = ROOMS[: ROOMS.index(module[0]) + 1]
        for used in rust_rooms_used(path.read_text("utf-8"), module):
            assert used in before, f"{path.relative_to(ROOT)} uses {used}, which comes after it"


@pytest.mark.skipif(not RUST.is_dir(), reason="the Rust sources are not here")
def test_only_one_rust_room_names_pyo3() -> None:
    naming = {
        rust_module(path)[0]
        for path in rust_files()
        if rust_module(path) and "pyo3" in rust_code(path.read_text("utf-8"))
    }
    assert naming == {"python"}


@pytest.mark.skipif(not RUST.is_dir(), reason="the Rust sources are not here")
def test_every_rust_file_says_what_it_is() -> None:
    for path in rust_files():
        assert path.read_text("utf-8").lstrip().startswith("//!"), path.relative_to(ROOT)
