"""Fixed points and cycles of a map, stable and unstable, by Newton's method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.attractor import neutral_within
from lyapmap.analysis.orbits.search import Guesses, OrbitSearch, cycle_multipliers, make_guesses
from lyapmap.core.arguments import positive, whole
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.demand import Demand, held
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import Map, rate_unit, time_per_step
from lyapmap.core.results import Cause, Result, Status, Verdict, dims
from lyapmap.core.run import Report, Run

FEWEST_GUESSES, MOST_GUESSES, WORK = 16, 1000, 4096
"""Default number of guesses, 4096 / n: as much work for a large map as for a small one; within bounds."""
TOGETHER = 2048
"""Unknowns that are solved for side by side: enough for full vectors, few enough that Ctrl-C is answered."""
BESIDE = 1e-3
"""How near an image must come to a point across a jump, as a part of the jump: neighbours are a root of the
rounding away, which a derivative of 1e4 carries to 1e-4."""
STABLE, SADDLE, UNSTABLE, NEUTRAL_NAME = "stable", "saddle", "unstable", "neutral"


@dataclass(frozen=True, kw_only=True)
class PeriodicOrbits(Result):
    """Cycles of a map.

    Attributes
    ----------
    orbits : (m, p, n)
        The points of each cycle in order, from that with the smallest first component; a cycle
        whose least period divides p goes round several times. Least periods ascend, and within
        one the leading multipliers.
    period : (m,)
        Least period.
    residual : (m,)
        Largest |f(x_i) - x_{i+1}| over points and components, relative to max(1, |x|).
    multipliers_real, multipliers_imag : (m, k)
        Eigenvalues of the derivative of one round, largest modulus first; NaN where fewer than k
        were found. All n up to 64 dimensions, else the leading ones.
    exponents : (m, k)
        ln|multiplier| over the period; -inf for a multiplier of 0.
    n_unstable : (m,)
        Multipliers outside the unit circle.
    n_found : (m,)
        Guesses that ended on the cycle.
    visited : (s, n)
        Some of the states that the guesses were chosen from.
    state_shape : tuple of int
    stability : tuple of str
        "stable", "saddle", "unstable" or "neutral" (a multiplier on the unit circle and none outside).
    unit : str
        Of the exponents.
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.orbits.pictures_orbits.draw_periodic_orbits"
    REMEDIES: ClassVar[dict[Status, str]] = {
        Status.NOT_CONVERGED: "give more guesses (n_guesses), a region, or states near a cycle"
    }

    orbits: NDArray[np.float64] = dims("cycle", "point", "component")
    period: NDArray[np.int64] = dims("cycle")
    residual: NDArray[np.float64] = dims("cycle")
    multipliers_real: NDArray[np.float64] = dims("cycle", "multiplier")
    multipliers_imag: NDArray[np.float64] = dims("cycle", "multiplier")
    exponents: NDArray[np.float64] = dims("cycle", "multiplier")
    n_unstable: NDArray[np.int64] = dims("cycle")
    n_found: NDArray[np.int64] = dims("cycle")
    visited: NDArray[np.float64] = dims("state", "component")
    state_shape: tuple[int, ...]
    stability: tuple[str, ...] = ()
    unit: str = "per step"

    @property
    def multipliers(self) -> NDArray[np.complex128]:
        """Complex multipliers (m, k)."""
        return self.multipliers_real + 1j * self.multipliers_imag

    def images(self) -> NDArray[np.float64]:
        """Points in the shape of a state, (m, p, *state_shape)."""
        return self.orbits.reshape(*self.orbits.shape[:2], *self.state_shape)

    def _finding(self) -> str:
        m = len(self.period)
        if not m:
            return "No cycle was seen; there may be some that the guesses missed."
        stable = sum(word == "stable" for word in self.stability)
        periods = ", ".join(str(p) for p in sorted({int(p) for p in self.period})[:6])
        kind = "cycle" if m == 1 else "cycles"
        return f"{m} {kind} of period {periods}, {stable} of them stable; others that the guesses missed may exist."


