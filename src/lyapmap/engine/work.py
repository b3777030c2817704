"""What a worker does: it gets a map once, and rows of states again and again.

A worker finds its map among those it knows, and computes in one thread.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import TangentMap, dimension
from lyapmap.core.ops import quiet
from lyapmap.core.propagate import RowResults, RowTask

KEPT_MAPS = 4
"""Maps that a worker remembers."""

# One thread for each worker: what shares out its work asks this when it is loaded.
os.environ.setdefault("NUMBA_NUM_THREADS", "1")
_maps: OrderedDict[str, TangentMap] = OrderedDict()


class Parcel(NamedTuple):
    """An object on its way to workers.

    Attributes
    ----------
    content : bytes
    sha256 : str
    """

    content: bytes
    sha256: str

    @classmethod
    def of(cls, value: Any) -> Parcel:
        """Wrap an object, functions that were typed at a prompt included.

        Raises
        ------
        LyapmapError
            If it cannot travel.
        """
        from distributed.protocol.pickle import dumps  # by cloudpickle, where pickle does not do

        try:
            content = dumps(value)
        except Exception as error:
            reason = " ".join(str(error).split())
            raise LyapmapError(
                f"client: {type(value).__name__} cannot be sent to other processes ({reason}); make it in a module "
                "that they can import, or run without workers"
            ) from error
        return cls(content, hashlib.sha256(content).hexdigest())

    def open(self) -> Any:
        """The object, if its bytes are those that were sent."""
        if hashlib.sha256(self.content).hexdigest() != self.sha256:
            raise LyapmapError("client: what a worker was sent did not arrive as it was")
        return pickle.loads(self.content)


def map_of(parcel: Parcel) -> TangentMap:
    """The map of a parcel, which is opened once in each process."""
    known = _maps.get(parcel.sha256)
    if known is None:
        known = _maps[parcel.sha256] = parcel.open()
        known.ops.compute_alone()
        while len(_maps) > KEPT_MAPS:
            _maps.popitem(last=False)
    _maps.move_to_end(parcel.sha256)
    return known


def on_host(tangent_map: TangentMap, results: RowResults) -> RowResults:
    """Results as NumPy arrays."""
    return [
        tuple(a if isinstance(a, np.ndarray) else tangent_map.ops.to_numpy(a) for a in arrays) for arrays in results
    ]


def rows_of(
    parcel: Parcel, task: RowTask, arrays: tuple[np.ndarray[Any, Any], ...], sizes: list[int], options: dict[str, Any]
) -> tuple[float, list[RowResults]]:
    """Seconds of this thread, and what a task gives for each part of the rows, of these sizes, computed together."""
    tangent_map = map_of(parcel)
    begin = time.thread_time()
    ops = tangent_map.ops
    short = ""
    results, first = [], 0
    try:
        with ops.session(dimension(tangent_map.state_shape)), quiet():
            for size in sizes:
                given = [ops.from_numpy(array[first : first + size], str(array.dtype)) for array in arrays]
                results.append(on_host(tangent_map, task(tangent_map, *given, **options)))
                first += size
    except MemoryError as error:
        short = str(error) or "no memory"
    if short:  # raised anew: a worker keeps errors, whose traces keep all that had been made
        raise MemoryError(short)
    return time.thread_time() - begin, results


def calls_of(parcel: Parcel, items: list[Any]) -> tuple[float, list[Any]]:
    """Seconds of this thread, and what the function of a parcel gives for each item."""
    begin = time.thread_time()
    function: Callable[[Any], Any] = parcel.open()
    return time.thread_time() - begin, [function(item) for item in items]
