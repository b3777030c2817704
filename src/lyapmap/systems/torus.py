"""Maps with coordinates on a circle: Arnold's cat, baker, standard, Kaplan-Yorke."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lyapmap.backends.numba.map import LaneRule, NumbaMap
from lyapmap.systems.reference_map import Known, ReferenceMap, SystemInfo, number

_CAT = math.log((3 + math.sqrt(5)) / 2)


def arnold_cat() -> ReferenceMap:
    """Arnold's cat map, x' = x + y mod 1, y' = x + 2 y mod 1.

    Returns
    -------
    ReferenceMap
        With n = 2. The exponents are +-ln((3 + sqrt 5) / 2).

    References
    ----------
    V. I. Arnold and A. Avez, "Ergodic Problems of Classical Mechanics", Benjamin (1968).

    Examples
    --------
    >>> import numpy as np
    >>> arnold_cat().apply(np.array([[0.5, 0.75]]))
    array([[0.25, 0.  ]])
    """
    return ReferenceMap(_numba(_CAT_RULE), ARNOLD_CAT, {}, known=ARNOLD_CAT.known[0], mean_log_abs_det=0.0)


def baker() -> ReferenceMap:
    """The baker's map, x' = 2 x mod 1, y' = (y + floor(2 x)) / 2.

    Returns
    -------
    ReferenceMap
        With n = 2. The exponents are +-ln 2.

    Notes
    -----
    Doubling modulo 1 shifts the digits of a binary fraction out: in float64 x is exactly 0 after
    about 54 steps.

    References
    ----------
    E. Hopf, "Ergodentheorie", Springer (1937).

    Examples
    --------
    >>> import numpy as np
    >>> baker().apply(np.array([[0.75, 0.5]]))
    array([[0.5 , 0.75]])
    """
    return ReferenceMap(_numba(_BAKER_RULE), BAKER, {}, known=BAKER.known[0], mean_log_abs_det=0.0)


def standard(k: float = 1.0) -> ReferenceMap:
    """The standard map, p' = p + k sin x, x' = x + p', both mod 2 pi.

    Parameters
    ----------
    k : float
        Strength of the kicks.

    Returns
    -------
    ReferenceMap
        With n = 2, state (x, p). The exponents add up to 0.

    Notes
    -----
    Orbits are chaotic or regular according to where they start, and chaotic ones stick to the
    islands for long: at k = 1 the exponent converges far slower than one over the square root of
    the number of steps.

    References
    ----------
    B. V. Chirikov, "A universal instability of many-dimensional oscillator systems", Phys. Rep. 52,
    263 (1979).

    Examples
    --------
    >>> import numpy as np
    >>> standard().apply(np.array([[np.pi / 2, 1.0]])).round(4)
    array([[3.5708, 2.    ]])
    """
    k = number("k", k)
    return ReferenceMap(
        _numba(_STANDARD_RULE, (k,)), STANDARD, {"k": k}, known=STANDARD.known_at(k=k), mean_log_abs_det=0.0
    )


def kaplan_yorke_map(alpha: float = 0.2, a: float = 2.0) -> ReferenceMap:
    """The map of Kaplan and Yorke, x' = a x mod 1, y' = alpha y + cos 4 pi x.

    Parameters
    ----------
    alpha : float
        Contraction, in (0, 1].
    a : float
        Expansion, at least 1; 2 in the paper.

    Returns
    -------
    ReferenceMap
        With n = 2. The exponents are ln a and ln alpha.

    Notes
    -----
    Doubling modulo 1 shifts the digits of a binary fraction out: with a = 2 and float64, x is
    exactly 0 after about 54 steps. Take a = 1.999999 for long runs.

    References
    ----------
    J. L. Kaplan and J. A. Yorke, "Chaotic behavior of multidimensional difference equations",
    Lecture Notes in Mathematics 730, 204 (1979).

    Examples
    --------
    >>> import numpy as np
    >>> kaplan_yorke_map().apply(np.array([[0.75, 1.0]])).round(9)
    array([[ 0.5, -0.8]])
    """
    alpha, a = number("alpha", alpha, 0, 1, above=True), number("a", a, 1)
    known = Known(exponents=(math.log(a), math.log(alpha)), kind="exact", formula="ln a, ln alpha")
    return ReferenceMap(
        _numba(_KAPLAN_YORKE_RULE, (alpha, a)),
        KAPLAN_YORKE,
        {"alpha": alpha, "a": a},
        known=known,
        mean_log_abs_det=math.log(a) + math.log(alpha),
    )


def _numba(rule: LaneRule, parameters: tuple[float, ...] = ()) -> NumbaMap:
    return NumbaMap(rule, state_shape=(2,), parameters=parameters)


def _arnold_cat(p: Any, x: float, y: float) -> Any:
    u, v = x + y, x + 2 * y
    return (u - np.floor(u), v - np.floor(v)), (1.0, 1.0, 1.0, 2.0)


def _baker(p: Any, x: float, y: float) -> Any:
    half = np.floor(2 * x)
    return (2 * x - half, (y + half) / 2), (2.0, 0.5)


def _standard(p: Any, x: float, y: float) -> Any:
    (k,) = p
    turn = 2 * math.pi
    y = y + k * math.sin(x)
    y = y - turn * np.floor(y / turn)
    moved = x + y
    slope = k * math.cos(x)
    return (moved - turn * np.floor(moved / turn), y), (1 + slope, 1.0, slope, 1.0)


def _kaplan_yorke(p: Any, x: float, y: float) -> Any:
    alpha, a = p
    angle = 4 * math.pi * x
    stretched = a * x
    image = (stretched - np.floor(stretched), alpha * y + math.cos(angle))
    return image, (a, -4 * math.pi * math.sin(angle), alpha)


_CAT_RULE = LaneRule(_arnold_cat, ((True, True), (True, True)))
_BAKER_RULE = LaneRule(_baker, ((True, False), (False, True)))
_STANDARD_RULE = LaneRule(_standard, ((True, True), (True, True)))
_KAPLAN_YORKE_RULE = LaneRule(_kaplan_yorke, ((True, False), (True, True)))

ARNOLD_CAT = SystemInfo(
    name="arnold_cat",
    factory=arnold_cat,
    formula="x' = x + y mod 1, y' = x + 2 y mod 1",
    source="V. I. Arnold and A. Avez 1968, Ergodic Problems of Classical Mechanics",
    dimension=2,
    low=(0.0, 0.0),
    high=(1.0, 1.0),
    known=(Known(exponents=(_CAT, -_CAT), kind="exact", formula="+-ln((3 + sqrt 5) / 2)"),),
    identity="sum = 0",
)

BAKER = SystemInfo(
    name="baker",
    factory=baker,
    formula="x' = 2 x mod 1, y' = (y + floor(2 x)) / 2",
    source="E. Hopf 1937, Ergodentheorie",
    dimension=2,
    low=(0.0, 0.0),
    high=(1.0, 1.0),
    known=(Known(exponents=(math.log(2), -math.log(2)), kind="exact", formula="+-ln 2"),),
    identity="sum = 0",
    notes="doubling mod 1 dies in binary floating point: x is exactly 0 after about 54 steps",
)

STANDARD = SystemInfo(
    name="standard",
    factory=standard,
    formula="p' = p + k sin x, x' = x + p', both mod 2 pi",
    source="B. V. Chirikov 1979, Phys. Rep. 52, 263",
    dimension=2,
    low=(0.01, 0.0),
    high=(0.1, 0.05),
    known=(
        Known(parameters={"k": 1.0}, exponents=(0.103873, -0.103873), standard_error=(3.1e-3, 3.1e-3), kind="measured"),
    ),
    identity="sum = 0",
    notes="sticky: converges far slower than 1 / sqrt(n); regular orbits among the chaotic ones",
)

KAPLAN_YORKE = SystemInfo(
    name="kaplan_yorke_map",
    factory=kaplan_yorke_map,
    formula="x' = a x mod 1, y' = alpha y + cos 4 pi x",
    source="J. L. Kaplan and J. A. Yorke 1979, Lecture Notes in Mathematics 730, 204",
    dimension=2,
    low=(0.0, -1.0),
    high=(1.0, 1.0),
    known=(
        Known(
            parameters={"alpha": 0.2, "a": 2.0},
            exponents=(math.log(2), math.log(0.2)),
            kind="exact",
            formula="ln a, ln alpha",
        ),
    ),
    identity="sum = ln(a alpha)",
    notes="doubling mod 1 dies in binary floating point: x is exactly 0 after about 54 steps; a = 1.999999 lives",
)
