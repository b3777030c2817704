"""Values in plain form: for JSON and checkpoints, and numbers with their errors as text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

LONGEST_DECIMALS = 6
"""Digits after the point beyond which an error is written as a power of ten."""
_FLOAT, _TUPLE = "__float__", "__tuple__"


def plain(value: Any, *, exact: bool = False) -> Any:
    """A value as JSON and checkpoints take it: Python's own numbers, text, lists and dicts.

    Parameters
    ----------
    value : object
        Arrays, tensors, numbers of NumPy, dicts, lists, tuples; what is none of these becomes its text.
    exact : bool
        Keep what JSON cannot say (NaN, infinities, tuples) in a form that `restored` reads; else NaN and infinities
        are None, tuples lists.

    Examples
    --------
    >>> plain({"a": (1, float("nan"))}), restored(plain({"a": (1, float("inf"))}, exact=True))
    ({'a': [1, None]}, {'a': (1, inf)})
    """
    if hasattr(value, "tolist"):  # an array, a number of NumPy, a tensor
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(k): plain(v, exact=exact) for k, v in value.items()}
    if isinstance(value, list | tuple):
        values = [plain(v, exact=exact) for v in value]
        return {_TUPLE: values} if exact and isinstance(value, tuple) else values
    if isinstance(value, float) and not math.isfinite(value):
        return {_FLOAT: str(value)} if exact else None
    if value is None or isinstance(value, bool):
        return value
    # Subclasses would be refused by readers that take plain values only.
    return int(value) if isinstance(value, int) else float(value) if isinstance(value, float) else str(value)


def restored(value: Any) -> Any:
    """What `plain` made exactly plain."""
    if isinstance(value, dict):
        if set(value) == {_FLOAT}:
            return float(value[_FLOAT])
        if set(value) == {_TUPLE}:
            return tuple(restored(v) for v in value[_TUPLE])
        return {k: restored(v) for k, v in value.items()}
    if isinstance(value, list):
        return [restored(v) for v in value]
    return value


def with_error(value: float, error: float) -> str:
    """A number and its standard error, rounded to what the error allows.

    One digit of the error is kept, two where it starts with 1.

    Examples
    --------
    >>> with_error(0.34012, 0.0021), with_error(14.4927, 0.163), with_error(0.5, float("nan"))
    ('0.340 ± 0.002', '14.49 ± 0.16', '0.5')
    >>> with_error(0.6931471805599453, 3e-12), with_error(1234.6, 41.0)
    ('0.693147 ± 3e-12', '1235 ± 41')
    """
    if not (math.isfinite(error) and math.isfinite(value)):
        return f"{value:.4g}"
    if error <= 0:
        return f"{value:.6g}"
    exponent = math.floor(math.log10(error))
    decimals = -exponent + (1 if error / 10.0**exponent < 1.95 else 0)
    if decimals > LONGEST_DECIMALS:
        return f"{value:.6g} ± {error:.0e}"
    decimals = max(decimals, 0)
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"
