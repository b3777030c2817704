"""The canvas of a GRAN as a dynamical system."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lyapmap as lm
from gan_samples import DCGAN, GRAN, loaded
from lyapmap.core.errors import Interrupted, LyapmapError
from lyapmap.core.propagate import step_states
from lyapmap.models.gan.canvas import CanvasDynamics, canvas_dynamics, canvas_map, canvas_states
from lyapmap.models.gan.pair import gan_function, gan_latents, manifold_dimensions, noise_shape, sample_gan

LOUD = 3.0
"""Weights of a random network are multiplied by this, so that its recurrence does not fall asleep at once."""


@pytest.mark.parametrize("noise", ["one", "fresh"])
@pytest.mark.parametrize("weights", ["tied", "separate"])
def test_an_orbit_is_what_sampling_sums_up(noise: str, weights: str) -> None:
    gan = loaded(replace(GRAN, noise=noise, weights=weights), louder=LOUD)
    canvas = canvas_map(gan, seed=4)
    x = canvas.ops.from_numpy(canvas_states(gan, 3, seed=4))
    total = x.clone()
    for step in range(6):
        x = step_states(canvas, x, n_steps=1, first_step=step)
        total += x
    found = sample_gan(gan, 3, canvas_steps=7, seed=4).images
    np.testing.assert_allclose(torch.tanh(total).reshape(found.shape).numpy(), found, atol=1e-6)


@settings(max_examples=8)
@given(first=st.integers(0, 3), step=st.integers(0, 4), noise=st.sampled_from(["one", "fresh"]))
def test_rows_do_not_depend_on_how_a_run_is_split(first: int, step: int, noise: str) -> None:
    gan = loaded(GRAN, louder=LOUD)
    whole, part = canvas_map(gan, noise=noise), canvas_map(gan, noise=noise, first_trajectory=first)
    x = whole.ops.from_numpy(canvas_states(gan, 6))
    torch.testing.assert_close(part.at(step).apply(x[first:]), whole.at(step).apply(x)[first:])


def test_exponents_of_update_and_code_agree() -> None:
    """f(g(.)) and g(f(.)) have the same exponents."""
    gan = loaded(GRAN, louder=LOUD)
    found = {}
    for state in ("update", "code"):
        canvas = canvas_map(gan, noise="fresh", state=state)
        found[state] = lm.lyapunov_spectrum(
            canvas, canvas_states(gan, 4, state=state), n_steps=100, transient=30, n_exponents=2, seed=0, throw=False
        ).exponents
    assert canvas.state_shape == (7,)
    np.testing.assert_allclose(found["update"], found["code"], atol=0.05)


def test_exponents_of_one_noise_are_those_of_the_fixed_point() -> None:
    """Where the recurrence comes to rest, its exponents are the logarithms of the eigenvalues' moduli."""
    gan = loaded(GRAN)
    canvas = canvas_map(gan, noise="one", state="code")
    start = canvas_states(gan, 1, state="code")
    rest = step_states(canvas, canvas.ops.from_numpy(start), n_steps=150)
    jacobian = canvas.at(400).jacobian(rest)[0].numpy()
    wanted = np.sort(np.log(np.abs(np.linalg.eigvals(jacobian))))[::-1][:2]
    spectrum = lm.lyapunov_spectrum(canvas, start, n_steps=150, transient=150, n_exponents=2, seed=0, throw=False)
    np.testing.assert_allclose(spectrum.exponents, wanted, atol=2e-2)


def test_the_map_keeps_the_contract() -> None:
    gan = loaded(GRAN, louder=LOUD)
    lm.check_map(canvas_map(gan, noise="one", state="code"), canvas_states(gan, 3, state="code"))


