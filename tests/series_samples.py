"""Series and points with known answers, made by plain NumPy."""

from __future__ import annotations

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


def lorenz_points(n: int, dt: float, b: int = 1) -> np.ndarray:
    """States (b, n, 3), by Runge and Kutta's method of order 4."""

    def rate(s: np.ndarray) -> np.ndarray:
        x, y, z = s.T
        return np.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], axis=1)

    s = np.stack([np.ones(b), np.ones(b), 20 + 0.3 * np.arange(b)], axis=1)
    sub = max(1, round(dt / 0.01))
    h = dt / sub
    states = np.empty((b, n, 3))
    for i in range(-round(30 / dt), n):
        for _ in range(sub):
            k1 = rate(s)
            k2 = rate(s + h / 2 * k1)
            k3 = rate(s + h / 2 * k2)
            s = s + h / 6 * (k1 + 2 * k2 + 2 * k3 + rate(s + h * k3))
        if i >= 0:
            states[:, i] = s
    return states
