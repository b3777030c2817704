"""Maps of space: folded towel, generalized Henon."""

from __future__ import annotations

import math
from typing import Any

from lyapmap.backends.numba.map import LaneRule, NumbaMap
from lyapmap.systems.reference_map import Known, ReferenceMap, SystemInfo, number


def folded_towel() -> ReferenceMap:
    """Rössler's folded towel, a map with two positive exponents.

    x' = 3.8 x (1 - x) - 0.05 (y + 0.35) (1 - 2 z),
    y' = 0.1 ((y + 0.35) (1 - 2 z) - 1) (1 - 1.9 x),
    z' = 3.78 z (1 - z) + 0.2 y.

    Returns
    -------
    ReferenceMap
        With n = 3.

    Notes
    -----
    The third exponent is -3.301; the value -3.746 that some packages quote is wrong.

    References
    ----------
    O. E. Rössler, "An equation for hyperchaos", Phys. Lett. A 71, 155 (1979).

    Examples
    --------
    >>> import numpy as np
    >>> folded_towel().apply(np.array([[0.0, -0.35, 0.5]]))
    array([[ 0.   , -0.1  ,  0.875]])
    """
    return ReferenceMap(_numba(_TOWEL_RULE), FOLDED_TOWEL, {}, known=FOLDED_TOWEL.known[0])


def generalized_henon(a: float = 1.76, b: float = 0.1) -> ReferenceMap:
    """The generalized Hénon map, x' = a - y^2 - b z, y' = x, z' = y.

    Parameters
    ----------
    a, b : float

    Returns
    -------
    ReferenceMap
        With n = 3. The exponents add up to ln|b|; two are positive at the default parameters.

    References
    ----------
    G. Baier and M. Klein, "Maximum hyperchaos in generalized Hénon maps", Phys. Lett. A 151, 281
    (1990).

    Examples
    --------
    >>> import numpy as np
    >>> generalized_henon().apply(np.array([[0.5, 1.0, 0.0]]))
    array([[0.76, 0.5 , 1.  ]])
    """
    a, b = number("a", a), number("b", b)
    return ReferenceMap(
        _numba(_GENERALIZED_HENON_RULE, (a, b)),
        GENERALIZED_HENON,
        {"a": a, "b": b},
        known=GENERALIZED_HENON.known_at(a=a, b=b),
        mean_log_abs_det=math.log(abs(b)) if b else -math.inf,
    )


def _numba(rule: LaneRule, parameters: tuple[float, ...] = ()) -> NumbaMap:
    return NumbaMap(rule, state_shape=(3,), parameters=parameters)


def _folded_towel(p: Any, x: float, y: float, z: float) -> Any:
    shifted, fold, bend = y + 0.35, 1 - 2 * z, 1 - 1.9 * x
    return (
        3.8 * x * (1 - x) - 0.05 * shifted * fold,
        0.1 * (shifted * fold - 1) * bend,
        3.78 * z * (1 - z) + 0.2 * y,
    ), (
        3.8 * (1 - 2 * x),
        -0.05 * fold,
        0.1 * shifted,
        -0.19 * (shifted * fold - 1),
        0.1 * fold * bend,
        -0.2 * shifted * bend,
        0.2,
        3.78 * fold,
    )


def _generalized_henon(p: Any, x: float, y: float, z: float) -> Any:
    a, b = p
    return (a - y * y - b * z, x, y), (-2 * y, -b, 1.0, 1.0)


_TOWEL_RULE = LaneRule(_folded_towel, ((True, True, True), (True, True, True), (False, True, True)))
_GENERALIZED_HENON_RULE = LaneRule(
    _generalized_henon, ((False, True, True), (True, False, False), (False, True, False))
)

FOLDED_TOWEL = SystemInfo(
    name="folded_towel",
    factory=folded_towel,
    formula="x' = 3.8 x (1 - x) - 0.05 (y + 0.35)(1 - 2 z), "
    "y' = 0.1 ((y + 0.35)(1 - 2 z) - 1)(1 - 1.9 x), z' = 3.78 z (1 - z) + 0.2 y",
    source="O. E. Rössler 1979, Phys. Lett. A 71, 155",
    dimension=3,
    low=(0.1, -0.1, 0.1),
    high=(0.9, 0.1, 0.9),
    known=(Known(exponents=(0.430501, 0.377600, -3.301183), standard_error=(8e-5, 8e-5, 8e-5), kind="measured"),),
    notes="the third exponent is quoted as -3.74638 in some packages, wrongly",
)

GENERALIZED_HENON = SystemInfo(
    name="generalized_henon",
    factory=generalized_henon,
    formula="x' = a - y^2 - b z, y' = x, z' = y",
    source="G. Baier and M. Klein 1990, Phys. Lett. A 151, 281",
    dimension=3,
    low=(-0.5, -0.5, -0.5),
    high=(0.5, 0.5, 0.5),
    known=(
        Known(
            parameters={"a": 1.76, "b": 0.1},
            exponents=(0.224421, 0.187379, -2.714385),
            standard_error=(6e-5, 6e-5, 6e-5),
            kind="measured",
        ),
    ),
    identity="sum = ln|b|",
)
