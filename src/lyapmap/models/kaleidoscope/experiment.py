"""The shape of all experiments with small kaleidoscopic networks, which are fitted to points.

A list of `Cell`, networks fitted to the points of each, a look at what iterating them does, and a result of what was
seen; after Ctrl-C, of what there is. `line.py` has those on a line, `cube.py` those in the unit square and in cubes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lyapmap.backends import wrap
from lyapmap.core.arguments import positive, whole
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import Map, TangentMap
from lyapmap.core.propagate import states_at
from lyapmap.core.results import Status, Verdict
from lyapmap.core.run import Run

if TYPE_CHECKING:
    from lyapmap.models.kaleidoscope.fit import Fitted

Values = NDArray[np.float64]
Counts = NDArray[np.int64]
REMEDIES = {Status.NOT_CONVERGED: "raise the number of tries or steps of the fit, the width, or the loss asked for"}


class Cell(NamedTuple):
    """One set of points (m, d), or several (s, m, d), and the size of the networks that learn them."""

    points: Values
    depth: int
    width: int
    output: str = "sigmoid"


class Seen(NamedTuple):
    """What became of a cell: its fit, and what was seen of its networks."""

    fit: Fitted
    look: Any


class Fit(NamedTuple):
    """How hard to try: the loss to reach, most steps of Adam for one set of initial weights, and most of those."""

    loss: float
    fit_steps: int
    tries: int

    @classmethod
    def checked(cls, loss: float, fit_steps: int, tries: int = 1) -> Fit:
        return cls(positive("loss", loss), whole("fit_steps", fit_steps, 1), whole("tries", tries, 1))

    def verdict(self, names: Sequence[str], left: Values) -> Verdict:
        """Whether all fits reached the loss, and which did not."""
        missed = [name for name, value in zip(names, left, strict=True) if not value <= self.loss]
        words = f"no loss of {self.loss:g} with {'; '.join(missed)} in {self.tries} tries"
        return Verdict(Status.NOT_CONVERGED, words) if missed else Verdict()


def experiment(
    run: Run,
    cells: Sequence[Cell],
    fit: Fit,
    look: Callable[[int, list[TangentMap], Fitted], Any],
    *,
    partial: bool = False,
) -> list[Seen]:
    """Fit the networks of one cell after the other, and look at them.

    Parameters
    ----------
    run : Run
    cells : sequence of Cell
    fit : Fit
    look : callable
        Takes the number of a cell, its networks as maps, and their fit.
    partial : bool
        Whether the first cells are worth something after Ctrl-C, when there are no others.

    Returns
    -------
    list of Seen
        In the order of the cells; fewer after Ctrl-C.
    """
    from lyapmap.models.kaleidoscope.fit import fit_points

    seen: list[Seen] = []
    with run.steps(keep=(lambda: seen) if partial else None) as report:
        for number, cell in enumerate(cells):
            fitted = fit_points(
                cell.points, depth=cell.depth, width=cell.width, output=cell.output,
                loss=fit.loss, steps=fit.fit_steps, tries=fit.tries, seed=run.seed,
            )  # fmt: skip
            maps = [wrap(network, state_shape=cell.points.shape[-1:]) for network in fitted.networks]
            run.tangent_map = maps[0]
            seen.append(Seen(fitted, look(number, maps, fitted)))
            report(len(seen), len(cells))
    return seen


def over_sizes(shape: tuple[int, ...], values: Sequence[Any]) -> Values:
    """A table (a, b, ...) of what was measured of the first of a * b cells; NaN for the others."""
    table = np.full((shape[0] * shape[1], *shape[2:]), np.nan)
    table[: len(values)] = values
    return table.reshape(shape)


def padded(values: Sequence[Any]) -> NDArray[Any]:
    """Values of all settings in one array; rows of different lengths (length, ...) are filled up with NaN."""
    if all(np.shape(value) == np.shape(values[0]) for value in values):
        return np.array(values)
    full = np.full((len(values), max(len(value) for value in values), *np.shape(values[0])[1:]), np.nan)
    for row, value in zip(full, values, strict=True):
        row[: len(value)] = value
    return full


def visited(given: Map, starts: Values, after: Sequence[int]) -> Values:
    """States of starts (k, n) after ascending numbers of steps, (t, k, n)."""
    tangent_map = as_tangent_map(given)
    ops = tangent_map.ops
    return np.array([np.asarray(ops.to_numpy(x), float) for x in states_at(tangent_map, ops.from_numpy(starts), after)])


def count_apart(points: Values, limit: float) -> int:
    """Number of points (m, n) that lie further than a limit from all that were counted before.

    >>> count_apart(np.array([[0.0], [0.1], [0.6], [0.55]]), 0.2)
    2
    """
    apart = 0
    while len(points):
        apart += 1
        points = points[np.linalg.norm(points - points[0], axis=1) > limit]
    return apart


def ascending_sizes(name: str, values: Sequence[int], most: int | None = None) -> Counts:
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


class Setting(Protocol):
    """A network of an experiment, as a user says it."""

    def cell(self) -> Cell:
        """What is fitted, after a look whether it can be."""


def cells_of(settings: Sequence[Setting]) -> list[Cell]:
    """What is fitted for settings, of which there must be one; all are looked at before any fit begins."""
    if not settings:
        raise LyapmapError("settings: expected at least one")
    return [setting.cell() for setting in settings]
