"""Kaleidoscopic sampling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lyapmap as lm
from lyapmap.core.errors import Interrupted, LyapmapError, RunError
from lyapmap.files import checkpoint as checkpoints
from lyapmap.files import zoo
from lyapmap.files.checkpoint import build_module
from lyapmap.files.features import probabilities
from lyapmap.models.kaleidoscope.network import Kaleidoscope, KaleidoscopeConfig
from lyapmap.models.kaleidoscope.sampling import KaleidoscopeSamples, noise_states, sample, usual_steps


@pytest.fixture(scope="module")
def steep() -> Any:
    """x -> tanh(2 x): two stable fixed points and the unstable 0 between them."""
    return lm.wrap(lambda x: np.tanh(2 * x), state_shape=1, backend="numpy")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = KaleidoscopeConfig((1, 8, 8), depth=2, width=16, output="sigmoid")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Kaleidoscope(config)
    saved = checkpoints.Checkpoint("kaleidoscope", config.to_dict(), net.state_dict(), torch.zeros(2, 1, 8, 8))
    return checkpoints.save(saved, tmp_path_factory.mktemp("net") / "net.pt")


def test_samples_settle_on_the_stable_fixed_point_of_their_side(steep: Any) -> None:
    fixed = 0.9575040240772688  # x = tanh(2 x)
    settled = sample(steep, 40, steps=60, eps=0, seed=2)
    starts = settled.states[:, 0, 0]
    np.testing.assert_allclose(settled.states[:, -1, 0], fixed * np.sign(starts), atol=1e-12)
    assert settled.steps.tolist() == [0, 1, 2, 5, 10, 20, 30, 50, 60]


def test_each_step_is_equation_3_by_hand(steep: Any) -> None:
    found = sample(steep, 7, steps=4, eps=0.3, seed=5, keep=range(5))
    shaken = lm.noisy(steep, scale=0.3, kind="uniform", seed=5)
    x = noise_states((1,), 7, seed=5)
    for step in range(5):
        np.testing.assert_array_equal(found.states[:, step], x)
        x = np.clip(np.tanh(2 * x) + shaken.noise(step, 7), -1, 1)


def test_noise_after_a_step_has_mean_zero() -> None:
    still = lm.wrap(lambda x: 0 * x, state_shape=1, backend="numpy")
    for kind, deviation in (("uniform", 0.1 / np.sqrt(3)), ("normal", 0.1)):
        found = sample(still, 1000, steps=20, eps=0.1, noise=kind, keep=range(1, 21)).states
        assert abs(found.mean()) < 4 * deviation / np.sqrt(found.size)
        assert found.std() == pytest.approx(deviation, rel=0.02)


@pytest.mark.parametrize("start", ["uniform", "normal"])
def test_samples_do_not_depend_on_how_a_run_is_split(network: Path, start: str) -> None:
    options: dict[str, Any] = {"steps": 12, "eps": 0.1, "start": start, "seed": 4}
    whole = sample(network, 6, **options)
    parts = [sample(network, 2, first=first, **options).states for first in (0, 2, 4)]
    np.testing.assert_allclose(np.concatenate(parts), whole.states, atol=1e-6)  # sums of other batches
    np.testing.assert_array_equal(parts[2][:, 0], whole.states[4:, 0])
    np.testing.assert_array_equal(sample(network, 6, **options).states, whole.states)
    assert not np.array_equal(sample(network, 6, **options | {"seed": 5}).states, whole.states)


def test_states_stay_in_the_range_of_the_network(network: Path) -> None:
    found = sample(network, 5, steps=10, eps=0.5)
    assert found.value_range == (0.0, 1.0)
    assert found.states.dtype == np.float32
    assert 0 <= found.states.min() < found.states.max() <= 1
    assert found.images().shape == (5, 5, 1, 8, 8)


@given(st.integers(1, 9), st.integers(0, 5), st.sampled_from(["uniform", "normal"]), st.integers(0, 2**64 - 1))
@settings(max_examples=30)
def test_start_of_a_sample_depends_on_seed_and_number_alone(n: int, first: int, kind: str, seed: int) -> None:
    part = noise_states((2, 3), n, kind=kind, seed=seed, first=first, value_range=(0, 1))
    whole = noise_states((2, 3), n + first + 2, kind=kind, seed=seed, value_range=(0, 1))
    np.testing.assert_array_equal(part, whole[first : first + n])
    assert ((whole >= 0) & (whole <= 1)).all()


def test_normal_noise_is_centred_and_clipped() -> None:
    x = noise_states((1000,), 20, kind="normal", value_range=(0, 1), seed=1)
    assert x.mean() == pytest.approx(0.5, abs=0.01)
    assert (x == 0).mean() == pytest.approx(0.1587, abs=0.01)  # of a normal variable, below one deviation


def test_steps_that_are_kept(steep: Any) -> None:
    assert usual_steps(300) == [0, 1, 2, 5, 10, 20, 30, 50, 75, 100, 150, 200, 300]
    assert usual_steps(0) == [0]
    found = sample(steep, 3, steps=20, keep=[0, 7, 20])
    np.testing.assert_array_equal(found.only([7]).states[:, 0], found.states[:, 1])
    with pytest.raises(LyapmapError, match="steps: step 8 was not kept"):
        found.only([8])
    with pytest.raises(LyapmapError, match="steps: step none was not kept"):
        found.only([])


@pytest.mark.parametrize("suffix", [".nc", ".npz"])
def test_samples_are_saved_and_loaded(steep: Any, tmp_path: Path, suffix: str) -> None:
    found = sample(steep, 3, steps=20)
    back = KaleidoscopeSamples.load(found.save(tmp_path / f"samples{suffix}"))
    np.testing.assert_array_equal(back.states, found.states)
    np.testing.assert_array_equal(back.steps, found.steps)
    assert (back.value_range, back.state_shape, back.settings) == (found.value_range, (1,), found.settings)
    assert back.provenance["noise_clamp"] == [-1.0, 1.0]


def test_a_sample_that_is_no_number_is_said() -> None:
    class Broken:
        state_shape = (1,)

        def apply(self, x: np.ndarray) -> np.ndarray:
            return np.where(x > 0.5, np.nan, x)

        def jacobian(self, x: np.ndarray) -> np.ndarray:
            return np.ones((len(x), 1, 1))

    with pytest.raises(RunError, match=r"escaped: . of 20 samples are no longer finite; look whether the network"):
        sample(Broken(), 20, steps=5, eps=0)
    found = sample(Broken(), 20, steps=5, eps=0, throw=False)
    lost = found.states[:, 0, 0] > 0.5
    assert 0 < lost.sum() < 20
    np.testing.assert_array_equal(np.isnan(found.states[:, -1, 0]), lost)


def test_ctrl_c_gives_what_was_kept(steep: Any) -> None:
    def stop(done: int, total: int) -> None:
        if done >= 20:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as stopped:
        sample(steep, 3, steps=50, progress=stop)
    assert stopped.value.result.steps.tolist() == [0, 1, 2, 5, 10]
    assert stopped.value.result.message == "interrupted after 20 of 50 steps"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n": 0}, "n: expected at least 1"),
        ({"steps": -1}, "steps: expected at least 0"),
        ({"eps": -0.1}, "scale: expected a finite number >= 0"),
        ({"noise": "pink"}, "kind: expected 'normal' or 'uniform'"),
        ({"start": "pink"}, "start: expected one of uniform, normal"),
        ({"seed": -1}, "seed: expected at least 0"),
        ({"keep": []}, "keep: expected ascending steps from 0 to 5"),
        ({"keep": [3, 2]}, "keep: expected ascending steps"),
        ({"keep": [6]}, "keep: expected ascending steps"),
        ({"value_range": (1, 0)}, "value_range: expected .low, high."),
    ],
)
def test_bad_input(steep: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(LyapmapError, match=words):
        sample(steep, **{"n": 2, "steps": 5} | options)


def test_the_shipped_network_turns_noise_into_digits() -> None:
    path = zoo.shipped()["kaleidoscope-mnist"]
    assert path.stat().st_size < 6_000_000
    found = sample("kaleidoscope-mnist", 60, steps=60, keep=[1, 60])
    net, _ = build_module(checkpoints.load(zoo.shipped()["classifier-mnist"]), "classifier-mnist")
    chances = probabilities(net, torch.from_numpy(found.images()[:, -1]))
    assert chances.max(1).values.mean() >= 0.9
    assert len(chances.argmax(1).unique()) >= 8
    assert found.provenance["dtype"] == "float32"
