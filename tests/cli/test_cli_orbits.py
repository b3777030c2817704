"""`lyapmap orbits`."""

from __future__ import annotations

import json

import numpy as np
import pytest

import lyapmap as lm
from command_line import invoke

HENON = ["--map", "henon", "--guesses", "60"]


def run(*arguments: str):
    return invoke(["orbits", *arguments])


def test_table_shows_cycles_with_their_multipliers():
    result = run(*HENON, "--period", "2", "--divisors")
    assert result.exit_code == 0
    for words in ("Cycles of henon", "3.010101", "saddle", "-0.4758 0.2927", "status"):
        assert words in result.stdout


def test_json_equals_the_library():
    values = json.loads(run(*HENON, "--low", "-2,-0.6", "--high", "2,0.6", "--seed", "3", "--json").stdout)
    henon = lm.systems.henon()
    direct = lm.periodic_orbits(henon, henon.initial_states(8, 3), region=((-2, -0.6), (2, 0.6)), n_guesses=60, seed=3)
    assert values["orbits"] == direct.orbits.tolist()
    assert len(values["orbits"]) == 2


def test_out_writes_files_that_can_be_read(tmp_path):
    assert run(*HENON, "--period", "2", "--out", str(tmp_path)).exit_code == 0
    assert {p.name for p in tmp_path.iterdir()} == {"run.json", "orbits.nc", "orbits.json", "orbits.png", "report.html"}
    assert np.isfinite(lm.PeriodicOrbits.load(tmp_path / "orbits.nc").exponents).all()


def test_nothing_found_exits_with_1():
    result = run(*HENON, "--period", "3")
    assert result.exit_code == 1
    assert "led to a cycle of period 3" in result.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--low", "0"], "--low and --high: expected both or none"),
        (["--low", "a", "--high", "1"], "--low: expected numbers separated by commas"),
        (["--low", "1", "--high", "0"], "region: expected finite low < high"),
        (["--tolerance", "-1"], "tolerance: expected a positive number"),
    ],
)
def test_bad_options_exit_with_2(options, words):
    result = run(*HENON, *options)
    assert (result.exit_code, words in result.stderr) == (2, True)
