"""Covariant Lyapunov vectors: frames are carried forward, coefficients backward (F. Ginelli et al. 2007).

The forward pass is the map's own (`TangentMap.record`); the backward pass is compiled once for all maps.
Frames are kept as long as they take little memory. Of longer runs only the first frame of every segment
is kept, and a segment is carried forward again when the backward pass comes to it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.attractor import ZERO, growth_rounding
from lyapmap.analysis.exponents.growth import GrowthStatistics
from lyapmap.analysis.tangents.backward import carried_back
from lyapmap.core.arguments import given, whole
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.demand import Advance, Demand, held, of_states
from lyapmap.core.errors import LyapmapError, MapError
from lyapmap.core.journal import Resumable
from lyapmap.core.map import Map, TangentMap, as_states, dimension, rate_unit, time_per_step
from lyapmap.core.ops import Array, ArrayOps
from lyapmap.core.propagate import propagate, quiet, random_frame, record
from lyapmap.core.qr_loop import Recording
from lyapmap.core.results import Cause, Result, Status, Verdict, dims
from lyapmap.core.run import Report, Run, unbroken
from lyapmap.engine.crew import crew_of

Values = NDArray[np.float64]

FORGET = 16.0
"""Nats by which the wrong directions should fall behind in the backward transient."""
LEAST_BACKWARD, MOST_BACKWARD = 20, 1000
KEPT_VALUES = 4_000_000
"""Values of frames and factors, 32 MB, up to which all are kept."""
COMPILED_SEGMENTS = 8
"""Segments that compiled code takes together."""
MOST_BLOCKS = 256
"""Blocks of steps by which growth is counted."""
FLOOR_MARGIN = 8.0
"""Roundings, in units of sqrt(n), that the noise in a tangent's image amounts to."""


