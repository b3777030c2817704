"""`lyapmap train dcgan`, `lyapmap train gran` and `lyapmap gan`."""

from __future__ import annotations

import json

import numpy as np
import pytest

import lyapmap as lm
from command_line import run
from gan_samples import DCGAN, GRAN, saved

SMALL = ["--data", "digits", "--classes", "0,1", "--limit", "100", "--width", "3", "--latent", "4", "--epochs", "1"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    found = {}
    for name, config in (("dcgan", DCGAN), ("gran", GRAN)):
        found[name] = str(saved(tmp_path_factory.mktemp(name), config, louder=2.0))
    return found


def test_train_sample_and_go_on(tmp_path):
    for name, more in (
        ("dcgan", ["--loss", "minimax", "--r1", "0.5"]),
        ("gran", ["--hidden", "4", "--noise", "fresh"]),
    ):
        out = tmp_path / name
        result = run("train", name, *SMALL, "--batch-size", "50", *more, "--out", str(out))
        assert result.exit_code == 0, result.stderr
        assert f"next: lyapmap gan sample --model {out}/last.pt" in result.stdout
        assert {"last.pt", "log.jsonl", "samples-0001.png", "training.png"} <= {p.name for p in out.iterdir()}
    settings = json.loads(
        run("train", "gran", *SMALL, "--batch-size", "50", *more, "--epochs", "2", "--out", str(out), "--json").stdout
    )
    assert settings["epoch"] == 2
    drawn = run("gan", "sample", "--model", str(out / "last.pt"), "--canvas-steps", "5", "--out", str(tmp_path / "s"))
    assert (drawn.exit_code, "64 samples in 5 steps; trained with 3" in drawn.stdout) == (0, True)
    assert {p.name for p in (tmp_path / "s").iterdir()} == {
        "run.json",
        "samples.npz",
        "grid.png",
        "strip.png",
        "canvas.gif",
        "report.html",
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "gran", *SMALL, "--preset", "mnist"], "--width: the preset mnist has its own"),
        (["train", "gran", "--data", "digits", "--preset", "digits"], "--preset: expected mnist, cifar10 or lsun"),
        (["train", "dcgan", *SMALL, "--image-size", "9"], "--image-size: expected an even number"),
        (["train", "dcgan", *SMALL, "--loss", "hinge"], "--loss: expected non-saturating or minimax"),
        (["train", "gran", *SMALL, "--noise", "two"], "--noise: expected one or fresh"),
        (["train", "dcgan", *SMALL, "--batch-size", "500"], "--batch-size: expected 2 to 100"),
    ],
)
def test_bad_training_options_exit_with_2(arguments, said, tmp_path):
    result = run(*arguments, "--out", str(tmp_path / "run"))
    assert (result.exit_code, said in result.stderr) == (2, True), result.stderr


def test_json_equals_the_library(models, tmp_path):
    values = json.loads(run("gan", "jacobian", "--model", models["dcgan"], "--samples", "4", "--json").stdout)
    from lyapmap.training import gan_function, gan_latents, load_gan

    f = gan_function(load_gan(models["dcgan"]), dtype="float64")
    direct = lm.jacobian_spectrum(f, gan_latents((5,), 4), seed=0)
    np.testing.assert_array_equal(values["singular_values"], direct.singular_values)
    options = ["--steps", "20", "--transient", "5", "-k", "2", "-b", "2", "--canvas-steps", "5", "--json"]
    canvas = json.loads(run("gan", "canvas", "--model", models["gran"], *options, "--noise", "one").stdout)
    assert np.shape(canvas["exponents"]) == (1, 2)


def test_jacobian_stands_beside_the_data(models, tmp_path):
    result = run(
        "gan", "jacobian", "--model", models["gran"], "--samples", "5", "--data", "digits", "--classes", "0",
        "--points", "120", "--out", str(tmp_path),
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    for words in (
        "5 values of noise to 64 pixels",
        "local dimension",
        "numerical rank",
        "generated",
        "digits",
        "gride",
    ):
        assert words in result.stdout
    assert {"jacobian.nc", "jacobian.json", "jacobian.png", "dimension.png", "report.html"} <= {
        p.name for p in tmp_path.iterdir()
    }


def test_canvas_is_told_and_written(models, tmp_path):
    options = ["--steps", "20", "--transient", "5", "-k", "2", "-b", "2", "--canvas-steps", "5", "--out", str(tmp_path)]
    result = run("gan", "canvas", "--model", models["gran"], *options)
    assert result.exit_code == 0, result.stderr
    for words in ("trained with 3 steps and one noise", "exponent 2", "fresh noise", "at step 5 updates have size"):
        assert words in result.stdout
    written = {p.name for p in tmp_path.iterdir()}
    assert written == {"run.json", "canvas.nc", "canvas.json", "canvas.png", "report.html"}


def test_interpolation_is_written(models, tmp_path):
    result = run(
        "gan", "interpolate", "--model", models["dcgan"], "--pairs", "2", "-n", "3", "--out", str(tmp_path), "--json"
    )
    assert json.loads(result.stdout)["columns"] == 3
    written = {p.name for p in tmp_path.iterdir()}
    assert written == {"run.json", "samples.npz", "interpolation.png", "report.html"}


def test_a_generator_cannot_be_iterated(models):
    for name in ("dcgan", "gran"):
        result = run("spectrum", "--model", models[name])
        assert result.exit_code == 2
        assert result.stderr.count("\n") == 1
        assert f"is a {name}, which draws images of noise and cannot be iterated; see lyapmap gan" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sample", "--model", "cycle-digits-012"], "is a cycle model, expected a dcgan or gran"),
        (["sample", "--model", "nothing.pt"], "no such file"),
        (["sample", "--model", "DCGAN", "--canvas-steps", "3"], "draws in one step and cannot go on"),
        (["canvas", "--model", "DCGAN"], "is a dcgan and has no canvas to go on with"),
        (["jacobian", "--model", "DCGAN", "--classes", "0"], "--classes: only together with --data"),
        (["jacobian", "--model", "DCGAN", "--threshold", "2"], "threshold: expected a share below 1"),
    ],
)
def test_bad_arguments_exit_with_2(arguments, said, models, tmp_path):
    given = [models["dcgan"] if a == "DCGAN" else a for a in arguments]
    result = run("gan", *given, "--out", str(tmp_path))
    assert (result.exit_code, said in result.stderr) == (2, True), result.stderr


def test_images_that_are_not_finite_exit_with_1(tmp_path):
    result = run("gan", "sample", "--model", str(saved(tmp_path, louder=float("inf"))), "--out", str(tmp_path / "s"))
    assert (result.exit_code, "images are not finite" in result.stderr) == (1, True)
