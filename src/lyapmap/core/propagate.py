"""Carrying states and tangent frames forward.

The frame is re-orthonormalized every few steps and the growth collected as log|diag R|. That loop is
`core.qr_loop`; compiled maps have their own. Here blocks of it are asked for, and shared out.

Trajectories are carried side by side, each part of them in a thread that computes alone. A library that
shares out every operation among threads makes them wait for each other hundreds of times a step, by
spinning; where another process holds a core, each wait takes as long as that process keeps it.
Trajectories need not wait: they meet at the end of a block, and until then threads that have nothing to
do sleep. How rows are divided depends on the work alone, never on the number of threads, so that every
bit is the same for any number of them.
"""

from __future__ import annotations

import contextvars
import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.arguments import whole
from lyapmap.core.map import TangentMap, dimension, unchecked
from lyapmap.core.ops import Array, ArrayOps
from lyapmap.core.ops import quiet as quiet
from lyapmap.core.progress import ask_to_end, step_done
from lyapmap.core.qr_loop import Recording


@dataclass(frozen=True)
class Carried:
    """What `propagate` carries from one block of steps to the next.

    Attributes
    ----------
    x : (b, n)
        States.
    frame : (b, n, k)
        Orthonormal tangent frames.
    log_growth : (b, k) float64 NumPy
        Sum over the block of log|diag R|.
    """

    x: Array
    frame: Array
    log_growth: NDArray[np.float64]


def random_frame(tangent_map: TangentMap, b: int, k: int, rng: np.random.Generator, dtype: str) -> Array:
    """Orthonormal frames (b, n, k) in random directions."""
    n = dimension(tangent_map.state_shape)
    q, _ = np.linalg.qr(rng.standard_normal((b, n, k)))
    return tangent_map.ops.from_numpy(q, dtype)


class Crew(Protocol):
    """Whoever computes rows elsewhere; `lyapmap.engine` has one of other processes and machines."""

    def rows(
        self, tangent_map: TangentMap, task: RowTask, arrays: tuple[Array, ...], options: dict[str, Any], amount: float
    ) -> RowResults | None:
        """What a task gives for all rows of the arrays; None where it is done sooner, or only, by the caller."""


RowResults = list[tuple[Array, ...]]
"""Arrays whose first axis are the rows, in the map's library or in NumPy."""
RowTask = Callable[..., RowResults]
"""Takes a map, arrays of rows, and options."""
_crew: ContextVar[Crew | None] = ContextVar("crew", default=None)


@contextmanager
def carried_by(crew: Crew | None) -> Iterator[None]:
    """A block within which rows are computed by a crew, if there is one."""
    token = _crew.set(crew)
    try:
        yield
    finally:
        _crew.reset(token)


def by_rows(
    tangent_map: TangentMap, task: RowTask, arrays: tuple[Array, ...], options: dict[str, Any], *, amount: float
) -> RowResults:
    """What a task gives for all rows: by the crew if there is one, else here, side by side where that is known to do.

    Parameters
    ----------
    tangent_map : TangentMap
        A completed map.
    task : callable
        At the top of a module, so that other processes find it.
    arrays : tuple of Array
        Their first axis are the rows.
    options : dict
        Keywords of the task.
    amount : float
        Evaluations of the map, for one state each.
    """
    ops = tangent_map.ops
    elsewhere = _elsewhere(tangent_map, task, arrays, options, amount)
    if elsewhere is not None:
        return elsewhere
    row_work = 0.0 if tangent_map.depends_on_step else tangent_map.row_work
    parts = divided(int(arrays[0].shape[0]), row_work)
    if len(parts) < 2:
        calls = [partial(task, tangent_map, *arrays, **options)]
    else:
        calls = [partial(task, tangent_map, *(array[rows] for array in arrays), **options) for rows in parts]
    work = row_work * amount
    # In threads that compute alone: many that share every layer wait for each other.
    if len(calls) > 1 and not _trusted.get(tangent_map):
        done = [side_by_side(ops, [call], work)[0] for call in calls]
    else:
        done = side_by_side(ops, calls, work)
    return done[0] if len(done) == 1 else _rows_joined(ops, done)