def test_dynamics_watches_what_sampling_draws(tmp_path: Path) -> None:
    gan = loaded(GRAN, louder=LOUD)
    found = canvas_dynamics(
        gan, n_steps=30, transient=10, n_exponents=2, trajectories=3, canvas_steps=6, seed=1, throw=False
    )
    assert found.noises == ("one", "fresh")
    assert found.exponents.shape == (2, 2)
    updates = gan.generator.updates(torch.from_numpy(gan_latents((5,), 3, seed=1)).double(), 6).numpy()
    lengths = np.sqrt((updates**2).mean((2, 3, 4)))
    np.testing.assert_allclose(found.update_size[0], np.quantile(lengths, (0.1, 0.5, 0.9), axis=0).T)
    images = np.tanh(updates.cumsum(1))
    moves = np.sqrt((np.diff(images, axis=1) ** 2).mean((2, 3, 4)))
    np.testing.assert_allclose(found.image_change[0, :, 1], np.median(moves, axis=0))
    np.testing.assert_allclose(found.saturated[0], (np.abs(images) > 0.98).mean((0, 2, 3, 4)))
    alone = lm.lyapunov_spectrum(
        canvas_map(gan, noise="fresh", seed=1), canvas_states(gan, 3, seed=1), n_steps=30, transient=10,
        n_exponents=2, seed=1, throw=False,
    )  # fmt: skip
    np.testing.assert_array_equal(found.exponents[1], alone.exponents)
    for suffix in (".nc", ".npz"):
        back = CanvasDynamics.load(found.save(tmp_path / f"canvas{suffix}"))
        assert back.to_dict() == found.to_dict()


def test_a_recurrence_that_contracts_comes_to_rest() -> None:
    options = {"n_steps": 20, "transient": 20, "n_exponents": 1, "trajectories": 2, "canvas_steps": 60}
    found = canvas_dynamics(loaded(GRAN), noises=["one"], throw=False, **options)
    assert found.exponents[0, 0] < 0
    assert found.update_change[0, -1].max() < 1e-10
    assert found.update_size[0, -1].min() > 0  # the canvas goes on growing
    assert found.image_change[0, -1, 1] < found.image_change[0, 2, 1]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: canvas_map(loaded(DCGAN)), "is a dcgan and has no canvas to go on with"),
        (lambda: canvas_map(loaded(replace(GRAN, steps=1))), "draws in one step"),
        (lambda: canvas_map(loaded(GRAN), noise="two"), "noise: expected one of one, fresh"),
        (lambda: canvas_map(loaded(GRAN), state="image"), "state: expected one of update, code"),
        (lambda: canvas_states(loaded(GRAN), 0), "n: expected at least 1"),
        (lambda: canvas_dynamics(loaded(GRAN), noises=["one", "one"]), "noises: expected different ones"),
        (lambda: canvas_dynamics(loaded(GRAN), canvas_steps=1), "canvas_steps: expected at least 2"),
    ],
)
def test_bad_arguments_are_named(call: Any, said: str) -> None:
    with pytest.raises(LyapmapError, match=said):
        call()


def test_ctrl_c_is_passed_on() -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        canvas_dynamics(loaded(GRAN), n_steps=10, progress=stop)


@pytest.mark.parametrize("config", [DCGAN, GRAN, replace(GRAN, noise="fresh")])
def test_the_jacobian_of_a_generator_agrees_with_differences(config: Any) -> None:
    gan = loaded(config)
    f = gan_function(gan)
    assert (f.input_shape, f.output_shape) == (config.latent_shape, (1, 8, 8))
    z = gan_latents(config.latent_shape, 2, seed=3).astype(float)
    found = lm.jacobian_spectrum(f, z)
    m = z[0].size
    steps = 1e-5 * np.eye(m).reshape(m, *config.latent_shape)
    with torch.no_grad():
        draw = lambda x: gan.generator(torch.from_numpy(x)).flatten(1).numpy()  # noqa: E731
        jacobian = ((draw(z[0] + steps) - draw(z[0] - steps)) / 2e-5).T
    np.testing.assert_allclose(
        found.singular_values[0], np.linalg.svd(jacobian, compute_uv=False), atol=1e-6 * found.singular_values[0, 0]
    )
    assert found.inputs == m
    assert noise_shape(gan, 2)[-1] == 5


def test_dimensions_of_generated_images_stand_beside_those_of_the_data() -> None:
    data = np.random.default_rng(0).uniform(-1, 1, (300, 2)) @ np.random.default_rng(1).standard_normal((2, 64))
    found = manifold_dimensions(loaded(DCGAN, louder=LOUD), data, n=300)
    assert found.names == ("generated", "data")
    assert abs(found.dimension[1, 0] - 2) < 0.3
    assert 2.5 < found.dimension[0, 0] < 6  # of 5 values of noise
    assert manifold_dimensions(loaded(DCGAN, louder=LOUD), None, n=50).names == ("generated",)
