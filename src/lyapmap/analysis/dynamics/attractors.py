"""How many attractors a map has, what each is, and how large its basin is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.dynamics.basins import basin_entropy, uncertainty_exponent
from lyapmap.analysis.dynamics.sides import Features, recorded, stepped
from lyapmap.analysis.exponents.finite_time import Grid
from lyapmap.analysis.exponents.spectrum import lyapunov_spectrum
from lyapmap.analysis.proportions import wilson
from lyapmap.core.arguments import box, positive, probability, whole
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.map import Map, TangentMap, as_states, dimension
from lyapmap.core.ops import Array
from lyapmap.core.points import as_points
from lyapmap.core.results import Result, Status, Verdict, dims
from lyapmap.core.run import Report, Run

Values = NDArray[np.float64]

LONGER = 10
"""How much longer than the others the trajectory is that stands for an attractor."""
COARSE = 2.0
"""How far, in distances between neighbouring points of an attractor, a trajectory on it may be from it."""
ALMOST_ALL, OVERLAP = 0.9, 0.5
"""Parts of a trajectory that must lie on an attractor, and of an attractor on another one to be the same."""
LEAST_SCALE = 1e-3
"""Deviation of end states, relative to their size, below which they differ by rounding or by not being there yet."""
LONGEST_PERIOD, RETURNS = 64, 1e-5
"""Of cycles, and the distance in deviations within which a state has returned."""
MEASURED, MEMBERS = 16, 4
"""Attractors whose exponents are measured, and trajectories of each."""
PILOT = 500
LISTED = 4
"""Attractors that a sentence names."""
MEMORIZED = 1 / 3
"""Distance to the nearest sample over that to the second nearest, below which an attractor is the nearest."""


@dataclass(frozen=True, kw_only=True)
class Attractors(Result):
    """Attractors of a map, largest basin first.

    Attributes
    ----------
    n_attractors : int
        How many were seen; a further start may end on another one, see `unseen`.
    kinds : tuple of str
        Of each: "fixed point", "cycle of period p", "chaotic", "torus", "limit cycle" or "undetermined"; "" of those
        beyond the sixteen largest.
    share : (a,)
        Part of the starts that end there: how large the basin is, as the distribution of starts measures it.
    share_interval : (a, 2)
        Wilson's limits.
    period : (a,)
        Of fixed points (1) and cycles; 0 of others.
    exponents, exponents_stderr : (a, k)
        NaN where not measured.
    kaplan_yorke : (a,)
    state : (a, n)
        A state on each.
    points : (a, p, 2)
        The first two features of states on each, in deviations of all end states.
    label : (b,)
        Number of the attractor on which each start ends; -1 of those that escape.
    escaped : int
    unseen : float
        Probability that a further start ends on an attractor that is not among these (I. J. Good 1953).
    basins : (h, w)
        `label` over a grid of starts; empty without one.
    basin_entropy, boundary_entropy : float
        Of boxes of 5 x 5 cells, in nats; the second above ln 2 means a fractal boundary (A. Daza et al. 2016).
    uncertainty_exponent, uncertainty_exponent_stderr : float
        An error eps of the start changes the end of a part eps^alpha of them; the boundary has dimension 2 - alpha.
    nearest_data : (a,)
        Number of the nearest sample of `data`; -1 without data.
    data_ratio : (a,)
        Distance to the nearest sample over that to the second nearest.
    memorized : (a,) of bool
        Whether the attractor is a sample: a fixed point with a ratio below 1/3. The others are spurious.
    state_shape : tuple of int
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.dynamics.pictures_dynamics.draw_attractors"
    SUMMARY: ClassVar[tuple[str, ...]] = (
        "n_attractors", "kinds", "escaped", "unseen", "basin_entropy", "boundary_entropy", "uncertainty_exponent",
    )  # fmt: skip

    n_attractors: int
    kinds: tuple[str, ...]
    share: Values = dims("attractor")
    share_interval: Values = dims("attractor", "limit")
    period: NDArray[np.int64] = dims("attractor")
    exponents: Values = dims("attractor", "exponent")
    exponents_stderr: Values = dims("attractor", "exponent")
    kaplan_yorke: Values = dims("attractor")
    state: Values = dims("attractor", "component")
    points: Values = dims("attractor", "point", "axis_of_plane")
    label: NDArray[np.int64] = dims("start")
    escaped: int
    unseen: float
    basins: NDArray[np.int64] = dims("row", "column")
    basin_entropy: float
    boundary_entropy: float
    uncertainty_exponent: float
    uncertainty_exponent_stderr: float
    nearest_data: NDArray[np.int64] = dims("attractor")
    data_ratio: Values = dims("attractor")
    memorized: NDArray[np.bool_] = dims("attractor")
    state_shape: tuple[int, ...]

    def _finding(self) -> str:
        parts = [f"{kind or 'not measured'} ({share:.0%})" for kind, share in zip(self.kinds, self.share, strict=True)]
        more = f" and {len(parts) - LISTED} more" if len(parts) > LISTED else ""
        many = "attractor" if self.n_attractors == 1 else "attractors"
        ends = f"{len(self.label)} starts end on {self.n_attractors} {many}: {', '.join(parts[:LISTED])}{more}"
        return f"{ends}{f'; {self.escaped} escape' if self.escaped else ''}."

    def images(self) -> Values:
        """`state` in the shape of a state, (a, *state_shape)."""
        return self.state.reshape(-1, *self.state_shape)


