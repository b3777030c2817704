"""Finite-time Lyapunov exponents: growth over windows, along trajectories or over a plane of states.

Two different numbers go by this name. "local": growth along the tangent frame that the past has
aligned, whose mean over windows is the Lyapunov spectrum (H. D. I. Abarbanel, R. Brown,
M. B. Kennel 1991). "stretching": the largest growth that any direction can have over the window,
the logarithm of the singular values of D f^n; its fields show barriers and manifolds
(G. Haller 2001).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.arguments import one_of, whole
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.demand import Advance, Demand, held, of_states, require_room_of_states
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.journal import Resumable
from lyapmap.core.map import Map, TangentMap, as_states, dimension, rate_unit, time_per_step
from lyapmap.core.ops import Array
from lyapmap.core.propagate import RowResults, by_rows, propagate, quiet, random_frame, step_states
from lyapmap.core.results import Result, Status, Verdict, dims
from lyapmap.core.run import UNSEEDED, Report, Run, unbroken
from lyapmap.engine.crew import crew_of

Values = NDArray[np.float64]

MEASURES = ("local", "stretching")
LARGEST = 1024
"""Largest dimension whose D f^n is held as a matrix: 8 MB for each trajectory."""
CHUNK_VALUES = 8_000_000
"""Values of D f^n held at once, over all trajectories of a chunk: 64 MB."""
_BLOCK = 256
"""Steps carried between two looks at Ctrl-C and the progress bar."""
_RESCALE_EVERY = 4
"""Steps between two rescalings of a product at most: fewer looks at its size than steps, and yet no overflow."""
_LARGEST_LOG = 60.0
"""Nats that a product may grow between two rescalings: float32 ends at 88."""
_FEWEST_VALUES = 10
"""Values from which peaks of a density are counted: of fewer, a kernel shows what it likes."""


@dataclass(frozen=True)
class Grid:
    """States on a regular grid.

    Attributes
    ----------
    states : (b, n)
        In the order of a C array of `shape`: the last axis varies fastest.
    shape : tuple of int
        Points along each axis; their product is b.
    axes : tuple of int
        Components that vary, one for each axis.
    low, high : tuple of float
        First and last value along each axis.
    """

    states: NDArray[np.float64]
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def plain(self) -> dict[str, Any]:
        """What a result records of it."""
        return {"shape": self.shape, "axes": self.axes, "low": self.low, "high": self.high}


def grid(
    low: Sequence[float],
    high: Sequence[float],
    shape: Sequence[int] | int,
    *,
    axes: Sequence[int] = (0, 1),
    base: Any = None,
    n: int | None = None,
) -> Grid:
    """Initial states on a regular grid that includes its ends.

    `lyapmap.finite_time_exponents` and `lyapmap.alignment` take it in place of initial states and
    draw their result as an image.

    Parameters
    ----------
    low, high : sequence of float
        First and last value along each axis.
    shape : int or sequence of int
        Points along each axis, at least 2.
    axes : sequence of int
        Components of a state that vary, one or two.
    base : (n,), optional
        The other components; zeros by default.
    n : int, optional
        Components of a state; those of `base`, else as many as `axes` need.

    Returns
    -------
    Grid

    Raises
    ------
    LyapmapError
        If the arguments do not fit together.

    Examples
    --------
    >>> import lyapmap as lm
    >>> plane = lm.grid([0, 0], [1, 2], (3, 2))
    >>> plane.states.tolist()
    [[0.0, 0.0], [0.0, 2.0], [0.5, 0.0], [0.5, 2.0], [1.0, 0.0], [1.0, 2.0]]
    """
    varied = tuple(whole("axes", axis, 0) for axis in axes)
    if len(varied) not in (1, 2) or len(set(varied)) != len(varied):
        raise LyapmapError(f"axes: expected one or two different components, got {tuple(axes)}")
    counts = (shape,) * len(varied) if isinstance(shape, int) else tuple(shape)
    points = tuple(whole("shape", count, 2) for count in counts)
    first, last = (np.array(bounds, float).reshape(-1) for bounds in (low, high))
    for name, count in (("shape", len(points)), ("low", len(first)), ("high", len(last))):
        if count != len(varied):
            raise ShapeError(f"{name}: expected {len(varied)} values, one for each of axes {varied}, got {count}")
    if not (np.isfinite(first).all() and np.isfinite(last).all() and (first < last).all()):
        raise LyapmapError(f"low, high: expected finite values with low < high, got {low} and {high}")
    needed = max(varied) + 1
    if base is None:
        rest = np.zeros(needed if n is None else whole("n", n, needed))
    else:
        rest = np.asarray(base, float).reshape(-1)
        if len(rest) < needed or (n is not None and len(rest) != n):
            raise ShapeError(f"base: expected {n or f'at least {needed}'} values, got {len(rest)}")
    require_room_of_states("grid", math.prod(points), len(rest), "points")
    lines = [np.linspace(a, b, count) for a, b, count in zip(first, last, points, strict=True)]
    mesh = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, len(varied))
    states = np.tile(rest, (len(mesh), 1))
    states[:, list(varied)] = mesh
    return Grid(states, points, varied, tuple(first.tolist()), tuple(last.tolist()))


def start_states(x0: Any, tangent_map: TangentMap) -> tuple[Array, dict[str, Any]]:
    """Initial states (b, n), and what a result records of the grid they lie on: nothing where they lie on none."""
    x, _ = as_states(x0.states if isinstance(x0, Grid) else x0, tangent_map)
    return x, x0.plain() if isinstance(x0, Grid) else {}


@dataclass(frozen=True, kw_only=True)
class FiniteTimeExponents(Result):
    """Exponents in nats over windows of time.

    Attributes
    ----------
    exponents : (b, w, k)
        Of each trajectory and window. -inf where a direction dies, NaN where it is not resolved
        or the trajectory escaped.
    window_starts : (w,)
        Steps from the initial states to the beginning of each window.
    n_steps : int
        Steps in a window.
    measure : "local" or "stretching"
    grid : dict
        "shape", "axes", "low", "high" where the initial states lie on a grid, else empty.
    unit : str
        "per step", or "per unit time" of a flow.
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.tangents.pictures_tangent.draw_finite_time"
    REMEDIES: ClassVar[dict[Status, str]] = {
        Status.UNRESOLVED: "use float64, shorter windows (n_steps), or fewer exponents"
    }

    exponents: Values = dims("trajectory", "window", "exponent")
    window_starts: NDArray[np.int64] = dims("window")
    n_steps: int
    measure: str
    grid: dict[str, Any] = field(default_factory=dict)
    unit: str = "per step"

    def values(self, i: int = 0) -> Values:
        """The finite values of exponent i over all trajectories and windows."""
        k = self.exponents.shape[2]
        if not 0 <= i < k:
            raise LyapmapError(f"i: expected 0 to {k - 1}, got {i}")
        of_windows = self.exponents[:, :, i].ravel()
        return of_windows[np.isfinite(of_windows)]

    def histogram(self, i: int = 0, bins: int | str = "auto") -> tuple[Values, Values]:
        """Probability density of exponent i, (bins,), and the edges of the bins, (bins + 1,)."""
        values = self.values(i)
        if values.size == 0:
            raise LyapmapError(f"i: exponent {i} has no finite value")
        width = np.ptp(values)
        # Values that differ by rounding only are one value, which needs a bin around it.
        if width <= 1e-12 * max(1.0, float(np.abs(values).max())):
            centre, half = float(values.mean()), max(1e-6, 1e-3 * abs(float(values.mean())))
            return np.array([0.5 / half]), np.array([centre - half, centre + half])
        density, edges = np.histogram(values, bins=bins, density=True)
        return density, edges

    def modes(self, i: int = 0) -> int:
        """Maxima of the kernel density of exponent i: 1 says unimodal; 0 where fewer than 10 values cannot tell.

        Gaussian kernel, bandwidth by Silverman's rule; maxima below 5 % of the highest are noise.
        """
        values = self.values(i)
        if values.size < _FEWEST_VALUES:
            return 0
        spread = float(values.std())
        if spread <= 1e-12 * max(1.0, float(np.abs(values).max(initial=0.0))):
            return 1
        from scipy.stats import gaussian_kde

        x = np.linspace(values.min() - spread, values.max() + spread, 512)
        density = gaussian_kde(values, "silverman")(x)
        inner = density[1:-1]
        peaks = (inner > density[:-2]) & (inner >= density[2:]) & (inner > 0.05 * density.max())
        return int(peaks.sum())

    def image(self, i: int = 0, window: int = 0) -> Values:
        """Exponent i as a field over the grid, of its shape."""
        if not self.grid:
            raise LyapmapError("image: the initial states do not lie on a grid; make them with lyapmap.grid")
        picture: Values = self.exponents[:, window, i].reshape(tuple(self.grid["shape"]))
        return picture

    def _finding(self) -> str:
        values = self.values(0)
        if not values.size:
            return f"No window of {self.n_steps} steps gave a growth rate."
        low, middle, high = np.percentile(values, [5, 50, 95])
        return (
            f"Over {self.n_steps} steps neighbouring states part at rates from {low:.3g} to {high:.3g} nats "
            f"{self.unit} (nine of ten windows), {middle:.3g} in the middle; "
            f"{(values > 0).mean():.0%} of the windows stretch."
        )


