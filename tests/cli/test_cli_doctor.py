"""`lyapmap doctor`: it says what is here, what is missing, and what adds it."""

from __future__ import annotations

import json
from importlib import metadata

import numpy as np

from command_line import run
from lyapmap.cli import doctor
from test_laziness import brought_in


def test_versions_threads_and_caches_are_those_of_this_machine(monkeypatch, tmp_path):
    monkeypatch.setenv("LYAPMAP_DATA", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "digits.bin").write_bytes(bytes(3_000_000))
    done = run("doctor", "--json")
    state = json.loads(done.stdout)
    assert done.exit_code == 0
    assert state["ok"]
    assert state["packages"]["numpy"] == np.__version__
    assert state["threads"]["OMP_NUM_THREADS"] == "1"
    assert state["caches"]["data"] == {"folder": str(tmp_path), "files": 1, "bytes": 3_000_000}
    words = run("doctor").stdout
    assert f"lyapmap {metadata.version('lyapmap')}" in words
    assert "1 files, 3 MB" in " ".join(words.split())


def test_every_extra_is_listed_with_what_adds_it(monkeypatch):
    there = metadata.version

    def without_jax(name: str) -> str:
        if name == "jax":
            raise metadata.PackageNotFoundError(name)
        return there(name)

    monkeypatch.setattr(doctor.metadata, "version", without_jax)
    extras = doctor.extras()
    assert extras["jax"] == {
        "packages": {"jax": None},
        "install": "pip install 'lyapmap[jax]' (in a clone: pip install '.[jax]')",
    }
    assert set(extras) >= {"torch", "tensorflow", "umap", "distributed", "train"}
    assert "pip install 'lyapmap[jax]'" in " ".join(run("doctor").stdout.split())


def test_a_missing_package_that_all_need_is_a_bad_status(monkeypatch):
    there = metadata.version

    def without_scipy(name: str) -> str:
        if name == "scipy":
            raise metadata.PackageNotFoundError(name)
        return there(name)

    monkeypatch.setattr(doctor.metadata, "version", without_scipy)
    done = run("doctor")
    assert done.exit_code == 1
    assert "missing: scipy" in done.stdout


def test_a_version_below_the_required_one_is_named(monkeypatch):
    there = metadata.version
    monkeypatch.setattr(doctor.metadata, "version", lambda name: "1.0" if name == "numpy" else there(name))
    assert doctor.packages(None)["numpy"] == "1.0, too old"


def test_models_are_listed_with_no_framework():
    code = "import contextlib; from lyapmap.cli import main\nwith contextlib.suppress(SystemExit): main(['models'])"
    assert "torch" not in brought_in(code)
    assert "cycle-mnist-012 " in run("models").stdout
