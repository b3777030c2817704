"""The crew: workers of a dask cluster that compute rows of states, or whole runs, for the analysis that leads them.

An analysis stays where it is, with its statistics, its journal and its progress. What it carries from block to block
is divided by rows: each worker gets some, computes them and gives them back. Which rows are computed together is
fixed by the map and the number of rows alone, never by workers or time, so that every bit is that of the run in one
process; how many such parts travel in one message goes by how long they take.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from lyapmap.core.errors import LyapmapError, MissingExtraError
from lyapmap.core.map import TangentMap, dimension
from lyapmap.core.ops import Array
from lyapmap.core.propagate import RowResults, RowTask, divided
from lyapmap.engine.work import Parcel, calls_of, on_host, rows_of

if TYPE_CHECKING:
    from distributed import Client

WORTH_SENDING = 0.02
"""Seconds of work below which it is done sooner where it is: a message and its answer take some milliseconds."""
MESSAGE_SECONDS = 0.25
"""Work that a message carries, where there is more than one for each worker: messages that wait can be taken over by
workers that have none."""
MOST_MESSAGES = 4
"""For each worker."""
PARTS = 32
"""Parts into which rows are divided whose bits do not depend on their neighbours."""
LANES = 32
"""Such parts are multiples of this, where there are enough rows: compiled code takes so many in lockstep."""
PROBED, PROBED_STEPS = (2, 3, 7, PARTS), 2
"""Numbers of parts, and steps, from which it is seen whether rows keep their bits."""
RETRIES = 3
"""Times that one part is sent again after the worker that had it died, beside what the scheduler does by itself."""


class CrewError(LyapmapError):
    """The cluster cannot do the work: its scheduler is gone, or its workers die of it."""


class Crew:
    """The workers of a `distributed.Client`.

    Parameters
    ----------
    client : distributed.Client
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self._parcels: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
        self._pace: WeakKeyDictionary[TangentMap, dict[str, float]] = WeakKeyDictionary()
        self._apart: WeakKeyDictionary[TangentMap, dict[tuple[Any, ...], bool]] = WeakKeyDictionary()
        self._most_parts = math.inf
        """In one message; halved when a worker ran out of memory."""

    def size(self) -> int:
        """Threads of all workers.

        Raises
        ------
        CrewError
            If the scheduler is gone.
        """
        try:
            workers = self.client.nthreads()
        except (OSError, TimeoutError, ValueError) as error:  # its connection broke, or is closed
            raise _gone() from error
        return max(1, sum(workers.values()))

    def rows(
        self, tangent_map: TangentMap, task: RowTask, arrays: tuple[Array, ...], options: dict[str, Any], amount: float
    ) -> RowResults | None:
        """What a task gives for all rows, in order; None where they are not to be taken apart, or too little work."""
        pace = self._pace.setdefault(tangent_map, {})
        seconds = pace.get(task.__name__, math.inf) * amount if amount else 0.0
        if not amount or seconds < WORTH_SENDING or tangent_map.depends_on_step or tangent_map.ops.device != "cpu":
            return None
        parts = self._parts(tangent_map, task, arrays, options)
        if len(parts) < 2:
            return None
        host = tuple(tangent_map.ops.to_numpy(array) for array in arrays)
        # Rows whose bits are their own are computed together with all others of a message.
        spent, results = self._sent(
            self._future(tangent_map), task, host, parts, options, seconds, joins=tangent_map.row_work == 0
        )
        pace[task.__name__] = spent / amount
        return [
            tuple(np.concatenate(fields) for fields in zip(*parts, strict=True)) for parts in zip(*results, strict=True)
        ]

    def each(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """What a function gives for each item, with its number, as they come."""
        parcel = self._put(Parcel.of(function))
        together = max(1, len(items) // (self.size() * 2 * MOST_MESSAGES))
        numbers = [[*range(first, min(first + together, len(items)))] for first in range(0, len(items), together)]

        def submit(group: list[int]) -> Any:
            return self.client.submit(calls_of, parcel, [items[i] for i in group], pure=False)

        for group, (_, values) in self._done(submit, numbers):
            yield from zip(group, values, strict=True)

    def _sent(
        self,
        parcel: Any,
        task: RowTask,
        arrays: tuple[np.ndarray[Any, Any], ...],
        rows: list[slice],
        options: dict[str, Any],
        seconds: float,
        *,
        joins: bool,
    ) -> tuple[float, list[RowResults]]:
        """Seconds of all workers together, and the results of all parts, in their order."""
        workers = self.size()
        messages = (
            workers if math.isinf(seconds) else int(np.clip(seconds / MESSAGE_SECONDS, 1, MOST_MESSAGES * workers))
        )
        messages = min(max(messages, workers, math.ceil(len(rows) / self._most_parts)), len(rows))
        groups = [list(map(int, group)) for group in np.array_split(np.arange(len(rows)), messages)]

        def submit(group: list[int]) -> Any:
            whole = slice(rows[group[0]].start, rows[group[-1]].stop)
            sizes = [rows[i].stop - rows[i].start for i in group]
            own = tuple(array[whole] for array in arrays)
            return self.client.submit(rows_of, parcel, task, own, [sum(sizes)] if joins else sizes, options, pure=False)

        spent = 0.0
        results: dict[int, list[RowResults]] = {}
        for group, (took, parts) in self._done(submit, groups):
            spent += took
            results[group[0]] = parts
        return spent, [part for first in sorted(results) for part in results[first]]

    def _done(self, submit: Callable[[list[int]], Any], groups: list[list[int]]) -> Iterator[tuple[list[int], Any]]:
        """Groups of parts and their results as they come; those whose workers die of them are sent again, in halves."""
        from distributed import CancelledError, as_completed
        from distributed.comm import CommClosedError
        from distributed.scheduler import KilledWorker

        waiting = {submit(group): group for group in groups}
        deaths: dict[int, int] = {}
        finished = as_completed([*waiting], loop=self.client.loop, raise_errors=False)
        try:
            for future in finished:
                group = waiting.pop(future)
                if future.status == "finished":
                    yield group, future.result()
                    continue
                error = _gone() if future.status in ("cancelled", "lost") else future.exception()
                if isinstance(error, CommClosedError | CancelledError) or self.client.status != "running":
                    raise _gone() from error
                if not isinstance(error, KilledWorker | MemoryError):
                    raise error
                deaths[group[0]] = deaths.get(group[0], 0) + 1
                if len(group) == 1 and deaths[group[0]] > RETRIES:
                    raise CrewError(
                        f"client: {RETRIES + 1} workers died of the same work, or had no memory for it; give workers "
                        "more memory, or fewer trajectories"
                    ) from error
                middle = max(1, len(group) // 2)
                self._halve(middle)
                for half in filter(None, (group[:middle], group[middle:])):
                    again = submit(half)
                    waiting[again] = half
                    finished.add(again)
        finally:
            if waiting:
                self.client.cancel([*waiting])

    def _halve(self, parts: int) -> None:
        """Send smaller messages from now on, and say so the first time."""
        if math.isinf(self._most_parts):
            warnings.warn("a worker died or ran out of memory: its work is sent again in smaller parts", stacklevel=2)
        self._most_parts = min(self._most_parts, parts)

    def _future(self, tangent_map: TangentMap) -> Any:
        """The map on the cluster, which is sent once to each worker that needs it."""
        known = self._parcels.get(tangent_map)
        if known is None or known.status in ("cancelled", "lost", "error"):
            known = self._parcels[tangent_map] = self._put(Parcel.of(tangent_map))
        return known

    def _put(self, parcel: Parcel) -> Any:
        # As the result of a task, which can be had again when the workers that hold it die.
        return self.client.submit(_same, parcel, key=f"lyapmap-{parcel.sha256}")

    def _parts(
        self, tangent_map: TangentMap, task: RowTask, arrays: tuple[Array, ...], options: dict[str, Any]
    ) -> list[slice]:
        """Rows that are computed together, whatever the number of workers."""
        rows = int(arrays[0].shape[0])
        if tangent_map.row_work > 0:
            return divided(rows, tangent_map.row_work)
        parts = _in_parts(rows, PARTS)
        known = self._apart.setdefault(tangent_map, {})
        key = task.__name__, *(tuple(array.shape) for array in arrays)
        if key not in known:
            known[key] = len(parts) > 1 and _bits_stay(tangent_map, task, arrays, options)
        return parts if known[key] else [slice(0, rows)]


def _in_parts(rows: int, count: int) -> list[slice]:
    """Rows in at most so many parts; each of a multiple of what compiled code takes in lockstep, if there are many."""
    size = math.ceil(rows / count)
    if rows >= 2 * LANES:
        size = LANES * math.ceil(size / LANES)
    return [slice(first, min(first + size, rows)) for first in range(0, rows, size)]


def _bits_stay(tangent_map: TangentMap, task: RowTask, arrays: tuple[Array, ...], options: dict[str, Any]) -> bool:
    """Whether rows come out with the same bits however many are computed together, seen over a few steps.

    Products of matrices in a library of linear algebra round differently for another number of rows.
    """
    few = options | {name: min(options[name], PROBED_STEPS) for name in ("n_steps", "n_blocks") if name in options}
    rows = int(arrays[0].shape[0])

    def bits(part: slice) -> list[tuple[np.ndarray[Any, Any], ...]]:
        return on_host(tangent_map, task(tangent_map, *(array[part] for array in arrays), **few))

    def same(together: Any, part: slice) -> bool:
        pairs = zip(together, bits(part), strict=True)
        return all(a[part].tobytes() == b.tobytes() for x, y in pairs for a, b in zip(x, y, strict=True))

    with tangent_map.ops.session(dimension(tangent_map.state_shape)):
        together = bits(slice(0, rows))
        return all(same(together, part) for count in PROBED for part in _in_parts(rows, min(count, rows))[-2:])


def _same(parcel: Parcel) -> Parcel:
    return parcel


def _gone() -> CrewError:
    return CrewError("client: the scheduler is gone; start it again, and the same call goes on from its journal")


def crew_of(client: Any) -> Crew | None:
    """The crew of a client, None without one.

    Raises
    ------
    LyapmapError
        If it is none.
    """
    if client is None or isinstance(client, Crew):
        return client
    try:
        from distributed import Client
    except ImportError:
        raise MissingExtraError("distributed", "distributed", "client") from None
    if not isinstance(client, Client):
        raise LyapmapError(f"client: expected a distributed.Client, got {type(client).__name__}")
    return Crew(client)
