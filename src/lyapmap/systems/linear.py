"""Linear maps with given exponents."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lyapmap.core.arguments import whole
from lyapmap.core.errors import LyapmapError
from lyapmap.systems.matrix_map import matrix_map
from lyapmap.systems.reference_map import Known, ReferenceMap, SystemInfo

LARGEST_EXPONENT = 700.0
"""Growth by more than exp(709) in one step is not a float."""


def linear_map(
    exponents: Sequence[float] | float = (0.5, 0.0, -0.5),
    rotated: bool = False,
    seed: int = 0,
    framework: str = "numpy",
    dtype: str = "float64",
    device: str | None = None,
) -> ReferenceMap:
    """A linear map with exponents of your choice, x' = U diag(exp(exponents)) U^T x.

    Parameters
    ----------
    exponents : sequence of float
        In nats per step; as many as the map has dimensions.
    rotated : bool
        Whether U is a random orthogonal matrix; else the map is diagonal.
    seed : int
        Of U.
    framework : "numpy" or "torch"
    dtype : "float64" or "float32"
    device : str, optional
        Where torch computes, e.g. "cuda".

    Returns
    -------
    ReferenceMap

    Notes
    -----
    Where an exponent is positive, all states but 0 grow until they overflow; the region of initial
    states is then the fixed point 0, whose tangents are those of everywhere else.

    References
    ----------
    V. I. Oseledets, "A multiplicative ergodic theorem", Trans. Moscow Math. Soc. 19, 197 (1968).

    Examples
    --------
    >>> import numpy as np
    >>> linear_map([0.0, np.log(2)]).apply(np.array([[1.0, 1.0]])).round(12)
    array([[1., 2.]])
    """
    try:
        given = np.atleast_1d(np.asarray(exponents, dtype=np.float64))
    except (TypeError, ValueError):
        given = np.array([np.nan])
    if given.ndim != 1 or given.size == 0 or not np.isfinite(given).all() or given.max() > LARGEST_EXPONENT:
        raise LyapmapError(
            f"exponents: expected a sequence of finite numbers <= {LARGEST_EXPONENT:g}, got {exponents!r}"
        )
    seed = whole("seed", seed, 0)
    n = len(given)
    matrix = np.diag(np.exp(given))
    if rotated:
        q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))
        u = q * np.sign(np.diag(r))  # makes U uniform among the orthogonal matrices
        matrix = u @ matrix @ u.T
    inner = matrix_map(matrix, tanh=False, framework=framework, dtype=dtype, device=device)
    ordered = tuple(float(value) for value in np.sort(given)[::-1])
    edge = np.zeros(1) if ordered[0] > 0 else np.ones(1)
    return ReferenceMap(
        inner,
        LINEAR_MAP,
        {"exponents": given.tolist(), "rotated": bool(rotated), "seed": seed},
        known=Known(exponents=ordered, kind="exact", formula="those given"),
        mean_log_abs_det=math.fsum(ordered),
        region=(-edge, edge),
    )


LINEAR_MAP = SystemInfo(
    name="linear_map",
    factory=linear_map,
    formula="x' = U diag(exp(exponents)) U^T x",
    source="V. I. Oseledets 1968, Trans. Moscow Math. Soc. 19, 197",
    dimension=None,
    low=(0.0,),
    high=(0.0,),
    known=(Known(parameters={}, exponents=(0.5, 0.0, -0.5), kind="exact", formula="those given"),),
    identity="the exponents are those given",
    notes="with a positive exponent every state but 0 overflows; the tangents at 0 are those of everywhere",
)