def attractors(
    map: Map,  # noqa: A002  # the field's own word
    x0: Any = None,
    *,
    region: Any = None,
    n_starts: int = 200,
    n_steps: int = 100,
    transient: int = 1000,
    features: Callable[[Any], Any] | None = None,
    separation: float = 0.02,
    data: Any = None,
    n_exponents: int | str | None = None,
    exponent_steps: int = 1000,
    level: float = 0.95,
    seed: int | None = None,
    progress: bool | Report = False,
    throw: bool = True,
) -> Attractors:
    """Follow many starts, and tell apart on how many attractors they end, what each is, and how large its basin.

    A trajectory lies on an attractor that is known if nearly all of its states are as near to those of a long
    trajectory there as that trajectory's own states are to each other; else it stands for a new one.

    Parameters
    ----------
    map : Map
        It must not depend on the step.
    x0 : (b, n), (b, *state_shape) or `lyapmap.grid`, optional
        Starts. Of a grid over a plane basins are drawn, with their entropy and the uncertainty exponent.
    region : (low, high), optional
        A box to draw `n_starts` starts from, numbers or arrays (n,); that of the map by default.
    n_starts : int
        Starts that are drawn where none are given.
    n_steps : int, at least 16
        Steps by which trajectories are told apart.
    transient : int
        Steps before.
    features : callable, optional
        Of states (b, *state_shape), (b, d): where attractors are told apart, such as by a classifier's features. By
        default states of up to 32 values as they are, larger ones as 32 principal components of the end states and
        the distance from them.
    separation : float
        Distance within which two attractors are the same, in deviations of all end states.
    data : (m, n) or (m, *state_shape), optional
        Samples that a network was trained on: which attractors are samples, which are spurious?
    n_exponents : int, "auto", "all" or None
        Measured on each, counted from the largest; 0 for none.
    exponent_steps : int
        Steps over which exponents are measured.
    level : float
        Of the confidence limits.
    seed : int, optional
        Of everything that is random; drawn from the operating system without it, and recorded.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (steps done, steps in all).
    throw : bool
        Raise if all starts escape.

    Returns
    -------
    Attractors

    Raises
    ------
    LyapmapError, ShapeError
        If an argument cannot be used.
    RunError
        If all starts escape and `throw`.
    Interrupted
        On Ctrl-C, without a result.

    Notes
    -----
    Trajectories that have not arrived after the transient may count as attractors of their own: raise it and see
    whether their number falls.

    References
    ----------
    G. Datseris, A. Wagemakers, Chaos 32 (2022) 023104 (attractors by recurrence).
    A. Daza, A. Wagemakers, B. Georgeot, D. Guéry-Odelin, M. Sanjuán, Sci. Rep. 6 (2016) 31416 (basin entropy).
    C. Grebogi, S. McDonald, E. Ott, J. Yorke, Phys. Lett. A 99 (1983) 415 (uncertainty exponent).
    A. Radhakrishnan, M. Belkin, C. Uhler, PNAS 117 (2020) 27162 (training samples as attractors of autoencoders).

    Examples
    --------
    Newton's method for the roots of z^3 = 1:

    >>> import numpy as np
    >>> import lyapmap as lm
    >>> def newton(u):
    ...     z = u[..., 0] + 1j * u[..., 1]
    ...     z = z - (z**3 - 1) / (3 * z**2)
    ...     return np.stack([z.real, z.imag], axis=-1)
    >>> roots = lm.attractors(
    ...     lm.wrap(newton, state_shape=2), region=([-2, -2], [2, 2]), n_starts=300, transient=60, n_exponents=0, seed=0
    ... )
    >>> roots.state.round(3)[:, 0].tolist().count(-0.5), len(roots.share)
    (2, 3)
    """
    tangent_map = as_tangent_map(map)
    if tangent_map.depends_on_step:
        raise LyapmapError("map: a map that depends on the step (noise, input) has no attractor of its own")
    n = dimension(tangent_map.state_shape)
    settings: dict[str, Any] = {
        "n_steps": whole("n_steps", n_steps, 16),
        "transient": whole("transient", transient, 0),
        "separation": positive("separation", separation, finite=True),
        "n_exponents": n_exponents,
        "exponent_steps": whole("exponent_steps", exponent_steps, 1),
        "level": probability("level", level),
    }
    run = Run("attractors", tangent_map, seed=seed, progress=progress)
    starts, plane = _starts(tangent_map, x0, region, whole("n_starts", n_starts, 1), run.rng)
    samples = None if data is None else as_points(data, "data")
    if samples is not None and (samples.shape[1] != n or len(samples) < 2):
        raise ShapeError(f"data: expected at least 2 samples of {n} values like the states, got {samples.shape}")
    settings |= {"n_starts": int(starts.shape[0])} | ({} if plane is None else {"grid": plane.plain()})
    with run.steps() as report:
        ends = _Ends(tangent_map, starts, settings, features, report)
        label, leaders = ends.sorted_out()
        measured = _measured(ends, label, len(leaders), run.rng)
    escaped = int((label < 0).sum())
    b = len(label)
    counts = np.bincount(label[label >= 0], minlength=len(leaders))
    basins = np.zeros((0, 0), np.int64)
    entropy, alpha = (math.nan, math.nan), (math.nan, math.nan)
    if plane is not None and len(plane.shape) == 2:
        basins = label.reshape(plane.shape)
        entropy, alpha = basin_entropy(basins), uncertainty_exponent(basins)
    message = f"{escaped} of {b} starts escape" if escaped else ""
    verdict = Verdict(Status.ESCAPED, "all starts escape") if escaped == b else Verdict(message=message)
    state = ends.states[leaders]
    result = Attractors(
        **run.ending(verdict),
        settings=settings,
        n_attractors=len(leaders),
        share=counts / b,
        share_interval=wilson(counts / b, b, level).reshape(-1, 2),
        period=ends.period[leaders],
        state=state,
        points=ends.tails[leaders][:, :, [0, min(1, ends.tails.shape[2] - 1)]],
        label=label,
        escaped=escaped,
        unseen=float((counts == 1).sum() / max(b - escaped, 1)) if escaped < b else math.nan,
        basins=basins,
        basin_entropy=entropy[0],
        boundary_entropy=entropy[1],
        uncertainty_exponent=alpha[0],
        uncertainty_exponent_stderr=alpha[1],
        state_shape=tuple(tangent_map.state_shape),
        **measured,
        **_beside(samples, state, ends.period[leaders]),
    )
    return run.finish(result, throw)


