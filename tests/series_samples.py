"""Series and points with known answers, made by plain NumPy."""

from __future__ import annotations

from functools import cache

import numpy as np


def henon_points(n: int, seed: int = 0) -> np.ndarray:
    x, y = np.random.default_rng(seed).uniform(-0.1, 0.1, 2)
    states = np.empty((n, 2))
    for i in range(n + 200):
        x, y = 1 - 1.4 * x * x + y, 0.3 * x
        if i >= 200:
            states[i - 200] = x, y
    return states


def logistic_series(n: int, seed: int = 0, r: float = 4.0) -> np.ndarray:
    x = np.random.default_rng(seed).uniform(0.1, 0.9)
    values = np.empty(n)
    for i in range(n + 200):
        x = r * x * (1 - x)
        if i >= 200:
            values[i - 200] = x
    return values


@cache
def lorenz_points(n: int, dt: float, b: int = 1) -> np.ndarray:
    """States (b, n, 3), by Runge and Kutta's method of order 4."""
    return np.array([_lorenz_orbit(n, dt, 20 + 0.3 * t) for t in range(b)])


def _lorenz_orbit(n: int, dt: float, z: float) -> list[tuple[float, float, float]]:
    """One orbit in plain numbers, which for three of them beat arrays by far."""

    def rate(x: float, y: float, z: float) -> tuple[float, float, float]:
        return 10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z

    x = y = 1.0
    sub = max(1, round(dt / 0.01))
    h = dt / sub
    states = []
    for i in range(-round(30 / dt), n):
        for _ in range(sub):
            a, b, c = rate(x, y, z)
            d, e, f = rate(x + h / 2 * a, y + h / 2 * b, z + h / 2 * c)
            k, m, p = rate(x + h / 2 * d, y + h / 2 * e, z + h / 2 * f)
            q, r, s = rate(x + h * k, y + h * m, z + h * p)
            x += h / 6 * (a + 2 * (d + k) + q)
            y += h / 6 * (b + 2 * (e + m) + r)
            z += h / 6 * (c + 2 * (f + p) + s)
        if i >= 0:
            states.append((x, y, z))
    return states
