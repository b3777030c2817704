"""Trajectories: the states of a map, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.arguments import whole
from lyapmap.core.combined.periodic import as_periods, within
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.demand import Advance, Demand, held, of_states
from lyapmap.core.map import Map, TangentMap, as_states
from lyapmap.core.ops import Array
from lyapmap.core.propagate import step_states
from lyapmap.core.results import Result, Status, Verdict, dims
from lyapmap.core.run import Report, Run

REPORT_EVERY = 64
"""Steps between two reports of progress, which cost more than a step of a small map."""
TOGETHER = 2**20
"""Values that are looked at together for drift, about."""
STRETCH = 2**10
"""Steps that a trial holds at once."""
SHORTEST_DRIFT, STEEP = 64, 4.0
"""Steps from which a drift can be told, and the way between the first and the last quarter of a run, in units of
the range that either covers beside its own trend, above which a coordinate drifts."""


@dataclass(frozen=True, kw_only=True)
class Trajectory(Result):
    """States along trajectories.

    Attributes
    ----------
    states : (b, n_steps + 1, n)
        The state after the transient, then that after each step. NaN after an escape.
    state_shape : tuple of int
        Shape of one state.
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.orbits.pictures_orbits.draw_trajectory"

    states: NDArray[Any] = dims("trajectory", "step", "component")
    state_shape: tuple[int, ...]

    def images(self) -> NDArray[Any]:
        """States in their own shape, (b, n_steps + 1, *state_shape)."""
        return self.states.reshape(*self.states.shape[:2], *self.state_shape)

    def film(self) -> NDArray[Any]:
        """The same as `images`."""
        return self.images()

    def _finding(self) -> str:
        b, recorded, n = self.states.shape
        many = "1 trajectory" if b == 1 else f"{b} trajectories"
        still = recorded > 2 and bool((self.states[:, -1] == self.states[:, -2]).all())
        rest = ", all at rest in the end" if still else ""
        return f"{many} of {recorded - 1} steps with states of {n} {'number' if n == 1 else 'numbers'} each{rest}."


def trajectory(
    map: Map,  # noqa: A002  # the field's own word
    x0: Any,
    *,
    n_steps: int,
    transient: int = 0,
    periods: Any = None,
    progress: bool | Report = False,
    throw: bool = True,
) -> Trajectory:
    """Iterate a map.

    Parameters
    ----------
    map : Map
        Any map; `lyapmap.wrap` makes one of a function or a network.
    x0 : (n,), (b, n), state_shape or (b, *state_shape)
        One initial state or a batch.
    n_steps : int
        Steps to record.
    transient : int
        Steps before, not recorded.
    periods : dict of int to float, or n floats and None, optional
        Coordinates that come round, such as angles, with their periods: recorded states have them in
        [0, period). A coordinate that drifts without bound spoils dimensions; the message names it.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (steps done, steps in all).
    throw : bool
        Raise if a state escapes; else return what there is with status "escaped".

    Returns
    -------
    Trajectory

    Raises
    ------
    RunError
        If a state becomes infinite or NaN and `throw`.
    Interrupted
        On Ctrl-C, with the states until then as its `result`.

    Examples
    --------
    >>> import lyapmap as lm
    >>> double = lm.wrap(lambda x: (2 * x) % 1, state_shape=1)
    >>> lm.trajectory(double, [0.125], n_steps=3).states[0, :, 0]
    array([0.125, 0.25 , 0.5  , 0.   ])
    """
    n_steps, transient = whole("n_steps", n_steps, 0), whole("transient", transient, 0)
    tangent_map = as_tangent_map(map)
    ops = tangent_map.ops
    x, _ = as_states(x0, tangent_map)
    rounds = None if periods is None else as_periods(periods, x.shape[1])
    run = Run("trajectory", tangent_map, progress=progress, demand=_demand(tangent_map, x, n_steps, transient))
    states = np.full((x.shape[0], n_steps + 1, x.shape[1]), np.nan, ops.to_numpy(x).dtype)
    done = -1
    with run.steps(keep=lambda: done >= 0) as report:
        x = step_states(tangent_map, x, n_steps=transient)
        states[:, 0], done = ops.to_numpy(x), 0
        for step in range(n_steps):
            x = step_states(tangent_map, x, n_steps=1, first_step=transient + step)
            states[:, step + 1], done = ops.to_numpy(x), step + 1
            if done % REPORT_EVERY == 0 or done == n_steps:
                report(done, n_steps)
    states = states[:, : done + 1]
    lost = _lost(states)
    states[lost] = np.nan
    if rounds is not None:
        states = within(states, rounds)
    verdict = Verdict(message=drift(states))
    if lost.any():
        escaped_at = transient + int(lost.any(axis=0).argmax())
        verdict = Verdict(Status.ESCAPED, f"a state is not finite after step {escaped_at}")
    result = Trajectory(
        **run.ending(verdict, done=f"{done} of {n_steps} steps"),
        settings={"n_steps": n_steps, "transient": transient, "n_trajectories": len(states)},
        states=states,
        state_shape=tuple(tangent_map.state_shape),
    )
    return run.finish(result, throw)