def _starts(
    tangent_map: TangentMap, x0: Any, region: Any, n_starts: int, rng: np.random.Generator
) -> tuple[Array, Grid | None]:
    n = dimension(tangent_map.state_shape)
    if x0 is not None and region is not None:
        raise LyapmapError("x0 and region: expected one of them, got both")
    if isinstance(x0, Grid):
        return as_states(x0.states, tangent_map)[0], x0
    if x0 is not None:
        return as_states(x0, tangent_map)[0], None
    known = tangent_map.region if region is None else box("region", region, n)
    if known is None:
        drawn = tangent_map.initial_states(n_starts, rng)
        if drawn is None:
            raise LyapmapError("region: expected a box to start from (low, high), or x0, as the map knows of none")
        return as_states(drawn, tangent_map)[0], None
    low, high = known
    return as_states(rng.uniform(low, high, (n_starts, n)), tangent_map)[0], None


class _Ends:
    """Trajectories after the transient, in features; and which of them lie together.

    Attributes
    ----------
    states : (b, n)
        Last ones.
    tails : (b, T, d)
        Features of the states before.
    period : (b,)
        0 where a state does not return.
    """

    def __init__(
        self,
        tangent_map: TangentMap,
        x: Array,
        settings: dict[str, Any],
        own: Callable[[Any], Any] | None,
        report: Report,
    ) -> None:
        self.map, self.settings = tangent_map, settings
        done, total = 0, settings["transient"] + settings["n_steps"]

        def more(count: int) -> None:
            nonlocal done
            done = min(done + count, total)
            report(done, total)

        ops = tangent_map.ops
        x = stepped(tangent_map, x, settings["transient"], more)
        first = np.asarray(ops.to_numpy(x), np.float64)
        self.alive = np.isfinite(first).all(axis=1)
        pilot = first[self.alive]
        pilot = pilot[:: max(1, len(pilot) // PILOT)]
        if not len(pilot):
            pilot = np.zeros((1, first.shape[1]))
        self.features = Features(pilot, tuple(tangent_map.state_shape), own, least=LEAST_SCALE)
        last: list[Any] = []

        def observe(states: Any) -> Values:
            last[:] = [states]
            return self.features(states)

        self.tails = recorded(tangent_map, x, settings["n_steps"], observe, more)
        self.states = np.asarray(last[0], np.float64)
        self.alive &= np.isfinite(self.tails).all(axis=(1, 2))
        self.period = self._periods()

    def _periods(self) -> NDArray[np.int64]:
        period = np.zeros(len(self.tails), np.int64)
        end = self.tails[:, -1]
        for p in range(1, min(LONGEST_PERIOD, self.tails.shape[1] - 1) + 1):
            with np.errstate(invalid="ignore", over="ignore"):
                back = np.linalg.norm(self.tails[:, -1 - p] - end, axis=1) <= RETURNS
            period[back & (period == 0)] = p
        return period

    def sorted_out(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For each start the number of its attractor (b,), and for each attractor the start that stands for it."""
        label = np.where(self.alive, -2, -1)
        leaders: list[int] = []
        sets: list[tuple[Values, float]] = []
        for row in np.flatnonzero(self.alive):
            if label[row] != -2:
                continue
            points, reach = self._long(int(row))
            same = next((i for i, other in enumerate(leaders) if self._same(sets[i], other, points, int(row))), None)
            if same is None:
                same = len(leaders)
                leaders.append(int(row))
                sets.append((points, reach))
            label[row] = same
            rest = np.flatnonzero(label == -2)
            if not self.period[row]:  # a stable cycle beside a chaotic set is none of it
                rest = rest[self.period[rest] == 0]
            label[rest[self._on(points, reach, rest)]] = same
        count = np.bincount(label[label >= 0], minlength=len(leaders))
        order = np.argsort(-count, kind="stable")
        rank = np.append(np.argsort(order, kind="stable"), -1)  # the last for label -1
        return rank[label], np.array(leaders, np.int64)[order]

    def _long(self, row: int) -> tuple[Values, float]:
        """States of a long trajectory (p, d), and how near others on the same attractor must be."""
        separation, tail = self.settings["separation"], self.tails[row]
        if self.period[row]:
            return tail[-self.period[row] :], separation
        x = self.map.ops.from_numpy(self.states[row : row + 1], self.map.ops.dtype)
        steps = (LONGER - 1) * self.settings["n_steps"]
        more = recorded(self.map, x, steps, self.features, lambda count: None)[0]
        if not np.isfinite(more).all():
            return tail, separation
        gaps = _nearest(tail, more)
        return np.concatenate([tail, more]), max(separation, COARSE * float(np.quantile(gaps, 0.95)))

    def _same(self, known: tuple[Values, float], other: int, points: Values, row: int) -> bool:
        if (self.period[other] > 0) != (self.period[row] > 0):
            return False
        return float(np.quantile(_nearest(points, known[0]), OVERLAP)) <= known[1]

    def _on(self, points: Values, reach: float, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which trajectories lie on the set of points."""
        if not len(rows):
            return np.zeros(0, bool)
        _, steps, d = self.tails.shape
        # Where a trajectory ends far away, the others of its states need not be asked.
        near = _nearest(self.tails[rows, -1], points) <= 3 * reach
        some = np.flatnonzero(near)
        if some.size:
            distance = _nearest(self.tails[rows[some]].reshape(-1, d), points).reshape(-1, steps)
            near[some] = np.quantile(distance, ALMOST_ALL, axis=1) <= reach
        return near


def _nearest(queries: Values, points: Values) -> Values:
    """Distance of each to the nearest of points."""
    from scipy.spatial import KDTree

    return np.asarray(KDTree(points).query(queries)[0])


def _measured(ends: _Ends, label: NDArray[np.int64], count: int, rng: np.random.Generator) -> dict[str, Any]:
    """Kind, exponents and dimension of each."""
    settings = ends.settings
    wanted = 0 if settings["n_exponents"] == 0 else min(count, MEASURED)
    kinds, spectra = [], []
    for i in range(count):
        period = int(ends.period[np.flatnonzero(label == i)].max())
        kind = "" if not period else "fixed point" if period == 1 else f"cycle of period {period}"
        if i < wanted:
            x = ends.map.ops.from_numpy(ends.states[np.flatnonzero(label == i)[:MEMBERS]], ends.map.ops.dtype)
            spectrum = lyapunov_spectrum(
                ends.map, x, n_steps=settings["exponent_steps"], n_exponents=settings["n_exponents"],
                seed=int(rng.integers(2**32)), throw=False,
            )  # fmt: skip
            spectra.append(spectrum)
            kind = kind or spectrum.attractor
        kinds.append(kind)
    k = max((len(s.exponents) for s in spectra), default=0)
    exponents, errors = np.full((count, k), np.nan), np.full((count, k), np.nan)
    kaplan_yorke = np.full(count, np.nan)
    for i, s in enumerate(spectra):
        exponents[i, : len(s.exponents)], errors[i, : len(s.stderr)] = s.exponents, s.stderr
        kaplan_yorke[i] = s.kaplan_yorke
    return {
        "kinds": tuple(kinds),
        "exponents": exponents,
        "exponents_stderr": errors,
        "kaplan_yorke": kaplan_yorke,
    }


def _beside(data: Values | None, state: Values, period: NDArray[np.int64]) -> dict[str, Any]:
    """Which samples attractors are."""
    count = len(state)
    if data is None:
        nothing = np.zeros(count, bool)
        return {"nearest_data": np.full(count, -1), "data_ratio": np.full(count, np.nan), "memorized": nothing}
    different = np.unique(data, axis=0)
    nearest, ratio = np.zeros(count, np.int64), np.full(count, np.nan)
    for i, x in enumerate(state):
        nearest[i] = int(np.linalg.norm(data - x, axis=1).argmin())
        distance = np.sort(np.linalg.norm(different - x, axis=1))
        if len(distance) > 1 and distance[1] > 0:
            ratio[i] = distance[0] / distance[1]
    return {"nearest_data": nearest, "data_ratio": ratio, "memorized": (ratio < MEMORIZED) & (period == 1)}