class CovariantRun(Resumable):
    """States, frames, coefficients and what is sampled of them.

    Coefficients C (b, k, k) are upper triangular with unit columns: the covariant vectors are
    Q C. Because Q is orthonormal, growth and angles need C alone.
    """

    KEPT = (
        *("rng", "first", "whole_length", "growth", "qr_growth", "split", "resolved", "lost", "status", "forward_done"),
        *("coefficients", "other", "growths", "statistics", "residual", "vectors", "states", "angles"),
    )
    CARRIED = ("x", "frame", "end_state")

    def __init__(self, tangent_map: TangentMap, x: Array, settings: dict[str, Any], rng: np.random.Generator) -> None:
        self.map, self.ops, self.x = tangent_map, tangent_map.ops, x
        self.b, self.n, self.k = int(x.shape[0]), dimension(tangent_map.state_shape), settings["n_vectors"]
        self.n_steps: int = settings["n_steps"]
        self.transient: int = settings["transient"]
        self.choose_backward = settings["backward_transient"] is None
        self.whole_length = self.n_steps + (settings["backward_transient"] or 0)
        self.every: int = settings["checkpoint_every"]
        self.keep_frames: bool = settings["keep_frames"]
        self.sample_every: int = settings["sample_every"]
        self.split: int = settings["split"] or 0
        self.frame = random_frame(tangent_map, self.b, self.k, rng, self.ops.dtype)
        self.rng = rng
        self.statistics = GrowthStatistics(self.b, self.k)
        self.qr_growth: Values = np.full((self.b, self.k), np.nan)
        self.residual: Values = np.full(self.k, np.nan)
        self.sampled = np.arange(0, self.n_steps, self.sample_every)
        s = len(self.sampled)
        self.vectors: Values = np.full((self.b, s, self.n, self.k), np.nan)
        self.states = np.full((self.b, s, self.n), np.nan, self.ops.dtype)
        self.angles: Values = np.full((self.b, s), np.nan)
        self.lost, self.status = "", Status.OK
        self.resolved = self.k
        self._segments: list[_Segment] = []
        self.first = -1
        """Steps after the transient that frames were carried over; -1 before it."""
        self.growth = np.zeros((self.b, self.k))
        self.forward_done = False
        self.coefficients: Values = np.zeros((0, 0, 0))  # drawn when the backward pass begins
        self.other = self.coefficients
        """Coefficients from another start, by which it is seen when the start is forgotten."""
        self.growths: list[Values] = []
        self.end_state: Array | None = None
        """Where the second pass over a segment must end."""

    def state(self) -> dict[str, Any]:
        """All that is kept, and the segments that the backward pass has not come to."""
        return super().state() | {"segments": [segment.state(self.ops) for segment in self._segments]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Stand where another stood."""
        super().restore(state)
        self.status = Status(self.status)
        self._segments = [_Segment.of(kept, self.ops) for kept in state["segments"]]

    def forward(self, report: Report) -> None:
        """Align the frames, then carry them over all steps and keep a checkpoint at times."""
        if self.forward_done or self.lost:
            return
        if self.first < 0:
            carried = propagate(self.map, self.x, self.frame, n_steps=self.transient)
            with unbroken():
                self.x, self.frame, self.first = carried.x, carried.frame, 0
        while self.first < self.whole_length:
            first = self.first
            if not self._finite(self.transient + first):
                return
            report(self.transient + first, self.transient + 2 * self.whole_length)
            # No segment goes past the end of the steps that are measured.
            last = min(first + self.every, self.n_steps if first < self.n_steps else self.whole_length)
            segment = _Segment(first, last, self.ops.copy(self.x), self.ops.copy(self.frame))
            recorded = self._recorded(segment)
            with unbroken():
                self.x, self.frame = recorded.x, recorded.frame
                if last <= self.n_steps:
                    with quiet():
                        logs = np.log(np.abs(np.diagonal(recorded.factors, axis1=2, axis2=3)))
                    self.growth += logs.sum(axis=0)
                if last == self.n_steps and self.choose_backward:
                    self.whole_length += _steps_to_forget(self.growth / self.n_steps)
                segment.recorded = recorded if self.keep_frames else None
                self._segments.append(segment)
                self.first = last
        if not self._finite(self.transient + self.whole_length):
            return
        growth = self.qr_growth = self.growth
        if np.isneginf(growth).any() or np.isnan(growth).any():
            first = int((~np.isfinite(growth)).any(axis=0).argmax()) + 1
            self.lost = f"direction {first} dies: the derivative has no such rank; take n_vectors={first - 1} or fewer"
            self.status = Status.NOT_CONVERGED
        self.resolved = self._resolved(growth / self.n_steps)
        if not self.split:
            least = max(ZERO, growth_rounding(self.map, self.ops.dtype))
            positive = int((growth.mean(axis=0) / self.n_steps > least).sum())
            self.split = min(max(positive, 1), max(self.k - 1, 1))
        self.forward_done = True

    def _resolved(self, growth: Values) -> int:
        """How many directions stand out of the rounding of the one that grows most in a step."""
        floor = np.log(np.finfo(self.ops.dtype).eps * FLOOR_MARGIN * np.sqrt(self.n))
        mean = growth.mean(axis=0)
        under = mean < mean[0] + floor
        return int(under.argmax()) if under.any() else self.k

    def _finite(self, step: int) -> bool:
        finite = self.ops.all_finite(self.x)
        if not finite.all():
            self.lost = f"{int((~finite).sum())} of {self.b} trajectories not finite after step {step}"
            self.status = Status.ESCAPED
        return bool(finite.all())

    def _recorded(self, segment: _Segment) -> Recording:
        """R of every step of a segment, and the states and frames that are sampled.

        Both passes take these very steps: another way to the same block may round otherwise, and chaos
        would tear the passes apart.
        """
        return record(
            self.map,
            segment.x,
            segment.frame,
            n_steps=segment.last - segment.first,
            wanted=self._wanted(segment),
            first_step=self.transient + segment.first,
        )

    def _wanted(self, segment: _Segment) -> NDArray[np.bool_]:
        steps = np.arange(segment.first, segment.last)
        wanted: NDArray[np.bool_] = (steps % self.sample_every == 0) & (steps < self.n_steps)
        return wanted

    def backward(self, report: Report) -> None:
        """Carry coefficients backward, segment by segment, and sample the vectors."""
        total = self.transient + 2 * self.whole_length
        if not self.coefficients.size:
            with unbroken():
                self.coefficients, self.other = self._random_coefficients(), self._random_coefficients()
        # Batches of a standard error are much longer than this.
        together = max(1, self.n_steps // MOST_BLOCKS)
        while self._segments:
            segment = self._segments[-1]
            recorded = segment.recorded or self._recorded(segment)
            if self.end_state is not None:
                self._same(recorded.x, self.end_state)
            wanted = self._wanted(segment)
            with unbroken():
                if segment.last == self.n_steps:
                    self.residual = _apart(self.coefficients, self.other)
                with quiet():
                    self.coefficients, growth, kept = carried_back(recorded.factors, self.coefficients, wanted)
                    if segment.first >= self.n_steps:
                        self.other = carried_back(recorded.factors, self.other, wanted)[0]
                    else:
                        self.growths = self._counted([*self.growths, growth[::-1]], together, segment.first == 0)
                    self._sample(segment, recorded, kept)
                self.end_state = segment.x
                self._segments.pop()
            report(total - segment.first, total)

    def _counted(self, growths: list[Values], together: int, all_there: bool) -> list[Values]:
        """Take in the growth of steps by blocks of `together`; what is left over waits for the next segment."""
        growth = np.concatenate(growths)
        full = len(growth) // together * together
        blocks = growth[:full].reshape(-1, together, self.b, self.k).sum(axis=1)
        self.statistics.extend(blocks, together)
        rest = growth[full:]
        if all_there and len(rest):
            self.statistics.add(rest.sum(axis=0), len(rest))
        return [rest]

    def _same(self, x: Array, end_state: Array) -> None:
        """Refuse a map whose second pass ends elsewhere than the first."""
        if not self.ops.rows_equal(x, end_state).all():
            raise MapError(
                "map: the same steps from the same states end elsewhere the second time, so segments cannot be "
                "computed twice; pass checkpoint_every=1, which keeps every frame"
            )

    def _random_coefficients(self) -> Values:
        upper = np.triu(self.rng.standard_normal((self.b, self.k, self.k)))
        unit: Values = upper / np.linalg.norm(upper, axis=1, keepdims=True)
        return unit

    def _sample(self, segment: _Segment, recorded: Recording, kept: Values) -> None:
        """Vectors, states and angles of a segment from the coefficients that were kept (m, b, k, k)."""
        first = -(-segment.first // self.sample_every)
        where = slice(first, first + len(kept))
        self.states[:, where] = recorded.states.swapaxes(0, 1)
        self.vectors[:, where] = (recorded.frames @ kept).swapaxes(0, 1)
        self.vectors[:, where, :, self.resolved :] = np.nan
        if self.k > 1:
            self.angles[:, where] = _smallest_angles(kept, self.split).swapaxes(0, 1)


@dataclass
class _Segment:
    """Steps first ... last - 1 after the transient: where they begin and, if it is kept, what they gave."""

    first: int
    last: int
    x: Array
    frame: Array
    recorded: Recording | None = None

    def state(self, ops: ArrayOps) -> dict[str, Any]:
        """As plain values and NumPy arrays."""
        recorded = self.recorded
        if recorded is not None:
            recorded = recorded._replace(x=ops.to_numpy(recorded.x), frame=ops.to_numpy(recorded.frame))
        return {
            "steps": (self.first, self.last),
            "x": ops.to_numpy(self.x),
            "frame": ops.to_numpy(self.frame),
            "recorded": None if recorded is None else recorded._asdict(),
        }

    @classmethod
    def of(cls, state: Mapping[str, Any], ops: ArrayOps) -> _Segment:
        """A segment from its state."""
        recorded = None
        if state["recorded"] is not None:
            recorded = Recording(**state["recorded"])
            recorded = recorded._replace(x=ops.from_numpy(recorded.x), frame=ops.from_numpy(recorded.frame))
        first, last = state["steps"]
        return cls(first, last, ops.from_numpy(state["x"]), ops.from_numpy(state["frame"]), recorded)


def _steps_to_forget(growth: Values) -> int:
    """Steps in which the backward pass forgets its start, from the gaps of the growth (b, k) per step."""
    gaps = -np.diff(growth.mean(axis=0))
    smallest = float(gaps.min()) if gaps.size and np.isfinite(gaps).all() else np.inf
    if smallest <= FORGET / MOST_BACKWARD:
        return MOST_BACKWARD
    return max(LEAST_BACKWARD, int(np.ceil(FORGET / smallest)))


def _apart(a: Values, b: Values) -> Values:
    """Largest sine, over trajectories, of the angle between columns of the same number, (k,)."""
    cosine = np.einsum("bik,bik->bk", a, b)
    distance = np.linalg.norm(a - np.sign(cosine)[:, None, :] * b, axis=1)  # 2 sin of half the angle
    sines: Values = (distance * np.sqrt(np.maximum(1 - distance**2 / 4, 0.0))).max(axis=0)
    return np.where(np.abs(cosine).min(axis=0) == 0, 1.0, sines)


def _smallest_angles(coefficients: Values, split: int) -> Values:
    """Smallest principal angle (...) between the spans of the first columns of (..., k, k) and of the others.

    C is upper triangular, [[A, B], [0, D]], so its first columns span the first coordinates, and the
    others span the graph of M = B D^-1. The largest singular value of M is the cotangent of the
    smallest angle: exact for small angles.
    """
    k = coefficients.shape[-1]
    upper, lower = coefficients[..., :split, split:], coefficients[..., split:, split:]
    graph = np.empty((*coefficients.shape[:-2], split, k - split))
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        for j in range(k - split):
            inside = np.einsum("...il,...l->...i", graph[..., :j], lower[..., :j, j])
            graph[..., j] = (upper[..., j] - inside) / lower[..., j, j, None]
        if min(split, k - split) == 1:  # a single row or column
            steepest = np.sqrt(np.square(graph).sum(axis=(-2, -1)))
        else:
            there = np.isfinite(graph).all(axis=(-2, -1))
            steepest = np.full(there.shape, np.inf)  # of a vector within the other span
            steepest[there] = np.linalg.svd(graph[there], compute_uv=False)[:, 0]
    angles: Values = np.arctan2(1.0, np.abs(steepest))
    return angles


TOLERANCE = 0.01
"""Sine of the angle between vectors from two different ends of the backward pass that is let pass."""


@dataclass(frozen=True, kw_only=True)
class CovariantVectors(Result):
    """Covariant Lyapunov vectors at sampled states.

    Attributes
    ----------
    exponents, stderr : (k,)
        Growth of the covariant vectors themselves, largest first, and its standard error.
    per_trajectory : (b, k)
    qr_exponents : (k,)
        From the frames, over the same steps: they agree up to a term of order 1 / n_steps.
    vectors : (b, s, n, k)
        Unit vectors; J v(t) is parallel to v(t + 1), with the same sign.
    states : (b, s, n)
    steps : (s,)
        Steps from the end of the transient to each sample.
    angles : (b, s)
        Smallest angle, in radians, between the span of the first `split` vectors and that of the
        others; NaN where there is only one of the two. Bounded away from 0: hyperbolic, as far as
        k vectors tell.
    split : int
        By default the number of positive exponents.
    backward_residual : (k,)
        Sine of the largest angle at the end of the measured steps between vectors from two
        different starts of the backward pass: the error that it had not yet forgotten there.
    state_shape : tuple of int
    unit : str
        "per step", or "per unit time" of a flow.
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.tangents.pictures_tangent.draw_covariant"
    SUMMARY: ClassVar[tuple[str, ...]] = ("exponents",)
    REMEDIES: ClassVar[dict[Status, str]] = {
        Status.NOT_CONVERGED: "raise backward_transient or transient, or ask for fewer vectors",
        Status.UNRESOLVED: "use float64, or ask for fewer vectors",
    }

    exponents: Values = dims("exponent")
    stderr: Values = dims("exponent")
    per_trajectory: Values = dims("trajectory", "exponent")
    qr_exponents: Values = dims("exponent")
    vectors: Values = dims("trajectory", "sample", "component", "exponent")
    states: NDArray[Any] = dims("trajectory", "sample", "component")
    steps: NDArray[np.int64] = dims("sample")
    angles: Values = dims("trajectory", "sample")
    split: int
    backward_residual: Values = dims("exponent")
    state_shape: tuple[int, ...]
    unit: str = "per step"

    @property
    def smallest_angle(self) -> float:
        """Over all samples; NaN where there are no two subspaces."""
        known = self.angles[np.isfinite(self.angles)]
        return float(known.min()) if known.size else math.nan

    def images(self) -> Values:
        """Vectors in the shape of a state, (b, s, k, *state_shape)."""
        turned = np.moveaxis(self.vectors, 3, 2)
        return turned.reshape(*turned.shape[:3], *self.state_shape)

    def _finding(self) -> str:
        time = "steps" if self.unit == "per step" else "units of time"
        value = float(self.exponents[0])
        way = "part" if value > 0 else "approach each other"
        text = (
            f"Along the leading direction neighbouring states {way} by a factor e every {abs(1 / value):.3g} {time}"
            if value
            else "The leading direction neither grows nor shrinks"
        )
        if math.isfinite(self.smallest_angle):
            angle = f"{math.degrees(self.smallest_angle):.2g} degrees"
            text += f"; the first {self.split} and the other directions come as near as {angle}"
        return f"{text}."


def covariant_vectors(
    map: Map,  # noqa: A002  # the field's own word
    x0: Any,
    *,
    n_steps: int,
    n_vectors: int | None = None,
    transient: int = 100,
    backward_transient: int | None = None,
    split: int | None = None,
    sample_every: int = 1,
    checkpoint_every: int | None = None,
    seed: int | None = None,
    progress: bool | Report = False,
    journal: str | Path | None = None,
    client: Any = None,
    throw: bool = True,
) -> CovariantVectors:
    """Covariant Lyapunov vectors along trajectories.

    Parameters
    ----------
    map : Map
        Any map; `lyapmap.wrap` makes one of a function or a network.
    x0 : (n,), (b, n), state_shape or (b, *state_shape)
        One initial state or a batch.
    n_steps : int
        Steps along which the vectors are computed. `vectors` holds those before every
        `sample_every`-th of them.
    n_vectors : int, optional
        How many, k; all up to n = 64, 8 above.
    transient : int
        Steps before, for states to reach the attractor and frames to align. What is left of the
        first frame falls by the gap between successive exponents in every step.
    backward_transient : int, optional
        Steps after, for the backward pass to forget where it began. By default 16 over the smallest
        gap between successive exponents (a factor e^16), 20 to 1000.
    split : int, optional
        Vectors on the first side of `angles`; the number of positive exponents by default.
    sample_every : int
        Steps between the states at which vectors are kept.
    checkpoint_every : int, optional
        Steps between the frames that are kept, from which the others are computed again. By default
        every frame is kept up to 32 MB, and one in the root of all steps beyond. 1 keeps every
        frame however many there are, for a map whose arithmetic does not repeat itself bit for bit.
    seed : int, optional
        Of the first frames, and of the coefficients from which the backward pass begins.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (steps done, steps in all).
    journal : path, optional
        Folder from which the same call goes on to the same bits where it was cut short, as in `lyapunov_spectrum`.
    client : distributed.Client, optional
        Cluster whose workers compute the trajectories, to the same bits; see docs/distributed.md.
    throw : bool
        Raise if the run failed; else return what there is with its status.

    Returns
    -------
    CovariantVectors

    Raises
    ------
    LyapmapError
        If an argument cannot be used.
    RunError
        If a state escapes, or vectors still depend on where the backward pass began
        (`backward_residual` above 0.01: exponents that are equal or nearly so), and `throw`.
    Interrupted
        On Ctrl-C; its `result` is None.

    References
    ----------
    F. Ginelli, P. Poggi, A. Turchi, H. Chaté, R. Livi, A. Politi, Phys. Rev. Lett. 99 (2007) 130601.
    P. V. Kuptsov, U. Parlitz, J. Nonlinear Sci. 22 (2012) 727.

    Examples
    --------
    >>> import numpy as np
    >>> import lyapmap as lm
    >>> result = lm.covariant_vectors(lm.systems.arnold_cat(), [0.1, 0.2], n_steps=20, seed=0)
    >>> np.round(np.abs(result.vectors[0, 0]), 6).tolist(), round(float(np.degrees(result.smallest_angle)), 6)
    ([[0.525731, 0.850651], [0.850651, 0.525731]], 90.0)
    """
    tangent_map = as_tangent_map(map)
    x, _ = as_states(x0, tangent_map)
    n = tangent_map.n_tangents
    k = whole("n_vectors", (n if n <= 64 else 8) if n_vectors is None else n_vectors, 1)
    if k > n:
        raise LyapmapError(f"n_vectors: expected 1 to {n}, got {k}")
    if split is not None and not 1 <= whole("split", split, 1) < max(k, 2):
        raise LyapmapError(f"split: expected 1 to {k - 1}, got {split}")
    settings: dict[str, Any] = {
        "n_steps": whole("n_steps", n_steps, 1),
        "n_vectors": k,
        "transient": whole("transient", transient, 0),
        "backward_transient": given(whole, "backward_transient", backward_transient, 0),
        "split": split,
        "sample_every": whole("sample_every", sample_every, 1),
        "n_trajectories": int(x.shape[0]),
    }
    length = settings["n_steps"] + (MOST_BACKWARD if backward_transient is None else backward_transient)
    tangent_map = tangent_map.for_run(x, k, settings["transient"] + length)
    usual = math.isqrt(length) + 1
    settings["checkpoint_every"] = usual if checkpoint_every is None else whole("checkpoint_every", checkpoint_every, 1)
    values = int(x.shape[0]) * (k * k + n * (k + 1) // settings["sample_every"]) * length
    keep_frames = checkpoint_every == 1 or (checkpoint_every is None and values <= KEPT_VALUES)
    if keep_frames:
        # Progress is told after every segment, which compiled code is through with in no time.
        settings["checkpoint_every"] = COMPILED_SEGMENTS * usual if tangent_map.compiled else usual
    run = Run(
        "covariant vectors",
        tangent_map,
        seed=seed,
        progress=progress,
        journal=journal,
        crew=crew_of(client),
        start=x,
        settings=settings | {"keep_frames": keep_frames},
        demand=_demand(tangent_map, x, settings | {"keep_frames": keep_frames}, length),
    )
    frames = CovariantRun(tangent_map, x, settings | {"keep_frames": keep_frames}, run.rng)
    with run.steps(work=frames) as report:
        frames.forward(report)
        if not frames.lost:
            frames.backward(report)
    settings["backward_transient"] = frames.whole_length - frames.n_steps
    settings["checkpoint_every"] = 1 if keep_frames else settings["checkpoint_every"]
    measured = frames.statistics.steps > 0 and not frames.lost
    known = np.where((np.arange(k) < frames.resolved) & measured, 1.0, np.nan)
    rate = known / time_per_step(tangent_map)
    result = CovariantVectors(
        **run.ending(_verdict(frames)),
        settings=settings,
        exponents=frames.statistics.mean() * rate,
        stderr=frames.statistics.stderr() * rate,
        per_trajectory=frames.statistics.per_trajectory() * rate,
        qr_exponents=frames.qr_growth.mean(axis=0) / settings["n_steps"] * rate,
        vectors=frames.vectors,
        states=frames.states,
        steps=frames.sampled,
        angles=frames.angles,
        split=frames.split,
        backward_residual=frames.residual,
        state_shape=tuple(tangent_map.state_shape),
        unit=rate_unit(tangent_map),
    )
    return run.finish(result, throw)


def _verdict(run: CovariantRun) -> Verdict:
    if run.lost:
        return Verdict(run.status, run.lost)
    bad = np.flatnonzero(~(run.residual[: run.resolved] <= TOLERANCE))
    if bad.size:
        which = ", ".join(str(i + 1) for i in bad)
        return Verdict(
            Status.NOT_CONVERGED,
            f"vectors {which} still depend on where the backward pass began (residual up to "
            f"{np.max(run.residual[bad]):.1e}); raise backward_transient, unless their exponents are equal",
        )
    if run.resolved < run.k:
        return Verdict(
            Status.UNRESOLVED,
            f"vectors from number {run.resolved + 1} on contract so much in one step that {run.ops.dtype} "
            f"leaves nothing but rounding of them; take n_vectors={run.resolved}",
        )
    if np.isposinf(run.statistics.stderr()).any():
        # The vectors stand: only what is averaged over time is open.
        of = f"{run.b} trajectories" if run.b > 1 else "one trajectory"
        return Verdict(Status.UNRESOLVED, f"{run.n_steps} steps of {of} are too few for error bars", Cause.TOO_SHORT)
    return Verdict()


def _demand(tangent_map: TangentMap, x: Array, settings: dict[str, Any], length: int) -> Demand:
    b, n, k, n_steps = int(x.shape[0]), dimension(tangent_map.state_shape), settings["n_vectors"], settings["n_steps"]
    every, thin = settings["checkpoint_every"], settings["sample_every"]

    def begin(rows: int) -> Advance:
        def advance(steps: int) -> None:
            short = settings | {"n_steps": steps, "transient": 0, "backward_transient": 0}
            frames = CovariantRun(tangent_map, x[:rows], short, np.random.default_rng(0))
            frames.forward(lambda done, total: None)
            frames.backward(lambda done, total: None)

        return advance

    samples = -(-n_steps // thin)
    # What is sampled, of which a segment's share is there twice; R of all steps, or of those of a segment.
    kept = length if settings["keep_frames"] else min(every, length)
    arrays = [
        *of_states(tangent_map, b, k),
        held("vectors", 8, trajectories=b, n_steps=samples, _n=n, n_vectors=k),
        held("states", 8, trajectories=b, n_steps=samples, _n=n),
        held("frames of a segment", 2 * 8, trajectories=b, _steps=-(-kept // thin), _n=n, n_vectors=k),
        held("factors of a segment", 2 * 8, trajectories=b, _steps=kept, n_vectors=k, _k=k),
        held("checkpoints", 8, trajectories=b, _checkpoints=-(-length // every), _n=n, n_vectors=k + 1),
    ]
    forgotten = settings["backward_transient"]
    steps = n_steps + (LEAST_BACKWARD if forgotten is None else forgotten) + settings["transient"] // 2
    return Demand(arrays, rows=b, steps=steps, begin=begin)
