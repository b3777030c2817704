"""Imports run one way, frameworks stay behind their adapters, files stay small, libraries do not print.

Every import is read, also those inside functions and those by a string: a string that is the name of one of our
modules counts as an import of it, wherever it stands. Those under `if TYPE_CHECKING:` are allowed everywhere:
they never run.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

import lyapmap
from lyapmap.core.map import TangentMap
from lyapmap.models import PAPERS

SOURCE = Path(lyapmap.__file__).parent
LONG_FILE = 700
"""Lines from which a docstring has to say why the file is long."""

MOST_FILES = 16
"""In one folder, for a person to take in at a glance."""
MORE_FILES = {"systems": 20, "cli": 22, "core": 22}
"""Folders that hold more: two that are lists by nature, and the ground that all stand on."""

FLOORS = (
    {"core"},
    {"report", "backends", "engine"},
    {"analysis", "data"},
    {"systems", "files"},
    {"views", "training", "explore"},
    {"study"},
    {"models"},
    {"cli"},
)
"""From the ground up; a package imports itself and what lies on lower floors, but for the rest of `NEVER`."""
NEVER = {
    "report": {"backends", "engine"},
    "engine": {"backends"},
    "analysis": {"backends"},
    "data": {"backends", "report"},
    "systems": {"analysis", "data", "report"},
    "views": {"backends", "data", "systems"},
    "training": {"systems"},
    "explore": {"backends", "data", "systems", "files"},
}
"""Lower floors that a package has no use for."""
BELOW = {
    name: set().union(*FLOORS[:floor]) - NEVER.get(name, set()) for floor, names in enumerate(FLOORS) for name in names
}
"""What each package may import besides itself; the files at the top may import all."""
STANDS_ON = {"latent_spectral": {"classifier", "gan"}}
"""Papers that build on another one; the rest know nothing of each other."""

TORCH = [
    "backends/torch/*.py",
    "models/*/*.py",
    "training/*.py",
    "files/*.py",
    "cli/training.py",
]
KERAS = ["backends/keras/*.py", "models/*/keras_*.py", "training/keras_*.py", "files/keras_*.py"]
COMMANDS = ["models/*/commands.py"]
"""A paper's commands lie in its folder and stand at the top, beside `cli`; nothing of the paper imports them."""
FRAMEWORKS = {
    "torch": TORCH,
    "safetensors": ["files/*.py"],
    "lightning_fabric": ["training/distributed.py"],
    "tensorboard": [],
    "numba": ["backends/numba/*.py", "core/machine_code.py"],
    "tensorflow": KERAS,
    "keras": KERAS,
    "jax": ["backends/jax_*.py", "files/jax_files.py"],
    "umap": ["analysis/manifold/umap_*.py"],
    "matplotlib": ["report/*.py", "*/pictures*.py"],
    "plotly": ["report/*.py"],
    "jinja2": ["report/*.py", "explore/*.py"],
    "starlette": ["explore/*.py"],
    "uvicorn": ["explore/*.py"],
    "cyclopts": ["cli/root.py", "cli/command.py"],
}
"""Files that may import a framework."""
AT_THE_TOP = {
    "torch": ["backends/torch/*.py", "models/*/*.py", "training/*.py", "files/*.py"],
    "jax": ["backends/jax_*.py"],
    "tensorflow": [],
    "keras": ["models/*/keras_*.py"],
    "numba": [],
    "matplotlib": [],
    "sklearn": [],
    "scipy": [],
    "xarray": [],
    "pandas": [],
}
"""Files that may import it when they are loaded; all others import it inside functions."""
GROUND = {"h5py", "numba", "numpy", "pandas", "rich", "threadpoolctl", "xarray"}
"""Packages that `core` may import besides the standard library."""
DOORS = {
    "core/ops.py": {"backends"},  # a user's own tensor or network is computed with by its adapter
    "files/papers.py": {"models"},  # what the papers say of themselves
}
"""Files that look upwards, by name and late, and at what."""
CIRCLES_YET: list[tuple[str, ...]] = []
"""Circles that have to be opened."""


