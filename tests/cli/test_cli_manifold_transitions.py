"""`lyapmap transitions` and `lyapmap memorization`."""

from __future__ import annotations

import json

import numpy as np
import pytest

import lyapmap as lm
from command_line import run


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    paths = {}
    for name in ("training", "held", "generated"):
        paths[name] = tmp_path / f"{name}.npy"
        np.save(paths[name], rng.standard_normal((80, 3)))
    paths["labels"] = tmp_path / "labels.csv"
    np.savetxt(paths["labels"], np.tile([0, 1, 2], (2, 20)), delimiter=",")
    return paths


def test_labels_of_a_file(files, tmp_path):
    done = run("transitions", "--labels", files["labels"], "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "1.0000" in done.output
    assert "0 → 1 → 2 → 0, the commonest order" in done.output
    assert "19 whole cycles" in done.output
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert {"transitions.nc", "transitions.json", "transitions.png", "report.html"} <= names
    assert lm.Transitions.load(tmp_path / "out" / "transitions.nc").accuracy == 1.0


def test_intervals_of_a_map_as_json():
    done = run(
        "transitions", "--map", "logistic", "-p", "r=4", "--threshold", "0.5", "-n", 2000, "--order", "1,0", "--json"
    )
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["entropy_rate"] == pytest.approx(np.log(2), abs=0.005)
    assert record["order"] == [1, 0]
    assert np.shape(record["labels"]) == (8, 2001)


def test_a_model_is_classified_by_the_classifier_of_its_data():
    done = run("transitions", "--model", "cycle-mnist-012", "-n", 3, "-b", 2, "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["settings"]["classify"] == "classifier-mnist"
    assert [row[:3] for row in record["labels"]] == [[0, 1, 2]] * 2
    assert record["provenance"]["model"] == "cycle-mnist-012"


def test_an_escape_is_code_1(tmp_path):
    np.save(tmp_path / "x0.npy", [[0.1, 0.1], [5.0, 5.0]])
    done = run("transitions", "--map", "henon", "--x0", tmp_path / "x0.npy", "--threshold", "0", "-n", 50, "--json")
    assert done.exit_code == 1, done.output
    record = json.loads(done.stdout)
    assert record["status"] == "escaped"
    assert record["labels"][1][-1] == -1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "expected a map (--map, --model or --callable) or --labels, got none"),
        (("--map", "henon"), "expected --classifier or --threshold"),
        (("--map", "henon", "--threshold", "a"), "--threshold: expected numbers separated by commas, got 'a'"),
        (("--map", "henon", "--threshold", "1,0"), "--threshold: expected ascending numbers"),
        (("--map", "henon", "--threshold", "0", "--component", "2"), "--component: states have the components 0 to 1"),
        (("--map", "henon", "--threshold", "0", "--classifier", "x"), "expected one of them, got both"),
        (("--map", "henon", "--classifier", "x"), "classifier: expected classifier-fashion-mnist, classifier-mnist or"),
        (("--map", "henon", "--classifier", "cycle-mnist-012"), "classifier: expected"),
        (("--map", "henon", "--classifier", "classifier-mnist"), "takes images (1, 28, 28), states of the map"),
        (("--model", "cycle-digits-012"), "classifier: none is shipped for digits"),
        (("--labels", "LABELS", "--threshold", "0"), "--labels gives categories"),
        (("--labels", "LABELS", "--order", "0,0"), "order: expected every category once"),
        (("--labels", "TRAINING"), "states: expected categories as integers"),
    ],
)
def test_bad_input_of_transitions(files, arguments, message):
    given = [files.get(a.lower(), a) for a in arguments]
    done = run("transitions", *given)
    assert done.exit_code == 2, done.output
    assert message in " ".join(done.output.split())
    assert "Traceback" not in done.output


def test_files_are_compared(files, tmp_path):
    done = run(
        *("memorization", "--data", files["training"], "--held-out", files["held"]),
        *("--generated", files["generated"], "--out", tmp_path / "out"),
    )
    assert done.exit_code == 0, done.output
    assert "80 held-out samples" in done.output
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert {"memorization.nc", "memorization.json", "memorization.png", "report.html"} <= names
    training, held, generated = (np.load(files[name]) for name in ("training", "held", "generated"))
    direct = lm.memorization(generated, training, held_out=held)
    saved = lm.Memorization.load(tmp_path / "out" / "memorization.nc")
    np.testing.assert_array_equal(saved.distance, direct.distance)
    assert saved.p_value == direct.p_value


def test_training_samples_among_themselves(files):
    done = run("memorization", "--data", files["training"], "--generated", files["training"])
    assert done.exit_code == 0, done.output
    assert "80 training samples among themselves" in done.output
    assert "80 exact" in done.output


def test_states_of_a_model_as_json():
    done = run(
        *("memorization", "--data", "digits", "--classes", "0,1,2", "--model", "cycle-digits-012"),
        *("-b", 20, "--steps", 1, "--transient", 2, "--quantile", 0.1, "--json"),
    )
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert len(record["distance"]) == 40
    assert record["settings"]["n_training"] == 452
    assert len(record["reference_distance"]) == 85
    assert record["sample_shape"] == [1, 8, 8]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "or --generated, got none"),
        (("--generated", "missing.npy"), "--generated: no file"),
        (("--generated", "GENERATED", "--classes", "0"), "--classes: only for a data set, and --data is a file"),
        (("--generated", "GENERATED", "--held-out", "missing.npy"), "--held-out: no file"),
        (("--generated", "GENERATED", "--features", "random-vgg"), "random-vgg takes images"),
        (("--generated", "GENERATED", "--quantile", "0"), "quantile: expected a"),
        (("--map", "henon"), "--data: samples have 3 values, states of henon have 2"),
        (("--map", "lorenz", "-b", "81"), "--trajectories: there are 80 samples to start from, got 81"),
    ],
)
def test_bad_input_of_memorization(files, arguments, message):
    given = [files.get(a.lower(), a) for a in arguments]
    done = run("memorization", "--data", files["training"], *given)
    assert done.exit_code == 2, done.output
    assert message in " ".join(done.output.split())
    assert "Traceback" not in done.output
