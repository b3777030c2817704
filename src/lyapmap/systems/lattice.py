"""A ring of coupled logistic maps, of any size."""

from __future__ import annotations

from typing import Any

import numpy as np

from lyapmap.backends.numba.map import NumbaMap, RowRule
from lyapmap.core.arguments import whole
from lyapmap.systems.one_dimensional import LOGISTIC
from lyapmap.systems.reference_map import Known, ReferenceMap, SystemInfo, number


def coupled_map_lattice(n: int = 64, r: float = 4.0, eps: float = 0.1) -> ReferenceMap:
    """Logistic maps on a ring, coupled by diffusion.

    x_i' = (1 - eps) f(x_i) + eps / 2 (f(x_{i-1}) + f(x_{i+1})) with f(x) = r x (1 - x).

    Parameters
    ----------
    n : int
        Number of sites.
    r : float
        In [0, 4].
    eps : float
        Strength of the coupling, in [0, 1].

    Returns
    -------
    ReferenceMap
        Of dimension n. Tangents go through the coupling site by site: no Jacobian is made.

    Notes
    -----
    Without coupling all exponents are that of the logistic map. From a uniform state, which stays
    uniform, they are that of the logistic map plus ln|1 - eps + eps cos(2 pi m / n)|, m = 0 ... n - 1.

    References
    ----------
    K. Kaneko, "Period-doubling of kink-antikink patterns, quasiperiodicity in antiferro-like
    structures and spatial intermittency in coupled logistic lattice", Prog. Theor. Phys. 72, 480
    (1984).

    Examples
    --------
    >>> import numpy as np
    >>> coupled_map_lattice(n=3, eps=0.5).apply(np.array([[0.5, 0.0, 0.0]]))
    array([[0.5 , 0.25, 0.25]])
    """
    n, r, eps = whole("n", n, 1), number("r", r, 0, 4), number("eps", eps, 0, 1)
    known = None
    alone = LOGISTIC.known_at(r=r)
    if eps == 0 and alone is not None:
        # Sites are independent, so every one has the error of a single map.
        error = None if alone.standard_error is None else alone.standard_error * n
        known = Known(exponents=alone.exponents * n, kind=alone.kind, standard_error=error, formula=alone.formula)
    inner = NumbaMap(RowRule(_image, _tangents), state_shape=(n,), parameters=(r, eps))
    return ReferenceMap(inner, COUPLED_MAP_LATTICE, {"n": n, "r": r, "eps": eps}, known=known)


def _image(p: Any, x: Any, y: Any) -> None:
    r, eps = p
    n = x.shape[0]
    keep, give = 1 - eps, eps / 2
    f = np.empty(n)
    for i in range(n):
        f[i] = r * x[i] * (1 - x[i])
    y[0] = keep * f[0] + give * (f[n - 1] + f[1 % n])
    for i in range(1, n - 1):
        y[i] = keep * f[i] + give * (f[i - 1] + f[i + 1])
    y[n - 1] = keep * f[n - 1] + give * (f[(n - 2) % n] + f[0])


def _tangents(p: Any, x: Any, v: Any, u: Any) -> None:
    r, eps = p
    n = x.shape[0]
    keep, give = 1 - eps, eps / 2
    f = np.empty(n)
    for c in range(v.shape[0]):
        for i in range(n):
            f[i] = r * (1 - 2 * x[i]) * v[c, i]
        u[c, 0] = keep * f[0] + give * (f[n - 1] + f[1 % n])
        for i in range(1, n - 1):
            u[c, i] = keep * f[i] + give * (f[i - 1] + f[i + 1])
        u[c, n - 1] = keep * f[n - 1] + give * (f[(n - 2) % n] + f[0])


COUPLED_MAP_LATTICE = SystemInfo(
    name="coupled_map_lattice",
    factory=coupled_map_lattice,
    formula="x_i' = (1 - eps) f(x_i) + eps / 2 (f(x_{i-1}) + f(x_{i+1})), f(x) = r x (1 - x), on a ring",
    source="K. Kaneko 1984, Prog. Theor. Phys. 72, 480",
    dimension=None,
    low=(0.0,),
    high=(1.0,),
    identity="eps = 0: every exponent is that of the logistic map",
)
