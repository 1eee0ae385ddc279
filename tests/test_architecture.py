"""The architecture: who may import whom, what may be imported where, how long a file may be."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from distdesc import registry
from distdesc.descriptors import DESCRIPTORS
from distdesc.engine.executors import EXECUTORS
from distdesc.reduction import REDUCTIONS
from distdesc.stages import STAGES
from distdesc.structures import SOURCES

PACKAGE = Path(__file__).parent.parent / "distdesc"
FILES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 300
MAX_FUNCTION_LINES = 60  # its docstring included

# From the bottom; a module imports from its own line or from lines below. The only exception
# upwards is none; sideways, what stands on one line does not know its neighbours.
LAYERS = [
    ["errors"],
    ["schema", "stopwatch", "elements", "place", "checks"],
    ["registry", "job", "options"],
    ["store"],
    ["structures"],
    ["descriptors", "reduction", "symmetry"],
    ["decode", "singular"],
    ["stages"],
    ["campaign"],
    ["monitor"],
    ["engine", "report"],
    ["cli"],
]
BOTTOM = {"errors", "schema", "stopwatch", "elements", "place", "checks"}

# Library → places that may import it; a place is a prefix of the module's path.
OWNERS = {
    "dask": [
        "engine/executors/dask.py",
        "engine/executors/cluster.py",
        "engine/executors/examination.py",
        "engine/executors/links.py",
        "report/reader.py",
        "report/lazy.py",
    ],
    "distributed": [
        "engine/executors/dask.py",
        "engine/executors/trial.py",
        "engine/executors/cluster.py",
        "engine/executors/connecting.py",
        "engine/executors/examination.py",
        "engine/executors/graceful.py",
        "engine/executors/links.py",
        "engine/executors/performance.py",
        "engine/executors/security.py",
        "monitor/board.py",
        "monitor/page.py",
        "monitor/reporting.py",
    ],
    "bokeh": ["monitor/page.py"],
    "tornado": ["monitor/page.py"],
    "prometheus_client": ["monitor/metrics.py"],
    "cryptography": ["engine/executors/certificates.py"],
    "zarr": ["store/", "report/reader.py"],
    "numcodecs": ["store/"],
    "obstore": ["store/"],
    "ase": ["structures/"],
    "extxyz": ["structures/"],
    "lmdb": ["structures/"],
    "click": ["cli/"],
    "rich": [
        "cli/",
        "report/text.py",
        "report/plan_text.py",
        "report/decoding_text.py",
        "report/singular_text.py",
    ],
    "xarray": ["report/reader.py", "report/lazy.py"],
    "pyarrow": ["report/export.py"],
    "matplotlib": ["report/figure"],
    "multiprocessing": [],
    "joblib": [],
    "subprocess": ["engine/child_process.py"],
    "concurrent": ["engine/executors/dask.py"],
    "threading": [],
}
BROAD_EXCEPT = {"engine/stage_run.py"}


def name_of(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


def layer_of(part: str) -> int | None:
    return next((k for k, layer in enumerate(LAYERS) if part in layer), None)


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything a file imports, wherever the statement stands."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: relative import"
            if node.module == "distdesc":
                yield from ((node.lineno, f"distdesc.{a.name}") for a in node.names)
            else:
                yield node.lineno, str(node.module)


def faults_in(file: Path, name: str) -> list[str]:
    own = name.split("/")[0].removesuffix(".py")
    found = []
    for line, module in imports(file):
        top, *rest = module.split(".")
        if top in OWNERS and not any(name.startswith(p) for p in OWNERS[top]):
            places = ", ".join(OWNERS[top]) or "nowhere"
            found.append(f"{name}:{line} imports {top}, which is allowed in: {places}")
        if top == "numba" and not Path(name).name.endswith("_kernels.py"):
            found.append(f"{name}:{line} imports numba outside a _*_kernels.py module")
        if top == "scipy" and rest[:1] == ["optimize"] and own not in ("decode", "singular"):
            found.append(f"{name}:{line} imports scipy.optimize outside decode and singular")
        if top == "distdesc" and rest:
            mine, theirs = layer_of(own), layer_of(rest[0])
            if mine is None or theirs is None or own == rest[0]:
                continue
            if theirs > mine or (theirs == mine and rest[0] not in BOTTOM):
                found.append(f"{name}:{line} imports {module}, which lies above or beside {own}")
    return found


def test_imports_point_downwards_and_libraries_stay_in_their_place():
    found = [fault for file in FILES for fault in faults_in(file, name_of(file))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("descriptors/x.py", "import dask", "imports dask"),
        ("stages/x.py", "from distdesc.engine import plan", "lies above"),
        ("store/x.py", "from distdesc.structures.source import Source", "lies above"),
        ("report/x.py", "from distdesc.engine.run import run", "lies above or beside"),
        ("engine/plan.py", "def f():\n    from distributed import Client", "imports distributed"),
        ("descriptors/x.py", "import numba", "imports numba outside"),
        ("stages/x.py", "import zarr", "imports zarr"),
        ("engine/x.py", "import ase.io", "imports ase"),
        ("descriptors/x.py", "from scipy.optimize import root", "imports scipy.optimize"),
        ("structures/x.py", "import multiprocessing", "allowed in: nowhere"),
    ],
)
def test_a_violation_is_seen(tmp_path, name, code, message):
    file = tmp_path / "x.py"
    file.write_text(code)
    found = faults_in(file, name)
    assert len(found) == 1
    assert message in found[0]


def test_every_module_has_its_layer():
    known = {part for layer in LAYERS for part in layer}
    modules = {name_of(f).split("/")[0].removesuffix(".py") for f in FILES}
    assert modules - known == {"__init__", "__main__"}


def test_the_page_on_the_architecture_names_modules_that_exist():
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text()
    modules = {name_of(f).removesuffix(".py").removesuffix("/__init__") for f in FILES}
    packages = {module.split("/")[0] for module in modules}
    named = re.findall(r"`((?:[a-z_]+\.)+\w[\w.]*)`", page)
    paths = [name for name in named if name.split(".")[0] in packages]
    assert len(paths) > 60
    for path in paths:
        # what begins with a capital is a class of the module, and what follows is of that
        assert re.split(r"\.[A-Z]", path)[0].replace(".", "/") in modules, path


def faults_of_form(file: Path) -> Iterator[str]:
    text, kernels = file.read_text(), file.name.endswith("_kernels.py")
    tree = ast.parse(text)
    if not ast.get_docstring(tree):
        yield f"{name_of(file)} has no docstring"
    lines = text.count("\n")
    limit = 2 * MAX_LINES if kernels else MAX_LINES
    if lines > limit * 1.1:
        yield f"{name_of(file)} has {lines} lines, more than about {limit}"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and not kernels:
            lines = (node.end_lineno or 0) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES * 1.1:
                yield f"{name_of(file)}: {node.name} has {lines} lines"


def test_a_module_says_what_it_is_and_neither_it_nor_a_function_is_too_long():
    found = [fault for file in FILES for fault in faults_of_form(file)]
    assert not found, "\n".join(found)


def excepts_and_prints(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ExceptHandler) and name_of(file) not in BROAD_EXCEPT:
            name = node.type.id if isinstance(node.type, ast.Name) else ""
            if node.type is None or name in ("Exception", "BaseException"):
                yield f"{name_of(file)}:{node.lineno} excepts everything"
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
            yield f"{name_of(file)}:{node.lineno} prints"


def test_broad_excepts_and_prints_stay_in_their_place():
    found = [fault for file in FILES for fault in excepts_and_prints(file)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        ("source", SOURCES),
        ("descriptor", DESCRIPTORS),
        ("reduction", REDUCTIONS),
        ("stage", STAGES),
        ("execution", EXECUTORS),
    ],
)
def test_every_registry_entry_loads_and_is_documented(kind, table):
    for name in table:
        assert registry.load(table, kind, name).__doc__, name
