"""Driven maps: conditional exponents, random maps, inputs that end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import digamma

import lyapmap as lm
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.propagate import propagate, random_frame, step_states
from sample_maps import interval_map, logistic


def pulled(c: float, r: float = 4.0) -> Any:
    """A logistic map pulled towards another one by a share c of each step."""

    def joint(z: np.ndarray) -> np.ndarray:
        x, u = z[:, :1], z[:, 1:]
        return np.concatenate([(1 - c) * r * x * (1 - x) + c * r * u * (1 - u), u], axis=1)

    return lm.wrap(joint, state_shape=2, backend="numpy")


def product(n: int) -> Any:
    """x' = U x, the matrix U given as input."""

    def joint(z: np.ndarray) -> np.ndarray:
        x, u = z[:, :n], z[:, n:]
        return np.concatenate([np.einsum("bij,bj->bi", u.reshape(-1, n, n), x), u], axis=1)

    return lm.wrap(joint, state_shape=n + n * n, backend="numpy")


def scaled() -> Any:
    """x' = u x."""

    def slope(z: np.ndarray) -> np.ndarray:
        out = np.zeros((len(z), 2, 2))
        out[:, 0, 0], out[:, 0, 1], out[:, 1, 1] = z[:, 1], z[:, 0], 1
        return out

    return lm.wrap(
        lambda z: np.stack([z[:, 0] * z[:, 1], z[:, 1]], axis=1), state_shape=2, backend="numpy", jacobian=slope
    )


def test_conditional_exponent_of_a_response_that_follows_is_that_of_the_drive_plus_ln_one_minus_c() -> None:
    drive = lm.trajectory(logistic(4.0), [0.3], n_steps=4000)
    c = 0.6
    s = lm.lyapunov_spectrum(lm.driven(pulled(c), drive), [0.7], n_steps=3500, transient=400, seed=0)
    u = drive.states[0, 400:3900, 0]
    expected = np.mean(np.log(np.abs((1 - c) * 4 * (1 - 2 * u))))
    assert s.exponents[0] == pytest.approx(expected, abs=1e-6)
    assert s.exponents[0] < 0
    np.testing.assert_allclose(s.final_state[0], drive.states[0, 3900], atol=1e-9)


def test_conditional_exponent_agrees_with_the_spectrum_of_drive_and_response_together() -> None:
    """Of a one-way coupled pair the exponents are those of the drive and the conditional ones."""
    c = 0.25

    def pair(z: np.ndarray) -> np.ndarray:
        x, u = z[:, :1], z[:, 1:]
        f = 3.9 * u * (1 - u)
        return np.concatenate([(1 - c) * 3.9 * x * (1 - x) + c * f, f], axis=1)

    both = lm.lyapunov_spectrum(lm.wrap(pair, state_shape=2), [0.2, 0.4], n_steps=3000, transient=200, seed=0)
    drive = lm.trajectory(logistic(3.9), [0.4], n_steps=3200)
    alone = lm.lyapunov_spectrum(lm.driven(pulled(c, 3.9), drive), [0.2], n_steps=3000, transient=200, seed=0)
    of_drive = np.mean(np.log(np.abs(3.9 * (1 - 2 * drive.states[0, 200:3200, 0]))))
    assert both.exponents.sum() == pytest.approx(alone.exponents[0] + of_drive, abs=0.02)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_products_of_gaussian_matrices_have_the_exponents_of_newman(n: int) -> None:
    """C. M. Newman 1986: lambda_i = (ln 2 + psi((n - i + 1) / 2)) / 2 for standard normal entries."""
    m = lm.driven(product(n), lm.random_inputs(n * n, seed=3))
    s = lm.lyapunov_spectrum(m, np.zeros((32, n)), n_steps=300, transient=10, seed=0)
    exact = (np.log(2) + digamma((n - np.arange(n)) / 2)) / 2
    assert np.all(np.abs(s.exponents - exact) < 4 * s.stderr)
    assert s.stderr.max() < 0.05


def test_a_random_growth_rate_has_the_mean_of_its_logarithm() -> None:
    inputs = lm.random_inputs(1, kind="binary", scale=0.75, center=1.25, seed=1)  # 0.5 or 2
    s = lm.lyapunov_spectrum(lm.driven(scaled(), inputs), np.zeros((8, 1)), n_steps=1000, seed=0)
    drawn = np.array([inputs(step, 8)[:, 0] for step in range(1000)])
    assert set(np.unique(drawn)) == {0.5, 2.0}
    assert s.exponents[0] == pytest.approx(np.log(drawn).mean(), abs=1e-12)


