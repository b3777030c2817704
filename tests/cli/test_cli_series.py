"""`lyapmap correlation-dimension`, `series` and `zero-one`: maps, files, and refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest

import lyapmap as lm
from command_line import run
from series_samples import henon_points, logistic_series


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    points = henon_points(600)
    np.save("points.npy", points)
    np.save("ones.npy", np.ones((300, 2)))
    np.savetxt("series.csv", np.stack([np.arange(600), logistic_series(600)], axis=1), delimiter=",", header="t,x")
    (tmp_path / "named.csv").write_text("t,x\n" + "\n".join(f"{i},{v}" for i, v in enumerate(logistic_series(600))))
    np.savetxt("one.txt", logistic_series(600))
    (tmp_path / "broken.csv").write_text("1,2\n3\n")
    (tmp_path / "words.txt").write_text("one\ntwo\n")
    (tmp_path / "bad.npy").write_text("no array")
    (tmp_path / "two.txt").write_text("1,2\n3,4\n")
    (tmp_path / "x.xyz").write_text("1")
    return tmp_path


def test_dimension_of_a_map_equals_the_library():
    given = ("--map", "henon", "--steps", "800", "--transient", "100")
    values = json.loads(run("correlation-dimension", *given, "--json").stdout)
    henon = lm.systems.henon()
    path = lm.trajectory(henon, henon.initial_states(1, 0), n_steps=800, transient=100)
    assert values["dimension"] == lm.correlation_dimension(path, seed=0).dimension
    shown = run("correlation-dimension", *given).stdout
    for words in ("Correlation dimension of henon", "dimension", "radii", "801, pairs", "status"):
        assert words in shown


def test_dimension_of_a_file(files):
    result = run("correlation-dimension", "--points", "points.npy", "--theiler", "2", "--out", "out")
    assert result.exit_code == 0, result.output
    assert {p.name for p in (files / "out").iterdir()} == {
        "run.json",
        "correlation_dimension.nc",
        "correlation_dimension.json",
        "correlation_dimension.png",
        "report.html",
    }
    values = json.loads(
        run("correlation-dimension", "--points", "points.npy", "--window", "0.01", "0.1", "--json").stdout
    )
    assert values["settings"]["window"] == [0.01, 0.1]


def test_no_dimension_is_exit_code_1(files):
    result = run("correlation-dimension", "--points", "ones.npy")
    assert result.exit_code == 1
    assert "fixed point" in result.output


@pytest.mark.parametrize("file", ["series.csv", "named.csv"])
def test_series_of_a_file_with_columns(files, file):
    values = json.loads(run("series", "--series", file, "--column", "1", "--dt", "0.5", "--json").stdout)
    direct = lm.from_series(logistic_series(600), dt=0.5)
    assert values["exponent"] == pytest.approx(direct.exponent, rel=1e-6)
    assert values["unit"] == "per unit time"


def test_a_table_with_a_clock_needs_no_options(files):
    lines = [f"{0.5 * i};{x}".replace(".", ",") for i, x in enumerate(logistic_series(600))]
    (files / "excel.csv").write_text("\ufeffZeit;Druck\n" + "\n".join(lines))
    values = json.loads(run("series", "--series", "excel.csv", "--json").stdout)
    assert values["exponent"] == lm.from_series(logistic_series(600), dt=0.5).exponent
    assert json.loads(run("series", "--series", "excel.csv", "--column", "Druck", "--dt", "1", "--json").stdout)[
        "exponent"
    ] == pytest.approx(values["exponent"] / 2)
    assert "0.5 between rows, from column 'Zeit'" in run("series", "--series", "excel.csv").stdout
    assert run("zero-one", "--series", "excel.csv", "--json").exit_code == 0


def test_series_of_a_map():
    result = run("series", "--map", "henon", "--steps", "1500", "--component", "0")
    assert result.exit_code == 0
    for words in ("series henon, component 0", "nats per step", "dimension 2, delay 1", "straight part"):
        assert words in result.stdout


def test_series_options_and_failure(files):
    options = ("--delay", "2", "--dimension", "3", "--theiler", "4", "--window", "1", "5", "--method", "kantz")
    values = json.loads(run("series", "--series", "one.txt", *options, "--json").stdout)
    assert (values["delay"], values["dimension"], values["theiler"]) == (2, 3, 4)
    assert values["settings"]["method"] == "kantz"
    assert run("series", "--series", "ones.npy", "--column", "0").exit_code == 1


def test_zero_one_of_maps_and_files(files):
    result = run("zero-one", "--map", "logistic", "-p", "r=4", "--steps", "800", "--out", "out")
    assert result.exit_code == 0
    assert "chaotic" in result.stdout
    assert (files / "out" / "zero_one.png").is_file()
    values = json.loads(
        run("zero-one", "--series", "series.csv", "--column", "1", "--frequencies", "20", "--json").stdout
    )
    assert values["verdict"] == "chaotic"
    assert len(values["frequencies"]) == 20
    two = json.loads(run("zero-one", "--series", "points.npy", "--every", "1", "--json").stdout)
    assert len(two["K_per_series"]) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["correlation-dimension"], "expected a map (--map, --model or --callable) or --points, got none"),
        (["correlation-dimension", "--map", "henon", "--points", "points.npy"], "got both"),
        (["series"], "or --series, got none"),
        (["zero-one"], "or --series, got none"),
        (["zero-one", "--series", "none.npy"], "no file none.npy"),
        (["zero-one", "--series", "bad.npy"], "not a readable file"),
        (["zero-one", "--series", "broken.csv"], "different numbers of columns"),
        (["zero-one", "--series", "words.txt"], "not a readable file"),
        (["zero-one", "--series", "x.xyz"], "expected a .npy, .npz, .h5"),
        (["zero-one", "--series", "series.csv", "--column", "5"], "--column: expected a column"),
        (["series", "--series", "named.csv", "--column", "pressure"], "named.csv, t, x, or 0 to 1, got pressure"),
        (["series", "--series", "two.txt"], "say which (--decimal or --sep)"),
        (["series", "--map", "henon", "--component", "7"], "component from 0 to 1"),
        (["correlation-dimension", "--map", "nosuch"], "nosuch"),
    ],
)
def test_refusals_in_one_line(files, arguments, words):
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
