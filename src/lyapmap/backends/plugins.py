"""Backends that other packages bring, found by the entry point group `lyapmap.backends`.

An entry point names a builder, a function like `wrap_numpy`: it takes the user's function,
`state_shape` and options, and returns a map. A builder may have an attribute `claims`, a function
that tells whether a callable is one of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from lyapmap.core.errors import LyapmapError

GROUP = "lyapmap.backends"

_log = logging.getLogger(__name__)


def plugins_by_name(ours: Iterable[str]) -> dict[str, list[EntryPoint]]:
    """Entry points of other packages by name, without those that bear the name of one of ours."""
    plugins: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        if point.name in ours:
            _say_once(f"the backend {point.name!r} is lyapmap's own; that of {_package(point)} is not used")
        else:
            plugins.setdefault(point.name, []).append(point)
    return plugins


def load(points: list[EntryPoint]) -> Callable[..., Any]:
    """The builder of the entry points of one name.

    Raises
    ------
    LyapmapError
        If it cannot be imported, or two packages bring one of this name; the message names them.
    """
    point, *others = points
    if others:
        raise LyapmapError(
            f"backend: {point.name!r} is brought by two packages, {_package(point)} and {_package(others[0])}; "
            "uninstall one of them"
        )
    try:
        builder: Callable[..., Any] = point.load()
    except Exception as error:  # anything may go wrong in another package
        reason = " ".join(str(error).split())
        raise LyapmapError(
            f"backend: {point.name!r} of the package {_package(point)} cannot be loaded "
            f"({type(error).__name__}: {reason}); install what it needs, or uninstall it"
        ) from error
    if not callable(builder):
        raise LyapmapError(
            f"backend: {point.name!r} of the package {_package(point)} is no function, got {type(builder).__name__}"
        )
    return builder


def claimed(function: Any, plugins: dict[str, list[EntryPoint]]) -> str | None:
    """Name of the first backend, in the order of names, whose builder claims a callable."""
    for name, points in sorted(plugins.items()):
        try:
            claims = getattr(load(points), "claims", None)
        except LyapmapError as error:
            # It must not stand in the way of what belongs to others.
            _say_once(str(error))
            continue
        if claims is not None and claims(function):
            return name
    return None


def _package(point: EntryPoint) -> str:
    return point.value if point.dist is None else f"{point.dist.name} {point.dist.version}"


@cache
def _say_once(message: str) -> None:
    _log.warning(message)
