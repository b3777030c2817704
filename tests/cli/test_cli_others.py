"""The other commands."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import lyapmap as lm
from command_line import run

TINY = ["--data", "digits", "--width", "4", "--batch-size", "50"]


def test_trajectory_of_a_map_writes_states_and_a_plot(tmp_path):
    result = run("trajectory", "--map", "henon", "-n", "50", "-b", "2", "--out", str(tmp_path))
    assert result.exit_code == 0, result.output
    stored = lm.Trajectory.load(tmp_path / "trajectory.npz")
    assert stored.states.shape == (2, 51, 2)
    x, y = stored.states[0, :-1].T
    np.testing.assert_allclose(stored.states[0, 1:, 0], 1 - 1.4 * x**2 + y)
    assert (tmp_path / "trajectory.png").stat().st_size > 1000
    assert not (tmp_path / "trajectory.gif").exists()


def test_trajectory_of_images_writes_a_strip_and_a_film(tmp_path):
    result = run("trajectory", "--model", "cycle-digits-012", "-n", "5", "--out", str(tmp_path), "--json")
    record = json.loads(result.stdout)
    assert result.exit_code == 0
    assert record["status"] == "ok"
    assert [file.rsplit(".")[-1] for file in record["files"]] == ["npz", "png", "gif", "html"]
    with Image.open(tmp_path / "trajectory.gif") as film:
        assert film.n_frames == 6


def test_trajectory_that_escapes_exits_with_1(tmp_path):
    np.save(tmp_path / "far.npy", np.array([[100.0, 100.0]]))
    arguments = ["--map", "henon", "--x0", str(tmp_path / "far.npy"), "--out", str(tmp_path)]
    result = run("trajectory", *arguments)
    assert result.exit_code == 1
    assert "escaped" in result.stderr


def test_trajectory_that_is_interrupted_writes_what_there_is(tmp_path, monkeypatch):
    from lyapmap.analysis.orbits import trajectory as module

    step, calls = module.step_states, []

    def stop_at_the_tenth(*arguments, **options):
        calls.append(1)
        if len(calls) == 10:
            raise KeyboardInterrupt
        return step(*arguments, **options)

    monkeypatch.setattr(module, "step_states", stop_at_the_tenth)
    result = run("trajectory", "--map", "henon", "-n", "50", "-b", "2", "--out", str(tmp_path))
    assert result.exit_code == 130
    assert "interrupted after 8 of 50 steps" in result.stderr
    assert lm.Trajectory.load(tmp_path / "trajectory.npz").states.shape == (2, 9, 2)


def test_maps_lists_the_catalogue_and_shows_one():
    assert set(json.loads(run("maps", "--json").stdout)) == set(lm.systems.catalogue())
    shown = run("maps", "henon").stdout
    assert "0.419251" in shown
    assert "sum = ln" in shown
    assert json.loads(run("maps", "henon", "--json").stdout)["dimension"] == 2
    missing = run("maps", "henno")
    assert (missing.exit_code, "henon" in missing.stderr) == (2, True)


def test_models_lists_what_is_shipped_and_shows_a_card():
    names = run("models").stdout
    for name in ("cycle-mnist-012", "cycle-digits-012"):
        assert name in names
        assert "Exponents along training" in run("models", name).stdout
    details = json.loads(run("models", "cycle-mnist-012", "--json").stdout)["cycle-mnist-012"]
    assert details["config"]["width"] == 32
    assert run("models", "nobody").exit_code == 2


def test_check_passes_for_a_shipped_model_and_a_map():
    for source in (["--model", "cycle-digits-012", "--dtype", "float64"], ["--map", "ikeda"]):
        result = run("check", *source)
        assert result.exit_code == 0, result.output
        assert "jvp against differences" in result.stdout
        assert "FAIL" not in result.stdout


def test_check_reports_a_broken_map_and_exits_with_1(tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text(
        "class Broken:\n"
        "    state_shape = (1,)\n"
        "    def apply(self, x): return x**2\n"
        "    def jacobian(self, x): return -2 * x[:, :, None]\n"
        "broken = Broken()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    result = run("check", "--callable", "broken:broken")
    assert result.exit_code == 1
    assert "FAIL" in result.stdout
    assert json.loads(run("check", "--callable", "broken:broken", "--json").stdout)["ok"] is False


def test_train_writes_a_usable_model_and_goes_on(tmp_path):
    options = [
        "--data",
        "digits",
        "--width",
        "4",
        "--batch-size",
        "50",
        "--monitor-every",
        "0",
        "--out",
        str(tmp_path / "run"),
    ]
    first = run("train", "cycle", *options, "--epochs", "1")
    assert first.exit_code == 0, first.output
    second = run("train", "cycle", *options, "--epochs", "2", "--json")
    assert json.loads(second.stdout)["epoch"] == 2
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]
    assert {"last.pt", "samples-0001.png", "samples-0002.png", "training.png"} <= {
        p.name for p in (tmp_path / "run").iterdir()
    }
    measured = run("spectrum", "--model", str(tmp_path / "run" / "last.pt"), "-n", "20", "-k", "2", "-b", "2", "--json")
    assert measured.exit_code == 0, measured.output


def test_train_logs_exponents_when_asked(tmp_path):
    options = [*TINY, "--epochs", "1", "--monitor-every", "1"]
    result = run("train", "cycle", *options, "--out", str(tmp_path), "--json")
    watched = json.loads(result.stdout)["monitor"]
    assert len(watched["exponents"]) == 6
    assert watched["attractor"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "nowhere"], "neither a folder nor one of"),
        (["--data", "digits", "--classes", "0,0"], "expected different classes"),
        (["--data", "digits", "--classes", "0"], "categories: expected at least 2, got 1"),
        (["--data", "digits", "--batch-size", "1000"], "--batch-size: expected 1 to"),
        (["--data", "digits", "--classes", "a,b"], "whole numbers"),
    ],
)
def test_train_refuses_bad_input(tmp_path, arguments, words):
    result = run("train", "cycle", *arguments, "--out", str(tmp_path))
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_installed_command_shows_no_traceback():
    done = subprocess.run(
        [sys.executable, "-m", "lyapmap", "spectrum", "--map", "nothing"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_unwritable_output_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    result = run("spectrum", "--map", "henon", "--out", str(tmp_path / "file" / "below"))
    assert result.exit_code == 2
    assert "--out" in result.stderr


def test_classes_may_be_separated_by_blanks(tmp_path):
    given = ["trajectory", "--model", "cycle-digits-012", "--data", "digits", "-n", "1", "-b", "4"]
    states = []
    for name, classes in (("one", ["0,1,2"]), ("other", ["0", "1", "2"])):
        result = run(*given, "--out", str(tmp_path / name), "--classes", *classes)
        assert result.exit_code == 0, result.output
        states.append(lm.Trajectory.load(tmp_path / name / "trajectory.npz").states)
    np.testing.assert_array_equal(*states)
    assert run(*given, "--classes", "0", "1", "x").exit_code == 2
