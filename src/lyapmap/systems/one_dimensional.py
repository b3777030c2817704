"""Maps of an interval: logistic, tent."""

from __future__ import annotations

import math
from typing import Any

from lyapmap.backends.numba.map import LaneRule, NumbaMap
from lyapmap.systems.reference_map import Known, ReferenceMap, SystemInfo, number


def logistic(r: float = 4.0) -> ReferenceMap:
    """The logistic map, x' = r x (1 - x).

    Parameters
    ----------
    r : float
        In [0, 4], where [0, 1] is mapped to itself.

    Returns
    -------
    ReferenceMap
        With n = 1. The exponent is ln 2 at r = 4.

    Notes
    -----
    At r = 4 rare orbits die in float64: that from 0.4 is exactly 0 at step 15489529, that from
    0.51 at step 10202462.

    References
    ----------
    R. M. May, "Simple mathematical models with very complicated dynamics", Nature 261, 459 (1976).

    Examples
    --------
    >>> import numpy as np
    >>> logistic(r=3.2).apply(np.array([[0.25], [0.5]]))
    array([[0.6],
           [0.8]])
    """
    r = number("r", r, 0, 4)
    return ReferenceMap(_numba(_LOGISTIC_RULE, (r,)), LOGISTIC, {"r": r}, known=LOGISTIC.known_at(r=r))


def tent(mu: float = 2.0) -> ReferenceMap:
    """The tent map, x' = mu min(x, 1 - x).

    Parameters
    ----------
    mu : float
        Slope, in (0, 2].

    Returns
    -------
    ReferenceMap
        With n = 1. The exponent is ln mu.

    Notes
    -----
    At mu = 2 every float is a fraction whose denominator loses a factor of 2 each step: all orbits
    are exactly 0 after about 54 steps. Take mu = 1.999999 for long runs.

    References
    ----------
    B. Derrida, A. Gervois and Y. Pomeau, "Iteration of endomorphisms on the real axis and
    representation of numbers", Ann. Inst. H. Poincare A 29, 305 (1978).

    Examples
    --------
    >>> import numpy as np
    >>> tent().apply(np.array([[0.25], [0.75]]))
    array([[0.5],
           [0.5]])
    """
    mu = number("mu", mu, 0, 2, above=True)
    known = Known(exponents=(math.log(mu),), kind="exact", formula="ln mu")
    return ReferenceMap(_numba(_TENT_RULE, (mu,)), TENT, {"mu": mu}, known=known, mean_log_abs_det=math.log(mu))


def _numba(rule: LaneRule, parameters: tuple[float, ...]) -> NumbaMap:
    return NumbaMap(rule, state_shape=(1,), parameters=parameters)


def _logistic(p: Any, x: float) -> Any:
    (r,) = p
    return (r * x * (1 - x),), (r * (1 - 2 * x),)


def _tent(p: Any, x: float) -> Any:
    (mu,) = p
    return (mu * min(x, 1 - x),), (mu if x < 0.5 else -mu,)


_LOGISTIC_RULE = LaneRule(_logistic, ((True,),))
_TENT_RULE = LaneRule(_tent, ((True,),))

LOGISTIC = SystemInfo(
    name="logistic",
    factory=logistic,
    formula="x' = r x (1 - x)",
    source="R. M. May 1976, Nature 261, 459",
    dimension=1,
    low=(0.0,),
    high=(1.0,),
    known=(
        Known(parameters={"r": 4.0}, exponents=(math.log(2),), kind="exact", formula="ln 2"),
        Known(parameters={"r": 3.9}, exponents=(0.496038,), standard_error=(3.8e-5,), kind="measured"),
    ),
    notes="at r = 4 the float64 orbit from 0.4 is exactly 0 at step 15489529, that from 0.51 at step 10202462",
)

TENT = SystemInfo(
    name="tent",
    factory=tent,
    formula="x' = mu min(x, 1 - x)",
    source="B. Derrida, A. Gervois and Y. Pomeau 1978, Ann. Inst. H. Poincare A 29, 305",
    dimension=1,
    low=(0.0,),
    high=(1.0,),
    known=(Known(parameters={"mu": 2.0}, exponents=(math.log(2),), kind="exact", formula="ln mu"),),
    identity="exponent = ln mu",
    notes="at mu = 2 binary floating point kills every orbit in about 54 steps; mu = 1.999999 lives",
)
