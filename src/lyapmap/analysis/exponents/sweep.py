"""What a map does along a parameter: exponents, attractors and bifurcation diagrams, at many values of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.spectrum import lyapunov_spectrum
from lyapmap.core.arguments import given, whole
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.demand import Advance, Demand, held, of_states
from lyapmap.core.errors import LyapmapError, RunError, in_one_line
from lyapmap.core.journal import Resumable
from lyapmap.core.map import Map, TangentMap, as_states, dimension, rate_unit
from lyapmap.core.ops import Array
from lyapmap.core.plain import with_error
from lyapmap.core.propagate import propagate, step_states
from lyapmap.core.results import Cause, Result, Status, Verdict, dims
from lyapmap.core.run import Report, Run, unbroken
from lyapmap.engine.crew import Crew, crew_of

ALIGN = 100
"""Steps for tangent frames to align: a gap of 0.1 nats per step between two exponents leaves e^-10 of the wrong
direction."""

_Values = NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """What is done at every value."""

    analyses: tuple[str | Callable[[Any, Any], Any], ...]
    n_steps: int
    transient: int
    n_kept: int
    n_exponents: int | None
    n_trajectories: int


@dataclass
class Point:
    """What was found at one value."""

    status: Status = Status.OK
    message: str = ""
    cause: Cause = Cause.NONE
    exponents: _Values = field(default_factory=lambda: np.zeros(0))
    stderr: _Values = field(default_factory=lambda: np.zeros(0))
    kaplan_yorke: float = np.nan
    kaplan_yorke_stderr: float = np.nan
    attractor: str = ""
    states: _Values = field(default_factory=lambda: np.zeros((0, 0)))
    measured: _Values = field(default_factory=lambda: np.zeros(0))
    final: Any = None
    """States (b, n) to go on from; None after a failure."""

    def fail(self, status: Status, message: str, cause: Cause = Cause.NONE) -> None:
        """Note the first failure."""
        if not self.status.failed:
            self.status, self.message, self.cause = status, message, cause
        self.final = None


class Points(list[Point | None], Resumable):
    """What was found at each value; None where it is not known yet."""

    def __init__(self, count: int) -> None:
        super().__init__([None] * count)

    def state(self) -> dict[str, Any]:
        """The points as plain values, by their numbers."""
        return {str(i): vars(point) for i, point in enumerate(self) if point is not None}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take in the points that were known."""
        for i, values in state.items():
            ended = {"status": Status(values["status"]), "cause": Cause(values["cause"])}
            self[int(i)] = Point(**{**values, **ended})


def measure(tangent_map: TangentMap, x0: Any, task: Task, seed: int) -> Point:
    """Do at one value what is asked for."""
    ops = tangent_map.ops
    x, _ = as_states(_start(tangent_map, task, seed) if x0 is None else x0, tangent_map)
    point = Point()
    settled = None
    for analysis in task.analyses:
        if analysis == "spectrum":
            _spectrum(point, tangent_map, x, task, seed)
            continue
        if settled is None:
            settled = _settled(tangent_map, x, task.transient)
        if analysis == "bifurcation":
            last = _bifurcation(point, tangent_map, settled, task)
            if not point.status.failed:
                point.final = ops.to_numpy(last)
        elif callable(analysis):
            _measured(point, analysis, tangent_map, settled)
            if not point.status.failed and point.final is None:
                point.final = ops.to_numpy(settled)
    return point


def _start(tangent_map: TangentMap, task: Task, seed: int) -> Any:
    own = tangent_map.initial_states(task.n_trajectories, seed)
    if own is None:
        raise LyapmapError("x0: expected states to start from, as the map has no initial_states of its own")
    return own


def _settled(tangent_map: TangentMap, x: Array, n_steps: int) -> Array:
    """States after the transient; in one go where the map is compiled."""
    if tangent_map.depends_on_step or not tangent_map.compiled:
        return step_states(tangent_map, x, n_steps=n_steps)
    frame = np.zeros((x.shape[0], dimension(tangent_map.state_shape), 1))
    frame[:, 0] = 1.0
    return propagate(tangent_map, x, tangent_map.ops.from_numpy(frame), n_steps=n_steps, qr_every=n_steps or 1).x


