"""Maps of the plane: Henon, Lozi, Ikeda, Tinkerbell."""

from __future__ import annotations

import math
from typing import Any

from lyapmap.backends.numba.map import LaneRule, NumbaMap
from lyapmap.systems.reference_map import Known, ReferenceMap, SystemInfo, number


def henon(a: float = 1.4, b: float = 0.3) -> ReferenceMap:
    """The Hénon map, x' = 1 - a x^2 + y, y' = b x.

    Parameters
    ----------
    a, b : float

    Returns
    -------
    ReferenceMap
        With n = 2. The exponents add up to ln|b|.

    References
    ----------
    M. Hénon, "A two-dimensional mapping with a strange attractor", Commun. Math. Phys. 50, 69 (1976).

    Examples
    --------
    >>> import numpy as np
    >>> henon().apply(np.array([[0.0, 0.0], [1.0, 0.0]]))
    array([[ 1. ,  0. ],
           [-0.4,  0.3]])
    """
    a, b = number("a", a), number("b", b)
    return ReferenceMap(
        _numba(_HENON_RULE, (a, b)),
        HENON,
        {"a": a, "b": b},
        known=HENON.known_at(a=a, b=b),
        mean_log_abs_det=_log(b),
    )


def lozi(a: float = 1.7, b: float = 0.5) -> ReferenceMap:
    """The Lozi map, x' = 1 - a |x| + y, y' = b x.

    Parameters
    ----------
    a, b : float

    Returns
    -------
    ReferenceMap
        With n = 2. The exponents add up to ln|b|.

    References
    ----------
    R. Lozi, "Un attracteur étrange (?) du type attracteur de Hénon", J. Phys. Colloques 39, C5-9 (1978).

    Examples
    --------
    >>> import numpy as np
    >>> lozi().apply(np.array([[-1.0, 0.0]]))
    array([[-0.7, -0.5]])
    """
    a, b = number("a", a), number("b", b)
    return ReferenceMap(
        _numba(_LOZI_RULE, (a, b)),
        LOZI,
        {"a": a, "b": b},
        known=LOZI.known_at(a=a, b=b),
        mean_log_abs_det=_log(b),
    )


def ikeda(u: float = 0.9, c: float = 0.4, d: float = 6.0) -> ReferenceMap:
    """The Ikeda map of light in a ring cavity, z' = 1 + u z exp(i t) with t = c - d / (1 + |z|^2).

    Parameters
    ----------
    u, c, d : float
        Losses, detuning, nonlinearity; u is not 0.

    Returns
    -------
    ReferenceMap
        With n = 2, (Re z, Im z). The exponents add up to 2 ln|u|.

    References
    ----------
    K. Ikeda, "Multiple-valued stationary state and its instability of the transmitted light by a
    ring cavity system", Opt. Commun. 30, 257 (1979); in the form of S. Hammel, C. Jones and
    J. Moloney, J. Opt. Soc. Am. B 2, 552 (1985).

    Examples
    --------
    >>> import numpy as np
    >>> ikeda().apply(np.zeros((1, 2)))
    array([[1., 0.]])
    """
    u, c, d = number("u", u), number("c", c), number("d", d)
    return ReferenceMap(
        _numba(_IKEDA_RULE, (u, c, d)),
        IKEDA,
        {"u": u, "c": c, "d": d},
        known=IKEDA.known_at(u=u, c=c, d=d),
        mean_log_abs_det=2 * _log(u),
    )


def tinkerbell(a: float = 0.9, b: float = -0.6013, c: float = 2.0, d: float = 0.5) -> ReferenceMap:
    """The Tinkerbell map, x' = x^2 - y^2 + a x + b y, y' = 2 x y + c x + d y.

    Parameters
    ----------
    a, b, c, d : float

    Returns
    -------
    ReferenceMap
        With n = 2.

    Notes
    -----
    The attractor lies close to the boundary of its basin: the region of initial states is small.

    References
    ----------
    H. E. Nusse and J. A. Yorke, "Dynamics: Numerical Explorations", 2nd edition, Springer (1998).

    Examples
    --------
    >>> import numpy as np
    >>> tinkerbell().apply(np.array([[-1.0, 0.0]]))
    array([[ 0.1, -2. ]])
    """
    parameters = {"a": number("a", a), "b": number("b", b), "c": number("c", c), "d": number("d", d)}
    return ReferenceMap(_numba(_TINKERBELL_RULE, tuple(parameters.values())), TINKERBELL, parameters)


