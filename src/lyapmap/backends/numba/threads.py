"""Rows of a batch carried in several threads, for compiled code that lets go of Python's lock.

Every row is computed by the same instructions whichever thread takes it, so that results do not
depend on their number.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from itertools import pairwise

WORTH_WHILE = 1_500_000
"""Units of work, of about a nanosecond, that a part should have, many times what handing it over takes."""
PARTS = 4
"""Parts for each thread: where one is held up, others take over the rest."""


def in_parts(work: Callable[[int, int], None], rows: int, *, unit: int, row_work: float, threads: int) -> None:
    """Call work(first, last) for parts of the rows, in several threads where that pays.

    Parameters
    ----------
    work : callable
        Does rows first ... last - 1; it must hold Python's lock only for moments.
    rows : int
    unit : int
        Parts begin at multiples of this.
    row_work : float
        Work of one row, in nanoseconds, about.
    threads : int
        Most threads to use.
    """
    units = -(-rows // unit)
    count = min(units, threads * PARTS, int(rows * row_work / WORTH_WHILE))
    if threads < 2 or count < 2:
        work(0, rows)
        return
    edges = [min(rows, unit * (units * i // count)) for i in range(count + 1)]
    pool = _pool(threads)
    futures = [pool.submit(work, first, last) for first, last in pairwise(edges)]
    try:
        wait(futures)
    except BaseException:
        for future in futures:
            future.cancel()
        raise
    for future in futures:
        future.result()


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="lyapmap")


if hasattr(os, "register_at_fork"):
    # A forked process has none of its parent's threads.
    os.register_at_fork(after_in_child=_pool.cache_clear)
