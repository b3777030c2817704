"""Numbers of a study as cells of a table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

NONE = "-"


def number(value: Any, decimals: int) -> str:
    """A number, or a dash where there is none."""
    return NONE if value is None or not math.isfinite(value) else f"{value:.{decimals}f}"


def with_limits(value: Any, limits: Any, decimals: int) -> str:
    """A number and its limits."""
    text = number(value, decimals)
    if text == NONE or limits is None:
        return text
    low, high = (number(limit, decimals) for limit in limits)
    return text if low == NONE else f"{text} ({low} to {'no end' if high == NONE else high})"


def with_error(numbers: Mapping[str, Any], name: str, decimals: int, error: str = "") -> str:
    """A number and its error, which is called NAME_stderr if not otherwise.

    >>> with_error({"largest": 0.34, "largest_stderr": 0.012}, "largest", 3)
    '0.340 ± 0.012'
    """
    text, spread = number(numbers.get(name), decimals), numbers.get(error or f"{name}_stderr")
    return text if text == NONE or spread is None else f"{text} ± {spread:.{decimals}f}"


def mean_and_deviation(values: Iterable[float | None]) -> tuple[float, float, int]:
    """Mean, standard deviation over runs and their number; None left out."""
    known = np.array([value for value in values if value is not None], float)
    if not len(known):
        return math.nan, math.nan, 0
    return float(known.mean()), float(known.std(ddof=1)) if len(known) > 1 else math.nan, len(known)
