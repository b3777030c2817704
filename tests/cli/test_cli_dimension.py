"""`lyapmap dimension`: data, files, maps, side by side, and refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest

import lyapmap as lm
from command_line import run


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("plane.npy", np.random.default_rng(0).random((300, 2)))
    np.save("images.npy", np.random.default_rng(0).random((100, 1, 2, 2)))
    np.save("ones.npy", np.ones((100, 2)))
    np.save("nan.npy", np.full((100, 2), np.nan))
    return tmp_path


def test_a_map_beside_its_kaplan_yorke_dimension():
    given = ("dimension", "--map", "henon", "--steps", "200", "--transient", "50", "--trajectories", "4")
    values = json.loads(run(*given, "--json").stdout)
    henon = lm.systems.henon()
    path = lm.trajectory(henon, henon.initial_states(4, 0), n_steps=200, transient=50)
    expected = [lm.intrinsic_dimension(path, method=m).dimension for m in ("gride", "twonn", "mle")]
    np.testing.assert_allclose(values["dimension"], [expected])
    assert values["names"] == ["attractor"]
    assert values["kaplan_yorke"] == pytest.approx(1.258, abs=0.02)
    shown = run(*given).stdout
    for words in ("Intrinsic dimension of henon", "twonn", "Kaplan-Yorke", "804 points", "status"):
        assert words in shown
    assert "Kaplan-Yorke" not in run(*given, "--no-kaplan-yorke").stdout


def test_data_alone_and_drawn():
    values = json.loads(run("dimension", "--data", "digits", "--classes", "0,1", "--json").stdout)
    digits = lm.data.load("digits", classes=(0, 1))
    assert values["dimension"][0][0] == lm.intrinsic_dimension(digits.states, throw=False).dimension
    assert values["n_points"] == [len(digits)]
    fewer = json.loads(run("dimension", "--data", "digits", "--limit", "100", "--method", "mle", "--json").stdout)
    assert (fewer["n_points"], fewer["methods"]) == ([100], ["mle"])


def test_a_model_beside_data():
    pytest.importorskip("torch")
    given = ("--model", "cycle-digits-012", "--data", "digits", "--classes", "0,1,2", "-b", "2")
    values = json.loads(
        run("dimension", *given, "--steps", "40", "--transient", "5", "--no-kaplan-yorke", "--json").stdout
    )
    assert values["names"] == ["data", "attractor"]
    assert values["n_points"] == [452, 82]


def test_a_file(files):
    result = run("dimension", "--points", "plane.npy", "--method", "gride", "--method", "pca", "--out", "out")
    assert result.exit_code == 0, result.output
    assert {p.name for p in (files / "out").iterdir()} == {
        "run.json",
        "dimension.nc",
        "dimension.json",
        "dimension.png",
        "report.html",
    }
    stored = lm.DimensionComparison.load(files / "out" / "dimension.nc")
    assert stored.methods == ("gride", "pca")
    values = json.loads(run("dimension", "--points", "images.npy", "--method", "pca", "--json").stdout)
    assert values["n_points"] == [100]


def test_no_dimension_is_exit_code_1(files):
    result = run("dimension", "--points", "ones.npy")
    assert result.exit_code == 1
    assert "fixed point" in result.output
    assert "not determined" in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "expected --data, --points or a map"),
        (["--classes", "0", "--points", "plane.npy"], "--classes: only together with --data"),
        (["--data", "nosuch"], "neither a folder nor one of"),
        (["--points", "none.npy"], "no file none.npy"),
        (["--points", "nan.npy"], "point 0 is not finite"),
        (["--points", "plane.npy", "--method", "umap"], "--method: expected gride, twonn, mle, pca or correlation"),
        (["--map", "nosuch"], "nosuch"),
    ],
)
def test_refusals(files, arguments, words):
    result = run("dimension", *arguments)
    assert result.exit_code == 2
    assert words in result.output
