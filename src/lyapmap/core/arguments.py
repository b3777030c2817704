"""Arguments that callers give, checked in one place."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from lyapmap.core.errors import LyapmapError, ShapeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")


def whole(name: str, value: Any, least: int) -> int:
    """An integer of at least `least`; a float with a whole value will do.

    >>> whole("n_steps", 1e3, 1)
    1000
    """
    try:
        number = operator.index(int(value) if isinstance(value, float) and value.is_integer() else value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise LyapmapError(f"{name}: expected an integer, got {value!r}")
    if number < least:
        raise LyapmapError(f"{name}: expected at least {least}, got {value}")
    return number


def positive(name: str, value: Any, *, finite: bool = False) -> float:
    """A number greater than 0, and if so asked less than infinity."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not number > 0 or (finite and math.isinf(number)):
        raise LyapmapError(f"{name}: expected a positive number, got {value!r}")
    return number


def probability(name: str, value: Any) -> float:
    """A number between 0 and 1, both excluded."""
    number = positive(name, value)
    if number >= 1:
        raise LyapmapError(f"{name}: expected a probability between 0 and 1, got {value}")
    return number


def one_of(name: str, value: T, known: Any) -> T:
    """One of several words.

    >>> one_of("method", "fit", ("fit", "rescaled"))
    'fit'
    """
    if value not in known:
        *before, last = map(repr, known)
        raise LyapmapError(f"{name}: expected {', '.join(before)} or {last}, got {value!r}")
    return value


def given(check: Callable[..., T], name: str, value: Any, *bounds: Any, unless: str | None = None) -> Any:
    """What `check` makes of a value that was given; the word (or None) that stands for no value is left as it is.

    >>> given(whole, "delay", 3.0, 1, unless="auto"), given(whole, "delay", "auto", 1, unless="auto")
    (3, 'auto')
    """
    absent = value is None if unless is None else isinstance(value, str) and value == unless
    return value if absent else check(name, value, *bounds)


def interval(name: str, value: Any) -> tuple[float, float]:
    """Two numbers (low, high) with low < high."""
    try:
        low, high = (float(bound) for bound in value)
    except (TypeError, ValueError):
        low = high = math.nan
    if not low < high:
        raise LyapmapError(f"{name}: expected (low, high) with low < high, got {value!r}")
    return low, high


def box(name: str, value: Any, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The corners (n,) of a box (low, high), given as numbers or arrays."""
    import numpy as np  # not above: `lyapmap --help` reads this file

    expected = f"{name}: expected (low, high), numbers or arrays ({n},)"
    try:
        low, high = (np.asarray(bound, np.float64) for bound in value)
    except (TypeError, ValueError):
        raise LyapmapError(f"{expected}, got {value!r}") from None
    for bound in (low, high):
        if bound.shape not in ((), (1,), (n,)):
            raise ShapeError(f"{expected}, got shape {bound.shape}")
    low, high = np.broadcast_to(low, (n,)).copy(), np.broadcast_to(high, (n,)).copy()
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
        raise LyapmapError(f"{name}: expected finite low < high, got {low.tolist()} and {high.tolist()}")
    return low, high


def steps_between(name: str, value: Any, last_step: int | None, *, least: int = 1) -> tuple[int, int]:
    """(first, last) step of a window, `least` steps apart at least, and none beyond `last_step`."""
    try:
        first, last = value
    except (TypeError, ValueError):
        raise LyapmapError(f"{name}: expected (first, last) step, got {value!r}") from None
    first, last = whole(name, first, 0), whole(name, last, 0)
    if last - first < least:
        raise LyapmapError(f"{name}: expected (first, last) with last >= first + {least}, got {value!r}")
    if last_step is not None and last > last_step:
        raise LyapmapError(f"{name}: expected steps from 0 to n_steps = {last_step}, got {(first, last)}")
    return first, last


def seeded(seed: Any) -> tuple[int, np.random.Generator]:
    """The seed that stands for a run, and its generator; None draws a seed from the operating system."""
    import numpy as np  # not above: `lyapmap --help` reads this file

    number = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else whole("seed", seed, 0)
    return number, np.random.default_rng(number)
