"""Trajectories carried side by side, each in a thread that computes alone.

A library that shares out every operation among threads makes them wait for each other hundreds of
times a step, by spinning; where another process holds a core, each wait takes as long as that process
keeps it. Trajectories need not wait: they meet at the end of a block, and until then threads that have
nothing to do sleep. How rows are divided depends on the work alone, never on the number of threads, so
that every bit is the same for any number of them.
"""

from __future__ import annotations

import contextvars
import math
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from typing import TypeVar
from weakref import WeakKeyDictionary

from lyapmap.core.ops import ArrayOps

T = TypeVar("T")

PART_WORK = 2.5e7
"""Floating-point operations of one evaluation that a part has at least: with its tangents some milliseconds."""
HANDED_OVER = 2e6
"""Floating-point operations below which handing work to another thread takes longer than the work."""
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
    futures = [pool.submit(contextvars.copy_context().run, call) for call in calls]
    try:
        wait(futures)
    except BaseException:
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