def _spectrum(point: Point, tangent_map: TangentMap, x: Array, task: Task, seed: int) -> None:
    align = task.transient
    if not tangent_map.depends_on_step:
        # Frames align in far fewer steps than states may need to reach the attractor.
        align = min(task.transient, ALIGN) if dimension(tangent_map.state_shape) > 1 else 0
        x = _settled(tangent_map, x, task.transient - align)
    states = tangent_map.ops.to_numpy(x)
    if not np.isfinite(states).all():
        point.fail(Status.ESCAPED, "a state is not finite after the transient")
        return
    spectrum = lyapunov_spectrum(
        tangent_map,
        states,
        n_steps=task.n_steps,
        transient=align,
        n_exponents=task.n_exponents,
        seed=seed,
        throw=False,
    )
    point.exponents, point.stderr = spectrum.exponents, spectrum.stderr
    point.kaplan_yorke, point.kaplan_yorke_stderr = spectrum.kaplan_yorke, spectrum.kaplan_yorke_stderr
    point.attractor = spectrum.attractor
    if spectrum.failed:
        point.fail(spectrum.status, spectrum.message, spectrum.cause)
    elif not point.status.failed:
        if point.status is Status.OK:
            point.status, point.message = spectrum.status, spectrum.message
        point.final = spectrum.final_state


def _bifurcation(point: Point, tangent_map: TangentMap, x: Array, task: Task) -> Array:
    ops = tangent_map.ops
    kept = np.full((x.shape[0], task.n_kept, dimension(tangent_map.state_shape)), np.nan)
    for i in range(task.n_kept):
        kept[:, i] = ops.to_numpy(x)
        x = step_states(tangent_map, x, n_steps=1, first_step=task.transient + i)
    lost: NDArray[np.bool_] = np.asarray(~np.isfinite(kept).all(axis=(1, 2)))
    if lost.any():
        kept[lost] = np.nan
        point.fail(Status.ESCAPED, f"{int(lost.sum())} of {len(lost)} trajectories are not finite")
    point.states = kept.reshape(-1, kept.shape[2])
    return x


def _measured(point: Point, analysis: Callable[[Any, Any], Any], tangent_map: TangentMap, x: Array) -> None:
    states = tangent_map.ops.to_numpy(x)
    if not np.isfinite(states).all():
        point.fail(Status.ESCAPED, "a state is not finite after the transient")
        return
    try:
        numbers = np.atleast_1d(np.asarray(analysis(tangent_map, states), np.float64))
    except RunError as error:
        point.fail(Status.NOT_CONVERGED, str(error))
        return
    if numbers.ndim != 1:
        raise LyapmapError(f"analysis: expected the function to give a number or a row of them, got {numbers.shape}")
    point.measured = numbers


SPECTRUM, BIFURCATION = "spectrum", "bifurcation"
Measure = Callable[[Any, Any], Any]
"""Takes a map and states (b, n); gives a number or several."""