def _numba(rule: LaneRule, parameters: tuple[float, ...]) -> NumbaMap:
    return NumbaMap(rule, state_shape=(2,), parameters=parameters)


def _log(value: float) -> float:
    return math.log(abs(value)) if value else -math.inf


def _henon(p: Any, x: float, y: float) -> Any:
    a, b = p
    return (1 - a * x * x + y, b * x), (-2 * a * x, 1.0, b)


def _lozi(p: Any, x: float, y: float) -> Any:
    a, b = p
    return (1 - a * abs(x) + y, b * x), (-a if x >= 0 else a, 1.0, b)


def _ikeda(p: Any, x: float, y: float) -> Any:
    u, c, d = p
    q = 1 / (1 + x * x + y * y)
    t = c - d * q
    cos, sin = math.cos(t), math.sin(t)
    re, im = x * cos - y * sin, x * sin + y * cos
    dt_dx, dt_dy = 2 * d * x * q * q, 2 * d * y * q * q
    return (1 + u * re, u * im), (
        u * (cos - im * dt_dx),
        u * (-sin - im * dt_dy),
        u * (sin + re * dt_dx),
        u * (cos + re * dt_dy),
    )


def _tinkerbell(p: Any, x: float, y: float) -> Any:
    a, b, c, d = p
    return (x * x - y * y + a * x + b * y, 2 * x * y + c * x + d * y), (
        2 * x + a,
        -2 * y + b,
        2 * y + c,
        2 * x + d,
    )


_HENON_RULE = LaneRule(_henon, ((True, True), (True, False)))
_LOZI_RULE = LaneRule(_lozi, ((True, True), (True, False)))
_IKEDA_RULE = LaneRule(_ikeda, ((True, True), (True, True)))
_TINKERBELL_RULE = LaneRule(_tinkerbell, ((True, True), (True, True)))

HENON = SystemInfo(
    name="henon",
    factory=henon,
    formula="x' = 1 - a x^2 + y, y' = b x",
    source="M. Hénon 1976, Commun. Math. Phys. 50, 69",
    dimension=2,
    low=(-0.5, -0.2),
    high=(0.5, 0.2),
    known=(
        Known(
            parameters={"a": 1.4, "b": 0.3},
            exponents=(0.419251, -1.623224),
            standard_error=(2.5e-5, 2.5e-5),
            kind="measured",
        ),
    ),
    identity="sum = ln|b|",
)

LOZI = SystemInfo(
    name="lozi",
    factory=lozi,
    formula="x' = 1 - a |x| + y, y' = b x",
    source="R. Lozi 1978, J. Phys. Colloques 39, C5-9",
    dimension=2,
    low=(-0.5, -0.2),
    high=(0.5, 0.2),
    known=(
        Known(
            parameters={"a": 1.7, "b": 0.5},
            exponents=(0.470169, -1.163317),
            standard_error=(2.7e-5, 2.7e-5),
            kind="measured",
        ),
    ),
    identity="sum = ln|b|",
)

IKEDA = SystemInfo(
    name="ikeda",
    factory=ikeda,
    formula="z' = 1 + u z exp(i t), t = c - d / (1 + |z|^2), z = x + i y",
    source="K. Ikeda 1979, Opt. Commun. 30, 257; S. Hammel et al. 1985, J. Opt. Soc. Am. B 2, 552",
    dimension=2,
    low=(-0.5, -0.5),
    high=(1.0, 0.5),
    known=(
        Known(
            parameters={"u": 0.9, "c": 0.4, "d": 6.0},
            exponents=(0.507595, -0.718316),
            standard_error=(6e-5, 6e-5),
            kind="measured",
        ),
    ),
    identity="sum = 2 ln|u|",
)

TINKERBELL = SystemInfo(
    name="tinkerbell",
    factory=tinkerbell,
    formula="x' = x^2 - y^2 + a x + b y, y' = 2 x y + c x + d y",
    source="H. E. Nusse and J. A. Yorke 1998, Dynamics: Numerical Explorations",
    dimension=2,
    low=(-0.73, -0.65),
    high=(-0.71, -0.63),
    notes="the attractor lies close to the boundary of its basin",
)
