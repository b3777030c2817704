"""`lyapmap entropy`."""

from __future__ import annotations

import json

import numpy as np
import pytest

import lyapmap as lm
from command_line import invoke

TENT = ["--map", "tent", "--low", "0", "--high", "1", "--samples", "100"]


def run(*arguments: str):
    return invoke(["entropy", *arguments])


def test_entropy_fit_and_status_are_shown():
    result = run(*TENT)
    assert result.exit_code == 0
    for words in ("Expansion entropy of tent", "0.6931 ± 0.0000 nats per step", "steps 1 to 20", "100 %", "ok"):
        assert words in result.stdout


def test_json_equals_the_library():
    options = ["--low", "0", "--high", "1", "--samples", "500", "-n", "8", "--seed", "2", "--json"]
    values = json.loads(run("--map", "logistic", *options).stdout)
    direct = lm.expansion_entropy(lm.systems.logistic(), (0, 1), n_samples=500, n_steps=8, seed=2, throw=False)
    assert values["log_expansion"] == direct.log_expansion.tolist()


def test_out_writes_files_that_can_be_read(tmp_path):
    assert run(*TENT, "--out", str(tmp_path)).exit_code == 0
    assert {p.name for p in tmp_path.iterdir()} == {
        "run.json",
        "entropy.nc",
        "entropy.json",
        "entropy.png",
        "report.html",
    }
    assert lm.ExpansionEntropy.load(tmp_path / "entropy.nc").entropy == pytest.approx(np.log(2))


def test_a_region_that_all_points_leave_exits_with_1():
    result = run("--map", "henon", "--low", "50", "--high", "51", "--samples", "100")
    assert (result.exit_code, "escaped" in result.stdout) == (1, True)


def test_bad_region_exits_with_2():
    result = run("--map", "tent", "--low", "1", "--high", "0")
    assert (result.exit_code, "region: expected finite low < high" in result.stderr) == (2, True)
