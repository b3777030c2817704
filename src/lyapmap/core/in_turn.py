"""Maps that take turns: x_{n+1} = f_{n mod p}(x_n)."""

from __future__ import annotations

from typing import Any

from lyapmap.core.combinators import ComposedMap, compose
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import Map, TangentMap
from lyapmap.core.wrapped import StepMap


class MapsInTurn(StepMap):
    """A map that depends on the step, with period p; `in_turn` makes it.

    Attributes
    ----------
    parts : tuple of TangentMap
        Those of steps 0 to p - 1.
    """

    def __init__(self, parts: tuple[TangentMap, ...]) -> None:
        whole = ComposedMap(parts)  # refuses what does not fit together
        self.parts = parts
        self.state_shape, self.ops, self.structure = whole.state_shape, whole.ops, whole.structure
        self.is_flow, self.time_per_step = whole.is_flow, whole.time_per_step
        if self.is_flow:
            self.time_per_step /= len(parts)
        self.log_abs_det_is_independent = whole.log_abs_det_is_independent
        self._all = whole

    @property
    def derivative(self) -> str:  # type: ignore[override]
        return self._all.derivative

    @property
    def provenance(self) -> dict[str, Any]:  # type: ignore[override]
        return self.parts[0].provenance | {"in_turn": len(self.parts)}

    @property
    def log_abs_det_tolerance(self) -> float:  # type: ignore[override]
        return self._all.log_abs_det_tolerance / len(self.parts)

    @property
    def period(self) -> int:
        """p, after which the maps come again."""
        return len(self.parts)

    def at(self, step: int) -> TangentMap:
        """The map of one step."""
        return self.parts[step % len(self.parts)]

    def whole_turn(self, first: int = 0) -> TangentMap:
        """All maps once, from the one of step `first` on: an ordinary map, whose exponents are p times as large."""
        return compose(*(self.at(first + i) for i in range(self.period)))


def in_turn(*maps: Map) -> MapsInTurn:
    """Maps of the same space that take turns: the first acts at step 0, and again after all others.

    Parameters
    ----------
    *maps : Map
        None may depend on the step itself.

    Returns
    -------
    MapsInTurn
        With `at(step)`, and `whole_turn()`, which has fixed points.

    Raises
    ------
    LyapmapError
        If there is none, or they do not fit together.

    Examples
    --------
    >>> import lyapmap as lm
    >>> turns = lm.in_turn(lm.systems.linear_map([0.1]), lm.systems.linear_map([-0.3]))
    >>> lm.lyapunov_spectrum(turns, [1.0], n_steps=200, seed=0).exponents.round(3).tolist()
    [-0.1]
    """
    if not maps:
        raise LyapmapError("maps: expected at least one map")
    parts = compose(*maps)
    assert isinstance(parts, ComposedMap)
    return MapsInTurn(parts.parts)
