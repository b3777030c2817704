"""Imports run one way, frameworks stay behind their adapters, files stay small, libraries do not print.

Every import is read, also those inside functions. Those under `if TYPE_CHECKING:` are allowed
everywhere: they never run.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

import lyapmap

SOURCE = Path(lyapmap.__file__).parent
LONGEST_FILE = 400

BELOW = {
    "core": set(),
    "backends": {"core"},
    "analysis": {"core"},
    "models": {"core"},
    "data": {"core"},
    "systems": {"core", "backends"},
    "views": {"core", "analysis"},
    "training": {"core", "backends", "analysis", "models", "data", "views"},
    "ensemble": {"core", "analysis"},
    "studies": {"core", "backends", "analysis", "models", "data", "systems", "training", "ensemble", "views"},
}
"""What each package may import besides itself; `cli` and the files at the top may import all."""

TORCH = ["backends/torch_*.py", "models/*.py", "training/*.py", "cli/training_run.py"]
KERAS = ["backends/keras_*.py", "models/keras_*.py", "training/keras_*.py"]
FRAMEWORKS = {
    "torch": TORCH,
    "safetensors": ["training/*.py"],
    "lightning_fabric": ["training/distributed.py"],
    "tensorboard": [],
    "numba": ["backends/numba_*.py", "backends/*_kernels.py"],
    "tensorflow": KERAS,
    "keras": KERAS,
    "jax": ["backends/jax_map.py"],
    "umap": ["views/*.py"],
    "matplotlib": ["views/*.py"],
    "typer": ["cli/*.py"],
}
"""Files that may import a framework."""
AT_THE_TOP = {
    "torch": ["backends/torch_*.py", "models/*.py", "training/*.py"],
    "jax": ["backends/jax_map.py"],
    "tensorflow": [],
    "keras": ["models/keras_*.py"],
    "numba": [],
    "matplotlib": [],
    "sklearn": [],
    "scipy": [],
    "xarray": [],
    "pandas": [],
}
"""Files that may import it when they are loaded; all others import it inside functions."""
GROUND = {"numpy", "xarray"}
"""Packages that `core` may import besides the standard library."""


class Imports(ast.NodeVisitor):
    """Names of the modules that a file imports, with the line and whether it happens on loading."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.found: list[tuple[str, int, bool]] = []
        self.depth = 0

    def visit_Import(self, node: ast.Import) -> None:
        self.found += [(alias.name, node.lineno, self.depth == 0) for alias in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = node.module or ""
        if node.level:
            package = self.module.rsplit(".", node.level)[0]
            base = f"{package}.{base}" if base else package
        # `from lyapmap import views` names a package only together with what is imported.
        names = [f"{base}.{alias.name}" for alias in node.names] if base == "lyapmap" else [base]
        self.found += [(name, node.lineno, self.depth == 0) for name in names]

    def visit_If(self, node: ast.If) -> None:
        test = node.test
        name = test.id if isinstance(test, ast.Name) else getattr(test, "attr", "")
        for child in node.orelse if name == "TYPE_CHECKING" else [*node.body, *node.orelse]:
            self.visit(child)

    def visit_Call(self, node: ast.Call) -> None:
        """`import_module("...")` with a name that is written out."""
        called = getattr(node.func, "id", getattr(node.func, "attr", ""))
        first = node.args[0] if node.args else None
        if called in ("import_module", "__import__") and isinstance(first, ast.Constant | ast.JoinedStr):
            parts = [first] if isinstance(first, ast.Constant) else first.values
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in parts)
            self.found.append((text, node.lineno, False))
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1

    visit_AsyncFunctionDef = visit_Lambda = visit_FunctionDef  # type: ignore[assignment]  # noqa: N815


def faults(root: Path) -> Iterator[str]:
    """Everything that is wrong with the files under `root`, which stands for the package."""
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        where, text = relative.as_posix(), path.read_text(encoding="utf-8")
        package = relative.parts[0] if len(relative.parts) > 1 else ""
        lines = text.count("\n")
        if lines > LONGEST_FILE:
            yield f"{where}: {lines} lines, two ideas"
        tree = ast.parse(text)
        reader = Imports(".".join(["lyapmap", *relative.with_suffix("").parts]))
        reader.visit(tree)
        for module, line, loading in reader.found:
            yield from (f"{where}:{line}: {fault}" for fault in _import_faults(where, package, module, loading))
        if package != "cli":
            yield from (f"{where}:{line}: prints" for line in _prints(tree))


