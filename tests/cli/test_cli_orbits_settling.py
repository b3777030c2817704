"""`lyapmap settling` and `lyapmap burn-in`."""

from __future__ import annotations

import json

import numpy as np
import pytest

import lyapmap as lm
from command_line import run

LOGISTIC = ("--map", "logistic", "-p", "r=3.5")


def test_settling_prints_and_writes(tmp_path):
    done = run("settling", *LOGISTIC, "--trajectories", 30, "--steps", 400, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert "100.0%" in done.output
    saved = lm.Settling.load(tmp_path / "settling.nc")
    assert saved.period.tolist() == [4]
    assert {"settling.png", "settling.json", "report.html"} <= {path.name for path in tmp_path.iterdir()}


def test_settling_as_json_is_a_direct_call(tmp_path):
    x0 = np.linspace(0.1, 0.9, 12)[:, None]
    np.save(tmp_path / "x0.npy", x0)
    done = run("settling", *LOGISTIC, "--x0", tmp_path / "x0.npy", "--steps", 200, "--longest-period", 3, "--json")
    found = json.loads(done.stdout)
    assert done.exit_code == 0  # unresolved is no failure: it says that nothing rests
    assert found["status"] == "unresolved"
    direct = lm.settling(lm.systems.logistic(r=3.5), x0, n_steps=200, longest_period=3)
    assert found["step_size"] == direct.step_size.tolist()


def test_burn_in_prints_and_writes(tmp_path):
    arguments = ("--map", "logistic", "--trajectories", 40, "--steps", 40, "--every", 2)
    done = run("burn-in", *arguments, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    saved = lm.BurnIn.load(tmp_path / "burn-in.nc")
    assert f"{saved.burn_in:.0f} steps" in done.output
    assert (tmp_path / "burn-in.png").stat().st_size > 5000
    again = json.loads(run("burn-in", *arguments, "--json").stdout)
    assert again["distance"] == saved.distance.tolist()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("settling", *LOGISTIC, "--tolerance", "-1"), "tolerance: expected a positive number"),
        (("burn-in", *LOGISTIC, "--trajectories", "3"), "16 independent states at least, got 3"),
        (("settling", "--map", "nothing"), "nothing"),
    ],
)
def test_bad_input_is_told_in_one_line(arguments, words):
    done = run(*arguments)
    assert done.exit_code == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_ensemble_that_still_changes_ends_with_1():
    done = run("burn-in", "--map", "logistic", "-p", "r=1.0", "--trajectories", 20, "--steps", 12)
    assert done.exit_code == 1
    assert "still changes" in done.output
