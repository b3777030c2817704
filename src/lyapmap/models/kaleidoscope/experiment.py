"""What the experiments with small networks share: fit, look, go on; after Ctrl-C, what there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.arguments import whole
from lyapmap.core.errors import Interrupted, LyapmapError
from lyapmap.core.map import Map, as_tangent_map
from lyapmap.core.propagate import step_states
from lyapmap.core.results import Result, Status
from lyapmap.core.run import Report, reporting

Values = NDArray[np.float64]
Cell = TypeVar("Cell")

REMEDIES = {Status.NOT_CONVERGED: "raise the number of tries or steps of the fit, the width, or the loss asked for"}


def each(
    cells: Sequence[Cell],
    measure: Callable[[Cell], None],
    *,
    words: str,
    progress: bool | Report,
    partial: Callable[[int], Result] | None = None,
) -> None:
    """Measure one cell after the other, with a bar.

    Parameters
    ----------
    cells : sequence
        Settings, or places in a table of sizes.
    measure : callable
        Fits the networks of a cell and keeps what is seen of them.
    words : str
        Beside the bar.
    progress : bool or callable
    partial : callable, optional
        Takes the number of cells that are done; the result so far.

    Raises
    ------
    Interrupted
        On Ctrl-C, with the result so far where there is one.
    """
    done = 0
    try:
        with reporting(progress, words) as report:
            for cell in cells:
                measure(cell)
                done += 1
                report(done, len(cells))
    except KeyboardInterrupt:
        raise Interrupted(partial(done) if partial is not None and done else None) from None


def how_it_went(names: Sequence[str], left: Values, loss: float, tries: int) -> dict[str, Any]:
    """Status and message of a result: whether all fits reached the loss, and which did not."""
    missed = [name for name, value in zip(names, left, strict=True) if not value <= loss]
    if not missed:
        return {"status": Status.OK, "message": ""}
    return {
        "status": Status.NOT_CONVERGED,
        "message": f"no loss of {loss:g} with {'; '.join(missed)} in {tries} tries",
    }


def visited(given: Map, starts: Values, after: Sequence[int]) -> Values:
    """States of starts (k, n) after ascending numbers of steps, (t, k, n)."""
    tangent_map = as_tangent_map(given)
    ops = tangent_map.ops
    x, kept = ops.from_numpy(starts), []
    for before, step in zip((0, *after[:-1]), after, strict=True):
        x = step_states(tangent_map, x, n_steps=step - before)
        kept.append(np.asarray(ops.to_numpy(x), float))
    return np.array(kept)


def padded(values: Sequence[Any]) -> NDArray[Any]:
    """Values of all settings in one array; rows of different lengths (length, ...) are filled up with NaN."""
    if all(np.shape(value) == np.shape(values[0]) for value in values):
        return np.array(values)
    full = np.full((len(values), max(len(value) for value in values), *np.shape(values[0])[1:]), np.nan)
    for i, value in enumerate(values):
        full[i, : len(value)] = value
    return full


def ascending_sizes(name: str, values: Sequence[int], most: int | None = None) -> NDArray[np.int64]:
    """Different positive sizes in ascending order.

    >>> ascending_sizes("depths", [4, 1, 4])
    array([1, 4])
    """
    sizes = sorted({whole(name, value, 1) for value in values})
    if not sizes:
        raise LyapmapError(f"{name}: expected at least one")
    if most is not None and sizes[-1] > most:
        raise LyapmapError(f"{name}: expected at most {most}, got {sizes[-1]}")
    return np.array(sizes)
