# ruff: noqa: E501  # one function to a line
"""Dual numbers in NumPy: exact derivatives of whatever people write, held against differences and closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lyapmap.backends.numpy.dual import tangents_of
from lyapmap.core.differences import slopes_along

RNG = np.random.default_rng(0)
X = RNG.uniform(-2, 2, (5, 3))
V = RNG.standard_normal((2, 5, 3))
W = RNG.standard_normal((3, 3))


def filled(x: Any) -> Any:
    y = np.empty_like(x)
    y[:, 0] = x[:, 1] ** 2
    y[:, 1:] = x[:, :2] * 3
    y[x[:, 0] > 0] *= 2
    return y


def changed_in_place(x: Any) -> Any:
    y = x.copy()
    y += 1
    y *= y
    y[:, 1] -= x[:, 0]
    y %= 1.5
    np.multiply(y, x, out=y)
    np.add(y, 1.0, out=y, where=x > 0)
    y[..., 2] = 0.5 * y[..., 0]
    return y


def over_elements(x: Any) -> Any:
    out = []
    for a, b, c in x:
        if a > b:
            a, b = b, a
        out.append([a * b if c < 0 else max(a, c), abs(b) // 0.3 * a, round(c, 1) * a + int(b) * b])
    return np.array(out)


def through_eigen(x: Any) -> Any:
    a = np.eye(3) * 9 + x[:, :, None] * x[:, None, :]
    return np.linalg.solve(a, x[:, :, None])[..., 0] * np.linalg.det(np.linalg.inv(a))[:, None]


def spectral(x: Any) -> Any:
    return np.fft.irfft(np.fft.rfft(x, axis=1) * np.array([1, 0.5j]), n=3, axis=1) + np.abs(np.fft.fft(x))


def rotated(x: Any) -> Any:
    z = (x[:, 0] + 1j * x[:, 1]) * np.exp(1j * x[:, 2])
    return np.stack([z.real, np.abs(z), np.angle(z) + z.imag * np.conj(z).imag], axis=-1)


FUNCTIONS = {
    "arithmetic": lambda x: (2 - x) * x / (3 + x) - 1 / (x + 5) + (+x) - (-x) + x**3 - 2**x,
    "modulo": lambda x: (7 * x + np.roll(x, 1, axis=1)) % 1.3 + 7.3 % (x + 4) + np.fmod(x, 0.4),
    "floors": lambda x: np.floor(3 * x) * x + np.ceil(x) + np.rint(x) * x + np.trunc(2 * x) + x // 0.3 + np.fix(x),
    "divmod": lambda x: divmod(x, 0.7)[1] * np.divmod(x, 0.7)[0] + np.modf(x)[0] * np.modf(x)[1],
    "round": lambda x: np.round(x, 1) * x + np.around(x) + x.round() * np.sign(x),
    "where": lambda x: np.where(x > 0.3, x**2, -x) + np.where(x[:, :1] < 0, 1.0, x),
    "masks": lambda x: x * (x > 0) + (x < 1) * x**2 + np.heaviside(x, 0.5) * x,
    "extremes": lambda x: np.maximum(x, 0) - np.minimum(x, x[:, ::-1]) + np.clip(x, -1, 1) + np.fmax(x, 0.2) + x.clip(0, 1),
    "reductions": lambda x: x.sum(1, keepdims=True) * x.mean(axis=1)[:, None] + x.max(axis=1)[:, None] * np.min(x, axis=1, keepdims=True) + x,
    "moments": lambda x: x / (1 + np.std(x, axis=1, keepdims=True)) + np.var(x, axis=-1)[:, None],
    "norm": lambda x: x / np.linalg.norm(x, axis=1, keepdims=True) + np.linalg.norm(x, axis=1)[:, None],
    "smooth": lambda x: np.exp(x) + np.sin(x) * np.cos(x) + np.tan(x / 4) + np.sinh(x) - np.cosh(x) + np.tanh(x) + np.arctan(x),
    "roots": lambda x: np.sqrt(x + 3) + np.cbrt(x) + np.log(x + 3) + np.log2(x + 4) + np.log10(x + 4) + np.log1p(x + 2) + np.hypot(x, 1),
    "inverse": lambda x: np.arcsin(x / 3) + np.arccos(x / 3) + np.arcsinh(x) + np.arccosh(x + 4) + np.arctanh(x / 3) + np.expm1(x) + np.exp2(x),
    "angles": lambda x: np.arctan2(x, x[:, ::-1] + 0.1) + np.deg2rad(x) + np.degrees(x) + np.square(x) + np.reciprocal(x + 5),
    "logaddexp": lambda x: np.logaddexp(x, 0) + np.logaddexp2(x, 1) + np.abs(x) + np.fabs(x) + abs(x) + np.copysign(x, -1),
    "powers": lambda x: np.abs(x) ** 1.5 + np.power(np.abs(x) + 1, x) + x**2 + np.float_power(x, 2),
    "matrices": lambda x: np.tanh(x @ W) + np.dot(x, W) + np.einsum("bi,ij->bj", x, W) + (W @ x.T).T + np.tensordot(x, W, 1),
    "outer": lambda x: np.einsum("bi,bj->bij", x, x).sum(axis=2) + np.matmul(x[:, None, :], x[:, :, None])[:, 0],
    "joined": lambda x: np.column_stack([x[:, 0] * x[:, 1], np.zeros(len(x)), np.hstack([x[:, 2:]])[:, 0]]),
    "transposed": lambda x: np.array([x[:, 1] % 0.5, x[:, 0], x[:, 2] * x[:, 0]]).T,
    "vstacked": lambda x: np.vstack([x[:, 1] % 0.5, x[:, 0] ** 2, x[:, 2]]).T + np.concatenate([x[:, :1], x[:, 1:]], axis=1),
    "unpacked": lambda x: np.stack([(1 - 1.4 * a * a + b) % 1 for a, b in [(x[:, 0], x[:, 1])] * 3], axis=-1),
    "reshaped": lambda x: x.reshape(-1)[::-1].reshape(x.shape)[::-1, ::-1] + np.reshape(x.ravel(), (-1, 3)) + x.T.T + np.swapaxes(x, 0, 1).T,
    "rolled": lambda x: np.roll(x, -1, axis=1) + np.flip(x, 1) + np.cumsum(x, axis=1) + np.pad(x, ((0, 0), (1, 1)), mode="wrap")[:, 2:] + np.diff(x, axis=1, prepend=0.0),
    "taken": lambda x: x[:, [2, 0, 1]] + np.take(x, [1, 1, 0], axis=1) + np.sort(x, axis=1) + np.take_along_axis(x, np.argsort(x, axis=1), 1),
    "table": lambda x: np.array([1.0, -2.0, 3.0, 0.5])[(np.floor(np.abs(x))).astype(int) % 4] * x,
    "interp": lambda x: np.interp(x, [-3, -1, 0, 2, 3], [0, 1, -1, 2, 0]) + np.gradient(x, axis=1),
    "select": lambda x: np.select([x < -1, x < 0.5], [x**2, -x], 3 * x),
    "piecewise": lambda x: np.piecewise(x, [x < 0, x >= 0], [lambda s: s**2, lambda s: 3 * s]),
    "vectorize": lambda x: np.vectorize(lambda s: 2 * s if s < 0.5 else 2 - 2 * s)(x),
    "like": lambda x: np.ones_like(x) * x + np.zeros_like(x) + np.full_like(x, 0.5) * x + np.nan_to_num(x) + np.copy(x),
    "sinc": lambda x: np.sinc(x) + np.polyval([1.0, -2.0, 0.5], x),
    "astype": lambda x: x.astype(float) * x.astype(int) + x.astype("float32").astype(float) * 0 + np.asarray(x)[:, :],
    "filled": filled,
    "in place": changed_in_place,
    "elements": over_elements,
    "linear algebra": through_eigen,
    "fourier": spectral,
    "complex": rotated,
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_tangents_are_those_of_differences(name: str) -> None:
    function = FUNCTIONS[name]
    image, tangents = tangents_of(function, X, V)
    np.testing.assert_array_equal(image, np.asarray(function(X.copy()), float))
    for direction, tangent in zip(V, tangents, strict=True):
        rough, sure = slopes_along(lambda x: np.asarray(function(x), float), X, direction)
        assert sure.all()
        np.testing.assert_allclose(tangent, rough, rtol=2e-6, atol=2e-7)
