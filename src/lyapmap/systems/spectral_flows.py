"""Partial differential equations in Fourier space: Kuramoto-Sivashinsky."""

from __future__ import annotations

from typing import Any, Protocol, final

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.arguments import whole
from lyapmap.core.errors import LyapmapError, PrecisionError, ShapeError
from lyapmap.core.map import TangentMap
from lyapmap.core.ops import ArrayOps, NumpyOps
from lyapmap.systems.reference_map import Known, ReferenceMap, SystemInfo, number

CONTOUR_POINTS = 32
"""Points of the contour over which the coefficients of the scheme are averaged."""
MATRICES_UP_TO = 128
"""Grid points up to which Fourier transforms are products with their matrices."""


def kuramoto_sivashinsky(length: float = 22.0, n: int = 32, tau: float = 0.25, steps: int = 5) -> ReferenceMap:
    """The Kuramoto-Sivashinsky equation, u_t = -u u_x - u_xx - u_xxxx, periodic in x.

    Parameters
    ----------
    length : float
        Of the domain.
    n : int
        Grid points, at least 4, on which products are taken; modes up to m = (n - 1) // 3 are
        carried, so that no product is aliased.
    tau : float
        Time of one step of the map.
    steps : int
        Steps of the integrator in one time tau.

    Returns
    -------
    ReferenceMap
        Of dimension 2 m.

    Notes
    -----
    A state holds the Fourier coefficients, (sqrt 2 Re c_1, sqrt 2 Im c_1, sqrt 2 Re c_2, ...) of
    u = sum_q c_q exp(2 pi i q x / length), so that its Euclidean norm is the root mean square of u;
    `kuramoto_sivashinsky_profile` gives u itself. The mean of u is conserved and, in a frame that
    moves with it, without effect: it is left out, and with it an exponent that is exactly 0. Two
    that are zero remain, of shifts in time and in space.

    Time goes by ETDRK4 with contour means; tangents go through its linearized stages, so they are
    the derivative of the numerical map. Exponents of strongly damped modes are about q^2 - q^4, as
    long as the scheme resolves such a decay: with n = 32 and steps of 0.05 down to -58, the last,
    with steps of 0.25 down to -20 only. Larger n brings modes whose exponents are those of
    the scheme, or below rounding, and leaves the others as they are: ask for n_exponents="auto".

    References
    ----------
    Y. Kuramoto, Prog. Theor. Phys. Suppl. 64, 346 (1978); G. I. Sivashinsky, Acta Astronautica 4,
    1177 (1977).
    A.-K. Kassam and L. N. Trefethen, "Fourth-order time-stepping for stiff PDEs", SIAM J. Sci.
    Comput. 26, 1214 (2005), for the scheme.
    P. Cvitanović, R. L. Davidchack and E. Siminos, SIAM J. Appl. Dyn. Syst. 9, 1 (2010), for the
    domain of length 22.

    Examples
    --------
    >>> m = kuramoto_sivashinsky()
    >>> m.state_shape, m.time_per_step
    ((20,), 0.25)
    """
    length, n = number("length", length, 0, above=True), whole("n", n, 4)
    tau, steps = number("tau", tau, 0, above=True), whole("steps", steps, 1)
    return ReferenceMap(
        KuramotoSivashinsky(length, n, tau, steps),
        KURAMOTO_SIVASHINSKY,
        {"length": length, "n": n, "tau": tau, "steps": steps},
        known=KURAMOTO_SIVASHINSKY.known_at(length=length, n=n),
    )


def kuramoto_sivashinsky_profile(states: Any, n: int) -> NDArray[np.float64]:
    """u on a grid of n equidistant points from the Fourier states of `kuramoto_sivashinsky`.

    Parameters
    ----------
    states : (..., 2 m)
    n : int
        Grid points, more than 2 m, whatever number the map itself takes.

    Returns
    -------
    (..., n)

    Examples
    --------
    >>> kuramoto_sivashinsky_profile([np.sqrt(2), 0.0], 4).round(6) + 0.0
    array([ 2.,  0., -2.,  0.])
    """
    rows = np.asarray(states, np.float64)
    if rows.ndim == 0 or rows.shape[-1] % 2 or not rows.shape[-1]:
        raise ShapeError(f"states: expected an even number of values in a row, got shape {rows.shape}")
    if whole("n", n, 1) <= rows.shape[-1]:
        raise LyapmapError(f"n: expected more than {rows.shape[-1]} points for as many coefficients, got {n}")
    return _profile(rows.reshape(-1, rows.shape[-1], 1), int(n)).reshape(*rows.shape[:-1], int(n))