class Imports(ast.NodeVisitor):
    """Names of the modules that a file imports, with the line and whether it happens on loading."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.imports: list[tuple[str, int, bool]] = []
        self.depth = 0

    def visit_Import(self, node: ast.Import) -> None:
        self.imports += [(alias.name, node.lineno, self.depth == 0) for alias in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = node.module or ""
        if node.level:
            package = self.module.rsplit(".", node.level)[0]
            base = f"{package}.{base}" if base else package
        # `from lyapmap import views` names a package only together with what is imported.
        names = [f"{base}.{alias.name}" for alias in node.names] if base.startswith("lyapmap") else [base]
        self.imports += [(name, node.lineno, self.depth == 0) for name in names]

    def visit_If(self, node: ast.If) -> None:
        test = node.test
        name = test.id if isinstance(test, ast.Name) else getattr(test, "attr", "")
        for child in node.orelse if name == "TYPE_CHECKING" else [*node.body, *node.orelse]:
            self.visit(child)

    def visit_Call(self, node: ast.Call) -> None:
        """`import_module("...")`, `find_spec("...")` of ours, with a name that is written out, in whole or in part."""
        called = getattr(node.func, "id", getattr(node.func, "attr", ""))
        first = node.args[0] if node.args else None
        if called in ("import_module", "__import__", "find_spec") and isinstance(first, ast.Constant | ast.JoinedStr):
            parts = [first] if isinstance(first, ast.Constant) else first.values
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in parts)
            if called != "find_spec" or text.startswith("lyapmap."):  # whether a framework is installed may be asked
                self.imports.append((text, node.lineno, False))
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        """`sys.modules["torch"]` is the framework itself; `.get` and `in` only look whether it is there."""
        if ast.unparse(node.value) == "sys.modules" and isinstance(node.slice, ast.Constant):
            self.imports.append((str(node.slice.value), node.lineno, False))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and re.fullmatch(r"lyapmap(\.[a-z_0-9]+){2,}", node.value):
            self.imports.append((node.value, node.lineno, False))

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in node.values)
        if re.fullmatch(r"lyapmap\.[a-z_]+\.[a-z_.*]+", text):
            self.imports.append((text, node.lineno, False))
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1

    visit_AsyncFunctionDef = visit_Lambda = visit_FunctionDef  # type: ignore[assignment]  # noqa: N815


def imports_of(root: Path, path: Path) -> list[tuple[str, int, bool]]:
    reader = Imports(".".join(["lyapmap", *path.relative_to(root).with_suffix("").parts]))
    reader.visit(ast.parse(path.read_text(encoding="utf-8")))
    return reader.imports


def faults(root: Path) -> Iterator[str]:
    """Everything that is wrong with the files under `root`, which stands for the package."""
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        where, text = relative.as_posix(), path.read_text(encoding="utf-8")
        package = relative.parts[0] if len(relative.parts) > 1 else ""
        if fits(where, COMMANDS):
            package = "cli"
        lines = text.count("\n")
        if lines > LONG_FILE and "long" not in (ast.get_docstring(ast.parse(text)) or ""):
            yield f"{where}: {lines} lines, and its docstring does not say why the file is long"
        for module, line, loading in imports_of(root, path):
            yield from (f"{where}:{line}: {fault}" for fault in _import_faults(where, package, module, loading))
        if package != "cli":
            yield from (f"{where}:{line}: prints" for line in _prints(ast.parse(text)))
    for folder in sorted({path.parent for path in root.rglob("*.py")}):
        where, files = folder.relative_to(root).as_posix(), len(list(folder.glob("[!_]*.py")))
        if files > MORE_FILES.get(where, MOST_FILES):
            yield f"{where}: {files} files, more than a glance takes in"
    yield from (f"{' <-> '.join(circle)}: a circle" for circle in circles(root))


def room_of(module: str) -> str:
    """The room in which a module of ours lies, "" for others; commands of papers belong to the command line."""
    if fnmatch(module, "lyapmap.models.*.commands*"):
        return "cli"
    package, _, inner = module.partition(".")
    return inner.partition(".")[0] if package == "lyapmap" else ""


def _import_faults(where: str, package: str, module: str, loading: bool) -> Iterator[str]:
    top, *rest = module.split(".")
    if top == "lyapmap" and rest and package in BELOW and package != "cli":
        target = room_of(module)
        if target in BELOW and target != package and target not in BELOW[package]:
            if target not in DOORS.get(where, ()):
                yield f"{package} imports {target}"
        elif target == package == "models" and len(rest) > 1:
            paper, other = where.split("/")[1], rest[1]
            if other in PAPERS and other != paper and other not in STANDS_ON.get(paper, ()) and paper in PAPERS:
                yield f"{paper} imports {other}"
    if top in FRAMEWORKS and not fits(where, FRAMEWORKS[top]):
        yield f"imports {top}"
    if top in AT_THE_TOP and loading and not fits(where, AT_THE_TOP[top]):
        yield f"imports {top} when it is loaded"
    known = {"lyapmap", *GROUND, *sys.stdlib_module_names}
    if package == "core" and top not in known:
        yield f"core imports {top}"


def circles(root: Path) -> list[list[str]]:
    """Files that import each other, in one step or several, each circle once."""
    files = {}
    for path in root.rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        files[".".join(["lyapmap", *parts]).removesuffix(".__init__")] = path
    arrows: dict[str, set[str]] = defaultdict(set)
    for name, path in files.items():
        for module, _, _ in imports_of(root, path):
            target = module if module in files else module.rpartition(".")[0]
            if target in files and target != name:
                arrows[name].add(target)

    def reached(start: str) -> set[str]:
        seen, waiting = set(), [start]
        while waiting:
            for target in arrows[waiting.pop()] - seen:
                seen.add(target)
                waiting.append(target)
        return seen

    all_reached = {name: reached(name) for name in files}
    inside = {name: frozenset(o for o in all_reached[name] if name in all_reached[o]) for name in files}
    rings = {members | {name} for name, members in inside.items() if members - {name}}
    known = {frozenset(circle) for circle in CIRCLES_YET}
    return sorted(sorted(circle) for circle in rings if circle not in known)


def fits(where: str, patterns: list[str]) -> bool:
    """Whether a file is one of those that patterns name."""
    return any(fnmatch(where, pattern) for pattern in patterns)


def _prints(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield node.lineno


LOOKS_BY_NAME = {"core/map.py": {"ForeignMap", "CompletedMap"}, "core/function.py": {"ForeignFunction"}}
"""Classes that complete what users bring, and have to look what there is."""
BASES = {("apply", "jvp"): {"TangentMap", "TangentFunction"}, ("from_numpy", "to_numpy"): {"ArrayOps"}}
"""What a class with such methods has to be."""
MEMBERS = {name for name in {*vars(TangentMap), *TangentMap.__annotations__} if not name.startswith("_")}


def looks_by_name(root: Path) -> Iterator[str]:
    """Members of a map that are looked up by a string, be it in a loop over several."""
    for path in sorted(root.rglob("*.py")):
        where = path.relative_to(root).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        excused = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef) and node.name in LOOKS_BY_NAME.get(where, ())
        ]
        excused_nodes = {id(part) for node in excused for part in ast.walk(node)}
        loops = defaultdict(set)
        for node in ast.walk(tree):
            if isinstance(node, ast.For | ast.comprehension) and isinstance(node.target, ast.Name):
                loops[node.target.id] |= {n.value for n in ast.walk(node.iter) if isinstance(n, ast.Constant)}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or id(node) in excused_nodes or len(node.args) < 2:
                continue
            if getattr(node.func, "id", "") in ("getattr", "hasattr", "setattr"):
                name = node.args[1]
                names = {name.value} if isinstance(name, ast.Constant) else loops[getattr(name, "id", "")]
                yield from (
                    f"{where}:{node.lineno}: looks for {member!r} by name" for member in sorted(names & MEMBERS)
                )


def strays(root: Path) -> Iterator[str]:
    """Classes that have the methods of a base class without being one."""
    classes = [
        (path.relative_to(root).as_posix(), node)
        for path in sorted(root.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    ]
    above = defaultdict(set)
    for _, node in classes:
        above[node.name] |= {getattr(base, "id", getattr(base, "attr", "")) for base in node.bases}

    def ancestors(name: str) -> set[str]:
        return {name}.union(*(ancestors(base) for base in above[name] - {name}))

    for where, node in classes:
        methods = {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
        for wanted, bases in BASES.items():
            if methods.issuperset(wanted) and not ancestors(node.name) & bases:
                yield f"{where}: {node.name} is no {' or '.join(sorted(bases))}"


def test_what_a_map_may_do_is_never_looked_up_by_name() -> None:
    assert list(looks_by_name(SOURCE)) == []


def test_every_map_and_every_kind_of_arrays_has_its_base_class() -> None:
    assert list(strays(SOURCE)) == []


def test_a_look_by_name_and_a_stray_class_are_seen(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        "def f(m):\n    if hasattr(m, 'at'):\n        return [getattr(m, n) for n in ('known', 'x')]\n"
        "class A:\n    def apply(self, x): ...\n    def jvp(self, x, v): ...\n"
        "class B(TangentMap):\n    def apply(self, x): ...\n    def jvp(self, x, v): ...\n"
        "class C(B):\n    def apply(self, x): ...\n    def jvp(self, x, v): ...\n"
    )
    assert list(looks_by_name(tmp_path)) == ["a.py:2: looks for 'at' by name", "a.py:3: looks for 'known' by name"]
    assert list(strays(tmp_path)) == ["a.py: A is no TangentFunction or TangentMap"]


SAY_NOTHING = {"found", "one", "chosen", "told", "bench", "teller", "wishes"}
"""Names that do not say what they hold."""


def test_names_say_what_they_hold() -> None:
    named = [
        f"{path.relative_to(SOURCE)}:{getattr(node, 'lineno', '')} {name}"
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in (getattr(node, "id", ""), getattr(node, "arg", ""), getattr(node, "name", ""))
        if str(name).strip("_").lower() in SAY_NOTHING
    ]
    assert named == []


def test_the_house_is_in_order() -> None:
    assert list(faults(SOURCE)) == []


def test_the_picture_of_the_house_is_what_the_imports_are() -> None:
    import imports_picture  # which stands on this file

    drawn = imports_picture.PICTURE.read_text(encoding="utf-8")
    assert drawn == imports_picture.picture(), "draw it anew: make architecture"


def test_the_page_names_what_is_there() -> None:
    """Files and what stands in them, as `core/map.py: TangentMap.propagate`."""
    page = (SOURCE.parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`([a-z_]+/[a-z_/]+\.pyi?)(?:: (\w+)[\w.]*)?`", page)
    assert len(named) > 25
    for where, name in named:
        assert (SOURCE / where).is_file() or where.startswith("tests/"), where
        if name:
            assert re.search(rf"^(def|class) {name}\b|^{name}\b", (SOURCE / where).read_text(), re.M), (
                f"{where}: {name}"
            )


def test_every_package_is_known_to_the_rules() -> None:
    assert {path.parent.name for path in SOURCE.glob("*/__init__.py")} == {*BELOW}
    assert {path.parent.name for path in SOURCE.glob("models/*/__init__.py")} == {*PAPERS}


def test_what_is_excused_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A door that nobody goes through any more, a circle that is open: the excuse goes as well."""
    excuses = sum(map(len, DOORS.values())), len(CIRCLES_YET)
    monkeypatch.setitem(globals(), "DOORS", {})
    monkeypatch.setitem(globals(), "CIRCLES_YET", [])
    seen = list(faults(SOURCE))
    looks_up = {(line.split(":")[0], line.split()[-1]) for line in seen if re.search(r": \w+ imports \w+$", line)}
    there = len({pair for pair in looks_up if pair[1] in BELOW}), sum("circle" in line for line in seen)
    assert there == excuses


