"""Reference maps and flows with known exponents.

>>> from lyapmap import systems
>>> systems.tent(mu=2.0).known_exponents.round(4)
array([0.6931])

Every map is a function that makes it; `catalogue` lists them as data, `create` makes one by name.
Maps are compiled when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_NAMES = {
    "logistic": "one_dimensional",
    "tent": "one_dimensional",
    "henon": "planar",
    "lozi": "planar",
    "ikeda": "planar",
    "tinkerbell": "planar",
    "arnold_cat": "torus",
    "baker": "torus",
    "standard": "torus",
    "kaplan_yorke_map": "torus",
    "folded_towel": "spatial",
    "generalized_henon": "spatial",
    "coupled_map_lattice": "lattice",
    "random_tanh_network": "networks",
    "random_tanh_weights": "networks",
    "linear_map": "linear",
    "lorenz": "flows",
    "rossler": "flows",
    "lorenz96": "flows",
    "kuramoto_sivashinsky": "spectral_flows",
    "kuramoto_sivashinsky_profile": "spectral_flows",
    "catalogue": "registry",
    "create": "registry",
    "Known": "reference_map",
    "ReferenceMap": "reference_map",
    "SystemInfo": "reference_map",
}

__all__ = [*_NAMES]  # names are loaded late

# Names for type checkers; the rest of the world gets them from __getattr__.
# ruff: noqa: F401
if TYPE_CHECKING:
    from lyapmap.systems.flows import lorenz, lorenz96, rossler
    from lyapmap.systems.lattice import coupled_map_lattice
    from lyapmap.systems.linear import linear_map
    from lyapmap.systems.networks import random_tanh_network, random_tanh_weights
    from lyapmap.systems.one_dimensional import logistic, tent
    from lyapmap.systems.planar import henon, ikeda, lozi, tinkerbell
    from lyapmap.systems.reference_map import Known, ReferenceMap, SystemInfo
    from lyapmap.systems.registry import catalogue, create
    from lyapmap.systems.spatial import folded_towel, generalized_henon
    from lyapmap.systems.spectral_flows import kuramoto_sivashinsky, kuramoto_sivashinsky_profile
    from lyapmap.systems.torus import arnold_cat, baker, kaplan_yorke_map, standard


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'lyapmap.systems' has no attribute {name!r}")
    value = getattr(import_module(f"lyapmap.systems.{_NAMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