@final
class KuramotoSivashinsky(TangentMap):
    """The map of `kuramoto_sivashinsky`, on NumPy arrays."""

    is_flow = True

    def __init__(self, length: float, n: int, tau: float, steps: int) -> None:
        m = (n - 1) // 3
        self.state_shape: tuple[int, ...] = (2 * m,)
        self.ops: ArrayOps = NumpyOps("float64")
        self.derivative = "analytic"
        self.time_per_step = tau
        self.provenance: dict[str, Any] = {"method": "ETDRK4", "tau": tau, "substeps": steps}
        self._steps = steps
        q = np.asarray(2 * np.pi / length * np.arange(1, m + 1), np.float64)
        self._advection: _Advection = _Matrices(n, q) if n <= MATRICES_UP_TO else _Transforms(n, q)
        # Real and imaginary parts of a mode grow alike.
        self._weights = np.repeat(_etdrk4(q**2 - q**4, tau / steps), 2, axis=1)

    def apply(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.jvp(x, np.empty((*x.shape, 0)))[0]

    def jvp(self, x: NDArray[np.float64], v: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        n = self.state_shape[0]
        if x.ndim != 2 or x.shape[1] != n:
            raise ShapeError(f"x: expected {n} values per row for {self.state_shape}, got shape {x.shape}")
        if v.ndim != 3 or v.shape[:2] != x.shape:
            raise ShapeError(f"v: expected {(*x.shape, 'k')} for states {x.shape}, got shape {v.shape}")
        if x.dtype != np.float64 or v.dtype != np.float64:
            raise PrecisionError(f"x: expected float64, got {x.dtype} and tangents {v.dtype}")
        # States go first among the tangents, so that one transform serves both.
        both = np.concatenate([x[:, :, None], v], axis=2)
        for _ in range(self._steps):
            both = self._step(both)
        return both[:, :, 0].copy(), both[:, :, 1:].copy()

    def _step(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """One step of ETDRK4, equations (25) to (29) of Kassam and Trefethen, for states and tangents at once."""
        full, half, ahead, f1, f2, f3 = self._weights[:, :, None]
        n0 = self._nonlinear(x)
        a = half * x + ahead * n0
        n1 = self._nonlinear(a)
        n2 = self._nonlinear(half * x + ahead * n1)
        n3 = self._nonlinear(half * a + ahead * (2 * n2 - n0))
        image: NDArray[np.float64] = full * x + f1 * n0 + f2 * (n1 + n2) + f3 * n3
        return image

    def _nonlinear(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """-(u^2)_x / 2 of the states, in the first column, and its derivative -(u w)_x of the tangents."""
        values = self._advection.grid(x)
        u = values[:, :, :1].copy()
        values *= u
        values[:, :, 1:] *= 2
        return self._advection.modes(values)


class _Advection(Protocol):
    """From Fourier states (b, 2 m, k) to a grid, and from products there to their slope."""

    def grid(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """u (b, n, k)."""

    def modes(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """States of -f_x / 2 for f (b, n, k)."""


@final
class _Transforms:
    """`_Advection` by fast Fourier transforms."""

    def __init__(self, n: int, q: NDArray[np.float64]) -> None:
        self._n, self._slope = n, -0.5j * q[:, None]

    def grid(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return _profile(x, self._n)

    def modes(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        m = len(self._slope)
        coefficients = np.fft.rfft(values, axis=1, norm="forward")[:, 1 : m + 1] * (np.sqrt(2) * self._slope)
        parts = np.stack([coefficients.real, coefficients.imag], axis=2)
        return parts.reshape(len(values), 2 * m, values.shape[2])


@final
class _Matrices:
    """`_Advection` by products with the matrices of the transforms, which are faster for few modes."""

    def __init__(self, n: int, q: NDArray[np.float64]) -> None:
        m = 2 * len(q)
        self._grid = _profile(np.eye(m)[None], n)[0]
        self._modes = _Transforms(n, q).modes(np.eye(n)[None])[0]

    def grid(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._grid @ x

    def modes(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._modes @ values


def _etdrk4(growth: NDArray[np.float64], h: float) -> NDArray[np.float64]:
    """Coefficients of the scheme (6, m), by means over circles around h times the growth of each mode.

    The quotients lose all digits near zero when they are computed as they stand.
    """
    turns = np.exp(1j * np.pi * (np.arange(1, CONTOUR_POINTS + 1) - 0.5) / CONTOUR_POINTS)
    z = h * growth[:, None] + turns
    e = np.exp(z)

    def mean(values: NDArray[Any]) -> NDArray[np.float64]:
        real: NDArray[np.float64] = h * values.mean(axis=1).real
        return real

    return np.stack(
        [
            np.exp(h * growth),
            np.exp(h * growth / 2),
            mean((np.exp(z / 2) - 1) / z),
            mean((-4 - z + e * (4 - 3 * z + z**2)) / z**3),
            mean(2 * (2 + z + e * (z - 2)) / z**3),
            mean((-4 - 3 * z - z**2 + e * (4 - z)) / z**3),
        ]
    )


def _profile(x: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """u (b, n, k) on a grid from Fourier states (b, 2 m, k)."""
    b, m, k = len(x), x.shape[1] // 2, x.shape[2]
    padded = np.zeros((b, n // 2 + 1, k), complex)
    padded[:, 1 : m + 1].real, padded[:, 1 : m + 1].imag = x[:, ::2] / np.sqrt(2), x[:, 1::2] / np.sqrt(2)
    return np.fft.irfft(padded, n, axis=1, norm="forward")


KURAMOTO_SIVASHINSKY = SystemInfo(
    name="kuramoto_sivashinsky",
    factory=kuramoto_sivashinsky,
    formula="u_t = -u u_x - u_xx - u_xxxx, periodic in x; a state holds the Fourier coefficients of u",
    source="Y. Kuramoto 1978, Prog. Theor. Phys. Suppl. 64, 346; G. I. Sivashinsky 1977, Acta Astronautica 4, 1177",
    dimension=None,
    low=(-0.3,),
    high=(0.3,),
    known=(
        Known(
            parameters={"length": 22.0, "n": 32},
            exponents=(0.048,),
            standard_error=(0.001,),
            kind="measured",
        ),
    ),
    unit="per unit time",
    notes="two exponents are zero, of shifts in time and space, and are neared as one over the time only; "
    "the conserved mean is left out",
)
