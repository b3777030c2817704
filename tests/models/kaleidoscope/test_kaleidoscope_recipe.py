"""Training of the kaleidoscopic network."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lyapmap as lm
from lyapmap import data
from lyapmap.core.errors import LyapmapError
from lyapmap.files import checkpoint as checkpoints
from lyapmap.models.kaleidoscope.network import Kaleidoscope, KaleidoscopeConfig, manifold_loss
from lyapmap.models.kaleidoscope.recipe import KaleidoscopeRecipe
from lyapmap.models.kaleidoscope.sampling import noise_states
from lyapmap.training.loop import train

SMALL = KaleidoscopeConfig((1, 8, 8), depth=2, width=16)


@pytest.fixture(scope="module")
def digits() -> data.ImageSet:
    return data.load("digits").some(60)


def recipe(digits: Any, **options: Any) -> KaleidoscopeRecipe:
    return KaleidoscopeRecipe(SMALL, digits, **{"batch_size": 20, "seed": 3, "decay_epochs": 5} | options)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_step_is_adam_on_equation_1_by_hand(digits: data.ImageSet) -> None:
    ours, net = recipe(digits, decay_epochs=0), recipe(digits).model
    adam = torch.optim.Adam(net.parameters(), 1e-3)
    ours.start_epoch(0)
    order = np.random.default_rng([3, 0]).permutation(60)
    for step in range(2):
        batch = torch.from_numpy(digits.images[order[20 * step : 20 * step + 20]])
        output = net(batch)
        by_hand = ((output - batch) ** 2).sum() / (20 * 64)
        assert ours.step(step)["manifold"] == pytest.approx(by_hand.item(), rel=1e-5)
        adam.zero_grad()
        by_hand.backward()
        adam.step()
    for got, wanted in zip(ours.model.parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-6)


def test_one_dimensional_points_are_learned_to_1e_8() -> None:
    points = np.array([[0.2], [0.8]], np.float32)
    config = KaleidoscopeConfig((1,), depth=2, width=20, output="sigmoid")
    fit = KaleidoscopeRecipe(config, points, learning_rate=1e-2, decay_epochs=1000, seed=1)
    for epoch in range(1000):
        fit.start_epoch(epoch)
        fit.step(0)
    assert fit.best_loss <= 1e-8
    made = Kaleidoscope(config)
    made.load_state_dict(fit.checkpoint().state_dict)
    with torch.no_grad():
        assert manifold_loss(made(torch.from_numpy(points)), torch.from_numpy(points)) <= 2e-8


def test_the_learning_rate_falls_as_a_cosine_and_stays_low(digits: data.ImageSet) -> None:
    made = recipe(digits, decay_epochs=4, learning_rate=0.1)
    rates = [made._rate_at(epoch) for epoch in (0, 2, 4, 9)]
    assert rates == pytest.approx([0.1, 0.1 * (0.01 + 0.99 / 2), 0.001, 0.001])
    assert recipe(digits, decay_epochs=0)._rate_at(100) == 1e-3


def test_the_weights_of_the_best_epoch_are_kept_when_training_spoils_them(
    digits: data.ImageSet, tmp_path: Path
) -> None:
    made = recipe(digits, decay_epochs=0)
    train(made, tmp_path / "good", epochs=10)
    best = {name: tensor.clone() for name, tensor in made.model.state_dict().items()}
    assert made.best_epoch == 10
    kept = made.best_loss
    made._rate = -1e-2  # uphill
    last = train(made, tmp_path / "spoilt", epochs=3)
    assert min(entry["losses"]["manifold"] for entry in last.training["history"]) > kept
    assert last.training["best"] == {"epoch": 10, "loss": kept}
    assert same(last.state_dict, best)
    assert not same(last.state_dict, made.model.state_dict())


def test_a_resumed_run_equals_an_uninterrupted_one_in_every_bit(digits: data.ImageSet, tmp_path: Path) -> None:
    whole = train(recipe(digits), tmp_path / "whole", epochs=6)
    train(recipe(digits), tmp_path / "parts", epochs=2)
    stopped = recipe(digits)
    step = stopped.step

    def stop_in_the_middle(index: int) -> dict[str, float]:
        if index == 2:
            raise KeyboardInterrupt
        return step(index)

    stopped.step = stop_in_the_middle  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        train(stopped, tmp_path / "parts", epochs=6)
    resumed = train(recipe(digits), tmp_path / "parts", epochs=6)
    assert same(resumed.state_dict, whole.state_dict)
    assert resumed.training["best"] == whole.training["best"]
    states = [checkpoints.load(tmp_path / run / "last.pt").training["state"]["recipe"] for run in ("whole", "parts")]
    assert same(states[0]["model"], states[1]["model"])
    assert states[0]["best"]["epoch"] == states[1]["best"]["epoch"]


def test_an_interrupted_epoch_counts_as_a_whole_one(digits: data.ImageSet) -> None:
    first = recipe(digits)
    first.start_epoch(0)
    losses = [first.step(i)["manifold"] for i in range(2)]
    again = recipe(digits)
    again.load_state(first.state())
    again.start_epoch(0)
    losses.append(again.step(2)["manifold"])
    assert again.best_loss == sum(losses) / 3


def test_a_checkpoint_is_a_model_that_starts_from_noise(digits: data.ImageSet, tmp_path: Path) -> None:
    saved = train(recipe(digits), tmp_path, epochs=1)
    model = lm.load_model(tmp_path / "last.pt")
    assert (model.architecture, model.map.state_shape) == ("kaleidoscope", (1, 8, 8))
    np.testing.assert_array_equal(
        model.sample_states.reshape(32, 64), noise_states((1, 8, 8), 32, seed=3).astype(np.float32)
    )
    assert saved.training["settings"]["samples"] == 60
    assert lm.check_map(lm.load_model(tmp_path / "last.pt", dtype="float64").map, model.sample_states[:2])
    spectrum = lm.lyapunov_spectrum(model.map, model.sample_states[:2], n_steps=20, n_exponents=2, seed=0)
    assert np.isfinite(spectrum.exponents).all()


def test_sheets_show_images_and_points_between_minus_one_and_one(digits: data.ImageSet) -> None:
    assert recipe(digits).sample_sheet().shape == (8, 11, 1, 8, 8)
    points = np.random.default_rng(0).uniform(0, 1, (5, 3))
    sheet = KaleidoscopeRecipe(KaleidoscopeConfig((3,), 1, 4, "sigmoid"), points).sample_sheet()
    assert sheet.shape == (8, 11, 1, 1, 3)
    assert sheet[:, 0].min() < -0.5  # noise in [0, 1], drawn in [-1, 1]
    assert np.abs(sheet).max() <= 1


@pytest.mark.parametrize("initial", ["default", "he", "xavier"])
def test_first_weights(digits: data.ImageSet, initial: str) -> None:
    config = KaleidoscopeConfig((1, 8, 8), depth=2, width=400)
    layer = KaleidoscopeRecipe(config, digits, initial=initial).model.layers[2]
    deviation = {"default": 1 / math.sqrt(3 * 400), "he": math.sqrt(2 / 400), "xavier": math.sqrt(1 / 400)}[initial]
    assert layer.weight.std().item() == pytest.approx(deviation, rel=0.02)
    assert (layer.bias == 0).all().item() is (initial != "default")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 61}, "batch_size: expected 1 to 60"),
        ({"batch_size": 0}, "batch_size: expected 1 to 60"),
        ({"learning_rate": 0.0}, "learning_rate: expected a positive number, got 0.0"),
        ({"learning_rate": math.nan}, "learning_rate: expected a positive number"),
        ({"decay_epochs": -1}, "decay_epochs: expected at least 0"),
        ({"initial": "zeros"}, "initial: expected one of default, he, xavier"),
    ],
)
def test_options_that_do_not_fit(digits: data.ImageSet, options: dict[str, Any], words: str) -> None:
    with pytest.raises(LyapmapError, match=words):
        recipe(digits, **options)


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (np.zeros((4, 3)), r"train: expected samples of shape \(2,\)"),
        (np.zeros((0, 2)), r"train: expected samples of shape \(2,\)"),
        (np.full((4, 2), 1.5), r"train: values in \[1.5, 1.5\], expected all in \[0, 1\], the range of a sigmoid"),
        (np.full((4, 2), np.nan), "train: values in .nan, nan."),
        (np.zeros((4, 2), complex), "train: expected real numbers"),
    ],
)
def test_points_that_do_not_fit(points: np.ndarray, words: str) -> None:
    with pytest.raises(LyapmapError, match=words):
        KaleidoscopeRecipe(KaleidoscopeConfig((2,), 1, 4, "sigmoid"), points)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_half_precision_is_half_as_large_and_comes_back_as_float32(
    digits: data.ImageSet, tmp_path: Path, suffix: str
) -> None:
    made = KaleidoscopeRecipe(KaleidoscopeConfig((1, 8, 8), depth=2, width=200), digits).checkpoint()
    whole = checkpoints.save(made, tmp_path / f"whole{suffix}")
    half = checkpoints.save(made, tmp_path / f"half{suffix}", half=True)
    assert half.stat().st_size < 0.55 * whole.stat().st_size
    read = checkpoints.load(half)
    assert {tensor.dtype for tensor in [*read.state_dict.values(), read.sample_states]} == {torch.float32}
    for name, tensor in made.state_dict.items():
        assert torch.equal(read.state_dict[name], tensor.half().float())
    assert lm.load_model(half).map.ops.dtype == "float32"


def test_half_precision_leaves_out_what_resuming_needs_and_refuses_what_it_cannot_hold(
    digits: data.ImageSet, tmp_path: Path
) -> None:
    saved = train(recipe(digits), tmp_path, epochs=1)
    assert "state" in saved.training
    assert "state" not in checkpoints.load(checkpoints.save(saved, tmp_path / "half.pt", half=True)).training
    saved.state_dict["layers.0.weight"][0, 0] = 1e5
    with pytest.raises(LyapmapError, match=r"layers.0.weight has values beyond 65504"):
        checkpoints.save(saved, tmp_path / "large.pt", half=True)
