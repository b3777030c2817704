"""Series as people bring them: one recording or several, with gaps, masks, names and clocks.

What is missing ends a recording: the values before and after it are never taken for neighbours in time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.neighbors.graph import neighbor_graph
from lyapmap.core.arguments import whole
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.points import numbers_of, on_host, regular_times, with_gaps

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
            stretches = [r for i, part in enumerate(series) for r in recordings(part, f"{name}[{i}]")]
            widths = sorted({r.shape[1] for r in stretches})
            if len(widths) > 1:
                raise ShapeError(f"{name}: recordings of the same variables are needed, got {widths} columns")
            return stretches
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


Series = NDArray[np.float64]

LARGEST_DIMENSION = 10
"""Dimensions up to which Cao's E1 is followed: more need more values than series have."""
SATURATED = 0.93
"""Cao's E1 from which more dimensions bring nothing. It only nears 1, the slower the more noise there is
(`docs/series.md`)."""


def embed_delay(series: Any, *, dimension: int, delay: int = 1) -> NDArray[np.float64]:
    """Delay vectors of a series.

    Parameters
    ----------
    series : (N,) or (N, m)
        One variable, or several measured together, in time order.
    dimension : int
        Values of each variable in one vector.
    delay : int
        Steps between them.

    Returns
    -------
    points : (N - (dimension - 1) delay, m dimension)
        Row i holds the values of steps i, i + delay, ...

    Raises
    ------
    LyapmapError, ShapeError
        If the series does not fit, holds NaN, or is too short.

    References
    ----------
    F. Takens, Lecture Notes in Mathematics 898 (1981) 366.

    Examples
    --------
    >>> embed_delay([0.0, 1.0, 2.0, 3.0, 4.0], dimension=2, delay=3)
    array([[0., 3.],
           [1., 4.]])
    """
    values = one_recording(series)
    dimension, delay = whole("dimension", dimension, 1), whole("delay", delay, 1)
    rows = len(values) - (dimension - 1) * delay
    if rows < 1:
        raise LyapmapError(
            f"series: {dimension} values {delay} steps apart need {(dimension - 1) * delay + 1}, got {len(values)}"
        )
    return np.concatenate([values[i * delay : i * delay + rows] for i in range(dimension)], axis=1)


def autocorrelation(series: Series, n_lags: int) -> Series:
    """Autocorrelation at lags 0 to n_lags of a series (N,); all 1 if it is constant."""
    centred = series - series.mean()
    size = 1 << (2 * len(series) - 1).bit_length()
    power = np.abs(np.fft.rfft(centred, size)) ** 2
    sums = np.fft.irfft(power, size)[: n_lags + 1]
    if sums[0] <= np.finfo(float).eps ** 2 * len(series) * np.square(series).max(initial=0.0):
        return np.ones(n_lags + 1)
    return np.asarray(sums / sums[0] * len(series) / (len(series) - np.arange(n_lags + 1)))


def decorrelation_time(series: Series) -> int:
    """First lag at which the autocorrelation is below 1/e; half the length if there is none."""
    correlation = autocorrelation(series, len(series) // 2)
    below = np.flatnonzero(correlation < np.exp(-1))
    return int(below[0]) if len(below) else len(series) // 2


def mutual_information(series: Series, n_lags: int) -> Series:
    """Mutual information in nats of values 0 to n_lags steps apart, over equally filled bins.

    A. M. Fraser and H. L. Swinney, Phys. Rev. A 33 (1986) 1134.
    """
    n = len(series)
    bins = max(4, min(32, int(np.sqrt(n / 20))))
    ranks = np.empty(n, dtype=np.int64)
    ranks[np.argsort(series, kind="stable")] = np.arange(n)
    label = ranks * bins // n
    information = np.empty(n_lags + 1)
    for lag in range(n_lags + 1):
        counts = np.bincount(label[: n - lag] * bins + label[lag:], minlength=bins * bins).reshape(bins, bins)
        joint = counts / (n - lag)
        product = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
        some = joint > 0
        information[lag] = (joint[some] * np.log(joint[some] / product[some])).sum()
    return information


def choose_delay(series: Series) -> int:
    """First minimum of the mutual information; 1 for a series that decorrelates within a step.

    Where the information falls all the way (as it does for noise), the decorrelation time.
    """
    time = decorrelation_time(series)
    if time <= 1:
        return 1
    lags = min(10 * time, len(series) // 10)
    information = mutual_information(series, max(lags, 2))
    reach = max(1, time // 4)  # a dip narrower than that is chance
    for lag in range(1, len(information) - reach):
        around = information[max(lag - reach, 0) : lag + reach + 1]
        if information[lag] == around.min() and lag > 1:
            return lag
    return time


def cao(series: Series, *, delay: int, theiler: int, n_dimensions: int = LARGEST_DIMENSION) -> tuple[Series, Series]:
    """Cao's E1 and E2 for dimensions 1, 2, ..., at least 4, until E1 is near 1, at most n_dimensions.

    E1 tells how much neighbours part when one more coordinate is looked at, and stops changing
    where the dimension is enough. E2 is 1 at every dimension for noise, since there nothing of
    the past tells of the next value.

    L. Cao, Physica D 110 (1997) 43. Distances are in the maximum norm, as there.
    """
    spread: list[float] = []
    ahead: list[float] = []
    for d in range(1, n_dimensions + 2):
        if d > 5 and spread[-1] >= SATURATED * spread[-2]:
            break
        points = embed_delay(series, dimension=d, delay=delay)[: len(series) - d * delay]
        following = series[d * delay : d * delay + len(points)]
        distances, indices = neighbor_graph(points, 1, exclude=theiler, metric="chebyshev")
        near, other = distances[:, 0], indices[:, 0]
        step = np.abs(following - following[other])
        some = near > 0  # a neighbour at the same place has no ratio
        ratio = np.maximum(near[some], step[some]) / near[some]
        spread.append(float(ratio.mean()) if some.any() else 1.0)
        ahead.append(max(float(step.mean()), np.finfo(float).tiny))
    return np.divide(spread[1:], spread[:-1]), np.divide(ahead[1:], ahead[:-1])


def choose_dimension(e1: Series) -> int:
    """First dimension from which Cao's E1 stays near 1; the last one if it never does."""
    enough = np.flatnonzero(e1 >= SATURATED)
    return int(enough[0]) + 1 if len(enough) else len(e1)
