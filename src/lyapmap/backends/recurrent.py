"""What `wrap` has to know of a recurrent cell that is given bare.

A cell takes an input and a state. Called like a function of one array it would answer with its input in the place
of the state, which is no recurrence: so `wrap` knows cells, and never does that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lyapmap.core.combined.driven import StepInputs
from lyapmap.core.errors import LyapmapError, MapError, ShapeError
from lyapmap.core.structure import as_numpy, structure_of


@dataclass(frozen=True)
class RecurrentCell:
    """A cell as `wrap` needs it.

    Attributes
    ----------
    name : str
    backend : str
    n_inputs : int or None
        Values that it is given at each step; None where it does not say.
    hidden : int
        Values of each part of its state.
    parts : int
        1, or 2 where the state is (h, c), flax's (c, h).
    dtype : str
    held : callable
        Makes the function of the state of the inputs (m,).
    step : callable
        The function of the state and of one step's inputs (b, m).
    """

    name: str
    backend: str
    n_inputs: int | None
    hidden: int
    parts: int
    dtype: str
    held: Callable[[Any], Any]
    step: Any

    def map_of_state(self, inputs: Any) -> Any:
        """The function of the hidden state under these inputs, zeros where they are None."""
        if inputs is None and self.n_inputs is None:
            raise LyapmapError(f"inputs: {self.name} does not say how many it takes; give them, e.g. np.zeros(3)")
        return self.held(self._checked(inputs))

    def state_example(self, shape: tuple[int, ...] | None, example: Any) -> Any:
        """An example of the state, after what the user said about its shape has been compared with it."""
        zeros = np.zeros(self.hidden, self.dtype)
        own = zeros if self.parts == 1 else (zeros, zeros)
        if shape is not None and int(np.prod(shape)) != self.parts * self.hidden:
            state = f"the hidden state of {self.name} has {self.hidden} values"
            if self.parts > 1:
                state = f"the state of {self.name} is a pair of {self.hidden} values each, {2 * self.hidden} together"
            raise ShapeError(f"state_shape: {state}, got {shape}; leave it out")
        if example is None:
            return own
        if [leaf.shape for leaf in structure_of(example).leaves] != [(self.hidden,)] * self.parts:
            raise ShapeError(f"state_example: expected {structure_of(own)} for {self.name}; leave it out")
        return example

    def described(self, inputs: Any) -> dict[str, Any]:
        """What results record."""
        held = self._checked(inputs)
        return {"map": self.name, "inputs": held.tolist() if held.any() else f"{len(held)} held at zero"}

    def driven_by(self, given: StepInputs) -> dict[str, Any]:
        """What results record of a cell whose inputs change from step to step."""
        if len(given.shape) != 1 or self.n_inputs not in (None, *given.shape) or given.whole_numbers:
            raise ShapeError(
                f"inputs: expected {self.n_inputs or 'm'} floating-point values at each step of {self.name}, "
                f"got {'whole numbers of ' if given.whole_numbers else ''}shape {given.shape}"
            )
        return {"map": self.name}

    def _checked(self, inputs: Any) -> np.ndarray[Any, Any]:
        if inputs is None:
            return np.zeros(self.n_inputs or 0)
        held = np.asarray(as_numpy(inputs), np.float64)
        if held.ndim != 1 or self.n_inputs not in (None, len(held)) or not np.isfinite(held).all():
            raise ShapeError(
                f"inputs: expected {self.n_inputs or 'm'} finite values, held at every step, got shape {held.shape}; "
                "for inputs that change at each step see lyapmap.each_step and lyapmap.random_inputs"
            )
        return held


def over_sequences(name: str, cell: str) -> MapError:
    """The error for a recurrent layer."""
    return MapError(
        f"function: {name} runs over sequences and is not a map of its state; wrap {cell} for the recurrence of the "
        "hidden state, or a function of one state that calls it"
    )
