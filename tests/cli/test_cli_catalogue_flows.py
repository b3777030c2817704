"""Commands on the flows of the catalogue say what exponents are counted in."""

from __future__ import annotations

import json

import numpy as np

import lyapmap as lm
from command_line import run


def test_maps_tells_flows_from_maps():
    shown = run("maps", "lorenz").stdout
    assert "0.9056, 0, -14.5723  (published, per unit time" in shown
    assert "nats per unit time" in shown
    assert "nats per step" in run("maps", "henon").stdout
    listed = run("maps", "--json").stdout
    assert json.loads(listed)["rossler"]["unit"] == "per unit time"
    assert json.loads(listed)["henon"]["unit"] == "per step"
    table = run("maps").stdout
    assert "1.687, 1.481, 1.307," in table
    assert "1.01" not in table  # the fifth


def test_spectrum_of_a_flow_is_per_unit_time(tmp_path):
    arguments = ["--map", "lorenz", "-n", "4000", "--transient", "400", "-b", "8"]
    result = run("spectrum", *arguments, "--out", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert "per unit time" in result.stdout
    stored = lm.LyapunovSpectrum.load(tmp_path / "spectrum.nc")
    assert stored.unit == "per unit time"
    assert abs(stored.exponents.sum() + 41 / 3) < 1e-3
    assert abs(stored.exponents[0] - 0.9056) < 0.03
    assert stored.provenance["parameters"]["tau"] == 0.05
    assert (tmp_path / "spectrum.png").stat().st_size > 1000


def test_another_step_is_asked_for_by_name():
    result = run("spectrum", "--map", "rossler", "-p", "tau=0.5", "-p", "steps=50", "-n", "50", "--json")
    record = json.loads(result.stdout)
    assert result.exit_code == 0
    assert record["provenance"]["substeps"] == 50
    assert np.isfinite(record["exponents"]).all()


def test_a_flow_that_escapes_exits_with_1(tmp_path):
    np.save(tmp_path / "far.npy", np.array([[1e150, 1e150, 1e150]]))
    result = run("spectrum", "--map", "lorenz", "--x0", str(tmp_path / "far.npy"), "-n", "10", "--transient", "0")
    assert result.exit_code == 1
    assert "escaped" in result.stdout
