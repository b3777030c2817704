"""Points as people bring them: one row of finite real numbers for each entry along the first axis.

An array (N, ...) is N points everywhere, so that images (N, 28, 28), (N, 3, h, w) and (N, h, w, 3) are N points of
as many values as they have pixels. Trajectories are told apart by what they are, a `Trajectory`, never by a shape. Rows
taken at times may have gaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import LyapmapError, ShapeError

Points = NDArray[np.float64]

SMALLEST, LARGEST = 1e-140, 1e140
"""Largest values between these have distances whose squares neither vanish nor overflow."""

MENDS = {
    "c": "give real and imaginary parts as columns",
    "M": "give times as numbers",
    "m": "give times as numbers",
    "U": "give numbers, not text",
    "S": "give numbers, not text",
    "T": "give numbers, not text",
}
"""What would do, by the kind of an array's values."""
MISSING = ("NoneType", "NAType", "NaTType", "MaskedConstant")
"""Types of what stands for a value that is not there, by name, so that no library need be loaded."""


def as_points(values: Any, name: str = "points") -> Points:
    """Rows of finite float64 numbers (N, d).

    Parameters
    ----------
    values : (N, ...)
        Whatever holds real numbers: arrays, tensors, tables, masked arrays of which nothing is masked.
    name : str
        The argument as the caller knows it.

    Raises
    ------
    ShapeError, LyapmapError
        If they are no such points.

    Examples
    --------
    >>> as_points(np.zeros((5, 3, 8, 8), np.uint8)).shape
    (5, 192)
    """
    array = real_array(values, name)
    if array.ndim == 0:
        raise ShapeError(f"{name}: expected points (N, d), got {type(values).__name__} of no shape")
    if array.ndim == 1:
        raise ShapeError(
            f"{name}: expected points (N, d), got shape {array.shape}; points of one value are {name}[:, None]"
        )
    if len(array) == 0:
        raise ShapeError(f"{name}: expected at least one point, got none")
    if 0 in array.shape:
        raise ShapeError(f"{name}: expected points (N, d), got shape {array.shape}, which holds no value")
    rows = np.ascontiguousarray(array.reshape(len(array), -1), dtype=np.float64)
    bad = ~np.isfinite(rows).all(axis=1)
    if bad.any():
        first = int(bad.argmax())
        what = rows[first][~np.isfinite(rows[first])][0]
        more = f", and {int(bad.sum()) - 1} others" if bad.sum() > 1 else ""
        raise LyapmapError(f"{name}: point {first} is not finite ({what}){more}; leave out or mend such points")
    largest = _largest(rows)
    if largest > LARGEST or 0 < largest < SMALLEST:
        raise LyapmapError(f"{name}: values as large as {largest:.1e} have no distances in float64; rescale them")
    return rows


def real_array(values: Any, name: str) -> NDArray[Any]:
    """Numbers in an array of their own type: bool, integers or floating point, none of them masked.

    Raises
    ------
    ShapeError, LyapmapError
        If they are none.

    Examples
    --------
    >>> real_array([[1, None]], "points")
    Traceback (most recent call last):
    lyapmap.core.errors.LyapmapError: points: expected real numbers, got None (NoneType) in row 0
    """
    values = on_host(values)
    if hasattr(values, "toarray"):
        raise LyapmapError(f"{name}: expected an array, got a sparse {type(values).__name__}; give {name}.toarray()")
    refuse_masked(values, name)
    try:
        array = np.asarray(values)
    except ValueError:
        raise ShapeError(f"{name}: expected one array, got parts of different shapes") from None
    except TypeError as error:
        raise LyapmapError(f"{name}: expected an array, got {type(values).__name__} ({error})") from None
    if array.dtype.kind == "O":
        array = numbers_of(array, name)
    if array.dtype.kind == "V" and array.dtype.names is None:  # bfloat16 and its like, as JAX has them
        with suppress(TypeError, ValueError):
            array = array.astype(np.float64)
    if array.dtype.names is not None:
        raise LyapmapError(f"{name}: expected real numbers, got named columns {', '.join(array.dtype.names)}")
    if array.dtype.kind not in "fiub":
        mend = MENDS.get(array.dtype.kind)
        raise LyapmapError(f"{name}: expected real numbers, got dtype {array.dtype}" + (f"; {mend}" if mend else ""))
    return array


