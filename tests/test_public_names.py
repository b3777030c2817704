"""Public names: every stub holds at run time, for type checkers, and in the wheel."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import lyapmap
from lyapmap.files.papers import public_names

SOURCE = Path(lyapmap.__file__).parent
STUBS = {
    ".".join(["lyapmap", *path.parent.relative_to(SOURCE).parts]): path for path in sorted(SOURCE.rglob("__init__.pyi"))
}


def places(package: str) -> dict[str, str]:
    """Names of a stub, and the modules from which it takes them."""
    tree = ast.parse(STUBS[package].read_text())
    return {
        alias.name: f"{package}.{node.module or ''}".rstrip(".") if node.level else str(node.module)
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_the_packages_with_public_names_have_stubs() -> None:
    assert {"lyapmap", "lyapmap.systems", "lyapmap.models", "lyapmap.training", "lyapmap.views"} <= set(STUBS)


@pytest.mark.parametrize("package", STUBS)
def test_every_public_name_is_there_and_documented(package: str) -> None:
    if package in ("lyapmap.models.cycle", "lyapmap.training", "lyapmap.views"):
        pytest.importorskip("torch")
    module = import_module(package)
    assert module.__all__
    assert set(module.__all__) == set(places(package))
    assert set(module.__all__) <= set(dir(module))
    for name, place in places(package).items():
        value = getattr(module, name)
        if not inspect.ismodule(value):
            assert value is getattr(import_module(place), name)
            assert inspect.getdoc(value), f"{package}.{name} has no docstring"


@pytest.mark.parametrize("package", STUBS)
def test_a_name_that_does_not_exist_is_an_attribute_error(package: str) -> None:
    with pytest.raises(AttributeError, match="spectrum_of_light"):
        _ = import_module(package).spectrum_of_light


@pytest.mark.parametrize("package", ["training", "views"])
def test_stubs_have_the_names_that_papers_bring(package: str) -> None:
    known = places(f"lyapmap.{package}")
    brought = public_names(package)
    assert brought == {name: known.get(name) for name in brought}
    assert {name for name, place in known.items() if place.startswith("lyapmap.models.")} == set(brought)


def test_every_picture_of_a_result_is_public() -> None:
    """What draws or saves a result given alone is one of `lyapmap.views`."""
    drawing, drawn_by = set(), set()
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and path.name.startswith("pictures"):
                first = {argument.arg for argument in node.args.args[: 2 if node.name.startswith("save") else 1]}
                if "result" in first and node.name.startswith(("draw_", "save_")):
                    drawing.add(node.name)
            elif isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "DRAWN_BY" and node.value:
                drawn_by.add(ast.literal_eval(node.value).rpartition(".")[2])
    assert len(drawing) > 20
    assert (drawing | drawn_by - {""}) - set(places("lyapmap.views")) == set()


CLIENT = """
import numpy as np
from numpy.typing import NDArray

import lyapmap as lm


def doubled(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 2 * x % 1


spectrum: lm.LyapunovSpectrum = lm.lyapunov_spectrum(lm.systems.henon(), [0.1, 0.1], n_steps=100, seed=0)
numbers: NDArray[np.float64] = spectrum.exponents
report = lm.check_map(lm.wrap(doubled, state_shape=1), [[0.1]])
config = lm.models.cycle.CycleConfig(categories=3)
model = lm.training.load_model("cycle-mnist-012")
gan = lm.training.load_gan("mine.pt")
images = lm.data.load("mnist", classes=[0, 1])
figure = lm.views.draw_spectrum(spectrum)
reveal_type((report, config, model, gan, images, figure, lm.__version__))
"""
REVEALED = ["ConformanceReport", "CycleConfig", "Model", "Gan", "ImageSet", "Figure", "str"]


@pytest.mark.slow  # half a minute: torch's own types are read
def test_a_client_passes_the_strictest_type_check(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "client.py").write_text(CLIENT)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "client.py"],
        cwd=tmp_path,
        env={"MYPYPATH": str(SOURCE.parent), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    revealed = done.stdout.split("tuple[")[1].split("]")[0].split(", ")
    assert [name.rpartition(".")[2] for name in revealed] == REVEALED


def test_wheels_hold_stubs_and_types() -> None:
    """Names are looked up in the stubs when the package runs: a wheel must have them."""
    target = tomllib.loads((SOURCE.parents[1] / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    assert target["wheel"] == {"packages": ["src/lyapmap"]}  # whole, without exceptions
    assert (SOURCE / "py.typed").is_file()
