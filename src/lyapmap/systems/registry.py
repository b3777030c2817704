"""The catalogue: all reference maps as data, and by name."""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from lyapmap.core.errors import LyapmapError
from lyapmap.systems import flows, lattice, linear, networks, one_dimensional, planar, spatial, spectral_flows, torus
from lyapmap.systems.reference_map import ReferenceMap, SystemInfo


def catalogue() -> dict[str, SystemInfo]:
    """All reference maps as data, by name.

    Returns
    -------
    dict of SystemInfo

    Examples
    --------
    >>> catalogue()["henon"].formula
    "x' = 1 - a x^2 + y, y' = b x"
    """
    return dict(_catalogue())


def create(name: str, **parameters: Any) -> ReferenceMap:
    """A reference map by name.

    Parameters
    ----------
    name : str
        A key of `catalogue`.
    **parameters
        Of its factory; the defaults for those left out.

    Returns
    -------
    ReferenceMap

    Raises
    ------
    LyapmapError
        If there is no such map or parameter, or a value will not do.

    Examples
    --------
    >>> create("logistic", r=3.9)
    logistic(r=3.9)
    """
    known = _catalogue()
    if name not in known:
        raise LyapmapError(f"name: expected a reference map, got {name!r}{_hint(name, list(known))}")
    info = known[name]
    for parameter in parameters:
        if parameter not in info.parameters:
            hint = _hint(parameter, list(info.parameters))
            raise LyapmapError(f"{parameter}: expected a parameter of {name}, got {parameter!r}{hint}")
    return info.factory(**parameters)


def _hint(got: str, names: list[str]) -> str:
    close = get_close_matches(got, names, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there are {', '.join(names)}" if names else "; it has none"


@lru_cache(maxsize=1)
def _catalogue() -> dict[str, SystemInfo]:
    infos = (
        one_dimensional.LOGISTIC,
        one_dimensional.TENT,
        planar.HENON,
        planar.LOZI,
        planar.IKEDA,
        torus.ARNOLD_CAT,
        torus.BAKER,
        torus.STANDARD,
        spatial.FOLDED_TOWEL,
        spatial.GENERALIZED_HENON,
        planar.TINKERBELL,
        torus.KAPLAN_YORKE,
        lattice.COUPLED_MAP_LATTICE,
        networks.RANDOM_TANH_NETWORK,
        linear.LINEAR_MAP,
        flows.LORENZ,
        flows.ROSSLER,
        flows.LORENZ96,
        spectral_flows.KURAMOTO_SIVASHINSKY,
    )
    return {info.name: info for info in infos}