def _lost(states: NDArray[Any]) -> NDArray[np.bool_]:
    """Which states (b, T, n) are not finite, or come after such a one, (b, T)."""
    return np.logical_or.accumulate(~np.isfinite(states).all(axis=2), axis=1)


def _demand(tangent_map: TangentMap, x: Array, n_steps: int, transient: int) -> Demand:
    b, n = x.shape
    size = 4 if tangent_map.ops.dtype == "float32" else 8
    # The states, which of their values are finite, and what looking for drift in one component takes.
    kept = held("states of all steps", size + 1, trajectories=b, n_steps=n_steps + 1, _n=n)
    seen = held("a component", 32, n_steps=n_steps + 1, _rows=min(b, max(1, TOGETHER // (n_steps + 1))))

    def begin(rows: int) -> Advance:
        y, done = x[:rows], 0
        # All of a run's steps would take its whole memory: a stretch of them is written, and looked at, as the whole.
        stretch = np.full((rows, min(n_steps + 1, STRETCH), n), np.nan, tangent_map.ops.to_numpy(y).dtype)

        def advance(steps: int) -> None:
            nonlocal y, done
            for _ in range(steps):
                y = step_states(tangent_map, y, n_steps=1)
                stretch[:, done], done = tangent_map.ops.to_numpy(y), done + 1
                if done == stretch.shape[1]:
                    stretch[_lost(stretch)] = np.nan
                    drift(stretch)
                    done = 0

        return advance

    arrays = [*of_states(tangent_map, b), kept, seen]
    return Demand(arrays, rows=b, steps=n_steps + transient, begin=begin, touched=kept.nbytes)


def drift(states: NDArray[Any]) -> str:
    """A sentence on the components of states (b, T, n) that grow without bound; empty where none is seen to."""
    if 4 * (states.shape[1] // 4) < SHORTEST_DRIFT:
        return ""
    b, length, n = states.shape
    columns = min(n, max(1, TOGETHER // length))
    rows = min(b, max(1, TOGETHER // (length * columns)))
    drifting: NDArray[np.bool_] = np.zeros(n, bool)
    for i in range(0, n, columns):
        for row in range(0, b, rows):
            drifting[i : i + columns] |= _drifting(states[row : row + rows, :, i : i + columns])
    if not drifting.any():
        return ""
    numbers = np.flatnonzero(drifting)
    which = ", ".join(str(i) for i in numbers[:4]) + (", ..." if numbers.size > 4 else "")
    return f"component {which} drifts without bound, which spoils dimensions; if it comes round, declare periods="


def _drifting(states: NDArray[Any]) -> NDArray[np.bool_]:
    """Which components of states (b, T, n) grow without bound in some trajectory, (n,)."""
    quarter = states.shape[1] // 4
    values = states[:, : 4 * quarter].astype(np.float64)
    means = values.reshape(len(values), 4, quarter, -1).mean(axis=2)  # (b, 4, n)
    ways = np.diff(means, axis=1)
    # Steadily one way, and as far in each quarter as in the others: what settles slows down.
    way = np.abs(ways).min(axis=1)
    steady = (np.abs(ways.sum(axis=1)) == np.abs(ways).sum(axis=1)) & (way > 0.5 * np.abs(ways).max(axis=1))
    middle = np.arange(quarter) - (quarter - 1) / 2
    beside = values.reshape(len(values), 4, quarter, -1) - means[:, :, None]
    slope = np.einsum("bqtn,t->bqn", beside, middle) / max(float(middle @ middle), 1e-300)
    beside -= slope[:, :, None] * middle[:, None]
    size = np.abs(beside).max(axis=(1, 2))
    moving = steady & (3 * way > STEEP * size) & (way > 1e-6 * (1 + np.abs(means).max(axis=1)))
    return np.asarray(moving.any(axis=0))
