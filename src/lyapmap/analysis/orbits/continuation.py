"""Fixed points and cycles of a family of maps along a parameter, by pseudo-arclength continuation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.attractor import neutral_within
from lyapmap.analysis.orbits.families import Family, family_of
from lyapmap.analysis.orbits.periodic_orbits import periodic_orbits
from lyapmap.analysis.orbits.search import DENSE, OrbitSearch, cycle_multipliers
from lyapmap.core.arguments import positive, whole
from lyapmap.core.errors import LyapmapError, RunError
from lyapmap.core.map import TangentMap, dimension
from lyapmap.core.results import Cause, Result, Status, Verdict, dims
from lyapmap.core.run import Report, Run

Values = NDArray[np.float64]

FOLD, FLIP, NEIMARK_SACKER, BRANCH = "fold", "flip", "Neimark-Sacker", "branch point"
CORRECTIONS = 8
"""Most steps of Newton's method from a predicted point."""
QUICK, SLOW = 3, 6
"""Corrections below which the next step is longer, and above which it is shorter."""
LONGER, SHORTER = 1.4, 0.5
SMALLEST = 1e-7
"""Shortest step along the branch, as a part of `step`, before it is given up."""
TURNED = 0.9
"""Least cosine of the angle between directions of the branch at neighbouring points: else it may be another one."""
BISECTIONS = 60
"""Most steps in search of a special point between two others."""
EXACT = 1e-13
"""Distance of a special point, in units of arc length, at which the search ends."""
CROSSING = 1e-3
"""Distance of two points beside a branch point, in units of arc length, between which a straight line is drawn."""
FAR = 10.0
"""Size of the states, in units of that at the start, beyond which a branch leaves for infinity."""
JOINED = 1e-4
"""Distance, relative to the size of the states, of points of a cycle that become one at a period doubling."""
ROUNDING = 1e-14
"""Length of a step of Newton's method that only mends rounding."""
SAME = 1e-5
"""Distance within which two points of branches at the same value are one."""