def periodic_orbits(
    map: Map,  # noqa: A002  # the field's own word
    x0: Any = None,
    *,
    period: int = 1,
    divisors: bool = False,
    region: Any = None,
    n_guesses: int | None = None,
    tolerance: float | None = None,
    max_iterations: int = 60,
    seed: int | None = None,
    progress: bool | Report = False,
    throw: bool = True,
) -> PeriodicOrbits:
    """Cycles of a map, with their multipliers.

    Newton's method solves f(x_i) = x_{i+1} for all p points at once. Up to 512 unknowns the
    equations are written out; larger ones (networks) are solved by GMRES from directional
    derivatives alone.

    Parameters
    ----------
    map : Map
        A function on R^n; it must not depend on the step. Cycles on both sides of a jump (0 and 1
        of a remainder modulo 1) are one.
    x0 : (n,), (b, n), state_shape or (b, *state_shape), optional
        States to start from. They are guesses themselves; further ones are taken from their
        orbits, half of them where the orbit comes closest to closing after p steps, half evenly.
        Without x0 and region, the map's own `initial_states`.
    period : int
        Points of a cycle, p; 1 for fixed points.
    divisors : bool
        Also report cycles whose least period divides that.
    region : (low, high), optional
        Draw half of the guesses (all without x0) evenly from this box, to find cycles that no
        orbit comes near.
    n_guesses : int, optional
        Places to start from; 4096 / n by default, at most 1000 and at least 16; fewer on sections of flows.
    tolerance : float, optional
        Largest defect |f(x_i) - x_{i+1}| of a cycle, relative to max(1, |x|): 1e-10 in float64,
        1e-5 in float32.
    max_iterations : int
        Most steps of Newton's method.
    seed : int, optional
        Of everything that is random. Without it drawn from the operating system and recorded.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (steps done, steps in all).
    throw : bool
        Raise if no cycle was found; else return the empty result with status "not_converged".

    Returns
    -------
    PeriodicOrbits

    Raises
    ------
    LyapmapError
        If an argument cannot be used.
    RunError
        If no guess led to a cycle of that period, and `throw`.
    Interrupted
        On Ctrl-C, with the cycles found until then, if there are any.

    Notes
    -----
    A search finds cycles, it does not prove that there are no others: look at `n_found`; cycles
    found once only suggest that more guesses would find more. Cycles that are not isolated (those
    of a rotation, a neutral direction) are found at points that depend on the guesses.

    References
    ----------
    P. Cvitanović et al., Chaos: Classical and Quantum, chapter "Fixed points, and how to get them".

    Examples
    --------
    >>> import lyapmap as lm
    >>> cycles = lm.periodic_orbits(lm.systems.henon(), [0.1, 0.1], period=2, seed=0)
    >>> cycles.orbits[0].round(4).tolist()
    [[-0.4758, 0.2927], [0.9758, -0.1427]]
    >>> cycles.stability
    ('saddle',)
    """
    tangent_map = as_tangent_map(map)
    if tangent_map.depends_on_step:
        raise LyapmapError("map: a map that depends on the step has no cycles")
    p = whole("period", period, 1)
    max_iterations = whole("max_iterations", max_iterations, 1)
    eps = float(np.finfo(tangent_map.ops.dtype).eps)
    limit = (1e-10 if eps < 1e-10 else 1e-5) if tolerance is None else positive("tolerance", tolerance)
    search = OrbitSearch(tangent_map, p)
    usual = max(FEWEST_GUESSES, min(MOST_GUESSES, WORK // (search.n * tangent_map.cost)))
    many = usual if n_guesses is None else whole("n_guesses", n_guesses, 1)
    run = Run("periodic orbits", tangent_map, seed=seed, progress=progress)
    run.needs(Demand([held("guesses", 6 * 8, n_guesses=many, period=p, _n=search.n)]))
    collected = _Collected(search, limit, np.sqrt(eps), divisors)
    with run.steps(keep=lambda: collected.orbits) as report:
        guesses = make_guesses(search, x0, region, many, run.rng)
        _solve(search, guesses, collected, max_iterations, report)
    return run.finish(_result(collected, guesses, max_iterations, run), throw)


def _solve(search: OrbitSearch, guesses: Guesses, collected: _Collected, max_iterations: int, report: Report) -> None:
    """Improve all guesses, some at a time, so that Ctrl-C keeps what was found."""
    segments = guesses.segments
    many = max(1, TOGETHER // (search.n * search.p)) if search.dense else 1
    for i in range(0, len(segments), many):
        some = segments[i : i + many]
        collected.add(*search.newton(some, tolerance=collected.tolerance, max_iterations=max_iterations))
        report(min(i + many, len(segments)), len(segments))


class _Collected:
    """Cycles found, each once."""

    def __init__(self, search: OrbitSearch, tolerance: float, separation: float, divisors: bool) -> None:
        self.search = search
        self.tolerance = tolerance
        self.separation = separation
        self.divisors = divisors
        self.orbits: list[NDArray[np.float64]] = []
        self.residuals: list[float] = []
        self.periods: list[int] = []
        self.counts: list[int] = []
        self.shorter = 0
        self._points = np.zeros((0, search.n))
        self._owner = np.zeros(0, np.int64)

    def add(self, x: NDArray[np.float64], residuals: NDArray[np.float64]) -> None:
        """Take in converged guesses (m, p, n); those whose residual is too large are left out."""
        sizes = np.maximum(np.abs(x).max(axis=(1, 2)), 1.0)
        for row in np.flatnonzero(residuals <= self.tolerance):
            orbit, near = x[row], self.separation * sizes[row]
            known = np.flatnonzero(np.abs(self._points - orbit[0]).max(axis=1) <= near)
            if known.size:
                self.counts[self._owner[known[0]]] += 1
                continue
            least = self._least_period(orbit, near)
            if least < len(orbit) and not self.divisors:
                self.shorter += 1
                continue
            self._points = np.concatenate([self._points, orbit[:least]])
            self._owner = np.concatenate([self._owner, np.full(least, len(self.orbits))])
            self.orbits.append(np.roll(orbit, -int(orbit[:, 0].argmin()), axis=0))
            self.residuals.append(float(residuals[row]))
            self.periods.append(least)
            self.counts.append(1)

    def unite(self) -> None:
        """Cycles on the two sides of a jump become one: 0 and 2 pi of an angle are the same state.

        They are known by their neighbours: beside each there are states whose images lie at the
        other.
        """
        around: dict[int, NDArray[np.float64]] = {}
        for row, (orbit, p) in enumerate(zip(self.orbits, self.periods, strict=True)):
            images = self.search.images_around(orbit[:p], self.separation)
            spread = np.abs(images - np.roll(orbit[:p], -1, axis=0)).max(axis=(1, 2))
            if not (spread <= BESIDE * max(float(np.abs(orbit).max()), 1.0)).all():
                around[row] = images
        dropped: set[int] = set()
        for i in around:
            for j in around:
                if i < j and not {i, j} & dropped and self.periods[i] == self.periods[j] and self._joined(i, j, around):
                    # The lower one stays: a remainder reaches 0 and not the divisor.
                    keep, drop = sorted((i, j), key=lambda row: float(np.abs(self.orbits[row]).sum()))
                    self.counts[keep] += self.counts[drop]
                    dropped.add(drop)
        lists: tuple[list[Any], ...] = (self.orbits, self.residuals, self.periods, self.counts)
        for kept in lists:
            kept[:] = [value for row, value in enumerate(kept) if row not in dropped]

    def _joined(self, i: int, j: int, around: dict[int, NDArray[np.float64]]) -> bool:
        p = self.periods[i]
        first, second = self.orbits[i][:p], self.orbits[j][:p]
        near = self.separation * max(float(np.abs(first).max()), 1.0)
        for shift in range(p):
            turned, images = np.roll(second, -shift, axis=0), np.roll(around[j], -shift, axis=1)
            gap = np.abs(first - turned).max(axis=1)
            # Points that differ must be reached from beside those before them, by either cycle.
            reached = np.ones(p, bool)
            for nearby, other in ((around[i], turned), (images, first)):
                distance = np.abs(np.roll(nearby, 1, axis=1) - other).max(axis=2).min(axis=0)
                reached &= (gap <= near) | (distance <= BESIDE * gap)
            if reached.all():
                return True
        return False

    @staticmethod
    def _least_period(orbit: NDArray[np.float64], near: float) -> int:
        p = len(orbit)
        for d in range(1, p):
            if p % d == 0 and np.abs(np.roll(orbit, -d, axis=0) - orbit).max() <= near:
                return d
        return p


def _result(
    collected: _Collected,
    guesses: Guesses,
    max_iterations: int,
    run: Run,
) -> PeriodicOrbits:
    collected.unite()
    search, m = collected.search, len(collected.orbits)
    period = np.array(collected.periods, np.int64)
    of_cycles = [
        cycle_multipliers(search, orbit[:least], run.rng)
        for orbit, least in zip(collected.orbits, collected.periods, strict=True)
    ]
    k = max((len(values) for values, _ in of_cycles), default=0)
    multipliers, logs = np.full((m, k), np.nan + 1j * np.nan), np.full((m, k), np.nan)
    for row, (values, moduli) in enumerate(of_cycles):
        multipliers[row, : len(values)], logs[row, : len(values)] = values, moduli
    neutral = neutral_within(search.ops.dtype)
    modulus = np.abs(multipliers)
    n_unstable = (modulus > 1 + neutral).sum(axis=1)
    order = np.lexsort((modulus[:, 0] if m else period, period))
    exponents = logs / period[:, None] / time_per_step(search.map)
    settings = {
        "period": search.p,
        "divisors": collected.divisors,
        "n_guesses": len(guesses.segments),
        "tolerance": collected.tolerance,
        "max_iterations": max_iterations,
        "started_from": guesses.origin,
    }
    verdict = Verdict()
    if run.interrupted:
        verdict = Verdict(Status.NOT_CONVERGED, "interrupted before all guesses were tried", Cause.INTERRUPTED)
    elif m == 0:
        also = f"; {collected.shorter} led to cycles of a shorter period" if collected.shorter else ""
        message = f"none of {len(guesses.segments)} guesses led to a cycle of period {search.p}{also}"
        verdict = Verdict(Status.NOT_CONVERGED, message)
    orbits = np.stack(collected.orbits) if m else np.zeros((0, search.p, search.n))
    return PeriodicOrbits(
        **run.ending(verdict),
        settings=settings,
        orbits=orbits[order],
        period=period[order],
        residual=np.array(collected.residuals, np.float64)[order],
        multipliers_real=multipliers.real[order],
        multipliers_imag=multipliers.imag[order],
        exponents=exponents[order],
        n_unstable=n_unstable[order].astype(np.int64),
        n_found=np.array(collected.counts, np.int64)[order],
        visited=guesses.visited,
        state_shape=tuple(search.map.state_shape),
        stability=tuple(_stability(row, search.n, neutral) for row in multipliers[order]),
        unit=rate_unit(search.map),
    )


def _stability(multipliers: NDArray[np.complex128], n: int, neutral: float) -> str:
    modulus = np.abs(multipliers[np.isfinite(multipliers)])
    outside = int((modulus > 1 + neutral).sum())
    if outside == 0:
        return NEUTRAL_NAME if (modulus >= 1 - neutral).any() else STABLE
    return UNSTABLE if outside == n else SADDLE
