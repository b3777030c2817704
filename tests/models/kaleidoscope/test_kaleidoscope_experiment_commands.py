"""`lyapmap kaleidoscope line`, `plane`, `corners` and `depth`."""

from __future__ import annotations

import json

import pytest

from command_line import invoke
from lyapmap.models.kaleidoscope.cube import KaleidoscopeCorners
from lyapmap.models.kaleidoscope.line import KaleidoscopeLine, LineSetting, kaleidoscope_line

LINE = ["line", "--points", "0.5", "--grid", "51"]
PLANE = ["plane", "--points", "0.5,0.5", "--grid", "5", "--steps", "5", "--loss", "0.001"]
CORNERS = ["corners", "--dimensions", "1,2", "--n-points", "1,2", "--seeds", "2", "--fit-steps", "3"]
DEPTH = ["depth", "--points", "-0.5", "--depths", "1,2", "--widths", "8", "--seeds", "2", "--loss", "1e-3"]


def run(*arguments):
    return invoke(["kaleidoscope", *arguments])


@pytest.mark.parametrize(
    ("arguments", "name", "kind", "words"),
    [
        (LINE, "line", KaleidoscopeLine, ["{0.5}, L=2, H=5, sigmoid", "stable, slope", "basin 100.0 %"]),
        (CORNERS, "corners", KaleidoscopeCorners, ["L=2, H=50, sigmoid", "D = 2", "±"]),
    ],
)
def test_facts_and_files(tmp_path, arguments, name, kind, words):
    result = run(*arguments, "--out", str(tmp_path))
    assert result.exit_code == 0, result.output
    for word in words:
        assert word in result.stdout
    assert {p.name for p in tmp_path.iterdir()} == {
        "run.json",
        f"{name}.nc",
        f"{name}.json",
        f"{name}.png",
        "report.html",
    }
    assert kind.load(tmp_path / f"{name}.nc").status == "ok"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (PLANE, ["1 point, L=2, H=50", "(0.5, 0.5)  basin", "largest singular value"]),
        (DEPTH, ["fitted to -0.5", "4 of 4 networks", "steps at L=2", "log2 steepest slope"]),
    ],
)
def test_facts(arguments, words):
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    for word in words:
        assert word in result.stdout


def test_json_equals_the_library():
    found = json.loads(run(*LINE, "--seed", "3", "--json").stdout)
    expected = kaleidoscope_line([LineSetting((0.5,))], n_grid=51, seed=3)
    assert found["fixed_points"] == expected.fixed_points.tolist()
    assert found["fit_loss"] == expected.fit_loss.tolist()


def test_a_loss_that_is_not_reached_exits_with_1():
    result = run("line", "--points", "0.2,0.8", "--grid", "21", "--tries", "1", "--fit-steps", "3")
    assert (result.exit_code, "no loss of 1e-08 with {0.2, 0.8}" in result.stdout) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["line", "--points", "a"], "--points: expected numbers separated by commas, got 'a'"),
        (["line", "--points", "-0.5"], "points: expected values between 0 and 1 for sigmoid"),
        (["line", "--depth", "3"], "--depth, --width and --output: only together with --points"),
        (["plane", "--points", "0.5"], "--points: expected pairs as in"),
        (["plane", "--width", "3"], "--depth and --width: only together with --points"),
        (["corners", "--dimensions", "30"], "dimensions: expected at most 20, got 30"),
        (["corners", "--n-points", "x"], "--n-points: expected whole numbers"),
        (["depth", "--points", "2"], "points: expected values between -1 and 1 for tanh"),
    ],
)
def test_bad_options_exit_with_2(arguments, words):
    result = run(*arguments)
    assert (result.exit_code, words in result.stderr) == (2, True)
