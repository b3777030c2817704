"""Maps with jumps as people write them: `%`, `floor`, `where`, branches. Right values are closed forms."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import pytest

import lyapmap as lm

TURN = 2 * np.pi
START = np.random.default_rng(0).random((16, 1))


def standard(s: np.ndarray) -> np.ndarray:
    p = (s[:, 1] + np.sin(s[:, 0])) % TURN
    return np.stack([(s[:, 0] + p) % TURN, p], 1)


def standard_filled_in(s: np.ndarray) -> np.ndarray:
    out = np.zeros((len(s), 2))
    out[:, 1] = (s[:, 1] + np.sin(s[:, 0])) % TURN
    out[:, 0] = (s[:, 0] + out[:, 1]) % TURN
    return out


def standard_in_bytes(s: np.ndarray) -> np.ndarray:
    return standard(np.frombuffer(s.tobytes()).reshape(s.shape))  # nothing is to be seen through bytes


def standard_of_one(s: np.ndarray) -> Any:
    x, y = s
    p = (y + np.sin(x)) % TURN
    return [(x + p) % TURN, p]


@numba.njit  # type: ignore[untyped-decorator]
def standard_compiled(s):  # type: ignore[no-untyped-def]
    p = (s[1] + np.sin(s[0])) % (2 * np.pi)
    return np.array([(s[0] + p) % (2 * np.pi), p])


STANDARD = {
    "dual numbers": lambda: lm.wrap(standard, state_shape=2),
    "filled in": lambda: lm.wrap(standard_filled_in, state_shape=2),
    "differences": lambda: lm.wrap(standard_in_bytes, state_shape=2),
    "one state": lambda: lm.wrap(standard_of_one, state_shape=2, vectorized=False),
    "compiled": lambda: lm.wrap(standard_compiled, state_shape=2),
}


@pytest.mark.parametrize("way", STANDARD)
def test_the_standard_map_from_a_point_on_the_jump(way: str) -> None:
    r = lm.lyapunov_spectrum(STANDARD[way](), [np.pi, 0.0], n_steps=100, seed=0, throw=False)
    np.testing.assert_allclose(r.exponents, 0, atol=0.02)


@pytest.mark.parametrize("way", STANDARD)
def test_the_standard_map_has_two_fixed_points(way: str) -> None:
    cycles = lm.periodic_orbits(STANDARD[way](), region=(0, TURN), n_guesses=300, seed=0)
    assert len(cycles.orbits) == 2
    at = np.cos(cycles.orbits[:, 0])
    moduli = {round(float(x)): values for (x, _), values in zip(at, np.abs(cycles.multipliers), strict=True)}
    np.testing.assert_allclose(moduli[1], [(3 + 5**0.5) / 2, (3 - 5**0.5) / 2], rtol=1e-6)
    np.testing.assert_allclose(moduli[-1], 1, rtol=1e-6)


def test_in_a_corner_between_jumps_differences_find_no_orbit() -> None:
    x = TURN * np.random.default_rng(0).random((8, 2))
    cycles = lm.periodic_orbits(STANDARD["differences"](), x, seed=0)
    determinants = np.prod(cycles.multipliers, axis=1)
    assert len(cycles.orbits) <= 2
    np.testing.assert_allclose(determinants, 1, rtol=1e-6)


@pytest.mark.parametrize("factor", [3, 12345, 1e6 + 1])
@pytest.mark.parametrize("opaque", [False, True])
def test_large_factors(factor: float, opaque: bool) -> None:
    def stretched(x: np.ndarray) -> np.ndarray:
        return (factor * (np.frombuffer(x.tobytes())[:, None] if opaque else x)) % 1

    m = lm.wrap(stretched, state_shape=1)
    assert m.derivative == ("central differences" if opaque else "dual numbers")
    x = np.random.default_rng(1).random((2000, 1))
    slopes = m.jacobian(x).ravel()
    np.testing.assert_allclose(slopes, factor, rtol=1e-2 if opaque else 1e-14)
    assert abs(np.log(np.abs(slopes)).mean() - math.log(factor)) < 1e-4


@numba.njit  # type: ignore[untyped-decorator]
def stretched_compiled(x):  # type: ignore[no-untyped-def]
    return (12345 * x) % 1


def test_a_large_factor_in_compiled_code() -> None:
    r = lm.lyapunov_spectrum(lm.wrap(stretched_compiled, state_shape=1), START, n_steps=500, seed=0)
    np.testing.assert_allclose(r.exponents, math.log(12345), rtol=1e-5)


def tent_of_one(s: np.ndarray) -> Any:
    if s[0] < 0.5:
        return [1.9 * s[0]]
    return [1.9 * (1 - s[0])]


def fires(v: np.ndarray) -> np.ndarray:
    v = 1.2 * v + 0.1
    v[v > 1] -= 1
    return v


def fires_in_place(v: np.ndarray) -> np.ndarray:
    out = np.empty_like(v)
    over = 1.2 * v + 0.1 > 1
    out[over] = 1.2 * v[over] - 0.9
    out[~over] = 1.2 * v[~over] + 0.1
    return out


LOG2, GOLDEN = math.log(2), math.log((3 + 5**0.5) / 2)
MAPS: dict[str, tuple[Any, int, list[float], dict[str, Any]]] = {
    "beta": (lambda x: (1.7 * x) % 1, 1, [math.log(1.7)], {}),
    "beta by floor": (lambda x: 1.7 * x - np.floor(1.7 * x), 1, [math.log(1.7)], {}),
    "beta by divmod": (lambda x: divmod(1.7 * x, 1)[1], 1, [math.log(1.7)], {}),
    "beta by modf": (lambda x: np.modf(1.7 * x)[0], 1, [math.log(1.7)], {}),
    "beta by int": (lambda x: 1.7 * x - (1.7 * x).astype(int), 1, [math.log(1.7)], {}),
    "tent by where": (lambda x: np.where(x < 0.5, 1.9 * x, 1.9 - 1.9 * x), 1, [math.log(1.9)], {}),
    "tent by minimum": (lambda x: 1.9 * np.minimum(x, 1 - x), 1, [math.log(1.9)], {}),
    "tent by abs": (lambda x: 1.9 * (0.5 - abs(x - 0.5)), 1, [math.log(1.9)], {}),
    "tent of one": (tent_of_one, 1, [math.log(1.9)], {"vectorized": False}),
    "sawtooth": (lambda x: 3.3 * x - np.round(3.3 * x), 1, [math.log(3.3)], {}),
    "fires": (fires, 1, [math.log(1.2)], {}),
    "fires in place": (fires_in_place, 1, [math.log(1.2)], {}),
    "cat": (
        lambda s: np.stack([(2 * s[:, 0] + s[:, 1]) % 1, (s[:, 0] + s[:, 1]) % 1], 1),
        2, [GOLDEN, -GOLDEN], {},
    ),
    "cat by matrix": (lambda s: (s @ np.array([[2, 1], [1, 1]])) % 1, 2, [GOLDEN, -GOLDEN], {}),
    "baker": (
        lambda s: np.stack([(1.999 * s[:, 0]) % 1, (s[:, 1] + np.floor(1.999 * s[:, 0])) / 3], 1),
        2, [math.log(1.999), -math.log(3)], {},
    ),
    "relu network": (lambda x: np.maximum(x @ np.diag([0.5, -0.25]), 0.2 * x), 2, [math.log(0.5), math.log(0.2)], {}),
    "rotation": (lambda x: (x + 0.3819) % 1, 1, [0.0], {}),
}  # fmt: skip


@pytest.mark.parametrize("name", MAPS)
def test_exponents_of_maps_with_jumps(name: str) -> None:
    function, n, wanted, options = MAPS[name]
    m = lm.wrap(function, state_shape=n, **options)
    assert m.derivative == "dual numbers"
    x = np.random.default_rng(0).random((4, n))
    steps = 100 if options else 300
    r = lm.lyapunov_spectrum(m, x, n_steps=steps, transient=20, seed=0, throw=False)
    np.testing.assert_allclose(r.exponents, wanted, rtol=2e-3, atol=2e-3)


def test_the_gauss_map() -> None:
    m = lm.wrap(lambda x: (1 / x) % 1, state_shape=1)
    r = lm.lyapunov_spectrum(m, START, n_steps=2000, seed=0, throw=False)
    assert abs(r.exponents[0] - math.pi**2 / (6 * LOG2)) < 5 * r.stderr[0] < 0.2


def test_a_circle_map_has_its_cycle_once() -> None:
    m = lm.wrap(lambda x: (x + 0.5 - 0.9 / TURN * np.sin(TURN * x)) % 1, state_shape=1)
    cycles = lm.periodic_orbits(m, region=(0, 1), period=2, n_guesses=200, seed=0)
    np.testing.assert_allclose(np.sort(np.abs(cycles.multipliers.ravel()))[0], 0.19, rtol=1e-6)
    assert len(cycles.orbits) == 2


def test_where_the_map_jumps_across_the_diagonal_there_is_no_fixed_point() -> None:
    m = lm.wrap(lambda x: np.where(x < 0.5, 0.2 * x + 0.7, 0.3 * x + 0.1), state_shape=1)
    assert len(lm.periodic_orbits(m, region=(0, 1), seed=0, throw=False).orbits) == 0
    assert len(lm.periodic_orbits(m, region=(0, 1), period=2, seed=0).orbits) == 1
