"""Branches of cycles against closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.core.errors import Interrupted, LyapmapError, RunError


def special(result: Any, kind: str) -> np.ndarray:
    return np.array([value for name, value, _ in result.special if name == kind])


def test_logistic_fixed_points_cross_at_1_and_double_at_3() -> None:
    both = lm.continue_orbits(
        lm.systems.logistic, "r", (0.5, 4.0), start=2.0, region=(-1, 1), n_guesses=8, step=0.05, seed=0
    )
    assert len(np.unique(both.branch)) == 2
    inner = np.abs(both.orbits[:, 0, 0]) > 1e-3
    np.testing.assert_allclose(both.orbits[inner, 0, 0], 1 - 1 / both.values[inner], atol=1e-9)
    np.testing.assert_allclose(both.multipliers[inner, 0].real, 2 - both.values[inner], atol=1e-8)
    np.testing.assert_allclose(special(both, "flip"), [3.0], atol=1e-8)
    np.testing.assert_allclose(special(both, "branch point"), [1.0, 1.0], atol=1e-5)
    assert set(both.ends) == {"end of the range"}
    assert (both.n_unstable == (np.abs(both.multipliers[:, 0]) > 1 + 1e-6)).all()


def test_logistic_two_cycle_is_born_at_3_and_doubles_at_1_plus_root_6() -> None:
    two = lm.continue_orbits(
        lm.systems.logistic, "r", (2.9, 3.8), [0.3], start=3.3, period=2, n_guesses=10, step=0.05, seed=0
    )
    np.testing.assert_allclose(special(two, "flip"), [3.0, 1 + np.sqrt(6)], atol=1e-8)
    r = two.values
    np.testing.assert_allclose(two.multipliers[:, 0].real, 4 + 2 * r - r**2, atol=1e-6)
    assert two.ends == ("joins period 1", "end of the range")


def test_henon_fixed_points_fold_and_flip() -> None:
    """At a = -(1 - b)^2 / 4 and 3 (1 - b)^2 / 4."""
    branch = lm.continue_orbits(
        lm.systems.henon, "a", (-0.3, 1.4), [0.1, 0.1], start=0.2, n_guesses=8, step=0.05, seed=0, max_points=120
    )
    np.testing.assert_allclose(special(branch, "fold"), -(0.7**2) / 4, atol=1e-8)
    np.testing.assert_allclose(special(branch, "flip"), 3 * 0.7**2 / 4, atol=1e-8)
    # Both sides of the fold are there: the saddle, too.
    a, x = branch.values, branch.orbits[:, 0, 0]
    np.testing.assert_allclose(1 - a * x**2 + 0.3 * x - x, 0, atol=1e-8)
    assert {0, 1} <= set(branch.n_unstable[a < 0.3].tolist())


def delayed() -> Any:
    """x' = r x (1 - y), y' = x, as a map of (x, y, r)."""
    return lm.wrap(lambda s: np.stack([s[:, 2] * s[:, 0] * (1 - s[:, 1]), s[:, 0], s[:, 2]], axis=1), state_shape=3)


def test_delayed_logistic_map_has_its_neimark_sacker_point_at_2() -> None:
    branch = lm.continue_orbits(delayed(), "r", (1.2, 2.3), [0.3, 0.3], start=1.5, n_guesses=6, step=0.05, seed=0)
    assert branch.special_kinds == ("Neimark-Sacker",)
    np.testing.assert_allclose(branch.special_values, 2.0, atol=1e-8)
    # The pair is exp(+-i pi / 3): a sixfold rotation.
    np.testing.assert_allclose([branch.special_real[0], abs(branch.special_imag[0])], [0.5, np.sqrt(0.75)], atol=1e-8)
    assert branch.settings["derivative_by_parameter"] == "that of the map"


def tanh_network(gain: float, n: int = 3, torch: Any = None) -> Any:
    weights = np.random.default_rng(0).normal(size=(n, n)) / np.sqrt(n)
    if torch is not None:
        w = torch.as_tensor(weights)
        return lm.wrap(lambda x: torch.tanh(gain * x @ w.T), state_shape=n, dtype="float64", verify=False)
    return lm.wrap(lambda x: np.tanh(gain * x @ weights.T), state_shape=n, backend="numpy", verify=False)


def test_gain_of_a_network_where_the_origin_loses_its_stability_is_that_of_its_eigenvalues() -> None:
    weights = np.random.default_rng(0).normal(size=(3, 3)) / np.sqrt(3)
    branch = lm.continue_orbits(tanh_network, "gain", (0.1, 3.0), [0.0] * 3, n_guesses=1, step=0.05, seed=0)
    eigenvalues = np.linalg.eigvals(weights)
    expected = []
    for value in eigenvalues:
        if 0.1 < 1 / abs(value) < 3.0 and value.imag >= 0:
            expected.append(1 / abs(value))
    np.testing.assert_allclose(np.sort(branch.special_values), np.sort(expected), atol=1e-6)


@pytest.mark.slow
def test_networks_of_torch_and_large_ones_agree(monkeypatch: Any) -> None:
    torch = pytest.importorskip("torch")
    options: Any = {"start": 1.0, "step": 0.1, "n_guesses": 1, "seed": 0}
    plain = lm.continue_orbits(tanh_network, "gain", (0.5, 2.0), [0.0] * 3, **options)
    other = lm.continue_orbits(lambda g: tanh_network(g, torch=torch), "gain", (0.5, 2.0), [0.0] * 3, **options)
    np.testing.assert_allclose(np.sort(plain.special_values), np.sort(other.special_values), atol=1e-7)
    monkeypatch.setattr("lyapmap.analysis.orbits.continuation.DENSE", 1)
    henon: Any = {"start": 0.2, "n_guesses": 4, "step": 0.1, "seed": 0, "max_points": 40}
    free = lm.continue_orbits(lm.systems.henon, "a", (-0.3, 1.0), [0.1, 0.1], **henon)
    np.testing.assert_allclose(special(free, "fold"), -(0.7**2) / 4, atol=1e-8)


@pytest.mark.slow
def test_equilibria_of_flows_meet_hopf() -> None:
    """dr/dt = r (mu - r^2), dphi/dt = 1: the origin loses its stability at mu = 0."""

    def made(mu: float) -> Any:
        def field(s: np.ndarray) -> np.ndarray:
            x, y = s[:, 0], s[:, 1]
            growth = mu - x**2 - y**2
            return np.stack([x * growth - y, y * growth + x], axis=1)

        return lm.flow(field, 1.0, state_shape=2, method="rk4", steps=40, verify=False)

    branch = lm.continue_orbits(made, "mu", (-0.5, 0.5), [0.0, 0.0], n_guesses=1, step=0.2, seed=0)
    assert branch.special_kinds == ("Neimark-Sacker",)
    assert branch.special_values[0] == pytest.approx(0.0, abs=1e-7)


def test_results_are_saved_and_drawn(tmp_path: Any) -> None:
    branch = lm.continue_orbits(lm.systems.logistic, "r", (2.5, 3.5), [0.5], n_guesses=2, step=0.2, seed=0)
    back = lm.load(branch.save(tmp_path / "branch.npz"))
    assert isinstance(back, lm.Continuation)
    assert back.special_kinds == ("flip",)
    assert len(branch.plot().axes) == 2


def test_a_start_without_a_cycle_is_told() -> None:
    with pytest.raises(RunError, match=r"at a = -0.5 none of"):
        lm.continue_orbits(lm.systems.henon, "a", (-0.5, 1.0), [0.1, 0.1], n_guesses=4, seed=0)
    nothing = lm.continue_orbits(lm.systems.henon, "a", (-0.5, 1.0), [0.1, 0.1], n_guesses=4, seed=0, throw=False)
    assert nothing.plot() is not None
    assert len(nothing.values) == 0


def test_ctrl_c_keeps_the_branch() -> None:
    calls = []

    def tell(done: int, total: int) -> None:
        calls.append(done)
        if len(calls) > 5:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as stopped:
        lm.continue_orbits(lm.systems.logistic, "r", (2.5, 3.5), [0.5], n_guesses=2, progress=tell, seed=0)
    result: Any = stopped.value.result
    assert result.message.startswith("interrupted")
    assert len(result.values) > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((lm.systems.logistic, "q", (1, 2)), "parameter: the factory has no parameter 'q'; there are r"),
        ((lm.systems.logistic, "r", (2, 1)), "range: expected finite .* with low < high"),
        ((lm.systems.logistic, "r", 3), "range: expected finite"),
        ((3, "r", (1, 2)), "factory: expected a function that makes a map"),
        ((lm.systems.logistic, "r", (-1, 5)), "factory: failed at r = -1"),
    ],
)
def test_bad_arguments_are_refused(arguments: Any, words: str) -> None:
    with pytest.raises(LyapmapError, match=words):
        lm.continue_orbits(*arguments, [0.5], n_guesses=2, seed=0)


def test_bad_options_are_refused() -> None:
    for options, words in (({"start": 9.0}, "start: expected a value within"), ({"step": 0}, "step: expected a pos")):
        with pytest.raises(LyapmapError, match=words):
            lm.continue_orbits(lm.systems.logistic, "r", (2, 3), [0.5], **options)
