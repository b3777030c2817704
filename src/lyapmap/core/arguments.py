"""Arguments that callers give, checked in one place."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from lyapmap.core.errors import LyapmapError

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")


def whole(name: str, value: Any, least: int) -> int:
    """An integer of at least `least`; a float with a whole value will do.

    >>> whole("n_steps", 1e3, 1)
    1000
    """
    found = int(value) if isinstance(value, float) and value.is_integer() else value
    try:
        number = operator.index(found)
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


def seeded(seed: Any) -> tuple[int, np.random.Generator]:
    """The seed that stands for a run, and its generator; None draws a seed from the operating system."""
    import numpy as np  # not above: `lyapmap --help` reads this file

    number = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else whole("seed", seed, 0)
    return number, np.random.default_rng(number)