def finite_time_exponents(
    map: Map,  # noqa: A002  # the field's own word
    x0: Any,
    *,
    n_steps: int,
    n_windows: int = 1,
    n_exponents: int = 1,
    transient: int = 0,
    measure: str = "local",
    qr_every: int = 1,
    seed: int | None = None,
    progress: bool | Report = False,
    journal: str | Path | None = None,
    client: Any = None,
    throw: bool = True,
) -> FiniteTimeExponents:
    """Exponents over windows of `n_steps` steps, one window after the other.

    Parameters
    ----------
    map : Map
        Any map; `lyapmap.wrap` makes one of a function or a network.
    x0 : (n,), (b, n), state_shape, (b, *state_shape), or Grid
        Initial states, or those of `lyapmap.grid`, whose result is drawn as an image.
    n_steps : int
        Steps in a window.
    n_windows : int
        Windows, one after the other, along each trajectory.
    n_exponents : int
        How many, counted from the largest.
    transient : int
        Steps before the first window. With "local" the frames align meanwhile; without a
        transient they start in random directions.
    measure : "local" or "stretching"
        Growth along the aligned frame, or the logarithm of the singular values of D f^n_steps,
        exact for up to 1024 dimensions. Stretching is never smaller than local growth.
    qr_every : int
        Steps between re-orthonormalizations; "local" only.
    seed : int, optional
        Of the initial frames; "local" only.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (steps done, steps in all).
    journal : path, optional
        Folder from which the same call goes on to the same bits where it was cut short, as in `lyapunov_spectrum`.
    client : distributed.Client, optional
        Cluster whose workers compute the trajectories, to the same bits; see docs/distributed.md.
    throw : bool
        Raise if states escape; else return what there is, with NaN for those.

    Returns
    -------
    FiniteTimeExponents

    Raises
    ------
    LyapmapError
        If an argument cannot be used.
    RunError
        If a state becomes infinite or NaN and `throw`.
    Interrupted
        On Ctrl-C, with the windows that were done as its `result`.

    Notes
    -----
    Singular values below the largest times n rounding errors are lost in the product: NaN, with
    status "unresolved". Shorter windows resolve more of them.

    References
    ----------
    H. D. I. Abarbanel, R. Brown, M. B. Kennel, J. Nonlinear Sci. 1 (1991) 175.
    G. Haller, Physica D 149 (2001) 248.

    Examples
    --------
    >>> import lyapmap as lm
    >>> plane = lm.grid([0, 0], [6.28, 6.28], (20, 20))
    >>> field = lm.finite_time_exponents(lm.systems.standard(), plane, n_steps=20, measure="stretching")
    >>> field.image().shape, bool(field.image().min() > 0)
    ((20, 20), True)
    """
    tangent_map = as_tangent_map(map)
    x, plane = start_states(x0, tangent_map)
    n = dimension(tangent_map.state_shape)
    one_of("measure", measure, MEASURES)
    if measure == "stretching" and n > LARGEST:
        raise LyapmapError(
            f"measure: 'stretching' holds n x n matrices, for up to n = {LARGEST}, got {n}; take 'local'"
        )
    k = whole("n_exponents", n_exponents, 1)
    if k > n:
        raise LyapmapError(f"n_exponents: expected 1 to {n}, got {k}")
    settings: dict[str, Any] = {
        "n_steps": whole("n_steps", n_steps, 1),
        "n_windows": whole("n_windows", n_windows, 1),
        "n_exponents": k,
        "transient": whole("transient", transient, 0),
        "measure": measure,
        "qr_every": whole("qr_every", qr_every, 1),
        "n_trajectories": int(x.shape[0]),
    }
    if measure == "local":  # by blocks of steps
        steps = settings["transient"] + settings["n_steps"] * settings["n_windows"]
        tangent_map = tangent_map.for_run(x, k, steps)
    run = Run(
        "finite time",
        tangent_map,
        seed=seed if measure == "local" else UNSEEDED,
        progress=progress,
        journal=journal,
        crew=crew_of(client),
        start=x,
        settings=settings,
        demand=_demand(tangent_map, x, settings),
    )
    orbits = _Orbits(tangent_map, x, settings, run.rng if measure == "local" else None)
    with run.steps(keep=lambda: orbits.windows, work=orbits) as orbits.report:
        orbits.follow()
    windows = orbits.windows
    exponents = np.stack(windows, axis=1)
    verdict = _verdict(exponents, ~tangent_map.ops.all_finite(orbits.x))
    result = FiniteTimeExponents(
        **run.ending(verdict, done=f"{len(windows)} of {settings['n_windows']} windows"),
        settings=settings,
        exponents=exponents / time_per_step(tangent_map),
        window_starts=settings["transient"] + settings["n_steps"] * np.arange(len(windows)),
        n_steps=settings["n_steps"],
        measure=measure,
        grid=plane,
        unit=rate_unit(tangent_map),
    )
    return run.finish(result, throw)