@dataclass(frozen=True, kw_only=True)
class Continuation(Result):
    """Branches of fixed points or cycles along a parameter.

    Attributes
    ----------
    values : (m,)
        Of the parameter at each point, branch after branch, in their order along it.
    branch : (m,)
        Number of the branch that a point lies on, from 0.
    orbits : (m, p, n)
        The cycle at each point.
    multipliers_real, multipliers_imag : (m, k)
        Its multipliers, largest modulus first; NaN where fewer than k were computed.
    n_unstable : (m,)
        Multipliers outside the unit circle: 0 where the cycle is stable.
    residual : (m,)
        Largest defect |f(x_i) - x_{i+1}| relative to max(1, |x|).
    special_values : (s,)
        Where something happens: values of the parameter.
    special_branch : (s,)
    special_orbits : (s, p, n)
    special_real, special_imag : (s,)
        The multiplier that lies on the unit circle there.
    special_kinds : tuple of str
        "fold" (two cycles meet and vanish, multiplier 1), "flip" (period doubling, -1), "Neimark-Sacker" (a complex
        pair), "branch point" (multiplier 1, another branch crosses).
    ends : tuple of str
        Why each branch ends, at its first and last point.
    parameter : str
    state_shape : tuple of int
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.orbits.pictures_flows.draw_continuation"
    SUMMARY: ClassVar[tuple[str, ...]] = ("parameter", "special_kinds", "ends")
    REMEDIES: ClassVar[dict[Any, str]] = {
        Status.NOT_CONVERGED: "start at another value (start) or near a cycle (x0), or give a region"
    }

    values: Values = dims("point")
    branch: NDArray[np.int64] = dims("point")
    orbits: Values = dims("point", "place", "component")
    multipliers_real: Values = dims("point", "multiplier")
    multipliers_imag: Values = dims("point", "multiplier")
    n_unstable: NDArray[np.int64] = dims("point")
    residual: Values = dims("point")
    special_values: Values = dims("special")
    special_branch: NDArray[np.int64] = dims("special")
    special_orbits: Values = dims("special", "place", "component")
    special_real: Values = dims("special")
    special_imag: Values = dims("special")
    special_kinds: tuple[str, ...]
    ends: tuple[str, ...]
    parameter: str
    state_shape: tuple[int, ...]

    @property
    def multipliers(self) -> NDArray[np.complex128]:
        """Complex multipliers (m, k)."""
        return self.multipliers_real + 1j * self.multipliers_imag

    @property
    def special(self) -> list[tuple[str, float, Values]]:
        """Kind, value of the parameter and cycle (p, n) of each special point."""
        return [*zip(self.special_kinds, self.special_values.tolist(), self.special_orbits, strict=True)]


def continue_orbits(
    factory: Any,
    parameter: str,
    range: Any,  # noqa: A002  # what everybody calls it
    x0: Any = None,
    *,
    period: int = 1,
    start: float | None = None,
    region: Any = None,
    step: float = 0.02,
    max_points: int = 1_000,
    n_guesses: int | None = None,
    tolerance: float | None = None,
    seed: int | None = None,
    progress: bool | Report = False,
    throw: bool = True,
) -> Continuation:
    """Follow fixed points or cycles, stable and unstable, along a parameter and around folds.

    Cycles are found at one value of the parameter, as `periodic_orbits` does, and followed to both sides by
    pseudo-arclength continuation: predicted along the branch, corrected by Newton's method across it.

    Parameters
    ----------
    factory : callable, or Map
        Makes the map of a value, called with the parameter as keyword, e.g. ``lm.systems.logistic``, or by place where
        it has no such keyword. Or a map of the n + 1 values (x, a), of whose image the first n count: its backend
        gives the derivative by the parameter, and nothing is wrapped anew.
    parameter : str
        Keyword of the factory; what it is called.
    range : (low, high)
        Values between which branches are followed.
    x0 : (n,), (b, n), state_shape or (b, *state_shape), optional
        States to search from at the start, as of `periodic_orbits`. Without x0 and region, the map's own.
    period : int
        Points of a cycle; 1 for fixed points.
    start : float, optional
        Value at which cycles are searched for; the lower end of the range by default.
    region : (low, high), optional
        Box of states to draw guesses from.
    step : float
        Longest step along a branch, as a part of the range (and of the size of the states).
    max_points : int
        Most points of a branch.
    n_guesses : int, optional
        Places to search from at the start; see `periodic_orbits`.
    tolerance : float, optional
        Largest defect of a cycle, relative to max(1, |x|): 1e-11 in float64, 1e-5 in float32.
    seed : int, optional
        Of the search. Without it drawn from the operating system and recorded.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (steps done, steps in all).
    throw : bool
        Raise if no cycle was found at the start; else return the empty result with status "not_converged".

    Returns
    -------
    Continuation

    Raises
    ------
    LyapmapError
        If an argument cannot be used, or the factory fails at a value.
    RunError
        If no cycle was found at the start, and `throw`.
    Interrupted
        On Ctrl-C, with the branches followed until then.

    Notes
    -----
    Folds, flips (period doublings), Neimark-Sacker points and branch points are located between points by bisection
    and interpolation of the multiplier concerned. Of maps beyond 64 dimensions only the leading multipliers are known;
    beyond 512 unknowns Newton's equations are solved by GMRES from directional derivatives. Of the time-tau map of a
    flow, fixed points are equilibria and Neimark-Sacker points are Hopf's; of `poincare_map`, cycles are closed orbits.

    References
    ----------
    E. J. Doedel, H. B. Keller and J. P. Kernévez, Int. J. Bifurcation Chaos 1, 493 (1991).
    Yu. A. Kuznetsov, "Elements of Applied Bifurcation Theory", Springer (2004), Chapters 4, 5 and 10.

    Examples
    --------
    The fixed point 1 - 1/r of the logistic map doubles its period at r = 3:

    >>> import lyapmap as lm
    >>> branch = lm.continue_orbits(lm.systems.logistic, "r", (2.0, 3.5), [0.5], seed=0, n_guesses=4)
    >>> [(kind, round(value, 8)) for kind, value, _ in branch.special]
    [('flip', 3.0)]
    """
    low, high = _ends(range)
    p, most = whole("period", period, 1), whole("max_points", max_points, 2)
    longest = positive("step", step, finite=True)
    first = low if start is None else float(start)
    if not low <= first <= high:
        raise LyapmapError(f"start: expected a value within the range {low:g} to {high:g}, got {start!r}")
    family = family_of(factory, parameter, (low, high))
    at_start = family.at(first)
    if at_start.depends_on_step:
        raise LyapmapError("factory: a map that depends on the step has no cycles")
    double = float(np.finfo(at_start.ops.dtype).eps) < 1e-10
    limit = (1e-11 if double else 1e-5) if tolerance is None else positive("tolerance", tolerance)
    run = Run("continuation", at_start, seed=seed, progress=progress)
    traced: list[_Branch] = []
    found_none = ""
    with run.steps(keep=lambda: traced) as report:
        try:
            cycles = periodic_orbits(
                at_start, x0, period=p, region=region, n_guesses=n_guesses, seed=run.seed, throw=True
            )
        except RunError as error:
            found_none = str(getattr(error.result, "message", error))
        else:
            scale = max(1.0, float(np.abs(cycles.orbits).max()))
            tracer = _Tracer(family, p, (low, high), scale, longest, most, limit, run.rng)
            for i, orbit in enumerate(cycles.orbits):
                if not any(known.passes(orbit, first, SAME * scale) for known in traced):
                    branch = _Branch()
                    traced.append(branch)
                    tracer.both_ways(branch, orbit, first, lambda: report(i, len(cycles.orbits)))  # noqa: B023
                report(i + 1, len(cycles.orbits))
    settings = {
        "range": [low, high],
        "period": p,
        "start": first,
        "step": longest,
        "max_points": most,
        "tolerance": limit,
        "derivative_by_parameter": family.derivative,
    }
    verdict = Verdict()
    if run.interrupted:
        verdict = Verdict(Status.NOT_CONVERGED, "interrupted before all branches were followed", Cause.INTERRUPTED)
    elif not traced:
        verdict = Verdict(Status.NOT_CONVERGED, f"at {parameter} = {first:g} {found_none}")
    return run.finish(_result(traced, p, at_start, parameter, run.ending(verdict), settings), throw)


def _ends(given: Any) -> tuple[float, float]:
    try:
        low, high = (float(value) for value in given)
    except (TypeError, ValueError):
        low = high = np.nan
    if not (np.isfinite([low, high]).all() and low < high):
        raise LyapmapError(f"range: expected finite (low, high) with low < high, got {given!r}")
    return low, high


@dataclass
class _Point:
    """A point of a branch.

    Attributes
    ----------
    u : (p n + 1,)
        The cycle, then the parameter, both scaled.
    direction : (p n + 1,)
        Of the branch, of length 1.
    """

    u: Values
    direction: Values
    residual: float
    multipliers: NDArray[np.complex128] = field(default_factory=lambda: np.zeros(0, np.complex128))


@dataclass
class _Branch:
    """Points in their order along the branch, and special ones."""

    points: list[_Point] = field(default_factory=list)
    special: list[tuple[str, _Point, complex]] = field(default_factory=list)
    ends: tuple[str, str] = ("", "")
    tracer: Any = None

    def passes(self, orbit: Values, value: float, near: float) -> bool:
        """Whether a cycle at a value of the parameter lies on it."""
        for before, after in zip(self.points, self.points[1:], strict=False):
            a, b = self.tracer.parts(before.u)[1], self.tracer.parts(after.u)[1]
            if (a - value) * (b - value) > 0 or not np.isfinite(a + b):
                continue
            at, _ = self.tracer.at_value(before, value)
            if at is None:
                continue
            z = self.tracer.parts(at.u)[0]
            if any(np.abs(np.roll(z, i, axis=0) - orbit).max() <= near for i in _counted(len(z))):
                return True
        return False


def _counted(count: int) -> Iterator[int]:
    yield from np.arange(count).tolist()


class _Tracer:
    """Follows a branch."""

    def __init__(
        self,
        family: Family,
        p: int,
        ends: tuple[float, float],
        scale: float,
        longest: float,
        most: int,
        limit: float,
        rng: np.random.Generator,
    ) -> None:
        self.family, self.p, self.ends, self.scale = family, p, ends, scale
        self.longest, self.most, self.limit, self.rng = longest, most, limit, rng
        self.n = dimension(family.at(ends[0]).state_shape)
        self.width = ends[1] - ends[0]
        self.size = p * self.n

    def parts(self, u: Values) -> tuple[Values, float]:
        """The cycle (p, n) and the value of the parameter."""
        value = float(self.ends[0] + self.width * u[-1])
        return u[:-1].reshape(self.p, self.n) * self.scale, min(max(value, self.ends[0]), self.ends[1])

    def joined(self, x: Values, value: float) -> Values:
        return np.append(x.ravel() / self.scale, (value - self.ends[0]) / self.width)

    def search(self, value: float) -> OrbitSearch:
        return OrbitSearch(self.family.at(value), self.p)

    def both_ways(self, branch: _Branch, orbit: Values, value: float, tell: Callable[[], None]) -> None:
        """Follow the branch through a cycle to both sides."""
        branch.tracer = self
        u = self.joined(orbit, value)
        ahead = np.zeros(self.size + 1)
        ahead[-1] = 1.0
        first = self._corrected(u, ahead, ahead)
        if first is None:
            branch.ends = ("not converged", "not converged")
            return
        begin, _ = first
        begin.multipliers = self._multipliers(begin.u)
        forward: list[_Point] = [begin]
        branch.points = forward
        ends = ["", ""]
        if value < self.ends[1] or begin.direction[-1] < 0:
            ends[1] = self._follow(branch, forward, begin, tell)
        special, branch.special = branch.special, []
        back = _Point(begin.u, -begin.direction, begin.residual, begin.multipliers)
        backward: list[_Point] = [back]
        if ends[1] == "closed":
            ends[0] = "closed"
        else:
            ends[0] = self._follow(branch, backward, back, tell)
        branch.special = branch.special[::-1] + special
        branch.points = backward[:0:-1] + forward
        branch.ends = (ends[0], ends[1])

    def _follow(self, branch: _Branch, points: list[_Point], begin: _Point, tell: Callable[[], None]) -> str:
        """Add points in the direction of the last one; why it ends."""
        length, now = self.longest, begin
        while len(points) < self.most:
            tell()
            predicted = now.u + length * now.direction
            outside = not 0 <= predicted[-1] <= 1
            if outside:
                at, _ = self.at_value(now, self.ends[0] if predicted[-1] < 0 else self.ends[1])
                made = None if at is None else (at, QUICK)
            else:
                made = self._corrected(predicted, now.direction, now.direction)
            good = made is not None and float(made[0].direction @ now.direction) >= TURNED
            if good and made is not None:
                along = float((made[0].u - now.u) @ now.direction)
                good = 0 <= along <= 2 * length
            if made is None or not good:
                length *= SHORTER
                if length < SMALLEST * self.longest:
                    return "not converged"
                continue
            after, corrections = made
            after.multipliers = self._multipliers(after.u)
            if float(np.linalg.norm(after.u - now.u)) > 0:
                events = self._special(now, after)
                branch.special += events
                joins = next((event for event in events if self._least_period(event[1]) < self.p), None)
                if joins is not None:
                    points.append(joins[1])
                    return f"joins period {self._least_period(joins[1])}"
                points.append(after)
            if float(np.abs(after.u[:-1]).max()) > FAR:
                return "leaves for infinity"
            if outside:
                return "end of the range"
            if (
                len(points) > 4
                and float(np.linalg.norm(after.u - begin.u)) < length
                and (float(after.direction @ begin.direction) > TURNED)
            ):
                points.append(begin)
                return "closed"
            if corrections < QUICK:
                length = min(length * LONGER, self.longest)
            elif corrections > SLOW:
                length *= SHORTER
            now = after
        return "max_points"

    def at_value(self, near: _Point, value: float) -> tuple[_Point | None, str]:
        """The point of the branch at a value of the parameter, next to another point."""
        across = np.zeros(self.size + 1)
        across[-1] = 1.0
        u = near.u.copy()
        slope = near.direction[-1]
        t = (value - self.ends[0]) / self.width - u[-1]
        if slope != 0 and abs(t / slope) <= 4 * self.longest:
            u = u + t / slope * near.direction
        u[-1] = (value - self.ends[0]) / self.width
        made = self._corrected(u, across, near.direction)
        return (None, "not converged") if made is None else (made[0], "")

    def _corrected(
        self, u: Values, across: Values, before: Values, *, tight: bool = False
    ) -> tuple[_Point, int] | None:
        """Newton's method for a point of the branch in the plane through u across a direction; corrections taken.

        `tight` goes on until the steps are roundings: where branches cross, a small defect says little.
        """
        plane = float(across @ u)
        residual = moved = np.inf
        for corrections in np.arange(CORRECTIONS + 1).tolist():
            if not -ROUNDING <= u[-1] <= 1 + ROUNDING:
                return None
            x, value = self.parts(u)
            search = self.search(value)
            defects = search.defects(x[None])
            after = float(search.residuals(x[None], defects)[0])
            if not np.isfinite(after) or after > 1e3 * max(residual, 1e-3):
                return None
            residual = after
            settled = moved <= ROUNDING if tight else corrections or residual <= self.limit * 1e-2
            if residual <= self.limit and (settled or corrections == CORRECTIONS):
                direction = self._direction(search, x, value, before)
                return None if direction is None else (_Point(u, direction, residual), corrections)
            if corrections == CORRECTIONS:
                break
            off = plane - float(across @ u)
            step = self._solved(search, x, value, across, np.append(-defects.ravel() / self.scale, off))
            if step is None:
                return None
            u, moved = u + step, float(np.linalg.norm(step))
        return None

    def _direction(self, search: OrbitSearch, x: Values, value: float, before: Values) -> Values | None:
        right = np.zeros(self.size + 1)
        right[-1] = 1.0
        direction = self._solved(search, x, value, before, right)
        if direction is None or not float(np.linalg.norm(direction)) > 0:
            return None
        unit: Values = direction / np.linalg.norm(direction)
        return unit

    def _solved(self, search: OrbitSearch, x: Values, value: float, across: Values, right: Values) -> Values | None:
        """The solution of [D F; across] du = right, in scaled unknowns."""
        slope = self.family.slope(x, value).ravel() * self.width / self.scale
        if self.size <= DENSE:
            matrix = np.zeros((self.size + 1, self.size + 1))
            matrix[:-1, :-1] = search.cyclic(search.jacobians(x[None]))[0]
            for i in _counted(self.p):
                rows, columns = slice(i * self.n, (i + 1) * self.n), ((i + 1) % self.p) * self.n
                matrix[rows, columns : columns + self.n] -= np.eye(self.n)
            matrix[:-1, -1] = slope
            matrix[-1] = across
            if not np.isfinite(matrix).all():
                return None
            try:
                return np.asarray(np.linalg.solve(matrix, right))
            except np.linalg.LinAlgError:
                return np.asarray(np.linalg.lstsq(matrix, right, rcond=None)[0])
        from scipy.sparse.linalg import LinearOperator, gmres

        def product(v: Any) -> Values:
            v = np.asarray(v, np.float64).ravel()
            parts = v[:-1].reshape(self.p, self.n)
            moved = np.stack([search.along(x[i], parts[i]) for i in _counted(self.p)])
            return np.append((moved - np.roll(parts, -1, axis=0)).ravel() + v[-1] * slope, across @ v)

        operator = LinearOperator((self.size + 1, self.size + 1), matvec=product, dtype=np.float64)
        solution, _ = gmres(operator, right, rtol=1e-9, restart=80, maxiter=4)
        return np.asarray(solution) if np.isfinite(solution).all() else None

    def _multipliers(self, u: Values) -> NDArray[np.complex128]:
        x, value = self.parts(u)
        return cycle_multipliers(self.search(value), x, np.random.default_rng(0))[0]

    def _special(self, before: _Point, after: _Point) -> list[tuple[str, _Point, complex]]:
        """Special points between two neighbours, in their order."""
        kinds = []
        turned = before.direction[-1] * after.direction[-1] < 0
        if turned:
            kinds.append(FOLD)
        elif _beyond(before.multipliers, 1) != _beyond(after.multipliers, 1):
            kinds.append(BRANCH)
        if _beyond(before.multipliers, -1) != _beyond(after.multipliers, -1):
            kinds.append(FLIP)
        if _pairs(before.multipliers) != _pairs(after.multipliers):
            kinds.append(NEIMARK_SACKER)
        special = []
        for kind in kinds:
            located = self._located(before, after, kind)
            if located is not None:
                shorter = self._least_period(located[0])
                doubles = kind in (FOLD, BRANCH) and 2 * shorter == self.p
                special.append((FLIP if doubles else kind, *located))
        special.sort(key=lambda entry: float((entry[1].u - before.u) @ before.direction))
        return special

    def _least_period(self, point: _Point) -> int:
        """Of the cycle at a special point: where a cycle of half the period doubles, both are one."""
        x = self.parts(point.u)[0] / self.scale
        for d in _counted(self.p):
            if d and self.p % d == 0 and np.abs(np.roll(x, -d, axis=0) - x).max() <= JOINED:
                return d
        return self.p

    def _located(self, before: _Point, after: _Point, kind: str) -> tuple[_Point, complex] | None:
        """The point at which the test of a kind is zero, and the multiplier on the unit circle."""
        low, high = 0.0, float((after.u - before.u) @ before.direction)
        below, above = _test(before, kind), _test(after, kind)
        if not below * above <= 0:
            return None  # two multipliers changed places: nothing crosses the circle
        best, least, side = before, np.inf, 0
        ends = [(before, below), (after, above)]
        for i in _counted(BISECTIONS):
            if high - low <= (CROSSING if kind == BRANCH else EXACT):
                break
            share = below / (below - above) if below != above else 0.5
            if kind == BRANCH:  # there the equations have no single solution: it is enclosed, and not met
                share = 0.5 + 0.03 * (i % 3 - 1)
            t = low + (high - low) * min(max(share, 0.01), 0.99)
            made = self._corrected(before.u + t * before.direction, before.direction, before.direction, tight=True)
            if made is None and kind == BRANCH:
                continue
            if made is None:
                break
            point = made[0]
            point.multipliers = self._multipliers(point.u)
            value = _test(point, kind)
            if abs(value) < least:
                best, least = point, abs(value)
            if value == 0:
                break
            # The end that stays is given less weight (Illinois).
            ends[0 if value * ends[0][1] > 0 else 1] = (point, value)
            if value * below > 0:
                low, below = t, value
                above = above / 2 if side == 1 else above
                side = 1
            else:
                high, above = t, value
                below = below / 2 if side == -1 else below
                side = -1
        if kind == BRANCH and self._least_period(best) == self.p:
            # Where branches cross, the equations have no single solution: the line between two points beside it does.
            (one_side, first), (other_side, second) = ends
            if float(np.linalg.norm(other_side.u - one_side.u)) <= 10 * CROSSING:
                u = one_side.u + first / (first - second) * (other_side.u - one_side.u)
                return _Point(u, one_side.direction, one_side.residual, one_side.multipliers), 1.0 + 0.0j
        if kind == FOLD and self._least_period(best) < self.p:
            return best, -1.0 + 0.0j  # that of the shorter cycle, which doubles here
        multiplier = _nearest(best.multipliers, kind)
        limit = 1e-3 if kind in (FOLD, BRANCH) else 1e-4
        off = abs(abs(multiplier) - 1) if kind == NEIMARK_SACKER else abs(multiplier - (-1 if kind == FLIP else 1))
        return (best, multiplier) if off <= limit else None


def _real(multipliers: NDArray[np.complex128]) -> Values:
    real: Values = multipliers[np.isfinite(multipliers) & (multipliers.imag == 0)].real
    return real


def _beyond(multipliers: NDArray[np.complex128], place: int) -> int:
    """How many real multipliers lie beyond 1 or -1."""
    return int((place * _real(multipliers) > 1).sum())


def _pairs(multipliers: NDArray[np.complex128]) -> int:
    """How many complex multipliers lie outside the unit circle."""
    return int(((multipliers.imag != 0) & (np.abs(multipliers) > 1)).sum())


def _nearest(multipliers: NDArray[np.complex128], kind: str) -> complex:
    """The multiplier that a special point is about."""
    known = multipliers[np.isfinite(multipliers)]
    if kind == NEIMARK_SACKER:
        known = known[known.imag != 0]
        return complex(known[np.abs(np.abs(known) - 1).argmin()]) if known.size else complex(np.nan)
    place = -1 if kind == FLIP else 1
    return complex(known[np.abs(known - place).argmin()]) if known.size else complex(np.nan)


def _test(point: _Point, kind: str) -> float:
    """A number that changes its sign at a special point of a kind."""
    if kind == FOLD:
        return float(point.direction[-1])
    multiplier = _nearest(point.multipliers, kind)
    if kind == NEIMARK_SACKER:
        return abs(multiplier) - 1
    return float(multiplier.real - (1 if kind == BRANCH else -1))


def _result(
    branches: list[_Branch],
    p: int,
    at_start: TangentMap,
    parameter: str,
    ending: dict[str, Any],
    settings: dict[str, Any],
) -> Continuation:
    n = dimension(at_start.state_shape)
    points = [(i, branch, point) for i, branch in enumerate(branches) for point in branch.points]
    special = [(i, branch, *entry) for i, branch in enumerate(branches) for entry in branch.special]
    k = max((len(point.multipliers) for _, _, point in points), default=0)
    multipliers = np.full((len(points), k), np.nan + 1j * np.nan)
    for row, (_, _, point) in enumerate(points):
        multipliers[row, : len(point.multipliers)] = point.multipliers
    parts = [branch.tracer.parts(point.u) for _, branch, point in points]
    special_parts = [branch.tracer.parts(point.u) for _, branch, _, point, _ in special]
    outside = np.abs(multipliers) > 1 + neutral_within(at_start.ops.dtype)
    return Continuation(
        **ending,
        settings=settings,
        values=np.array([value for _, value in parts]),
        branch=np.array([i for i, _, _ in points], np.int64),
        orbits=np.stack([x for x, _ in parts]) if parts else np.zeros((0, p, n)),
        multipliers_real=multipliers.real,
        multipliers_imag=multipliers.imag,
        n_unstable=outside.sum(axis=1).astype(np.int64),
        residual=np.array([point.residual for _, _, point in points]),
        special_values=np.array([value for _, value in special_parts]),
        special_branch=np.array([i for i, *_ in special], np.int64),
        special_orbits=np.stack([x for x, _ in special_parts]) if special else np.zeros((0, p, n)),
        special_real=np.array([multiplier.real for *_, multiplier in special]),
        special_imag=np.array([multiplier.imag for *_, multiplier in special]),
        special_kinds=tuple(kind for _, _, kind, _, _ in special),
        ends=tuple(end for branch in branches for end in branch.ends),
        parameter=parameter,
        state_shape=tuple(at_start.state_shape),
    )