def test_logistic_map_with_a_random_parameter_against_a_plain_loop() -> None:
    joint = lm.wrap(lambda z: np.stack([z[:, 1] * z[:, 0] * (1 - z[:, 0]), z[:, 1]], axis=1), state_shape=2)
    inputs = lm.random_inputs(1, kind="uniform", scale=0.2, center=3.7, seed=5)
    s = lm.lyapunov_spectrum(lm.driven(joint, inputs), [0.3], n_steps=500, seed=0)
    x, total = 0.3, 0.0
    for step in range(500):
        r = float(inputs(step, 1)[0, 0])
        total += np.log(abs(r * (1 - 2 * x)))
        x = r * x * (1 - x)
    assert s.exponents[0] == pytest.approx(total / 500, abs=1e-8)


@given(split=st.integers(1, 19), cut=st.integers(1, 3), shared=st.booleans(), seed=st.integers(0, 2**64 - 1))
def test_a_random_run_is_the_same_however_it_is_split(split: int, cut: int, shared: bool, seed: int) -> None:
    def make(first: int = 0) -> Any:
        inputs = lm.random_inputs(1, kind="uniform", scale=0.1, center=3.8, shared=shared, seed=seed)
        joint = interval_pair()
        return lm.driven(joint, inputs, first_trajectory=first)

    x = np.linspace(0.2, 0.7, 4)[:, None]
    whole = step_states(make(), x, n_steps=20)
    half = step_states(make(), step_states(make(), x, n_steps=split), n_steps=20 - split, first_step=split)
    np.testing.assert_array_equal(half, whole)
    np.testing.assert_array_equal(step_states(make(cut), x[cut:], n_steps=20), whole[cut:])


def interval_pair() -> Any:
    def slope(z: np.ndarray) -> np.ndarray:
        out = np.zeros((len(z), 2, 2))
        out[:, 0, 0], out[:, 0, 1], out[:, 1, 1] = z[:, 1] * (1 - 2 * z[:, 0]), z[:, 0] * (1 - z[:, 0]), 1
        return out

    return lm.wrap(
        lambda z: np.stack([z[:, 1] * z[:, 0] * (1 - z[:, 0]), z[:, 1]], axis=1),
        state_shape=2,
        backend="numpy",
        jacobian=slope,
    )


def test_frames_are_resumed_at_a_step() -> None:
    m = lm.driven(product(2), lm.random_inputs(4, seed=2))
    frame = random_frame(m, 2, 2, np.random.default_rng(0), "float64")
    whole = propagate(m, np.zeros((2, 2)), frame, n_steps=12)
    first = propagate(m, np.zeros((2, 2)), frame, n_steps=5)
    second = propagate(m, first.x, first.frame, n_steps=7, first_step=5)
    np.testing.assert_array_equal(second.frame, whole.frame)
    assert not np.allclose(propagate(m, first.x, first.frame, n_steps=7).frame, whole.frame)


def test_a_driven_map_keeps_the_contract_at_every_step() -> None:
    x = np.random.default_rng(0).uniform(0.2, 0.8, (3, 1))
    for m in (lm.driven(pulled(0.3), lm.random_inputs(1, scale=0.1)), lm.driven(pulled(0.3), [[0.2], [0.4]])):
        assert lm.check_map(m, x)
        assert lm.check_map(m.at(1), x)
        np.testing.assert_array_equal(m.apply(x), m.at(0).apply(x))
        np.testing.assert_allclose(m.jacobian(x), m.at(0).jacobian(x))
        assert m.provenance["driven_by"]["m"] == 1


def test_inputs_of_every_kind_say_the_same() -> None:
    u = np.random.default_rng(0).uniform(0, 1, (5, 2, 1))
    per_row = lm.driven(pulled(0.3), u)
    orbit = lm.trajectory(interval_map(lambda x: x), u[0], n_steps=4, throw=False)
    x = np.array([[0.1], [0.6]])
    by_call = lm.driven(pulled(0.3), lambda step, b: u[step, :b])
    for step in range(5):
        np.testing.assert_array_equal(by_call.at(step).apply(x), per_row.at(step).apply(x))
    np.testing.assert_array_equal(lm.driven(pulled(0.3), orbit).at(3).apply(x), per_row.at(0).apply(x))
    alike = lm.driven(pulled(0.3), u[:, 0])
    np.testing.assert_array_equal(alike.at(2).apply(x)[0], per_row.at(2).apply(x)[0])
    np.testing.assert_array_equal(
        lm.driven(pulled(0.3), u, first_trajectory=1).at(2).apply(x[1:]), per_row.at(2).apply(x)[1:]
    )


