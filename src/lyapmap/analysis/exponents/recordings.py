"""Series as people bring them: one recording or several, with gaps, masks, names and clocks.

What is missing ends a recording: the values before and after it are never taken for neighbours in time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.points import numbers_of, on_host
from lyapmap.core.sampling import regular_times, with_gaps

Values = NDArray[np.float64]


def recordings(series: Any, name: str = "series") -> list[Values]:
    """Stretches of finite values without a gap, each (N, m).

    Parameters
    ----------
    series : (N,), (N, m), or a list of such
        Arrays, masked arrays, pandas Series and DataFrames, xarray DataArrays. NaN, None and masked
        values are gaps; of several variables a row is missing if one of them is. A list of arrays
        is several recordings, unless it holds more arrays than each has values: then they are the
        rows of one.
    name : str
        The argument as the caller knows it.

    Raises
    ------
    LyapmapError, ShapeError
        If there is no such series.

    Examples
    --------
    >>> [r[:, 0].tolist() for r in recordings([1.0, 2.0, np.nan, 3.0])]
    [[1.0, 2.0], [3.0]]
    """
    if isinstance(series, list | tuple) and series and all(_an_array(part) for part in series):
        longest = max(len(part) for part in series)
        if len(series) <= longest or max(np.ndim(part) for part in series) > 1:
            found = [r for i, part in enumerate(series) for r in recordings(part, f"{name}[{i}]")]
            widths = sorted({r.shape[1] for r in found})
            if len(widths) > 1:
                raise ShapeError(f"{name}: recordings of the same variables are needed, got {widths} columns")
            return found
    rows = measured_rows(series, name)
    there = ~np.isnan(rows).any(axis=1)
    if not there.any():
        raise LyapmapError(f"{name}: value 0 is not finite, and no other is")
    edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(int)))
    return [np.ascontiguousarray(rows[begin:end]) for begin, end in edges.reshape(-1, 2)]


def one_recording(series: Any, name: str = "series") -> Values:
    """Finite values (N, m) of a series without a gap.

    Raises
    ------
    LyapmapError, ShapeError
        If it is no such series, or a value is missing.
    """
    rows = measured_rows(series, name)
    missing = np.isnan(rows).any(axis=1)
    if missing.any():
        masked = bool(np.ma.getmaskarray(series).any()) if isinstance(series, np.ma.MaskedArray) else False
        raise LyapmapError(
            f"{name}: value {int(missing.argmax())} is {'masked' if masked else 'not finite'} "
            f"({int(missing.sum())} of {len(rows)} are); give a stretch without gaps"
        )
    return np.ascontiguousarray(rows)


def measured_rows(series: Any, name: str = "series") -> Values:
    """Numbers (N, m) in float64, NaN where one is missing or masked."""
    if hasattr(series, "dims") and hasattr(series, "transpose") and "time" in series.dims:
        series = series.transpose("time", ...)
    series = on_host(series)
    array = series if isinstance(series, np.ma.MaskedArray) else _plain(series, name)
    if array.dtype.kind not in "fiub":
        raise LyapmapError(f"{name}: expected real numbers, got dtype {array.dtype}")
    if array.ndim not in (1, 2) or array.size == 0:
        raise ShapeError(f"{name}: expected (N,) or (N, m), got {array.shape}")
    rows = np.ma.filled(array.astype(np.float64), np.nan).reshape(len(array), -1)
    endless = np.isinf(rows).any(axis=1)
    if endless.any():
        raise LyapmapError(f"{name}: value {int(endless.argmax())} is not finite but infinite; NaN would be a gap")
    index = getattr(series, "index", None)
    if getattr(getattr(index, "dtype", None), "kind", "") == "M" and len(rows) > 1:
        nanoseconds = np.asarray(index).astype("datetime64[ns]").astype(np.int64)
        rows = with_gaps(rows, regular_times(nanoseconds - nanoseconds[0], f"{name}'s index")[1])
    return rows


def _plain(series: Any, name: str) -> NDArray[Any]:
    try:
        array = np.asarray(series)
    except ValueError:
        raise ShapeError(f"{name}: expected (N,) or (N, m), got rows of different lengths") from None
    if array.dtype.names:
        raise LyapmapError(f"{name}: expected numbers, got named columns {', '.join(array.dtype.names)}; take one")
    return numbers_of(array, name, gaps=True) if array.dtype.kind == "O" else array


def _an_array(part: Any) -> bool:
    """Whether it is an array of its own, rather than a number or a row of plain numbers."""
    return (hasattr(part, "__array__") or (isinstance(part, list) and len(part) >= 100)) and np.ndim(part) > 0
