"""`lyapmap limit-cycle`, and `--section` of all commands that take a map."""

from __future__ import annotations

import json

import numpy as np
import pytest

import lyapmap as lm
from command_line import invoke


@pytest.mark.slow
def test_limit_cycle_is_printed_and_written(tmp_path):
    words = ["limit-cycle", "rossler", "-p", "c=2.5", "-b", "1", "--transient", "200"]
    done = invoke([*words, "--out", str(tmp_path)])
    assert done.exit_code == 0
    assert "5.748991" in done.stdout
    result = lm.LimitCycle.load(tmp_path / "limit-cycle.nc")
    assert result.multipliers[1].real == pytest.approx(-0.76969, abs=1e-4)
    assert (tmp_path / "limit-cycle.png").exists()


def test_branches_are_printed_with_their_special_points():
    done = invoke(
        ["continuation", "logistic", "-b", "1", "--over", "r", "--from", "2.5", "--to", "3.5", "--step", "0.2"]
    )
    assert done.exit_code == 0
    assert "flip" in done.stdout
    assert "│ 3 " in done.stdout or " 3 " in done.stdout


@pytest.mark.slow
def test_sections_are_maps_of_other_commands(tmp_path):
    done = invoke(["orbits", "rossler", "-p", "c=2.5", "-b", "1", "--section", "0=0:up", "--guesses", "2", "--json"])
    values = json.loads(done.stdout)
    assert values["multipliers_real"][0][0] == pytest.approx(-0.76969, abs=1e-4)
    out = ["--out", str(tmp_path), "--json"]
    done = invoke(["trajectory", "rossler", "-p", "c=2.5", "-b", "1", "--section", "max:0", "--steps", "2", *out])
    assert done.exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["orbits", "rossler", "--section", "left"], "--section: expected I=X[:up|down|both], max:I, min:I or time:T"),
        (["orbits", "henon", "--section", "0=0"], "flow: expected one of lyapmap.flow or of the catalogue"),
        (["orbits", "lorenz", "--section", "max:7"], "coordinate: expected one below 3, got 7"),
        (["continuation", "henon", "--over", "q", "--from", "0", "--to", "1"], "--over: henon has no parameter 'q'"),
        (["continuation", "henon", "--over", "a", "--from", "1", "--to", "0"], "range: expected finite (low, high)"),
        (["limit-cycle", "henon"], "expected one of lyapmap.flow whose field does not depend on time, got a map"),
        (["limit-cycle", "rossler", "--period", "-1"], "--period: expected a positive number"),
    ],
)
def test_mistakes_exit_with_2(words, message):
    done = invoke(words)
    assert (done.exit_code, message in done.stderr) == (2, True), done.stderr


def test_sections_by_time_are_flows():
    flow = lm.stroboscopic_map(lm.systems.rossler(), 1.0)
    assert flow.time_per_step == 1.0
    x = np.array([[1.0, 1.0, 0.0]])
    five = lm.iterate(lm.systems.rossler(), 5)
    np.testing.assert_allclose(flow.apply(x), five.apply(x), rtol=1e-9)