def _elsewhere(
    tangent_map: TangentMap, task: RowTask, arrays: tuple[Array, ...], options: dict[str, Any], amount: float
) -> RowResults | None:
    """What the crew gives for all rows, as NumPy arrays; None where it does not."""
    crew = _crew.get()
    return None if crew is None else crew.rows(tangent_map, task, arrays, options, amount)


def _rows_joined(ops: ArrayOps, parts: list[RowResults]) -> RowResults:
    """Arrays of all rows, from those of each part of them."""

    def joined(fields: tuple[Array, ...]) -> Array:
        return np.concatenate(fields) if isinstance(fields[0], np.ndarray) else ops.concatenate([*fields], 0)

    return [tuple(joined(fields) for fields in zip(*results, strict=True)) for results in zip(*parts, strict=True)]


def on_device(ops: ArrayOps, array: Array, dtype: str | None = None) -> Array:
    """An array of a crew, which is NumPy's, or of the map's own library."""
    return ops.from_numpy(array, dtype) if isinstance(array, np.ndarray) else array


def step_states(tangent_map: TangentMap, x: Array, *, n_steps: int, first_step: int = 0) -> Array:
    """States after `n_steps` steps."""
    completed = unchecked(tangent_map)
    options = {"n_steps": n_steps, "first_step": first_step}
    ((y,),) = by_rows(completed, rows_stepped, (x,), options, amount=x.shape[0] * n_steps)
    return on_device(completed.ops, y)


def rows_stepped(tangent_map: TangentMap, x: Array, *, n_steps: int, first_step: int) -> RowResults:
    """States after some steps."""
    with quiet():
        for step in range(first_step, first_step + n_steps):
            x = tangent_map.at(step).apply(x)
            step_done(int(x.shape[0]))
    return [(x,)]


def orbit(tangent_map: TangentMap, x: Array, *, n_steps: int, first_step: int = 0) -> list[Array]:
    """States after each of some steps: as many steps in one message to a crew, which one step is not worth."""
    completed = unchecked(tangent_map)
    options = {"n_steps": n_steps, "first_step": first_step}
    states = by_rows(completed, rows_along, (x,), options, amount=x.shape[0] * n_steps)
    return [on_device(completed.ops, y) for (y,) in states]


def rows_along(tangent_map: TangentMap, x: Array, *, n_steps: int, first_step: int) -> RowResults:
    """States after each step."""
    states = []
    for step in range(first_step, first_step + n_steps):
        ((x,),) = rows_stepped(tangent_map, x, n_steps=1, first_step=step)
        states.append((x,))
    return states


def has_crew() -> bool:
    """Whether rows are computed by a crew where that pays."""
    return _crew.get() is not None


def states_at(tangent_map: TangentMap, x: Array, steps: Iterable[int]) -> Iterator[Array]:
    """States after ascending numbers of steps, one after the other."""
    done = 0
    for step in steps:
        x = step_states(tangent_map, x, n_steps=step - done, first_step=done)
        done = step
        yield x


def propagate(
    tangent_map: TangentMap,
    x: Array,
    frame: Array,
    *,
    n_steps: int,
    qr_every: int = 1,
    frame_dtype: str | None = None,
    first_step: int = 0,
) -> Carried:
    """Carry states and frames over a block of steps.

    Parameters
    ----------
    tangent_map : TangentMap
    x : (b, n)
        States, in the map's dtype.
    frame : (b, n, k)
        Orthonormal frames, in `frame_dtype`.
    n_steps : int
        Length of the block; the last step is always followed by a QR decomposition.
    qr_every : int
        Steps between QR decompositions.
    frame_dtype : str, optional
        dtype in which frames are kept and orthonormalized; the map's own by default.
    first_step : int
        Number of the first step, for a map that depends on it.

    Returns
    -------
    Carried
    """
    blocks = propagate_blocks(
        tangent_map,
        x,
        frame,
        n_blocks=1,
        n_steps=n_steps,
        qr_every=qr_every,
        frame_dtype=frame_dtype,
        first_step=first_step,
    )
    return blocks[0]