def test_noise_and_inputs_of_one_seed_differ() -> None:
    noisy = lm.noisy(interval_map(lambda x: x), scale=1, seed=4)
    assert noisy.noise(0, 1)[0, 0] != lm.random_inputs(1, seed=4)(0, 1)[0, 0]


def test_a_torch_map_can_be_driven() -> None:
    torch = pytest.importorskip("torch")

    class Joint(torch.nn.Module):
        def forward(self, z: Any) -> Any:
            return torch.cat([torch.tanh(2 * z[:, :2] + z[:, 2:]), z[:, 2:]], dim=1)

    m = lm.driven(lm.wrap(Joint().eval(), state_shape=(4,), dtype="float64"), lm.random_inputs(2, scale=0.5, seed=1))
    plain = lm.driven(
        lm.wrap(lambda z: np.concatenate([np.tanh(2 * z[:, :2] + z[:, 2:]), z[:, 2:]], axis=1), state_shape=4),
        lm.random_inputs(2, scale=0.5, seed=1),
    )
    x = np.random.default_rng(0).normal(size=(3, 2))
    options: dict[str, Any] = {"n_steps": 30, "seed": 0}
    a, b = (lm.lyapunov_spectrum(each, x, **options) for each in (m, plain))
    np.testing.assert_allclose(a.exponents, b.exponents, atol=1e-9)


def test_a_run_past_the_end_of_the_inputs_says_so() -> None:
    m = lm.driven(pulled(0.6), np.full((50, 1), 0.3))
    assert lm.lyapunov_spectrum(m, [0.2], n_steps=40, transient=10, seed=0).n_steps == 40
    with pytest.raises(LyapmapError, match="inputs: hold 50 steps, and step 50 was asked for"):
        lm.lyapunov_spectrum(m, [0.2], n_steps=41, transient=10, seed=0)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: lm.driven(pulled(0.3), np.zeros((5, 2))), ShapeError, "inputs: expected fewer values per step than"),
        (
            lambda: lm.driven(pulled(0.3), np.zeros(5)),
            ShapeError,
            r"inputs: expected \(T, m\) or \(T, b, m\), got \(5,\)",
        ),
        (lambda: lm.driven(pulled(0.3), np.zeros((0, 1))), ShapeError, "inputs: expected"),
        (lambda: lm.driven(pulled(0.3), [[0.1], [np.nan]]), LyapmapError, "inputs: those of step 1 are not all finite"),
        (lambda: lm.driven(pulled(0.3), "drive"), LyapmapError, "inputs: expected numbers or a function"),
        (lambda: lm.driven(pulled(0.3), lambda step, b: None), ShapeError, "inputs: expected the function to give"),
        (
            lambda: (
                lm.driven(pulled(0.3), lambda step, b: [0.1] if step else np.zeros((b, 1)))
                .at(1)
                .apply(np.zeros((2, 1)))
            ),
            None,
            "",
        ),
        (
            lambda: lm.driven(pulled(0.3), lambda step, b: np.zeros((2, 1))).apply(np.zeros((3, 1))),
            ShapeError,
            r"inputs: expected \(1,\) or \(3, 1\)",
        ),
        (
            lambda: lm.driven(pulled(0.3), lambda step, b: [np.inf]).apply(np.zeros((3, 1))),
            LyapmapError,
            "step 0 are not all finite",
        ),
        (
            lambda: lm.driven(pulled(0.3), np.zeros((5, 2, 1))).apply(np.zeros((3, 1))),
            ShapeError,
            "hold 2 trajectories, and 3",
        ),
        (lambda: lm.random_inputs(0), LyapmapError, "m: expected at least 1"),
        (lambda: lm.random_inputs(1, kind="pink"), LyapmapError, "kind: expected one of normal, uniform, binary"),
        (lambda: lm.random_inputs(1, scale=np.nan), LyapmapError, "scale: expected a finite number >= 0"),
        (lambda: lm.random_inputs(1, center=np.inf), LyapmapError, "center: expected a finite number"),
        (lambda: lm.random_inputs(1, seed=2**64), LyapmapError, "seed: expected an integer below"),
    ],
)
def test_bad_inputs_are_refused(make: Any, error: Any, message: str) -> None:
    if error is None:
        make()
        return
    with pytest.raises(error, match=message):
        make()


def test_a_return_map_is_the_map_iterated() -> None:
    m = lm.return_map(logistic(3.9), 3)
    x = np.array([[0.3], [0.6]])
    np.testing.assert_array_equal(m.apply(x), step_states(logistic(3.9), x, n_steps=3))
