"""`lyapmap embed`, and what `lyapmap models` and an interrupted `lyapmap transitions` say."""

from __future__ import annotations

import json
from importlib.util import find_spec

import numpy as np
import pytest

import lyapmap as lm
from command_line import run

needs_umap = pytest.mark.skipif(find_spec("umap") is None, reason="the extra umap is not installed")


@pytest.fixture(scope="module")
def clouds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clouds")
    rng = np.random.default_rng(0)
    np.save(folder / "real.npy", lm.trajectory(lm.systems.henon(), [0.1, 0.1], n_steps=39, transient=50).states[0])
    np.save(folder / "generated.npy", 0.5 * rng.normal(size=(9, 2)))
    return folder


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A layout of digits with an ensemble on it."""
    out = tmp_path_factory.mktemp("digits")
    given = ("--real", "digits", "--classes", "0,1", "--samples", 60, "--neighbors", 6)
    done = run("embed", *given, "--model", "cycle-digits-012", "--start", 0, "-b", 7, "--at", "0,1,3", "--out", out)
    assert done.exit_code == 0, done.output
    return out, done.output


@needs_umap
def test_an_ensemble_of_a_model(digits):
    out, told = digits
    assert "60 of training images of digits, classes 0,1" in told
    assert "7 of test images of digits, classes 0" in told
    assert "7 x 3, steps 0, 1, 3" in told
    names = {p.name for p in out.iterdir()}
    assert names == {"run.json", "embedding.nc", "embedding.json", "embedding.png", "report.html", "fitted.nc"}
    states = lm.EmbeddedStates.load(out / "embedding.nc")
    assert states.at.tolist() == [0, 1, 3]
    assert states.label_names == ("0", "1")
    assert states.provenance["model"] == "cycle-digits-012"
    fit = lm.Embedding.load(out / "fitted.nc")
    test = lm.data.load("digits", split="test", classes=(0,)).images
    chosen = np.sort(np.random.default_rng(0).choice(len(test), 7, replace=False))
    np.testing.assert_array_equal(states.coordinates[:, 0], fit.transform(test[chosen]))


@needs_umap
def test_a_layout_that_was_kept_serves_a_trajectory(digits):
    given = ("--fitted", digits[0] / "fitted.nc", "--real", "digits", "--model", "cycle-digits-012")
    done = run("embed", *given, "--steps", 20, "--transient", 3, "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["at"] == list(range(3, 24))
    assert np.shape(record["coordinates"]) == (1, 21, 2)
    assert record["data"] == lm.Embedding.load(digits[0] / "fitted.nc").to_dict()["data"]


@needs_umap
def test_files_alone_and_a_reference_map(clouds):
    given = ("--real", clouds / "real.npy", "--neighbors", 6)
    done = run("embed", *given, "--generated", clouds / "generated.npy", "--out", clouds / "out")
    assert done.exit_code == 0, done.output
    assert "Embedding of generated.npy" in done.output
    fit = ("--fitted", clouds / "out" / "fitted.nc")
    placed = lm.EmbeddedStates.load(clouds / "out" / "embedding.nc").coordinates
    expected = lm.embed(np.load(clouds / "real.npy"), n_neighbors=6).transform(np.load(clouds / "generated.npy"))
    np.testing.assert_array_equal(placed[0], expected)
    alone = json.loads(run("embed", *fit, "--json").stdout)
    assert np.shape(alone["coordinates"]) == (1, 0)
    record = json.loads(run("embed", *fit, "--map", "henon", "-b", 40, "--at", "0,1", "--json").stdout)
    fitted = lm.Embedding.load(fit[1])
    np.testing.assert_array_equal(np.array(record["coordinates"], np.float32)[:, 0], fitted.data)
    # The orbit was laid out, so that a step leads from one of its points to the next.
    after = np.array(record["coordinates"], np.float32)[:-1, 1]
    assert np.linalg.norm(after - fitted.data[1:], axis=1).max() < 0.01 * np.ptp(fitted.data)


@needs_umap
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "expected --real, which is laid out, or --fitted, got none"),
        (("--real", "missing.npy"), "--real: no file missing.npy"),
        (("--real", "REAL", "--classes", "0"), "--classes: only for a data set, and --real is a file"),
        (("--real", "REAL", "--map", "henon", "--generated", "x.npy"), "or --generated, got both"),
        (("--real", "REAL", "--steps", "3", "--at", "1"), "--steps and --at: expected one of them"),
        (("--real", "REAL", "--at", "a"), "--at: expected whole numbers"),
        (("--real", "REAL", "--neighbors", "40"), "40 neighbours need more than 40 different points, got 40"),
        (("--real", "REAL", "--metric", "cosine"), "metric: expected euclidean"),
        (("--fitted", "missing.nc"), "missing.nc: no such file"),
        (("--fitted", "FIT", "--min-dist", "0.3"), "--fitted: a layout that is made has its"),
        (("--fitted", "FIT", "--map", "henon"), "--real: samples have 64 values, states of henon have 2"),
        (("--fitted", "FIT", "--map", "henon", "--start", "0"), "--start: only with --real"),
        (("--fitted", "FIT", "--generated", "GENERATED"), "states: expected points (n, 64)"),
    ],
)
def test_bad_input_is_one_line_and_code_2(clouds, digits, arguments, message):
    files = {"REAL": clouds / "real.npy", "GENERATED": clouds / "generated.npy", "FIT": digits[0] / "fitted.nc"}
    done = run("embed", *(files.get(a, a) for a in arguments))
    assert done.exit_code == 2, done.output
    assert message in " ".join(done.output.split())
    assert "Traceback" not in done.output


@needs_umap
def test_an_escape_is_code_1_and_ctrl_c_keeps_the_states_until_then(clouds, monkeypatch):
    from lyapmap.analysis.orbits import trajectory as module

    fit = ("embed", "--fitted", clouds / "far.nc", "--map", "henon")
    lm.embed(5 + np.load(clouds / "real.npy"), n_neighbors=5).save(clouds / "far.nc")
    for steps in (("--steps", 50), ("--at", "0,50")):
        done = run(*fit, *steps)
        assert done.exit_code == 1
        assert "escaped" in done.output
    step, calls = module.step_states, []

    def stop_at_the_third(*arguments, **options):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return step(*arguments, **options)

    monkeypatch.setattr(module, "step_states", stop_at_the_third)
    done = run(*fit, "--steps", 50, "--json")
    assert done.exit_code == 130, done.output
    record = json.loads(done.stdout)
    assert (record["at"], record["message"]) == ([0, 1], "interrupted after 1 of 50 steps")


def test_transitions_that_are_interrupted_show_those_until_then(monkeypatch, tmp_path):
    from lyapmap.analysis.orbits import trajectory as module

    step, calls = module.step_states, []

    def stop_at_the_fiftieth(*arguments, **options):
        calls.append(1)
        if len(calls) == 50:
            raise KeyboardInterrupt
        return step(*arguments, **options)

    monkeypatch.setattr(module, "step_states", stop_at_the_fiftieth)
    done = run("transitions", "--map", "logistic", "-p", "r=4", "--threshold", 0.5, "-n", 500, "--out", tmp_path)
    assert done.exit_code == 130, done.output
    assert lm.Transitions.load(tmp_path / "transitions.nc").labels.shape == (8, 49)
    assert "interrupted after 48 of 500 steps" in done.output


def test_transitions_that_are_interrupted_before_anything_is_there(monkeypatch):
    from lyapmap.analysis.orbits import trajectory as module

    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "step_states", stop)
    done = run("transitions", "--map", "logistic", "--threshold", 0.5, "--transient", 3, "-n", 5)
    assert done.exit_code == 130
    assert done.stderr.strip() == "lyapmap: interrupted, with nothing to keep yet"


def test_networks_that_are_no_maps_are_marked():
    lines = run("models").stdout.splitlines()
    marked = {line.split()[0] for line in lines if "; no map, for " in line}
    assert marked == {"classifier-mnist", "classifier-fashion-mnist", "dcgan-mnist", "gran3-mnist"}
    record = json.loads(run("models", "--json").stdout)
    assert {name for name, entry in record.items() if not entry["is_map"]} == marked