def propagate_blocks(
    tangent_map: TangentMap,
    x: Array,
    frame: Array,
    *,
    n_blocks: int,
    n_steps: int,
    qr_every: int = 1,
    frame_dtype: str | None = None,
    first_step: int = 0,
) -> list[Carried]:
    """Carry states and frames over blocks of `n_steps` each; what `propagate` gives after every one."""
    qr_every = whole("qr_every", qr_every, 1)
    completed = unchecked(tangent_map)
    ops = completed.ops
    rest: dict[str, Any] = {"qr_every": qr_every, "frame_dtype": frame_dtype, "first_step": first_step}
    amount = x.shape[0] * (frame.shape[2] + 1) * n_steps * n_blocks
    options = {"n_blocks": n_blocks, "n_steps": n_steps, **rest}
    elsewhere = _elsewhere(completed, rows_carried, (x, frame), options, amount)
    if elsewhere is not None:
        kept = frame_dtype or ops.dtype
        return [Carried(on_device(ops, y), on_device(ops, f, kept), growth) for y, f, growth in elsewhere]

    def carried(rows: slice | None, n_blocks: int, n_steps: int) -> list[Carried]:
        states, frames = (x, frame) if rows is None else (x[rows], frame[rows])
        blocks = rows_carried(completed, states, frames, n_blocks=n_blocks, n_steps=n_steps, **rest)
        return [Carried(*block) for block in blocks]

    def probes() -> list[Callable[[], list[bytes]]]:
        return [partial(_bits, ops, partial(carried, rows, 1, min(n_steps, 2))) for rows in parts[:4]]

    row_work = 0.0 if completed.depends_on_step else completed.row_work
    parts: list[slice | None] = [*divided(int(x.shape[0]), row_work)]
    if len(parts) < 2:
        parts = [None]
    calls = [partial(carried, rows, n_blocks, n_steps) for rows in parts]
    work = row_work * x.shape[0] * (frame.shape[2] + 1) * n_steps * n_blocks
    if len(parts) > 1 and ops.threads() > 1 and not may_run_together(completed, ops, probes):
        return _joined(ops, [side_by_side(ops, [call], work)[0] for call in calls])
    done = side_by_side(ops, calls, work)
    # Even joining them would be shared out among threads that wait for each other.
    return done[0] if len(done) == 1 else side_by_side(ops, [partial(_joined, ops, done)], work)[0]


def rows_carried(
    tangent_map: TangentMap,
    x: Array,
    frame: Array,
    *,
    n_blocks: int,
    n_steps: int,
    qr_every: int,
    frame_dtype: str | None,
    first_step: int,
) -> RowResults:
    """States, frames and growth after each of some blocks."""
    options: dict[str, Any] = {"frame_dtype": frame_dtype, "first_step": first_step}
    if n_blocks == 1:
        return [tangent_map.propagate(x, frame, n_steps, qr_every, **options)]
    return [*zip(*tangent_map.propagate_blocks(x, frame, n_blocks, n_steps, qr_every, **options), strict=True)]


def _bits(ops: ArrayOps, call: Callable[[], list[Carried]]) -> list[bytes]:
    (block,) = call()
    return [ops.to_numpy(block.x).tobytes(), block.log_growth.tobytes()]


def _joined(ops: ArrayOps, parts: list[list[Carried]]) -> list[Carried]:
    """Blocks of all rows, from those of each part of them."""
    if len(parts) == 1:
        return parts[0]
    return [
        Carried(
            ops.concatenate([block.x for block in blocks], 0),
            ops.concatenate([block.frame for block in blocks], 0),
            np.concatenate([block.log_growth for block in blocks]),
        )
        for blocks in zip(*parts, strict=True)
    ]


def log_abs_det(tangent_map: TangentMap, x: Array, *, n_steps: int, first_step: int = 0) -> NDArray[np.float64]:
    """Sum of log|det J| along the orbits from states x (b, n) over `n_steps` steps, (b,).

    What the growth of a full frame over the same steps adds up to: an independent way to the sum
    of all exponents.
    """
    completed = unchecked(tangent_map)
    options = {"n_steps": n_steps, "first_step": first_step}
    ((logs,),) = by_rows(completed, rows_log_abs_det, (x,), options, amount=x.shape[0] * n_steps)
    return np.asarray(logs)


def rows_log_abs_det(tangent_map: TangentMap, x: Array, *, n_steps: int, first_step: int) -> RowResults:
    """Sums of log|det J|."""
    return [(np.asarray(tangent_map.log_abs_det(x, n_steps, first_step=first_step)),)]


