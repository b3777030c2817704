"""Exponents of a flow by a way that shares no code with lyapmap: SciPy's DOP853 or Radau on states and tangents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp


def jacobian(rhs: Callable[..., Any], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Derivative of a batched field at one state, by complex step."""
    n = len(x)
    return np.imag(rhs(x[None] + 1e-40j * np.eye(n))).T / 1e-40


def exponents(
    rhs: Callable[..., Any], x0: list[float], *, time: float, tau: float, transient: float, method: str = "DOP853"
) -> NDArray[np.float64]:
    """All exponents, with a QR decomposition after each `tau`."""
    n = len(x0)

    def both(_: float, z: NDArray[np.float64]) -> NDArray[np.float64]:
        x, frame = z[:n], z[n:].reshape(n, n)
        return np.concatenate([rhs(x[None])[0], (jacobian(rhs, x) @ frame).ravel()])

    settings = {"rtol": 1e-9, "atol": 1e-11, "method": method}
    x = solve_ivp(lambda _, y: rhs(y[None])[0], (0, transient), x0, **settings).y[:, -1]
    frame, total, steps = np.eye(n), np.zeros(n), round(time / tau)
    for _ in range(steps):
        end = solve_ivp(both, (0, tau), np.concatenate([x, frame.ravel()]), **settings).y[:, -1]
        x, (frame, r) = end[:n], np.linalg.qr(end[n:].reshape(n, n))
        total += np.log(np.abs(np.diag(r)))
    return total / (steps * tau)
