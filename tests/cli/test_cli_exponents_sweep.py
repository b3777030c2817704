"""`lyapmap sweep`."""

from __future__ import annotations

import json

import numpy as np
import pytest

import lyapmap as lm
from command_line import invoke

FEW = ["--values", "3", "--steps", "100", "--transient", "100", "--kept", "4", "-b", "2"]
LOGISTIC = ["--map", "logistic", "--over", "r", "--from", "3.2", "--to", "4", *FEW]


def run(*arguments: str):
    return invoke(["sweep", *arguments])


def test_facts_tell_where_it_is_chaotic():
    result = run(*LOGISTIC)
    assert result.exit_code == 0
    for words in ("Sweep of logistic over r", "3 from 3.2 to 4", "positive at 2 values", "at r = 4", "ok"):
        assert words in result.stdout


def test_json_equals_the_library_and_fixed_parameters_hold():
    options = ["--map", "henon", "-p", "b=0.2", "--over", "a", "--from", "1.4", "--to", "1", *FEW, "--json"]
    values = json.loads(run(*options).stdout)
    assert values["values"] == [1.4, 1.2, 1.0]
    np.testing.assert_allclose(np.sum(values["exponents"], axis=1), np.log(0.2), atol=1e-8)
    assert np.shape(values["states"]) == (3, 8, 2)


def test_out_writes_files_that_can_be_read(tmp_path):
    assert run(*LOGISTIC, "--only", "bifurcation", "--carry", "--out", str(tmp_path)).exit_code == 0
    assert {p.name for p in tmp_path.iterdir()} == {"run.json", "sweep.nc", "sweep.json", "sweep.png", "report.html"}
    assert lm.Sweep.load(tmp_path / "sweep.nc").states.shape == (3, 8, 1)


def test_a_sweep_that_escapes_everywhere_exits_with_1():
    result = run("--map", "henon", "--over", "a", "--from", "5", "--to", "6", *FEW)
    assert (result.exit_code, "3 of 3 runs failed" in result.stdout) == (1, True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["--map", "logistic", "--over", "s", "--from", "1", "--to", "2"],
            "logistic has no parameter 's'; there are r",
        ),
        (["--map", "logistic", "--over", "r", "--from", "3", "--to", "5"], "values: no map at r = 5"),
        ([*LOGISTIC, "--only", "entropy"], "--only: expected bifurcation or spectrum, got 'entropy'"),
        (
            ["--callable", "numpy:sin", "--state-shape", "1", "--over", "r", "--from", "3", "--to", "4"],
            "--map: only reference maps have parameters",
        ),
    ],
)
def test_bad_options_exit_with_2(options, words):
    result = run(*options)
    assert (result.exit_code, words in result.stderr) == (2, True)
