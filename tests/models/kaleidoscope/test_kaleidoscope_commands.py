"""`lyapmap train kaleidoscope` and `lyapmap kaleidoscope sample`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from command_line import run
from lyapmap.files import checkpoint as checkpoints
from lyapmap.models.kaleidoscope.network import Kaleidoscope, KaleidoscopeConfig
from lyapmap.models.kaleidoscope.sampling import KaleidoscopeSamples

TINY = ["--data", "digits", "--depth", "2", "--width", "8", "--monitor-every", "0"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("run")
    options = [*TINY, "--limit", 100, "--classes", "0,1", "--out", folder]
    first = run("train", "kaleidoscope", *options, "--batch-size", 50, "--epochs", 1)
    assert first.exit_code == 0, first.output
    assert "kept: the weights of epoch 1, loss 0." in first.output
    assert f"next: lyapmap kaleidoscope sample --model {folder / 'last.pt'}" in first.output
    return folder, run("train", "kaleidoscope", *options, "--batch-size", 50, "--epochs", 2, "--json")


def test_training_goes_on_and_gives_a_model(trained: tuple[Path, Any]) -> None:
    folder, second = trained
    record = json.loads(second.stdout)
    assert record["epoch"] == record["best"]["epoch"] == 2
    assert record["losses"]["manifold"] == record["best"]["loss"]
    saved = checkpoints.load(folder / "last.pt")
    assert (saved.model, saved.config["depth"], saved.config["architecture"]) == ("kaleidoscope", 2, "mlp")
    assert saved.training["settings"] | {"samples": 100, "classes": [0, 1]} == saved.training["settings"]
    assert {"log.jsonl", "training.png", "samples-0002.png"} <= {file.name for file in folder.iterdir()}


def test_other_commands_take_the_model(trained: tuple[Path, Any], tmp_path: Path) -> None:
    model = trained[0] / "last.pt"
    spectrum = run("spectrum", "--model", model, "-n", 20, "-k", 2, "-b", 2, "--json")
    assert spectrum.exit_code == 0, spectrum.output
    assert run("check", "--model", model, "--dtype", "float64").exit_code == 0


def test_samples_are_written_as_numbers_and_pictures(trained: tuple[Path, Any], tmp_path: Path) -> None:
    options = ["--model", trained[0] / "last.pt", "--samples", 5, "--steps", 40, "--eps", 0.1, "--noise", "normal"]
    result = run("kaleidoscope", "sample", *options, "--out", tmp_path / "a", "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    names = ["samples.npz", "strip.png", "grid.png", "kaleidoscope.gif", "report.html"]
    assert [Path(file).name for file in record["files"]] == names
    assert record["settings"]["noise"] == "normal"
    stored = KaleidoscopeSamples.load(tmp_path / "a" / "samples.npz")
    assert stored.steps.tolist() == [0, 1, 2, 5, 10, 20, 30, 40]
    assert stored.states.shape == (5, 8, 64)
    with Image.open(tmp_path / "a" / "kaleidoscope.gif") as film:
        assert film.n_frames == 33  # 0 to 30, 35, 40
    more = [*options[:3], 9, *options[4:]]
    assert run("kaleidoscope", "sample", *more, "--out", tmp_path / "b", "--no-gif").exit_code == 0
    others = KaleidoscopeSamples.load(tmp_path / "b" / "samples.npz")
    np.testing.assert_allclose(others.states[:5], stored.states, atol=1e-5)
    assert not (tmp_path / "b" / "kaleidoscope.gif").exists()


def test_samples_of_points_are_drawn_as_paths(tmp_path: Path) -> None:
    config = KaleidoscopeConfig((2,), depth=2, width=4)
    saved = checkpoints.Checkpoint(
        "kaleidoscope", config.to_dict(), Kaleidoscope(config).state_dict(), torch.zeros(0, 2)
    )
    path = checkpoints.save(saved, tmp_path / "net.pt")
    result = run("kaleidoscope", "sample", "--model", path, "--steps", 5, "--eps", 0, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "64 samples, 5 steps from uniform noise, no noise between them" in result.output
    assert (tmp_path / "samples.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sample", "--model", "nobody"], "neither a file nor one of"),
        (
            ["sample", "--model", "cycle-digits-012", "--noise", "pink"],
            "--noise: expected uniform or normal, got 'pink'",
        ),
        (
            ["sample", "--model", "cycle-digits-012", "--start", "pink"],
            "--start: expected uniform or normal, got 'pink'",
        ),
    ],
)
def test_sampling_refuses_bad_input(tmp_path: Path, arguments: list[str], words: str) -> None:
    result = run("kaleidoscope", *arguments, "--out", tmp_path)
    assert result.exit_code == 2
    assert words in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--output", "relu"], "--output: expected tanh or sigmoid, got 'relu'"),
        (["--architecture", "gpt"], "--architecture: expected mlp, conv or unet, got 'gpt'"),
        (["--limit", "5000"], "n: expected 1 to 1500 images of digits"),
        (["--batch-size", "5000"], "--batch-size: expected 1 to 1500"),
        (["--classes", "11"], "digits has no class 11"),
    ],
)
def test_training_refuses_bad_input(tmp_path: Path, arguments: list[str], words: str) -> None:
    result = run("train", "kaleidoscope", *TINY, *arguments, "--out", tmp_path)
    assert result.exit_code == 2
    assert words in result.stderr


def test_variants_and_files_of_images_are_trained_too(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "images.npz", images=images)
    options = [
        "--depth",
        1,
        "--width",
        2,
        "--epochs",
        1,
        "--monitor-every",
        0,
        "--batch-size",
        9,
        "--output",
        "sigmoid",
    ]
    for architecture in ("conv", "unet"):
        out = tmp_path / architecture
        given = ["--data", tmp_path / "images.npz", "--architecture", architecture, "--out", out]
        result = run("train", "kaleidoscope", *given, *options)
        assert result.exit_code == 0, result.output
        assert checkpoints.load(out / "last.pt").config["state_shape"] == [3, 8, 8]