def _import_faults(where: str, package: str, module: str, loading: bool) -> Iterator[str]:
    top, *rest = module.split(".")
    if top == "lyapmap" and rest and package in BELOW:
        target = rest[0]
        known = target in {*BELOW, "cli"}
        if known and target != package and target not in BELOW[package] and not _drawn_by_name(where, module):
            yield f"{package} imports {target}"
    if top in FRAMEWORKS and not _any(where, FRAMEWORKS[top]):
        yield f"imports {top}"
    if top in AT_THE_TOP and loading and not _any(where, AT_THE_TOP[top]):
        yield f"imports {top} when it is loaded"
    if package == "core" and top != "lyapmap" and top not in GROUND and top not in sys.stdlib_module_names:
        yield f"core imports {top}"


def _drawn_by_name(where: str, module: str) -> bool:
    """`Result.plot` reaches the views by name, and only when it is called."""
    return where == "core/results.py" and module == "lyapmap.views.*"


def _any(where: str, patterns: list[str]) -> bool:
    return any(fnmatch(where, pattern) for pattern in patterns)


def _prints(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield node.lineno


def test_the_house_is_in_order() -> None:
    assert list(faults(SOURCE)) == []


def test_every_package_is_known_to_the_rules() -> None:
    found = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert found <= {*BELOW, "cli"}


PLANTED = {
    "core/a.py": ("from lyapmap.analysis import spectrum", "core/a.py:1: core imports analysis"),
    "core/b.py": ("import scipy", "core/b.py:1: core imports scipy"),
    "core/c.py": ("def f():\n    import torch", "core/c.py:2: imports torch"),
    "analysis/a.py": ("from lyapmap.backends.numpy_map import wrap_numpy", "analysis imports backends"),
    "analysis/b.py": ("def f():\n    from lyapmap import models", "analysis/b.py:2: analysis imports models"),
    "analysis/c.py": ("from ..views import style", "analysis imports views"),
    "analysis/d.py": ("from .. import systems", "analysis imports systems"),
    "analysis/e.py": ("import torch.nn as nn", "imports torch"),
    "backends/a.py": ("import lyapmap.analysis.growth", "backends imports analysis"),
    "backends/numba_a.py": ("import numba", "imports numba when it is loaded"),
    "backends/numpy_a.py": (
        "class A:\n    def f(self):\n        from torch import Tensor",
        "numpy_a.py:3: imports torch",
    ),
    "models/a.py": ("from lyapmap.training import loop", "models imports training"),
    "data/a.py": ("import torch", "imports torch"),
    "systems/a.py": ("from lyapmap.analysis.spectrum import lyapunov_spectrum", "systems imports analysis"),
    "views/a.py": ("from lyapmap.training import loop", "views imports training"),
    "views/b.py": ("import matplotlib.pyplot", "imports matplotlib when it is loaded"),
    "training/a.py": ("try:\n    from lyapmap.cli import main\nexcept ImportError:\n    pass", "training imports cli"),
    "training/b.py": (
        "import importlib\nimportlib.import_module('lyapmap.systems.planar')",
        "training imports systems",
    ),
    "training/c.py": ("print('epoch')", "training/c.py:1: prints"),
    "cli/a.py": ("def f():\n    import torch", "cli/a.py:2: imports torch"),
    "cli/training_run.py": ("import torch", "cli/training_run.py:1: imports torch when it is loaded"),
    "views/long.py": ("\n" * 401, "views/long.py: 401 lines, two ideas"),
}


@pytest.mark.parametrize("where", PLANTED)
def test_a_fault_that_is_planted_is_found(where: str, tmp_path: Path) -> None:
    text, fault = PLANTED[where]
    path = tmp_path / where
    path.parent.mkdir()
    path.write_text(text)
    found = list(faults(tmp_path))
    assert found
    assert any(fault in line for line in found), found


@pytest.mark.parametrize(
    ("where", "text"),
    [
        (
            "views/a.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from lyapmap.training import loop",
        ),
        ("analysis/a.py", "from lyapmap.core.map import Map\nfrom lyapmap.analysis.growth import GrowthStatistics"),
        ("analysis/b.py", "from . import orbit\nfrom .orbit import describe"),
        ("backends/torch_a.py", "import torch"),
        ("cli/training_run.py", "def f():\n    import torch\n    print('done')"),
        ("views/b.py", "def f():\n    import matplotlib"),
    ],
)
def test_what_is_in_order_passes(where: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / where
    path.parent.mkdir()
    path.write_text(text)
    assert list(faults(tmp_path)) == []
