"""States of complex numbers: rows of their real and imaginary parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.core.errors import PrecisionError

torch = pytest.importorskip("torch")

C = -0.4 + 0.3j
Z = np.array([0.3 + 0.4j, -0.2 - 0.5j])


def in_numpy() -> Any:
    return lm.wrap(lambda z: z**2 + C, state_shape=1, dtype="complex128")


def in_torch() -> Any:
    return lm.wrap(lambda z: z**2 + C, state_shape=1, dtype=torch.complex128)


def in_jax() -> Any:
    pytest.importorskip("jax")
    return lm.wrap(lambda z: z**2 + C, state_shape=1, dtype="complex128", backend="jax")


@pytest.mark.parametrize("made", [in_numpy, in_torch, in_jax])
def test_a_quadratic_map_has_its_derivative_twice(made: Any) -> None:
    """2z as a matrix of real numbers: [[Re, -Im], [Im, Re]]; both exponents are the mean of log|2z|."""
    m = made()
    assert "n = 2 (real and imaginary parts of 1 complex number)" in repr(m)
    rows = m.ops.from_numpy(np.stack([Z.real, Z.imag], axis=1))
    np.testing.assert_allclose(m.restore(m.ops.to_numpy(m.apply(rows)))[:, 0], Z**2 + C, rtol=1e-14)
    wanted = np.array([[[2 * z.real, -2 * z.imag], [2 * z.imag, 2 * z.real]] for z in Z])
    np.testing.assert_allclose(m.ops.to_numpy(m.jacobian(rows)), wanted, rtol=1e-12)
    fixed = (1 - np.sqrt(1 - 4 * C)) / 2
    s = lm.lyapunov_spectrum(m, np.array([fixed + 0.01]), n_steps=300, transient=300, seed=0)
    np.testing.assert_allclose(s.exponents, np.log(abs(2 * fixed)), atol=1e-9)
    np.testing.assert_allclose(m.restore(s.final_state)[0, 0], fixed, atol=1e-9)


def test_functions_that_are_not_analytic_have_their_derivative() -> None:
    def step(z: Any) -> Any:
        return np.conj(z) * z * z + np.abs(z) * C + np.exp(1j * z.real)

    m = lm.wrap(step, state_shape=2, dtype="complex128")
    assert m.derivative == "dual numbers"
    assert lm.check_map(m, np.random.default_rng(0).normal(size=(3, 4)))


class Rotated(torch.nn.Module):
    """A layer of complex weights, and a modulus."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = torch.nn.Linear(3, 3, dtype=torch.complex64)

    def forward(self, z: Any) -> Any:
        y = self.linear(z)
        return y / (1 + y.abs())


def test_modules_and_examples() -> None:
    m = lm.wrap(Rotated().eval(), state_example=torch.zeros(3, dtype=torch.complex64))
    assert lm.check_map(m, np.random.default_rng(0).normal(size=(3, 6)))
    assert m.ops.dtype == "float32"
    mixed = lm.wrap(
        lambda s: {"z": 0.5 * s["z"], "t": 0.9 * s["t"]},
        state_example={"z": np.zeros(2, complex), "t": np.zeros(1)},
    )
    assert mixed.restore(np.arange(5.0))["z"].tolist() == [2j, 1 + 3j]
    assert mixed.structure is not None
    assert mixed.structure.flatten({"z": np.array([2j, 1 + 3j]), "t": np.array([4.0])}).tolist() == [0, 1, 2, 3, 4]


def test_a_unitary_map_of_a_complex_sphere_neither_grows_nor_shrinks() -> None:
    rng = np.random.default_rng(0)
    u = np.linalg.qr(rng.normal(size=(2, 2)) + 1j * rng.normal(size=(2, 2)))[0]
    m = lm.wrap(lambda z: z @ u.T, state_shape=2, dtype="complex128", constraint="sphere")
    s = lm.lyapunov_spectrum(m, np.ones(2) + 0j, n_steps=50, seed=0, throw=False)
    np.testing.assert_allclose(s.exponents, np.zeros(3), atol=1e-12)


def test_windows_and_inputs() -> None:
    m = lm.wrap(lambda w: w[:, 1] ** 2 + 0.1 * w[:, 0], state_shape=2, dtype="complex128", window=2)
    w = np.array([[0.1 + 0.2j, 0.3 - 0.1j]])
    assert m.structure is not None
    got = m.restore(m.apply(m.structure.flatten(w)))
    np.testing.assert_allclose(got, [[w[0, 1], w[0, 1] ** 2 + 0.1 * w[0, 0]]])
    given = lm.each_step(np.full((20, 1), 0.5))
    halved = lm.wrap(lambda z, u: u * z, state_shape=1, dtype="complex128", inputs=given)
    s = lm.lyapunov_spectrum(halved, np.array([1j]), n_steps=20, seed=0, throw=False)
    np.testing.assert_allclose(s.exponents, [np.log(0.5)] * 2)


def test_what_is_not_complex_is_refused() -> None:
    with pytest.raises(PrecisionError, match="expected complex128 back, got float64"):
        lm.wrap(lambda z: np.abs(z), state_shape=2, dtype="complex128")
    with pytest.raises(PrecisionError, match="expected real numbers"):
        lm.lyapunov_spectrum(lm.systems.henon(), np.array([0.1 + 0.2j, 0.0]), n_steps=10)