def record(
    tangent_map: TangentMap, x: Array, frame: Array, *, n_steps: int, wanted: NDArray[np.bool_], first_step: int = 0
) -> Recording:
    """Every R of a block of steps, and the states and frames that are wanted; see `TangentMap.record`."""
    completed = unchecked(tangent_map)
    options = {"n_steps": n_steps, "wanted": wanted, "first_step": first_step}
    amount = x.shape[0] * n_steps * (frame.shape[2] + 1)
    ((y, f, *kept),) = by_rows(completed, rows_recorded, (x, frame), options, amount=amount)
    factors, states, frames = (np.ascontiguousarray(array.swapaxes(0, 1)) for array in kept)
    return Recording(on_device(completed.ops, y), on_device(completed.ops, f), factors, states, frames)


def rows_recorded(
    tangent_map: TangentMap, x: Array, frame: Array, *, n_steps: int, wanted: NDArray[np.bool_], first_step: int
) -> RowResults:
    """A recording with the rows first in all its arrays."""
    y, f, *kept = tangent_map.record(x, frame, n_steps, wanted[:n_steps], first_step=first_step)
    return [(y, f, *(array.swapaxes(0, 1) for array in kept))]


T = TypeVar("T")

PART_WORK = 2.5e7
"""Floating-point operations of one evaluation that a part has at least: with its tangents some milliseconds."""
HANDED_OVER = 2e6
"""Floating-point operations below which handing work to another thread takes longer than the work."""
LISTENS = 0.2
"""Seconds after which whoever waits for threads looks for signals."""
SHARED = 1e10
"""Floating-point operations of a step from which all threads of the library may share each of its operations."""


def divided(rows: int, row_work: float) -> list[slice]:
    """Rows in parts that are worth a thread of their own, all of one size but the last.

    Parameters
    ----------
    rows : int
    row_work : float
        Floating-point operations of one evaluation of a row; 0.0 where rows are not to be taken apart.

    Examples
    --------
    >>> divided(5, 1.3e7)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    size = rows if row_work <= 0 else math.ceil(PART_WORK / row_work)
    return [slice(first, min(first + size, rows)) for first in range(0, rows, max(size, 1))]


def side_by_side(ops: ArrayOps, calls: Sequence[Callable[[], T]], work: float) -> list[T]:
    """Results of calls that have nothing to do with each other, as many at once as the library and the user allow.

    Parameters
    ----------
    ops : ArrayOps
    calls : sequence of callables
    work : float
        Floating-point operations of all of them.
    """
    threads = ops.threads()
    if threads < 2 or work < HANDED_OVER or (len(calls) == 1 and work >= SHARED):
        return [call() for call in calls]
    pool = _pool(type(ops), min(threads, len(calls)))
    futures: list[Future[T]] = []
    try:
        for call in calls:
            futures.append(pool.submit(contextvars.copy_context().run, call))
        while wait(futures, LISTENS).not_done:  # a signal that comes just before a wait does not end it
            pass
    except BaseException:
        ask_to_end()
        for future in futures:
            future.cancel()
        wait(futures)
        raise
    return [future.result() for future in futures]


_trusted: WeakKeyDictionary[object, bool] = WeakKeyDictionary()


def may_run_together(owner: object, ops: ArrayOps, probes: Callable[[], Sequence[Callable[[], T]]]) -> bool:
    """Whether calls of a map give the same side by side as one after the other.

    A function that keeps a scratch array, say, must not be called twice at a time. Looked at once for
    each map, by a few calls that `probes` makes; equality is that of their results.
    """
    known = _trusted.get(owner)
    if known is None:
        apart = [side_by_side(ops, [call], HANDED_OVER)[0] for call in probes()]
        known = _trusted[owner] = bool(side_by_side(ops, probes(), HANDED_OVER) == apart)
    return known


@lru_cache(maxsize=8)
def _pool(kind: type[ArrayOps], threads: int) -> ThreadPoolExecutor:
    pool = ThreadPoolExecutor(threads, thread_name_prefix="lyapmap")
    gate = threading.Barrier(threads + 1)

    def begin() -> None:
        kind.compute_alone()
        gate.wait()

    for _ in range(threads):
        pool.submit(begin)
    gate.wait()
    kind.after_compute_alone()
    return pool


if hasattr(os, "register_at_fork"):
    # A forked process has none of its parent's threads.
    os.register_at_fork(after_in_child=_pool.cache_clear)