PLANTED = {
    "core/a.py": ("from lyapmap.analysis import spectrum", "core/a.py:1: core imports analysis"),
    "core/b.py": ("import scipy", "core/b.py:1: core imports scipy"),
    "core/c.py": ("def f():\n    import torch", "core/c.py:2: imports torch"),
    "analysis/a.py": ("from lyapmap.backends.numpy.map import wrap_numpy", "analysis imports backends"),
    "analysis/b.py": ("def f():\n    from lyapmap import models", "analysis/b.py:2: analysis imports models"),
    "analysis/c.py": ("from ..views import style", "analysis imports views"),
    "analysis/d.py": ("from .. import systems", "analysis imports systems"),
    "analysis/e.py": ("import torch.nn as nn", "imports torch"),
    "backends/a.py": ("import lyapmap.analysis.exponents.growth", "backends imports analysis"),
    "backends/numba/a.py": ("import numba", "imports numba when it is loaded"),
    "backends/numpy_a.py": (
        "class A:\n    def f(self):\n        from torch import Tensor",
        "numpy_a.py:3: imports torch",
    ),
    "models/gan/a.py": (
        "from lyapmap.models.kaleidoscope.recipe import KaleidoscopeRecipe",
        "gan imports kaleidoscope",
    ),
    "models/gan/b.py": ("from lyapmap.models.gan.commands import train", "models imports cli"),
    "training/d.py": ("from lyapmap.models.cycle.network import Generator", "training imports models"),
    "study/a.py": ("def f():\n    from lyapmap.models import cycle", "study imports models"),
    "files/a.py": ("READERS = {'tf': 'lyapmap.models.cycle.keras_checkpoint'}", "files imports models"),
    "report/a.py": ("from lyapmap.study.stages import Stage", "report imports study"),
    "core/d.py": ("ELSEWHERE = {'torch': ('lyapmap.backends.torch.distances', 'TorchTiles')}", "core imports backends"),
    "core/e.py": ("import sys\ndef f():\n    return sys.modules['torch']", "core/e.py:3: core imports torch"),
    "core/f.py": ("from importlib.util import find_spec\nfind_spec('lyapmap.models.gan')", "core imports models"),
    "analysis/f.py": ("from importlib import import_module\nimport_module('torch')", "analysis/f.py:2: imports torch"),
    "data/a.py": ("import torch", "imports torch"),
    "systems/a.py": ("from lyapmap.analysis.exponents.spectrum import lyapunov_spectrum", "systems imports analysis"),
    "views/a.py": ("from lyapmap.training import loop", "views imports training"),
    "report/b.py": ("import matplotlib.pyplot", "imports matplotlib when it is loaded"),
    "training/a.py": ("try:\n    from lyapmap.cli import main\nexcept ImportError:\n    pass", "training imports cli"),
    "training/b.py": (
        "import importlib\nimportlib.import_module('lyapmap.systems.planar')",
        "training imports systems",
    ),
    "training/c.py": ("print('epoch')", "training/c.py:1: prints"),
    "cli/a.py": ("def f():\n    import torch", "cli/a.py:2: imports torch"),
    "cli/training.py": ("import torch", "cli/training.py:1: imports torch when it is loaded"),
    "views/long.py": ("\n" * 701, "views/long.py: 701 lines, and its docstring does not say why the file is long"),
}