def _demand(tangent_map: TangentMap, x: Array, settings: dict[str, Any]) -> Demand:
    b, n, windows = int(x.shape[0]), dimension(tangent_map.state_shape), settings["n_windows"]
    local, k = settings["measure"] == "local", settings["n_exponents"]

    window = min(settings["n_steps"], _BLOCK) if local else settings["n_steps"]

    def begin(rows: int) -> Advance:
        short = settings | {"n_steps": window, "transient": 0}
        orbits = _Orbits(tangent_map, x[:rows], short, np.random.default_rng(0))
        orbits.report = lambda done, total: None

        def advance(steps: int) -> None:
            end = len(orbits.windows) + steps
            while len(orbits.windows) < end:
                orbits._carry(window) if local else orbits._stretch(window)

        return advance

    arrays = of_states(tangent_map, b, k) if local else of_states(tangent_map, b)
    if not local:
        together = b if tangent_map.depends_on_step else min(b, max(1, CHUNK_VALUES // n**2))
        arrays.append(held("derivatives", 5 * 8, _rows=together, _n=n, _columns=n))
    arrays.append(held("exponents", 2 * 8, trajectories=b, n_windows=windows, n_exponents=k))
    steps = settings["n_steps"] * windows + settings["transient"] // (1 if local else n + 1)
    steps = -(-steps // window)
    return Demand(arrays, rows=b, steps=steps, begin=begin)


def _verdict(exponents: Values, escaped: NDArray[np.bool_]) -> Verdict:
    if escaped.any():
        return Verdict(Status.ESCAPED, f"{int(escaped.sum())} of {len(escaped)} trajectories became infinite or NaN")
    lost = np.isnan(exponents)
    if lost.any():
        first = int(lost.any(axis=(0, 1)).argmax())
        share = f"{100 * lost[..., first].mean():.3g} % of the windows"
        message = f"exponents from number {first + 1} on lie under what rounding leaves in {share}"
        return Verdict(Status.UNRESOLVED, message)
    return Verdict()


class _Orbits(Resumable):
    """Trajectories, with an aligned frame where local growth is wanted."""

    KEPT = ("step", "windows", "growth", "since", "chunks")
    CARRIED = ("x", "frame")
    report: Report

    def __init__(self, tangent_map: TangentMap, x: Array, settings: dict[str, Any], rng: Any) -> None:
        self.map, self.ops, self.x = tangent_map, tangent_map.ops, x
        self.settings = settings
        self.n, self.b = dimension(tangent_map.state_shape), int(x.shape[0])
        self.step = 0
        self.total = settings["transient"] + settings["n_windows"] * settings["n_steps"]
        self.frame: Array | None = None
        if settings["measure"] == "local":
            self.frame = random_frame(tangent_map, self.b, settings["n_exponents"], rng, self.ops.dtype)
        self.windows: list[Values] = []
        self.growth: Values = np.zeros((self.b, settings["n_exponents"]))
        """Of the frame since a window, or the transient, began."""
        self.since = 0
        """Steps since then."""
        self.chunks: list[tuple[NDArray[Any], Values]] = []
        """States and logarithms of those chunks of the trajectories that are through with the window."""

    def follow(self) -> None:
        """Bring the states to the attractor and align the frames, then take window after window."""
        transient, n_steps = self.settings["transient"], self.settings["n_steps"]
        if self.frame is None and not self.step:
            x = step_states(self.map, self.x, n_steps=transient)
            with unbroken():
                self.x, self.step = x, transient
        while self.step < transient:
            self._carry(transient)
        while len(self.windows) < self.settings["n_windows"]:
            if self.frame is None:
                self._stretch(n_steps)
            else:
                self._carry(n_steps)

    def _carry(self, n_steps: int) -> None:
        """Carry the frame over a block of a window, which keeps to the rhythm of re-orthonormalization."""
        every = self.settings["qr_every"]
        length = min(-(-_BLOCK // every) * every, n_steps - self.since)
        carried = propagate(self.map, self.x, self.frame, n_steps=length, qr_every=every, first_step=self.step)
        if every > 1 and np.isneginf(carried.log_growth).any():
            # A tangent that left the range of floating point looks like one that the map kills: look again.
            carried = propagate(self.map, self.x, self.frame, n_steps=length, first_step=self.step)
        with unbroken():
            self.x, self.frame = carried.x, carried.frame
            self.growth = self.growth + carried.log_growth
            self.step += length
            self.since += length
            if self.since == n_steps:
                self._end(n_steps)
        self.report(self.step, self.total)

    def _end(self, n_steps: int) -> None:
        """Take in a window that is done; what the transient grew does not count."""
        if self.step > self.settings["transient"]:
            self.growth[~self.ops.all_finite(self.x)] = np.nan
            self.windows.append(self.growth / n_steps)
        self.growth, self.since = np.zeros_like(self.growth), 0

    def _stretch(self, n_steps: int) -> None:
        """Logarithms of the largest singular values of D f^n_steps, for a chunk of the trajectories."""
        # A map of the step may depend on the number of the row: its batch is not cut.
        rows = self.b if self.map.depends_on_step else max(1, CHUNK_VALUES // self.n**2)
        start = len(self.chunks) * rows
        x = self.x[start : start + rows]
        options = {"n_steps": n_steps, "k": self.settings["n_exponents"], "first_step": self.step}
        amount = int(x.shape[0]) * n_steps * (self.n + 1)
        ((x, logs),) = by_rows(self.map, rows_stretched, (x,), options, amount=amount)
        done = min(start + rows, self.b)
        with unbroken():
            self.chunks.append((x if isinstance(x, np.ndarray) else self.ops.to_numpy(x), logs))
            if done == self.b:
                states, growths = zip(*self.chunks, strict=True)
                self.x, self.growth = self.ops.from_numpy(np.concatenate(states)), np.concatenate(growths)
                self.step += n_steps
                self.chunks = []
                self._end(n_steps)
        self.report(self.step + (0 if done == self.b else int(n_steps * done / self.b)), self.total)


def rows_stretched(tangent_map: TangentMap, x: Array, *, n_steps: int, k: int, first_step: int) -> RowResults:
    """States after some steps, and logarithms (b, k) of the largest singular values of D f^n_steps."""
    ops, n, eps = tangent_map.ops, dimension(tangent_map.state_shape), float(np.finfo(tangent_map.ops.dtype).eps)
    b = int(x.shape[0])
    product = ops.from_numpy(np.broadcast_to(np.eye(n), (b, n, n)).copy())
    scale = np.zeros(b)
    every, since = 1, 0  # often enough that products stay within the range of floating point
    with quiet():
        for step in range(1, n_steps + 1):
            x, product = tangent_map.at(first_step + step - 1).jvp(x, product)
            since += 1
            if since >= every or step == n_steps:
                size = ops.norm(product)
                if not (size > 0).all():  # squares of small numbers are zero long before the numbers
                    size = np.abs(ops.to_numpy(product).astype(np.float64)).max(axis=(1, 2))
                usable = np.isfinite(size) & (size > 0)
                size = np.where(usable, size, 1.0)
                product = product * ops.from_numpy((1 / size)[:, None, None])
                scale += np.log(size)
                steepest = float(np.abs(np.log(size)).max()) / since
                every, since = int(np.clip(_LARGEST_LOG / max(steepest, 1.0), 1, _RESCALE_EVERY)), 0
        matrices = ops.to_numpy(product).astype(np.float64)
        finite = np.asarray(np.isfinite(matrices).all(axis=(1, 2)))
        matrices[~finite] = 0.0
        singular = np.linalg.svd(matrices, compute_uv=False)[:, :k]
        logs: Values = np.log(singular) + scale[:, None]
    # What is left of a small singular value beside rounding of the largest is noise.
    lost = (singular < n * eps * singular[:, :1]) & (singular[:, :1] > 0)
    logs[lost | ~finite[:, None]] = np.nan
    return [(x, logs)]
