"""Names of a package that are loaded at first use, and the frameworks of their modules with them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def late(package: str, places: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package whose names lie in modules, (name -> module).

    A module that begins with a dot lies in the package.

    >>> find, names = late("lyapmap.systems", {"henon": ".planar"})
    >>> names()
    ['henon']
    >>> find("henon").__module__
    'lyapmap.systems.planar'
    """

    def find(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(places[name], package), name)
        setattr(sys.modules[package], name, value)
        return value

    return find, lambda: sorted(places)