def refuse_masked(values: Any, name: str) -> None:
    """Raise an error for masked values of an array or of a list of arrays: NumPy takes what lies under the mask."""
    parts = values if isinstance(values, list | tuple) else [values]
    if not any(isinstance(part, np.ma.MaskedArray) for part in parts):
        return
    mask = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else map(np.ma.getmaskarray, parts)
    rows = np.array([row.any() for row in (np.atleast_1d(mask) if isinstance(mask, np.ndarray) else mask)])
    if rows.any():
        raise LyapmapError(
            f"{name}: {int(rows.sum())} of {len(rows)} rows hold masked values, the first row {int(rows.argmax())}; "
            "leave those rows out or fill them"
        )


def on_host(values: Any) -> Any:
    """A tensor of torch as NumPy can read it; anything else as it is."""
    if not hasattr(values, "detach"):
        return values
    values = values.detach().cpu()
    # NumPy has no bfloat16.
    return values if hasattr(np, str(values.dtype).rpartition(".")[2]) else values.float()


def numbers_of(array: NDArray[Any], name: str, *, gaps: bool = False) -> NDArray[np.float64]:
    """An array of objects that are real numbers, as tables of mixed columns give them.

    With `gaps`, None and the missing values of pandas and of masked arrays are NaN.
    """
    if array.ndim == 0:
        raise ShapeError(f"{name}: expected an array of numbers, got {type(array.item()).__name__}")
    numbers = np.empty(array.shape)
    for place, value in np.ndenumerate(array):
        try:
            if isinstance(value, str | bytes):
                raise TypeError
            numbers[place] = np.nan if gaps and type(value).__name__ in MISSING else float(value)
        except (TypeError, ValueError):
            text = repr(value) if len(repr(value)) < 30 else type(value).__name__
            raise LyapmapError(
                f"{name}: expected real numbers, got {text} ({type(value).__name__}) in row {place[0]}"
            ) from None
    return numbers


def rounding(rows: Points) -> float:
    """The last digit of the largest value, in float32 if that holds them all.

    >>> rounding(np.array([[1.0], [0.5]])) == 2.0**-23
    True
    """
    with np.errstate(over="ignore"):
        single = all((row == row.astype(np.float32)).all() for row in rows)
    return float(np.finfo(np.float32 if single else np.float64).eps) * _largest(rows)


def _largest(rows: Points) -> float:
    """Largest absolute value, without a copy of all."""
    return max(float(rows.max()), -float(rows.min()))