@dataclass(frozen=True, kw_only=True)
class Sweep(Result):
    """What a map does along a parameter. NaN where the run at a value failed, or was not asked for.

    Attributes
    ----------
    values : (v,)
        Of the parameter, in the order given.
    exponents, stderr : (v, k)
        Lyapunov exponents and their standard errors; k = 0 where they were not asked for.
    kaplan_yorke, kaplan_yorke_stderr : (v,)
    states : (v, s, n)
        States after the transient, those of one trajectory after those of another; s = 0 where
        they were not asked for.
    measured : (v, c)
        What a function of the caller's gave; c = 0 without one.
    parameter : str
    statuses : tuple of str
        How the run at each value ended; "not_run" after Ctrl-C.
    attractors : tuple of str
        In words, where exponents were asked for.
    unit : str
        Of the exponents.
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.exponents.pictures_growth.draw_sweep"

    values: _Values = dims("value")
    exponents: _Values = dims("value", "exponent")
    stderr: _Values = dims("value", "exponent")
    kaplan_yorke: _Values = dims("value")
    kaplan_yorke_stderr: _Values = dims("value")
    states: _Values = dims("value", "sample", "component")
    measured: _Values = dims("value", "measure")
    parameter: str
    statuses: tuple[str, ...]
    attractors: tuple[str, ...]
    unit: str = "per step"

    def _finding(self) -> str:
        known = np.isfinite(self.values)
        span = (
            f"from {self.values[known].min():.4g} to {self.values[known].max():.4g}" if known.any() else "over no value"
        )
        if not self.exponents.shape[1]:
            return f"The states that the map settles on, with {self.parameter} {span}."
        largest, error = self.exponents[:, 0], self.stderr[:, 0]
        measured = np.isfinite(largest) & np.isfinite(error)
        chaotic = measured & (largest > 3 * error) & np.array(["chaotic" in words for words in self.attractors], bool)
        text = f"With {self.parameter} {span}, {int(chaotic.sum())} of {int(measured.sum())} values are chaotic"
        if chaotic.any():
            at = int(np.argmax(np.where(chaotic, largest, -np.inf)))
            text += f", most at {self.values[at]:.4g} (exponent {with_error(largest[at], error[at])} {self.unit})"
        return f"{text}."


def sweep(
    factory: Callable[..., Map],
    parameter: str,
    values: Any,
    x0: Any = None,
    *,
    analysis: str | Measure | Sequence[str | Measure] = (BIFURCATION, SPECTRUM),
    n_steps: int = 1000,
    transient: int = 500,
    n_kept: int = 100,
    n_exponents: int | None = None,
    n_trajectories: int = 1,
    carry: bool = False,
    workers: int = 1,
    seed: int | None = None,
    progress: bool | Report = False,
    journal: str | Path | None = None,
    client: Any = None,
    throw: bool = True,
) -> Sweep:
    """Analyse a family of maps along a parameter.

    Parameters
    ----------
    factory : callable
        Makes the map, e.g. ``lm.systems.logistic``; `functools.partial` fixes its other parameters.
    parameter : str
        Keyword of the factory.
    values : (v,)
        Of the parameter.
    x0 : (n,), (b, n), state_shape or (b, *state_shape), optional
        Where every run starts. Without it, `n_trajectories` of the map's own `initial_states`.
    analysis : "bifurcation", "spectrum", callable, or several of them
        "bifurcation" keeps states after the transient; "spectrum" computes Lyapunov exponents; a
        function of (map, states) gives a number, or always as many, for each value.
    n_steps : int
        Steps that exponents are averaged over.
    transient : int
        Steps before; from the same start for each analysis. A function gets the states after it.
    n_kept : int
        Steps of each trajectory that are kept for the bifurcation diagram.
    n_exponents : int, optional
        How many, all by default.
    n_trajectories : int
        Number of initial states, where none are given.
    carry : bool
        Start each run where the one before ended, so that the attractor is followed: sweeps up
        and down then differ where attractors coexist (hysteresis). After a failed run, start anew.
    workers : int
        Threads. They help where steps are long (networks, large lattices); short compiled runs
        wait for Python.
    seed : int, optional
        Of initial states and frames, the same at every value. Without it drawn from the operating
        system and recorded.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (values done, values in all).
    journal : path, optional
        Folder from which the same call goes on to the same bits where it was cut short, as in `lyapunov_spectrum`.
    client : distributed.Client, optional
        Cluster whose workers do the values, to the same bits; see docs/distributed.md.
    throw : bool
        Raise if the runs at all values failed.

    Returns
    -------
    Sweep

    Raises
    ------
    LyapmapError
        If an argument cannot be used, or the factory refuses a value.
    RunError
        If every run failed, and `throw`. A run that fails alone is recorded in `statuses`.
    Interrupted
        On Ctrl-C, with the values done until then.

    References
    ----------
    R. M. May, Nature 261 (1976) 459, for the diagram of the logistic map.

    Examples
    --------
    >>> import lyapmap as lm
    >>> s = lm.sweep(lm.systems.logistic, "r", [3.2, 3.5, 4.0], [0.3], n_steps=2000, seed=0)
    >>> s.attractors
    ('cycle of period 2', 'cycle of period 4', 'chaotic')
    """
    row = _as_values(values)
    task = Task(
        analyses=_as_analyses(analysis),
        n_steps=whole("n_steps", n_steps, 1),
        transient=whole("transient", transient, 0),
        n_kept=whole("n_kept", n_kept, 1),
        n_exponents=given(whole, "n_exponents", n_exponents, 1),
        n_trajectories=whole("n_trajectories", n_trajectories, 1),
    )
    workers = whole("workers", workers, 1)
    if carry and workers > 1:
        raise LyapmapError(f"workers: expected 1 together with carry, whose runs follow each other, got {workers}")
    make = _Family(factory, parameter)
    for extreme in (row.min(), row.max()):
        example = make(extreme)  # a bad range is refused before the work
    names = [a if isinstance(a, str) else getattr(a, "__name__", type(a).__name__) for a in task.analyses]
    settings = {
        "analysis": names,
        "n_steps": task.n_steps,
        "transient": task.transient,
        "n_kept": task.n_kept,
        "n_exponents": n_exponents,
        "n_trajectories": task.n_trajectories if x0 is None else len(as_states(x0, example)[0]),
        "carry": bool(carry),
    }
    run = Run(
        "sweep",
        example,
        seed=seed,
        progress=progress,
        journal=journal,
        start=None if x0 is None else as_states(x0, example)[0],
        settings=settings | {"parameter": parameter, "values": row.tolist()},
        demand=_demand(make, example, row, x0, task),
    )
    points = Points(len(row))
    with run.steps(keep=lambda: any(points), work=points) as report:
        for index, point in _each(make, row, x0, task, carry, workers, run.seed, points, crew_of(client)):
            with unbroken():
                points[index] = point
            report(len(points) - points.count(None), len(row))
    ran = len(points) - points.count(None)
    ending = run.ending(_verdict(parameter, row, points), done=f"{ran} of {len(row)} values")
    own = ending["provenance"]
    if "parameters" in own:
        own["parameters"] = {name: value for name, value in own["parameters"].items() if name != parameter}
    result = Sweep(
        **ending,
        settings=settings,
        values=row,
        exponents=_stacked([p and p.exponents for p in points], 1),
        stderr=_stacked([p and p.stderr for p in points], 1),
        kaplan_yorke=np.array([np.nan if p is None else p.kaplan_yorke for p in points]),
        kaplan_yorke_stderr=np.array([np.nan if p is None else p.kaplan_yorke_stderr for p in points]),
        states=_stacked([p and p.states for p in points], 2),
        measured=_stacked([p and p.measured for p in points], 1),
        parameter=parameter,
        statuses=tuple("not_run" if point is None else str(point.status) for point in points),
        attractors=tuple("" if p is None else p.attractor for p in points),
        unit=rate_unit(example),
    )
    return run.finish(result, throw)


def _demand(make: _Family, example: TangentMap, values: _Values, x0: Any, task: Task) -> Demand:
    b = task.n_trajectories if x0 is None else len(as_states(x0, example)[0])
    n = dimension(example.state_shape)
    order = np.random.default_rng(0).permutation(len(values))  # some values take longer than others

    def begin(rows: int) -> Advance:
        return lambda steps: [measure(make(values[order[i % len(values)]]), x0, task, 0) for i in range(steps)]

    kept = held("states", 2 * 8, values=len(values), trajectories=b, n_kept=task.n_kept, _n=n)
    k = task.n_exponents or min(n, 16)
    return Demand([*of_states(example, b, k), kept], rows=1, steps=len(values), begin=begin)


class _Family:
    """Makes the map of a value; an error of the factory names the value."""

    def __init__(self, factory: Callable[..., Map], parameter: str) -> None:
        if not callable(factory):
            raise LyapmapError(f"factory: expected a function that makes a map, got {type(factory).__name__}")
        self.factory = factory
        self.parameter = parameter

    def __call__(self, value: float) -> TangentMap:
        try:
            return as_tangent_map(in_one_line(self.factory)(**{self.parameter: float(value)}))
        except LyapmapError as error:
            raise LyapmapError(f"values: no map at {self.parameter} = {value:g} ({error})") from None
        except TypeError as error:
            raise LyapmapError(f"parameter: the factory does not take {self.parameter!r} ({error})") from None


@dataclass(frozen=True)
class _Measure:
    """What is done at each value, as it is sent to other processes."""

    make: _Family
    x0: Any
    task: Task
    seed: int

    def __call__(self, value: float) -> Point:
        return measure(self.make(value), self.x0, self.task, self.seed)


def _each(
    make: _Family,
    values: _Values,
    x0: Any,
    task: Task,
    carry: bool,
    workers: int,
    seed: int,
    known: Points,
    crew: Crew | None,
) -> Iterator[tuple[int, Point]]:
    """Points that are not known yet as they are done, with their numbers."""
    left = [index for index, point in enumerate(known) if point is None]
    if crew is not None and not carry:
        for i, point in crew.each(_Measure(make, x0, task, seed), [float(values[index]) for index in left]):
            yield left[i], point
        return
    if workers == 1:
        for index in left:
            before = known[index - 1] if carry and index else None
            last = None if before is None else before.final
            yield index, measure(make(values[index]), x0 if last is None else last, task, seed)
        return
    pool = ThreadPoolExecutor(workers)
    try:
        waiting: dict[Future[Point], int] = {
            pool.submit(lambda at: measure(make(at), x0, task, seed), values[index]): index for index in left
        }
        while waiting:
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                yield waiting.pop(future), future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _as_values(values: Any) -> _Values:
    try:
        row = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise LyapmapError(f"values: expected numbers, got {values!r}") from None
    if row.ndim != 1 or row.size == 0 or not np.isfinite(row).all():
        raise LyapmapError(f"values: expected a row of finite numbers, got shape {row.shape}")
    return row


def _as_analyses(analysis: Any) -> tuple[str | Measure, ...]:
    several = tuple(analysis) if isinstance(analysis, list | tuple) else (analysis,)
    for wanted in several:
        if not callable(wanted) and wanted not in (SPECTRUM, BIFURCATION):
            raise LyapmapError(f"analysis: expected 'spectrum', 'bifurcation' or a function, got {wanted!r}")
    if not several or sum(map(callable, several)) > 1:
        raise LyapmapError("analysis: expected at least one analysis, and at most one function")
    return several


def _verdict(parameter: str, values: _Values, points: list[Point | None]) -> Verdict:
    """The sweep has failed only where every run that was done has."""
    ran = [(value, point) for value, point in zip(values, points, strict=True) if point is not None]
    failed = [(value, point) for value, point in ran if point.status.failed]
    if not failed:
        return Verdict()
    value, first = failed[0]
    message = f"{len(failed)} of {len(ran)} runs failed, the first at {parameter} = {value:g}: {first.message}"
    return Verdict(first.status, message, first.cause) if len(failed) == len(ran) else Verdict(message=message)


def _stacked(parts: list[Any], ndim: int) -> _Values:
    """Arrays of the points side by side; NaN where one has fewer values or is missing."""
    shapes = [part.shape for part in parts if part is not None]
    shape = tuple(int(max(sizes)) for sizes in zip(*shapes, strict=True)) if shapes else (0,) * ndim
    out = np.full((len(parts), *shape), np.nan)
    for row, part in zip(out, parts, strict=True):
        if part is not None:
            row[tuple(slice(size) for size in part.shape)] = part
    return out