@pytest.mark.parametrize("where", PLANTED)
def test_a_fault_that_is_planted_is_found(where: str, tmp_path: Path) -> None:
    text, fault = PLANTED[where]
    path = tmp_path / where
    path.parent.mkdir(parents=True)
    path.write_text(text)
    seen = list(faults(tmp_path))
    assert any(fault in line for line in seen), seen


def test_a_crowded_folder_is_found(tmp_path: Path) -> None:
    for folder in ("data", "systems"):
        (tmp_path / folder).mkdir()
        for number in range(17):
            (tmp_path / folder / f"a{number}.py").write_text("")
    assert list(faults(tmp_path)) == ["data: 17 files, more than a glance takes in"]


def test_a_circle_is_found(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    texts = {
        "a": "from lyapmap.data import b",
        "b": "def f():\n    from lyapmap.data.c import x",
        "c": "import lyapmap.data.a",
    }
    for name, text in texts.items():
        (tmp_path / "data" / f"{name}.py").write_text(text)
    assert list(faults(tmp_path)) == ["lyapmap.data.a <-> lyapmap.data.b <-> lyapmap.data.c: a circle"]


@pytest.mark.parametrize(
    ("where", "text"),
    [
        (
            "views/a.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from lyapmap.training import loop",
        ),
        (
            "analysis/a.py",
            "from lyapmap.core.map import Map\nfrom lyapmap.analysis.exponents.growth import GrowthStatistics",
        ),
        ("analysis/b.py", "from . import orbit\nfrom .orbit import describe"),
        ("backends/torch/a.py", "import torch"),
        ("cli/training.py", "def f():\n    import torch\n    print('done')"),
        ("report/b.py", "def f():\n    import matplotlib"),
        ("models/gan/commands.py", "from lyapmap.cli import training\nfrom lyapmap.cli.command import Run, command"),
        ("models/gan/pictures_a.py", "def f():\n    import matplotlib"),
        ("cli/a.py", "import sys\nthere = 'torch' in sys.modules and sys.modules.get('torch')"),
    ],
)
def test_what_is_in_order_passes(where: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / where
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert list(faults(tmp_path)) == []
