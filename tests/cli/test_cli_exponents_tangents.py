"""`lyapmap divergence`, `finite-time`, `covariant` and `alignment`."""

from __future__ import annotations

import json

import pytest

import lyapmap as lm
from command_line import run

STANDARD = ["--map", "standard", "--low", "0,0", "--high", "6.28,6.28"]
CASES = {
    "divergence": (["--map", "henon", "-b", "12", "--transient", "100"], lm.Divergence),
    "finite-time": (["--map", "henon", "-n", "20", "--windows", "3", "-k", "2"], lm.FiniteTimeExponents),
    "covariant": (["--map", "henon", "-n", "50"], lm.CovariantVectors),
    "alignment": (["--map", "henon", "-n", "100"], lm.Alignment),
}


@pytest.mark.parametrize("command", CASES)
def test_files_tell_what_the_terminal_says(command, tmp_path):
    options, kind = CASES[command]
    result = run(command, *options, "--out", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert "henon" in result.stdout
    assert "ok" in result.stdout
    stored = kind.load(tmp_path / f"{command}.nc")
    assert stored.status == "ok"
    assert stored.settings["n_trajectories"] == {"divergence": 12, "covariant": 1}.get(command, 8)
    for name in (f"{command}.png", f"{command}.json", "report.html"):
        assert (tmp_path / name).stat().st_size > 500


@pytest.mark.parametrize("command", CASES)
def test_json_is_one_object_and_the_same_seed_gives_the_same(command):
    options, _ = CASES[command]
    first, second = (json.loads(run(command, *options, "--json", "--seed", "5").stdout) for _ in range(2))
    for record in (first, second):
        del record["provenance"]
    assert first == second
    assert first["unit"] == "per step"


@pytest.mark.parametrize("command", CASES)
def test_help_shows_examples(command):
    shown = run(command, "--help").stdout
    assert "Examples" in shown
    assert f"lyapmap {command}" in shown


def test_divergence_passes_its_options_on():
    arguments = ["--map", "henon", "-b", "6", "--transient", "50", "--direction", "random"]
    fitted = json.loads(run("divergence", *arguments, "--window", "3,30", "--size", "1e-9", "--json").stdout)
    assert (fitted["window"], fitted["size"], fitted["steps"][-1]) == ([3, 30], 1e-9, 30)
    rescaled = ["--method", "rescaled", "-n", "40", "--renormalize-every", "2", "--json"]
    assert json.loads(run("divergence", *arguments, *rescaled).stdout)["settings"]["renormalize_every"] == 2


def test_finite_time_over_a_grid(tmp_path):
    result = run("finite-time", *STANDARD, "--grid", "8,6", "-n", "10", "--out", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert "8 x 6" in result.stdout
    stored = lm.FiniteTimeExponents.load(tmp_path / "finite-time.nc")
    assert (stored.measure, stored.image().shape) == ("stretching", (8, 6))


def test_alignment_over_a_grid_and_a_line(tmp_path):
    assert run("alignment", *STANDARD, "--grid", "6,6", "-n", "70", "--out", str(tmp_path)).exit_code == 0
    record = json.loads(
        run(
            "alignment",
            "--map",
            "standard",
            "--grid",
            "5",
            "--axes",
            "1",
            "--low",
            "0",
            "--high",
            "3",
            "-n",
            "70",
            "--json",
        ).stdout
    )
    assert record["grid"]["axes"] == [1]


def test_the_region_of_a_map_bounds_its_grid():
    record = json.loads(run("alignment", "--map", "henon", "--grid", "3,3", "-n", "70", "--json").stdout)
    low, _ = lm.systems.henon().region
    assert record["grid"]["low"] == low.tolist()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["divergence", "--map", "tent", "--transient", "100", "--direction", "random"], 1, "collapsed"),
        (["divergence", "--map", "tent", "--transient", "100"], 2, "neighbour"),
        (["divergence", "--map", "henon", "-b", "1"], 2, "neighbour"),
        (["divergence", "--map", "henon", "--window", "a,b"], 2, "--window"),
        (["divergence", "--map", "henon", "--window", "9"], 2, "window"),
        (["finite-time", "--map", "henon", "-k", "5"], 2, "--exponents: expected 1 to 2"),
        (["finite-time", "--map", "henon", "--grid", "4,4", "--low", "a"], 2, "--low"),
        (["covariant", "--map", "henon", "--split", "2"], 2, "split"),
        (
            ["covariant", "--map", "linear_map", "-p", "exponents=0.1,0.1", "-n", "5", "--backward-transient", "5"],
            1,
            "backward",
        ),
        (["alignment", "--map", "logistic"], 2, "2 dimensions"),
        (["alignment", "--callable", "sample_maps:henon", "--state-shape", "2", "--grid", "3,3"], 2, "--low"),
    ],
)
def test_faults_are_one_line_and_an_exit_code(arguments, code, words):
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert words in result.stderr + result.stdout
    assert "Traceback" not in result.output
    if code == 2:
        assert len(result.stderr.strip().splitlines()) == 1
