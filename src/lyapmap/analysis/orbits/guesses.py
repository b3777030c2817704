"""Where a search for cycles begins: on orbits, where they nearly close, and in a box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.orbits.search import OrbitSearch
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.map import as_states

LONGER = 5
"""States looked at for each guess that is taken from them."""
SHOWN = 4000
STARTS = 16

_Values = NDArray[np.float64]


@dataclass(frozen=True)
class Guesses:
    """Guesses of cycles.

    Attributes
    ----------
    segments : (m, p, n)
        Pieces of orbits.
    visited : (s, n)
        Some of the states that they were chosen from, for a picture.
    origin : str
        Where they come from, in words.
    """

    segments: _Values
    visited: _Values
    origin: str


def make_guesses(search: OrbitSearch, x0: Any, region: Any, n_guesses: int, rng: np.random.Generator) -> Guesses:
    """Guesses from the orbits of x0, from a box, or half of each."""
    starts, origin = _starts(search, x0, region, rng)
    parts: list[_Values] = []
    visited = np.zeros((0, search.n))
    if starts is not None:
        wanted = n_guesses if region is None else -(-n_guesses // 2)
        orbits = _orbits(search, starts, wanted)
        parts.append(_along(orbits, search.p, len(starts), wanted, rng))
        flat = orbits.reshape(-1, search.n)
        flat = flat[np.isfinite(flat).all(axis=1)]
        visited = flat[:: max(1, -(-len(flat) // SHOWN))]
    if region is not None:
        low, high = _box(region, search.n)
        left = n_guesses - sum(len(part) for part in parts)
        parts.append(_segments(search, rng.uniform(low, high, (max(left, 1), search.n))))
    segments = np.concatenate(parts)
    return Guesses(segments[np.isfinite(segments).all(axis=(1, 2))], visited, origin)


def _starts(search: OrbitSearch, x0: Any, region: Any, rng: np.random.Generator) -> tuple[_Values | None, str]:
    if x0 is not None:
        rows, _ = as_states(x0, search.map)
        return np.asarray(search.ops.to_numpy(rows), np.float64), "x0"
    if region is not None:
        return None, "region"
    own = search.map.initial_states(STARTS, rng)
    if own is None:
        raise LyapmapError("x0: expected states to start from, or a region to draw guesses from, got neither")
    return np.asarray(own, np.float64), "the map's own region"


def _box(region: Any, n: int) -> tuple[_Values, _Values]:
    try:
        low, high = (np.broadcast_to(np.asarray(bound, np.float64), (n,)) for bound in region)
    except (TypeError, ValueError):
        raise ShapeError(f"region: expected (low, high), numbers or arrays ({n},), got {region!r}") from None
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
        raise LyapmapError(f"region: expected finite low < high, got {low.tolist()} and {high.tolist()}")
    return low, high


def _segments(search: OrbitSearch, x: _Values) -> _Values:
    """States (m, n) with the p - 1 that follow each, (m, p, n)."""
    points = [x]
    for _ in range(search.p - 1):
        points.append(search.images(points[-1]))
    return np.stack(points, axis=1)


def _orbits(search: OrbitSearch, starts: _Values, wanted: int) -> _Values:
    """Orbits (b, t, n) long enough to choose from."""
    steps = search.p + -(-LONGER * wanted // len(starts))
    points = [starts]
    for _ in range(steps):
        points.append(search.images(points[-1]))
    return np.stack(points, axis=1)


def _along(orbits: _Values, p: int, b: int, wanted: int, rng: np.random.Generator) -> _Values:
    """Pieces of orbits: those that begin at the starts, the closest returns, and as many at random."""
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.linalg.norm(orbits[:, p:] - orbits[:, :-p], axis=2)
    usable = np.isfinite(distance) & np.isfinite(orbits[:, :-p]).all(axis=2)
    rows, times = np.nonzero(usable)
    by_closeness = np.argsort(distance[rows, times], kind="stable")
    at_start = np.flatnonzero(times == 0)[:wanted]
    closest = by_closeness[: max(0, (wanted - len(at_start)) // 2)]
    rest = np.setdiff1d(np.arange(len(rows)), np.concatenate([at_start, closest]))
    more = rng.permutation(rest)[: max(0, wanted - len(at_start) - len(closest))]
    chosen = np.concatenate([at_start, closest, more]).astype(np.int64)
    index = times[chosen, None] + np.arange(p)
    return np.asarray(orbits[rows[chosen, None], index])
