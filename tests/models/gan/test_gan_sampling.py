"""Samples of adversarial generators, the noise that they come from, and its arcs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_samples import DCGAN, GRAN, loaded, saved
from lyapmap.core.errors import Interrupted, LyapmapError, RunError, ShapeError
from lyapmap.models.gan import pair as gan_sampling
from lyapmap.models.gan.pair import GanSamples, gan_latents, interpolate_gan, sample_gan, spherical

FRESH = replace(GRAN, noise="fresh")


@settings(max_examples=20)
@given(seed=st.integers(0, 2**64 - 1), first=st.integers(0, 5), steps=st.integers(1, 4))
def test_noise_of_a_sample_is_its_own(seed: int, first: int, steps: int) -> None:
    whole = gan_latents((4, 3), 7, seed=seed)
    np.testing.assert_array_equal(gan_latents((4, 3), 2, seed=seed, first=first), whole[first : first + 2])
    np.testing.assert_array_equal(gan_latents((steps, 3), 2, seed=seed), whole[:2, :steps])
    np.testing.assert_array_equal(gan_latents((3,), 2, seed=seed), whole[:2, 0])


def test_noise_is_normal_and_independent() -> None:
    z = gan_latents((3, 4), 4000).reshape(4000, 12)
    assert np.abs(z.mean(0)).max() < 0.06
    assert np.abs(np.cov(z.T) - np.eye(12)).max() < 0.1


@settings(max_examples=30)
@given(seed=st.integers(0, 999), d=st.integers(2, 6), steps=st.integers(2, 6))
def test_arcs_keep_to_their_plane_speed_and_ends(seed: int, d: int, steps: int) -> None:
    a, b = np.random.default_rng(seed).standard_normal((2, 3, d))
    way = spherical(a, b, steps).astype(float)
    np.testing.assert_allclose(way[:, 0], a, atol=1e-5)
    np.testing.assert_allclose(way[:, -1], b, atol=1e-5)
    lengths = np.linalg.norm(way, axis=2)
    straight = np.linspace(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1), steps).T
    np.testing.assert_allclose(lengths, straight, rtol=1e-4)
    unit = way / lengths[..., None]
    turned = np.linalg.norm(np.diff(unit, axis=1), axis=2)
    np.testing.assert_allclose(turned, turned[:, :1] * np.ones(steps - 1), atol=1e-5)
    # All between lie in the plane of both ends.
    assert all(np.linalg.matrix_rank(w, tol=1e-4) <= 2 for w in way)


def test_arcs_between_parallel_ends_are_straight_and_opposite_ones_refused() -> None:
    np.testing.assert_allclose(spherical([[1.0, 1.0]], [[3.0, 3.0]], 3)[0, 1], [2, 2])
    for a, b, said in (
        ([[1.0, 0.0]], [[-1.0, 0.0]], "opposite"),
        ([[0.0, 0.0]], [[1.0, 0.0]], "not zero"),
        ([[np.nan, 0.0]], [[1.0, 0.0]], "finite"),
        ([[1.0]], [[1.0, 2.0]], "same shape"),
    ):
        with pytest.raises(LyapmapError, match=said):
            spherical(np.array(a), np.array(b), 3)
    with pytest.raises(LyapmapError, match="steps: expected at least 2"):
        spherical(np.ones((1, 2)), np.ones((1, 2)), 1)


@pytest.mark.parametrize("config", [DCGAN, GRAN, FRESH])
def test_samples_are_what_the_generator_draws(config: Any) -> None:
    gan = loaded(config)
    found = sample_gan(gan, 6, seed=2)
    z = torch.from_numpy(gan_latents(config.latent_shape, 6, seed=2)).double()
    with torch.no_grad():
        np.testing.assert_allclose(found.images, gan.generator(z).numpy(), atol=1e-6)
    assert found.canvases.shape == (6, getattr(config, "steps", 1), 1, 8, 8)
    np.testing.assert_array_equal(sample_gan(gan, 2, seed=2, first=3).canvases, found.canvases[3:5])
    assert found.provenance["model"] == "gan.pt"
    assert len(found.provenance["sha256"]) == 64


@pytest.mark.parametrize("config", [GRAN, FRESH, replace(GRAN, weights="separate")])
def test_more_steps_go_on_with_the_same_canvas(config: Any) -> None:
    gan = loaded(config)
    short, long = sample_gan(gan, 3), sample_gan(gan, 3, canvas_steps=7)
    np.testing.assert_allclose(long.canvases[:, :3], short.canvases, atol=1e-6)
    assert long.canvases.shape[1] == 7
    assert not np.allclose(long.canvases[:, 6], long.canvases[:, 2], atol=1e-4)
    assert sample_gan(gan, 3, canvas_steps=1).canvases.shape[1] == 1


def test_interpolations_begin_and_end_with_samples() -> None:
    gan = loaded(FRESH)
    found = interpolate_gan(gan, 2, steps=4, seed=5)
    ends = sample_gan(gan, 4, seed=5).canvases
    rows = found.canvases.reshape(2, 4, *found.canvases.shape[1:])
    np.testing.assert_allclose(rows[:, [0, 3]].reshape(ends.shape), ends, atol=1e-5)
    assert found.columns == 4
    given = interpolate_gan(gan, latents=gan_latents(FRESH.latent_shape, 2, seed=1)[:, None], steps=3)
    assert len(given.canvases) == 3


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: sample_gan(loaded(), 0), "n: expected at least 1"),
        (lambda: sample_gan(loaded(), 1, canvas_steps=2), "draws in one step and cannot go on, got 2"),
        (lambda: sample_gan(loaded(), 1, seed=-1), "seed: expected at least 0"),
        (lambda: sample_gan(loaded(), 1, seed=2**64), r"below 2\*\*64"),
        (lambda: interpolate_gan(loaded(), steps=1), "steps: expected at least 2"),
        (lambda: interpolate_gan(loaded(), latents=np.ones((2, 1, 4))), "latents: expected two ends"),
    ],
)  # fmt: skip
def test_bad_arguments_are_named(call: Any, said: str) -> None:
    with pytest.raises((LyapmapError, ShapeError), match=said):
        call()


def test_images_that_are_not_finite_are_told(tmp_path: Path) -> None:
    path = saved(tmp_path, louder=float("inf"))
    with pytest.raises(RunError, match="escaped: 3 of 3 images are not finite"):
        sample_gan(path, 3)
    assert sample_gan(path, 3, throw=False).failed


def test_ctrl_c_keeps_the_images_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gan_sampling, "BATCH", 2)

    def stop(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as raised:
        sample_gan(loaded(), 9, progress=stop)
    assert len(raised.value.result.canvases) == 4  # type: ignore[attr-defined]


@pytest.mark.parametrize("suffix", [".nc", ".npz"])
def test_saved_and_read_again(suffix: str, tmp_path: Path) -> None:
    found = sample_gan(loaded(GRAN), 3)
    back = GanSamples.load(found.save(tmp_path / f"samples{suffix}"))
    np.testing.assert_array_equal(back.canvases, found.canvases)
    assert back.to_dict() == found.to_dict()
