"""What is shipped, a wheel and a source distribution, in environments that hold nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow
if not (ROOT / "pyproject.toml").exists():
    pytest.skip("not a checkout", allow_module_level=True)


def ran(*command: str | Path, cwd: Path) -> str:
    """What a command prints, without anything of ours on the way to it; skips the test where there is no index."""
    outside = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "LYAPMAP_DATA")}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=outside, capture_output=True, text=True)
    if "No matching distribution found" in done.stderr or "Could not find a version" in done.stderr:
        pytest.skip(f"no package index: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    ran(sys.executable, "-m", "pip", "wheel", ROOT, "--no-deps", "--quiet", "--wheel-dir", out, cwd=out)
    return next(out.glob("lyapmap-*.whl"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    out = tmp_path_factory.mktemp("sdist")
    builder = tmp_path_factory.mktemp("builder")
    ran(sys.executable, "-m", "venv", builder, cwd=out)
    ran(builder / "bin" / "pip", "install", "--quiet", "hatchling", cwd=out)
    ran(builder / "bin" / "python", "-m", "hatchling", "build", "-t", "sdist", "-d", out, cwd=ROOT)
    return next(out.glob("lyapmap-*.tar.gz"))


@pytest.mark.skipif(os.name == "nt", reason="environments lie elsewhere on Windows")
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_it_installs_into_an_empty_environment_and_measures(kind, request, tmp_path):
    file = request.getfixturevalue(kind)
    ran(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    ran(tmp_path / "venv" / "bin" / "pip", "install", "--quiet", file, cwd=tmp_path)
    command = tmp_path / "venv" / "bin" / "lyapmap"
    spectrum = json.loads(ran(command, "spectrum", "henon", "--steps", "2000", "--json", cwd=tmp_path))
    assert abs(spectrum["exponents"][0] - 0.4192) < 5 * spectrum["stderr"][0]
    assert "kaleidoscope-mnist" in json.loads(ran(command, "models", "--json", cwd=tmp_path))


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    names = ZipFile(wheel).namelist()
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"lyapmap"}
    assert not [name for name in names if "__pycache__" in name or "/tests/" in name]
    assert len([name for name in names if name.endswith(".pt")]) == 10
