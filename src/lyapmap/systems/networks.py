"""A random recurrent network, of any size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.backends.numba.map import NumbaMap, RowRule
from lyapmap.core.arguments import whole
from lyapmap.core.map import TangentMap
from lyapmap.systems.matrix_map import matrix_map
from lyapmap.systems.reference_map import ReferenceMap, SystemInfo, number


def random_tanh_weights(n: int, g: float, seed: int) -> NDArray[np.float64]:
    """Weights J (n, n) of `random_tanh_network`: independent, normal, of variance g^2 / n.

    Examples
    --------
    >>> random_tanh_weights(400, 1.5, seed=0).std().round(3) * 20
    np.float64(1.5)
    """
    n, g, seed = whole("n", n, 1), number("g", g), whole("seed", seed, 0)
    weights: NDArray[np.float64] = np.random.default_rng(seed).standard_normal((n, n)) * (g / np.sqrt(n))
    return weights


def random_tanh_network(
    n: int = 100,
    g: float = 1.5,
    seed: int = 0,
    framework: str = "numpy",
    dtype: str = "float64",
    device: str | None = None,
) -> ReferenceMap:
    """A random network, x' = J tanh(x), chaotic for g > 1 as n grows.

    Parameters
    ----------
    n : int
        Number of units.
    g : float
        Gain: the entries of J are independent and normal with variance g^2 / n.
    seed : int
        Of the draw of J, which `random_tanh_weights` gives.
    framework : "numpy" or "torch"
    dtype : "float64" or "float32"
    device : str, optional
        Where torch computes, e.g. "cuda".

    Returns
    -------
    ReferenceMap

    Notes
    -----
    At g = 1.5 and n = 4096 the largest exponent is 0.06495, the mean -0.71530, the Kaplan-Yorke
    dimension 0.16511 n and the entropy 0.002773 n (data published with the second reference).

    References
    ----------
    H. Sompolinsky, A. Crisanti and H. J. Sommers, "Chaos in random neural networks", Phys. Rev.
    Lett. 61, 259 (1988); in discrete time: B. Cessac et al., Physica D 74, 24 (1994). Spectra:
    D. G. Clark, github.com/davidclark1/rnn-lyapunov.

    Examples
    --------
    >>> m = random_tanh_network(n=3, seed=1)
    >>> import numpy as np
    >>> bool(np.allclose(m.jacobian(np.zeros((1, 3)))[0], random_tanh_weights(3, 1.5, 1)))
    True
    """
    weights = random_tanh_weights(n, g, seed)
    inner: TangentMap
    if framework == "numpy" and dtype == "float64" and device in (None, "cpu") and len(weights) <= COMPILED_UP_TO:
        inner = NumbaMap(_TANH_RULE, state_shape=(len(weights),), parameters=weights.T)
    else:
        inner = matrix_map(weights, tanh=True, framework=framework, dtype=dtype, device=device)
    parameters = {"n": len(weights), "g": float(g), "seed": int(seed)}
    return ReferenceMap(inner, RANDOM_TANH_NETWORK, parameters)


def _tanh_image(p: Any, x: Any, y: Any) -> None:
    n = x.shape[0]
    for i in range(n):
        y[i] = 0.0
    for j in range(0, n - 7, 8):
        a0, a1, a2, a3 = np.tanh(x[j]), np.tanh(x[j + 1]), np.tanh(x[j + 2]), np.tanh(x[j + 3])
        a4, a5, a6, a7 = np.tanh(x[j + 4]), np.tanh(x[j + 5]), np.tanh(x[j + 6]), np.tanh(x[j + 7])
        p0, p1, p2, p3, p4, p5, p6, p7 = p[j], p[j + 1], p[j + 2], p[j + 3], p[j + 4], p[j + 5], p[j + 6], p[j + 7]
        for i in range(n):
            near = (a0 * p0[i] + a1 * p1[i]) + (a2 * p2[i] + a3 * p3[i])
            y[i] += near + ((a4 * p4[i] + a5 * p5[i]) + (a6 * p6[i] + a7 * p7[i]))
    for j in range(n - n % 8, n):
        active, weights = np.tanh(x[j]), p[j]
        for i in range(n):
            y[i] += active * weights[i]


def _tanh_tangents(p: Any, x: Any, v: Any, u: Any) -> None:
    n, k = x.shape[0], v.shape[0]
    slopes = np.empty(n)
    for j in range(n):
        active = np.tanh(x[j])
        slopes[j] = 1 - active * active
    # Four tangents at a time meet four columns of the matrix: each number that is read serves four times.
    for c in range(0, k - 3, 4):
        v0, v1, v2, v3 = v[c], v[c + 1], v[c + 2], v[c + 3]
        u0, u1, u2, u3 = u[c], u[c + 1], u[c + 2], u[c + 3]
        for i in range(n):
            u0[i] = u1[i] = u2[i] = u3[i] = 0.0
        for j in range(0, n - 3, 4):
            p0, p1, p2, p3 = p[j], p[j + 1], p[j + 2], p[j + 3]
            s0, s1, s2, s3 = slopes[j], slopes[j + 1], slopes[j + 2], slopes[j + 3]
            a0, a1, a2, a3 = s0 * v0[j], s1 * v0[j + 1], s2 * v0[j + 2], s3 * v0[j + 3]
            b0, b1, b2, b3 = s0 * v1[j], s1 * v1[j + 1], s2 * v1[j + 2], s3 * v1[j + 3]
            c0, c1, c2, c3 = s0 * v2[j], s1 * v2[j + 1], s2 * v2[j + 2], s3 * v2[j + 3]
            d0, d1, d2, d3 = s0 * v3[j], s1 * v3[j + 1], s2 * v3[j + 2], s3 * v3[j + 3]
            for i in range(n):
                w0, w1, w2, w3 = p0[i], p1[i], p2[i], p3[i]
                u0[i] += a0 * w0 + a1 * w1 + a2 * w2 + a3 * w3
                u1[i] += b0 * w0 + b1 * w1 + b2 * w2 + b3 * w3
                u2[i] += c0 * w0 + c1 * w1 + c2 * w2 + c3 * w3
                u3[i] += d0 * w0 + d1 * w1 + d2 * w2 + d3 * w3
        for j in range(n - n % 4, n):
            for i in range(n):
                w0 = slopes[j] * p[j, i]
                u0[i] += w0 * v0[j]
                u1[i] += w0 * v1[j]
                u2[i] += w0 * v2[j]
                u3[i] += w0 * v3[j]
    for c in range(k - k % 4, k):
        out = u[c]
        for i in range(n):
            out[i] = 0.0
        for j in range(n):
            factor, row = slopes[j] * v[c, j], p[j]
            for i in range(n):
                out[i] += factor * row[i]


_TANH_RULE = RowRule(_tanh_image, _tanh_tangents)
"""Its parameters are the transposed matrix."""
COMPILED_UP_TO = 512
"""Units up to which the matrix stays in the cache of a core, where compiled loops are faster than calls of BLAS."""

RANDOM_TANH_NETWORK = SystemInfo(
    name="random_tanh_network",
    factory=random_tanh_network,
    formula="x' = J tanh(x), J_ij normal with variance g^2 / n",
    source="H. Sompolinsky, A. Crisanti and H. J. Sommers 1988, Phys. Rev. Lett. 61, 259; B. Cessac et al. 1994",
    dimension=None,
    low=(-1.0,),
    high=(1.0,),
    identity="mean exponent = <ln tanh'(x)> + ln g - 1/2 as n grows",
    notes="g = 1.5, n = 4096: largest exponent 0.06495, mean -0.71530, Kaplan-Yorke dimension 0.16511 n, "
    "entropy 0.002773 n (published, github.com/davidclark1/rnn-lyapunov); one draw of J differs from another",
)
