"""`lyapmap manifold` and `lyapmap train classifier`."""

from __future__ import annotations

import json

import numpy as np
import pytest

import lyapmap as lm
from command_line import invoke

DIGITS = ("--real", "digits", "--classes", "0,1,2", "--samples", "30")


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    paths = tmp_path / "real.npy", tmp_path / "generated.npy"
    for path, scale in zip(paths, (1.0, 0.7), strict=True):
        np.save(path, scale * rng.standard_normal((80, 3)))
    return [str(path) for path in paths]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LYAPMAP_CACHE", str(tmp_path / "cache"))


def run(*arguments):
    return invoke(["manifold", *arguments])


def test_two_files_are_compared(files, tmp_path):
    out = tmp_path / "out"
    done = run("--real", files[0], "--generated", files[1], "--k", "2,4-5", "--out", str(out))
    assert done.exit_code == 0, done.output
    assert "80 real, 80 generated" in done.output
    assert {"manifold.nc", "manifold.json", "manifold.png", "report.html"} <= {p.name for p in out.iterdir()}
    saved = lm.ManifoldMetrics.load(out / "manifold.nc")
    direct = lm.manifold_metrics(np.load(files[0]), np.load(files[1]), k=(2, 4, 5), seed=0)
    np.testing.assert_array_equal(saved.recall, direct.recall)
    np.testing.assert_array_equal(saved.density_interval, direct.density_interval)


def test_steps_of_a_model_as_json():
    done = run(*DIGITS, "--model", "cycle-digits-012", "--features", "pixels", "--k", "3", "--steps", "2", "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["at"] == [0, 1, 2]
    assert record["precision"][0] == [1.0]
    assert record["n_generated"] == 30
    assert len(record["reference_recall"]) == 1
    assert record["settings"]["features"] is None


def test_trajectories_of_a_model_with_features(tmp_path):
    done = run(
        *DIGITS,
        *("--model", "cycle-digits-012", "--features", "random-vgg", "--k", "1-3"),
        *("--over", "trajectories", "-b", "2", "--steps", "9", "--out", str(tmp_path / "out")),
    )
    assert done.exit_code == 0, done.output
    assert "random-vgg" in done.output
    assert "±" in done.output
    assert "2 of test images of digits, classes 0,1,2" in done.output
    assert lm.ManifoldAlong.load(tmp_path / "out" / "manifold.nc").precision.shape == (2, 3)


def test_a_trained_classifier_gives_features(tmp_path):
    trained = invoke(
        [
            "train",
            "classifier",
            "--data",
            "digits",
            "--classes",
            "0,1,2",
            "--epochs",
            "1",
            "--width",
            "2",
            "--json",
            "--batch-size",
            "32",
            "--out",
            str(tmp_path),
        ],
    )
    assert trained.exit_code == 0, trained.output
    record = json.loads(trained.stdout)
    assert record["settings"]["classes"] == [0, 1, 2]
    done = run(*DIGITS, "--model", "cycle-digits-012", "--features", record["checkpoint"], "--k", "2", "--steps", "0")
    assert done.exit_code == 0, done.output
    assert "classifier classifier.pt" in done.output


def test_points_of_a_reference_map(tmp_path):
    path = tmp_path / "orbit.npy"
    np.save(path, lm.trajectory(lm.systems.henon(), [0.1, 0.1], n_steps=79, transient=100).states[0])
    done = run("--real", str(path), "--map", "henon", "--over", "trajectories", "-b", "2", "--k", "3", "--json")
    assert done.exit_code == 0, done.output
    assert min(map(min, json.loads(done.stdout)["precision"])) > 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "expected a map (--map, --model or --callable) or --generated, got none"),
        (("--generated", "x.npy", "--map", "henon"), "got both"),
        (("--generated", "missing.npy"), "--generated: no file"),
        (("--generated", "FILE", "--k", "3;5"), "--k: expected numbers like 3,5,10 or 1-10, got '3;5'"),
        (("--generated", "FILE", "--k", "80"), "k: 80 neighbours need 81 real samples, got 80"),
        (("--generated", "FILE", "--classes", "0"), "--classes: only for a data set"),
        (("--generated", "FILE", "--features", "random-vgg"), "--features: random-vgg takes images"),
        (("--generated", "FILE", "--compare", "=="), "--compare: expected <= or <"),
        (("--map", "henon"), "--real: samples have 3 values, states of henon have 2"),
    ],
)
def test_bad_input_is_one_line_and_code_2(files, arguments, message):
    given = [files[1] if a == "FILE" else a for a in arguments]
    done = run("--real", files[0], *given)
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())
    assert "Traceback" not in done.output


def test_an_escape_before_anything_is_compared_is_code_1(tmp_path):
    path = tmp_path / "far.npy"
    np.save(path, np.random.default_rng(0).uniform(5, 6, (30, 2)))
    done = run("--real", str(path), "--map", "henon", "--transient", "50", "--k", "3")
    assert done.exit_code == 1
    assert "escaped" in done.output


def test_more_trajectories_than_samples_are_refused(files):
    done = run(*DIGITS, "--model", "cycle-digits-012", "-b", "31", "--features", "pixels")
    assert done.exit_code == 2
    assert "there are 30 real samples to start from, got 31" in done.output