def same_samples(shape: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether samples of two shapes hold the same values in the same order: axes of one do not count.

    Rows of values fit samples of any shape with as many.

    >>> same_samples((28, 28), (1, 28, 28)), same_samples((3, 8, 8), (192,)), same_samples((3, 8, 8), (8, 8, 3))
    (True, True, False)
    """
    first, second = ([size for size in each if size != 1] for each in (shape, other))
    if len(shape) == 1 or len(other) == 1:
        return int(np.prod(shape)) == int(np.prod(other))
    return first == second


CHANNELS = (1, 3)
"""Grey and colour."""


def image_shape(state_shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """(channels, height, width) of states that are images, None of others.

    Where both ends could be channels, they come first.

    >>> image_shape((1, 28, 28)), image_shape((28, 28, 1)), image_shape((784,))
    ((1, 28, 28), (1, 28, 28), None)
    """
    if len(state_shape) != 3:
        return None
    first, middle, last = state_shape
    if first in CHANNELS:
        return (first, middle, last)
    return (last, first, middle) if last in CHANNELS else None


def channels_last(state_shape: tuple[int, ...]) -> bool:
    """Whether states are images with the channels as their last axis.

    >>> channels_last((28, 28, 3)), channels_last((3, 28, 28))
    (True, False)
    """
    return image_shape(state_shape) is not None and state_shape[0] not in CHANNELS


def channels_first(images: Any) -> NDArray[Any]:
    """Images (..., channels, height, width) of images in either layout.

    >>> channels_first(np.zeros((5, 28, 20, 3))).shape
    (5, 3, 28, 20)
    """
    array = np.asarray(images)
    return np.moveaxis(array, -1, -3) if channels_last(array.shape[-3:]) else array


def rescaled(values: Any, bounds: tuple[float, float], to: tuple[float, float] = (-1.0, 1.0)) -> NDArray[Any]:
    """Values of a range (low, high) as those of another.

    >>> rescaled([0.0, 0.5, 1.0], (0, 1)).tolist()
    [-1.0, 0.0, 1.0]
    """
    middle, new_middle = (bounds[0] + bounds[1]) / 2, (to[0] + to[1]) / 2
    # From the middle, so that nothing is lost where both ranges are the same.
    return (np.asarray(values) - middle) * ((to[1] - to[0]) / (bounds[1] - bounds[0])) + new_middle


def laid_out(images: Any, state_shape: tuple[int, ...]) -> NDArray[Any]:
    """Images (..., channels, height, width) as states of this shape have them.

    Images of another size are moved all the same, so that whoever compares shapes can name both.

    >>> laid_out(np.zeros((5, 3, 28, 20)), (28, 20, 3)).shape
    (5, 28, 20, 3)
    """
    array = np.asarray(images)
    return np.ascontiguousarray(np.moveaxis(array, -3, -1)) if channels_last(tuple(state_shape)) else array


JITTER = 0.02
"""How far a step may be from a whole number of the usual ones: clocks round and tremble."""


def regular_times(
    times: Any, name: str = "time", lines: Sequence[int] | None = None
) -> tuple[float, NDArray[np.int64]]:
    """Step of ascending times, and the number of steps from the first time to each.

    Steps of two, three or more times the usual one are gaps: numbers are left out there.

    `lines` are the lines of a file that the times are on, for the error.

    Raises
    ------
    LyapmapError
        If the times do not ascend, or their steps are no whole numbers of the usual one.

    Examples
    --------
    >>> step, places = regular_times([0.0, 0.5, 1.0, 2.5])
    >>> step, places.tolist()
    (0.5, [0, 1, 2, 5])
    """

    def at(place: int) -> str:
        return f"row {place}" if lines is None else f"line {lines[place]}"

    clock = np.asarray(times, dtype=np.float64)
    steps = np.diff(clock)
    if len(clock) < 2 or not np.isfinite(clock).all() or not (steps > 0).all():
        late = "" if len(clock) < 2 or (steps > 0).all() else f"; {at(int((steps <= 0).argmax()) + 1)} is no later"
        raise LyapmapError(f"{name}: expected ascending times{late}")
    step = float(np.median(steps))
    counts = np.rint(steps / step)
    off = np.abs(steps / step - counts) > JITTER
    if off.any() or (counts < 1).any():
        where = int((off | (counts < 1)).argmax())
        raise LyapmapError(
            f"{name}: the values were not taken at equal steps ({steps[where]:.4g} after {at(where)}, "
            f"{step:.4g} as a rule); interpolate them to equal steps first"
        )
    total = counts.sum()
    return float(f"{(clock[-1] - clock[0]) / total:.12g}"), np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def with_gaps(values: NDArray[np.float64], places: NDArray[np.int64]) -> NDArray[np.float64]:
    """Rows at their places, with NaN where the clock left some out; long gaps are cut to one row of NaN."""
    if len(places) == places[-1] + 1:
        return values
    steps = np.minimum(np.diff(places), 2)
    kept = np.concatenate([[0], np.cumsum(steps)])
    rows = np.full((kept[-1] + 1, *values.shape[1:]), np.nan)
    rows[kept] = values
    return rows
