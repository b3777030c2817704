"""Journals: where an unfinished run stands, in a file from which the same call goes on to the same bits.

What an analysis carries from step to step lies in objects that say so (`Resumable`). A `Run` writes their state at
times, whole or not at all and with a checksum, for at most a hundredth of the time; a killed process loses what came
after. A journal holds plain values and arrays, never code, and belongs to one run: other arguments, another map or
another version are refused.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap._version import __version__
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import TangentMap
from lyapmap.core.plain import plain
from lyapmap.core.writing import WriteError, remove_leftovers, written_whole

SUFFIX = ".journal"
MAGIC = b"lyapmap journal 1\n"
SHARE = 0.01
"""Of the time, that writing may take: half of what is promised, since the disk of tomorrow may be slower."""
LEAST_SECONDS = 1.0
"""Between two times of writing at least: what a kill loses at most, where states are small."""
BYTES_PER_SECOND = 1e8
"""Written, until it is known how fast a disk takes them."""
SMALL = 1_000_000
"""Bytes of a state that is written at the end of every run, however short."""
LOOKED_AT = 4
"""Initial states whose images tell one map from another."""
ROUNDINGS = 1e4
"""Roundings by which images may differ between two processors; another network differs by far more."""

_ARRAY, _TUPLE, _RANDOM = "__array__", "__tuple__", "__random__"


class Resumable:
    """An object whose state can be written and read again, into one that was made with the same arguments.

    Attributes
    ----------
    KEPT : tuple of str
        Attributes that are plain values, NumPy arrays, generators of random numbers, or resumable themselves; lists,
        tuples and dicts of plain values and arrays.
    CARRIED : tuple of str
        Attributes that are arrays of the map's library, whose `ops` the object has; None stays None.

    Examples
    --------
    >>> class Sum(Resumable):
    ...     KEPT = ("total", "terms")
    ...     total, terms = 0.0, ()
    >>> first, second = Sum(), Sum()
    >>> first.total, first.terms = 0.3, (0.1, 0.2)
    >>> second.restore(unpacked(packed(first.state())))
    >>> second.total, second.terms
    (0.3, (0.1, 0.2))
    """

    KEPT: ClassVar[tuple[str, ...]] = ()
    CARRIED: ClassVar[tuple[str, ...]] = ()

    def state(self) -> dict[str, Any]:
        """All that is kept: plain values and arrays, by the names of the attributes."""
        kept: dict[str, Any] = {}
        for name in self.KEPT:
            value = getattr(self, name)
            kept[name] = value.state() if isinstance(value, Resumable) else value
        for name in self.CARRIED:
            value = getattr(self, name)
            kept[name] = None if value is None else self.ops.to_numpy(value)  # type: ignore[attr-defined]
        return kept

    def restore(self, state: Mapping[str, Any]) -> None:
        """Stand where another stood."""
        for name in self.KEPT:
            value, own = state[name], getattr(self, name, None)
            if isinstance(own, Resumable):
                own.restore(value)
            elif isinstance(own, np.random.Generator):
                own.bit_generator.state = value.bit_generator.state  # in place: others draw from the same
            else:
                setattr(self, name, value)
        for name in self.CARRIED:
            value = state[name]
            if value is not None:
                value = self.ops.from_numpy(value, str(value.dtype))  # type: ignore[attr-defined]
            setattr(self, name, value)


def packed(value: Any) -> bytes:
    """Plain values, arrays and generators of random numbers as bytes, with a checksum.

    Raises
    ------
    TypeError
        If a value is none of these.
    """
    arrays: list[NDArray[Any]] = []
    header = json.dumps(_flat(value, arrays)).encode()
    layout = json.dumps([[array.dtype.str, array.shape] for array in arrays]).encode()
    body = b"".join([b"%d %d\n" % (len(header), len(layout)), header, layout, *(array.tobytes() for array in arrays)])
    return MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def unpacked(data: bytes) -> Any:
    """What `packed` made bytes of.

    Raises
    ------
    ValueError
        If a bit of them differs.
    """
    start = len(MAGIC) + 65
    digest, body = data[len(MAGIC) : start - 1], data[start:]
    if not data.startswith(MAGIC) or digest != hashlib.sha256(body).hexdigest().encode():
        raise ValueError("damaged")
    line, _, rest = body.partition(b"\n")
    header, layout = map(int, line.split())
    arrays, at = [], header + layout
    for dtype, shape in json.loads(rest[header:at]):
        kind, count = np.dtype(dtype), math.prod(shape)
        arrays.append(np.frombuffer(rest, kind, count, at).reshape(shape).copy())
        at += count * kind.itemsize
    return _full(json.loads(rest[:header]), arrays)


def _flat(value: Any, arrays: list[NDArray[Any]]) -> Any:
    """A value as JSON takes it, with the numbers of the arrays in their places."""
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise TypeError("a journal holds no objects")
        arrays.append(value)
        return {_ARRAY: len(arrays) - 1}
    if isinstance(value, np.random.Generator):
        return {_RANDOM: plain(value.bit_generator.state)}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        return {str(key): _flat(part, arrays) for key, part in value.items()}
    if isinstance(value, list | tuple):
        parts = [_flat(part, arrays) for part in value]
        return {_TUPLE: parts} if isinstance(value, tuple) else parts
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a journal holds plain values and arrays, got {type(value).__name__}")


def _full(value: Any, arrays: list[NDArray[Any]]) -> Any:
    if isinstance(value, dict):
        if _ARRAY in value:
            return arrays[value[_ARRAY]]
        if _RANDOM in value:
            rng = np.random.default_rng(0)
            rng.bit_generator.state = value[_RANDOM]
            return rng
        if _TUPLE in value:
            return tuple(_full(part, arrays) for part in value[_TUPLE])
        return {key: _full(part, arrays) for key, part in value.items()}
    return [_full(part, arrays) for part in value] if isinstance(value, list) else value


def identity(
    analysis: str, tangent_map: TangentMap | None, start: Any, settings: Mapping[str, Any], seed: Any
) -> dict[str, Any]:
    """What makes a run the one it is.

    Arguments and versions, the checksum of the initial states, what the map says of itself (the checksum of its file
    is part of it), and the images of some of the initial states: a function has no checksum, but gives itself away.
    """
    known: dict[str, Any] = {
        "analysis": analysis,
        "lyapmap": __version__,
        "numpy": np.__version__,
        "seed": seed,
        **plain(settings, exact=True),
    }
    if tangent_map is None:
        return known
    ops = tangent_map.ops
    known |= {"library": ops.library, "device": ops.device, "dtype": ops.dtype, "map": plain(tangent_map.provenance)}
    if start is not None:
        states = ops.to_numpy(start)
        known["x0"] = hashlib.sha256(f"{states.shape}".encode() + states.tobytes()).hexdigest()
        some = ops.from_numpy(states[:LOOKED_AT])
        with np.errstate(all="ignore"):
            known["images"] = ops.to_numpy(tangent_map.at(0).apply(some)).astype(np.float64)
    return known


class Journal:
    """The journal of one run: a file in a folder, named after the analysis.

    Parameters
    ----------
    folder : path
        Made if it does not exist.
    known : mapping
        The `identity` of the run.

    Attributes
    ----------
    state : dict or None
        Where the run stood when the journal was last written; None where there is none yet.
    fault : str
        Why it could not be written; empty if it could. A run goes on without.

    Raises
    ------
    LyapmapError
        If the file is another run's, or damaged; if the folder cannot be made.
    """

    def __init__(self, folder: str | Path, known: Mapping[str, Any]) -> None:
        if not isinstance(folder, str | os.PathLike) or not str(folder):
            raise LyapmapError(f"journal: expected a folder, got {folder!r}")
        self.known = dict(known)
        name = re.sub(r"\W+", "-", str(known["analysis"]))
        self.path = Path(folder) / f"{name}{SUFFIX}"
        self.fault = ""
        self._began = time.perf_counter()
        self._next = self._began + LEAST_SECONDS
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LyapmapError(f"journal: {folder} cannot be made a folder ({error.strerror})") from None
        remove_leftovers(self.path.parent, name)
        self.state: dict[str, Any] | None = self._read()

    def _read(self) -> dict[str, Any] | None:
        try:
            held = unpacked(self.path.read_bytes())
            known, state = dict(held["known"]), dict(held["state"])
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LyapmapError(f"journal: {self.path} cannot be read ({error.strerror})") from None
        except (ValueError, TypeError, KeyError):
            raise LyapmapError(f"journal: {self.path} is damaged; delete it to begin anew") from None
        rounding = ROUNDINGS * float(np.finfo(self.known.get("dtype", "float64")).eps)
        differing = [key for key in {**known, **self.known} if not _same(known.get(key), self.known.get(key), rounding)]
        if differing:
            was = ", ".join(_in_words(key, known.get(key)) for key in differing)
            raise LyapmapError(
                f"journal: {self.path} is of another run ({was}); give the same arguments, or another folder, "
                "or delete it to begin anew"
            )
        return state

    def consider(self, state: Callable[[], dict[str, Any]]) -> None:
        """Write, where that is due."""
        if time.perf_counter() >= self._next:
            self.write(state(), waits=True)

    def write(self, state: dict[str, Any], *, waits: bool = False) -> None:
        """Write a state; one so large that it would take too much of the time yet may wait.

        What is written at once, at the end of a run, need not outlive a crash of the machine: results follow.
        """
        began = time.perf_counter()
        guess = _nbytes(state) / BYTES_PER_SECOND / SHARE
        if waits and guess > began - self._began:
            self._next = self._began + guess
            return
        try:
            with written_whole(self.path, flush=waits) as beside:
                beside.write_bytes(packed({"known": self.known, "state": state}))
            self.fault = ""
        except WriteError as error:
            self.fault = error.reason
        now = time.perf_counter()
        self._next = now + max(LEAST_SECONDS, (now - began) / SHARE)

    def end(self, state: dict[str, Any]) -> None:
        """Write where a run has ended, unless that would take long beside it: it is then done again sooner."""
        size = _nbytes(state)
        if size <= SMALL or size / BYTES_PER_SECOND / SHARE <= time.perf_counter() - self._began:
            self.write(state)

    def remove(self) -> None:
        """The run is over, and its result is kept elsewhere."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


def _nbytes(value: Any) -> int:
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, Mapping):
        return sum(map(_nbytes, value.values()))
    return sum(map(_nbytes, value)) if isinstance(value, list | tuple) else 0


def _same(a: Any, b: Any, rounding: float) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        scale = float(np.abs(a[np.isfinite(a)]).max(initial=0.0))
        return a.shape == b.shape and bool(np.allclose(a, b, 0.0, rounding * scale, equal_nan=True))
    return bool(plain(a, exact=True) == plain(b, exact=True))


def _in_words(key: str, value: Any) -> str:
    if key in ("images", "map"):
        return "another map"
    if key == "x0":
        return "other initial states"
    if key == "lyapmap":
        return f"lyapmap {value}"
    return f"{key} = {value}" if isinstance(value, str | int | float | None) else f"another {key}"
