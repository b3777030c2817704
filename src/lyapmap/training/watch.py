"""What the callbacks of other training loops share: when to measure, what to keep, how to fail."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.arguments import whole
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import TangentMap
from lyapmap.training.exponents import Measurement, scalars

logger = logging.getLogger(__name__)


class Watch:
    """Measures the largest exponents every few epochs.

    Attributes
    ----------
    states : (m, *state_shape)
        Initial states.
    history : list of dict
        What was measured: "epoch" (counted from 1) with the values of `Measurement.of`, or with
        "error" where the network could not be measured.
    """

    def __init__(self, states: Any, every: int, generator: Any, measurement: Measurement) -> None:
        given = states.detach().cpu() if hasattr(states, "detach") else states
        self.states: NDArray[Any] = np.asarray(given).copy()
        if self.states.ndim < 2 or len(self.states) == 0:
            raise LyapmapError(f"states: expected a batch of initial states (m, ...), got shape {self.states.shape}")
        if not (generator is None or isinstance(generator, str) or callable(generator)):
            raise LyapmapError(
                f"generator: expected None, the name of an attribute or a function, got {type(generator).__name__}"
            )
        self.every = whole("every", every, 1)
        self.measurement = measurement
        self.history: list[dict[str, Any]] = []
        self._generator = generator

    def due(self, epoch: int) -> bool:
        """Whether to measure after this epoch, counted from 1."""
        return epoch % self.every == 0

    def network(self, model: Any) -> Any:
        """The network that is iterated: the model itself, an attribute of it, or what a function gives."""
        if self._generator is None:
            return model
        if callable(self._generator):
            return self._generator(model)
        found = model
        for part in self._generator.split("."):
            if not hasattr(found, part):
                raise LyapmapError(f"generator: {type(model).__name__} has no {self._generator!r}")
            found = getattr(found, part)
        return found

    def look(self, epoch: int, make: Callable[[], TangentMap]) -> dict[str, float]:
        """Measure, keep what was found, and give the numbers of it by name.

        A network that cannot be measured does not end the training: it is logged, and nothing given.
        """
        try:
            found = self.measurement.of(make(), self.states)
        except LyapmapError as error:
            logger.warning("epoch %d: the exponents cannot be measured: %s", epoch, error)
            self.history.append({"epoch": epoch, "error": str(error)})
            return {}
        self.history.append({"epoch": epoch} | found)
        return scalars(found)


class Watching:
    """Options and history of a callback, the same for every framework; stands before the framework's own class."""

    def __init__(
        self,
        states: Any,
        *,
        every: int = 5,
        generator: Any = None,
        n_exponents: int = 6,
        n_trajectories: int = 4,
        transient: int = 100,
        n_steps: int = 100,
        seed: int = 0,
    ) -> None:
        super().__init__()
        measurement = Measurement(n_exponents, n_trajectories, transient, n_steps, seed)
        self._watch = Watch(states, every, generator, measurement)

    @property
    def history(self) -> list[dict[str, Any]]:
        return self._watch.history
