"""The largest exponents of a network while it trains: as plain values for logs, and when callbacks measure them.

The sign of the largest exponent moves while training goes on, so the last epoch alone says little.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.spectrum import lyapunov_spectrum
from lyapmap.backends import wrap
from lyapmap.core.arguments import whole
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import TangentMap

if TYPE_CHECKING:
    from lyapmap.files.checkpoint import Checkpoint


@dataclass(frozen=True)
class Measurement:
    """How the largest exponents are measured.

    Attributes
    ----------
    n_exponents : int
        How many; the Kaplan-Yorke dimension is known where they suffice for it.
    n_trajectories : int
        Trajectories, started from the first states given.
    transient, n_steps : int
        Steps before, and to average over.
    seed : int
        Of the frames.
    """

    n_exponents: int = 6
    n_trajectories: int = 4
    transient: int = 100
    n_steps: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in {"n_exponents": 1, "n_trajectories": 1, "n_steps": 1, "transient": 0, "seed": 0}.items():
            whole(name, getattr(self, name), least)

    def of(self, tangent_map: TangentMap, states: Any) -> dict[str, Any]:
        """Measure a map from its first initial states.

        Returns
        -------
        dict
            "exponents", "stderr", "attractor", "kaplan_yorke" (None where it is not known), "status"
            and "seconds".
        """
        begin = time.perf_counter()
        spectrum = lyapunov_spectrum(
            tangent_map,
            states[: self.n_trajectories],
            n_steps=self.n_steps,
            transient=self.transient,
            n_exponents=self.n_exponents,
            seed=self.seed,
            throw=False,
        )
        return {
            "exponents": [plain(value) for value in spectrum.exponents],
            "stderr": [plain(value) for value in spectrum.stderr],
            "attractor": spectrum.attractor,
            "kaplan_yorke": plain(spectrum.kaplan_yorke),
            "status": str(spectrum.status),
            "seconds": round(time.perf_counter() - begin, 3),
        }


def plain(value: float) -> float | None:
    """A number as JSON and checkpoints take it; None for one that is not finite."""
    return round(float(value), 6) if np.isfinite(value) else None


def scalars(measured: dict[str, Any]) -> dict[str, float]:
    """The numbers of a measurement by name, as loggers take them; those not known are left out.

    >>> scalars({"exponents": [0.5, None], "kaplan_yorke": 1.2})
    {'lyapunov_1': 0.5, 'kaplan_yorke': 1.2}
    """
    named = {f"lyapunov_{i}": value for i, value in enumerate(measured.get("exponents", ()), 1)}
    named["kaplan_yorke"] = measured.get("kaplan_yorke")
    return {name: value for name, value in named.items() if value is not None}


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
        part_of_model = model
        for part in self._generator.split("."):
            if not hasattr(part_of_model, part):
                raise LyapmapError(f"generator: {type(model).__name__} has no {self._generator!r}")
            part_of_model = getattr(part_of_model, part)
        return part_of_model

    def look(self, epoch: int, make: Callable[[], TangentMap]) -> dict[str, float]:
        """Measure, keep what was found, and give the numbers of it by name.

        A network that cannot be measured does not end the training: it is logged, and nothing given.
        """
        try:
            measured = self.measurement.of(make(), self.states)
        except LyapmapError as error:
            logger.warning("epoch %d: the exponents cannot be measured: %s", epoch, error)
            self.history.append({"epoch": epoch, "error": str(error)})
            return {}
        self.history.append({"epoch": epoch} | measured)
        return scalars(measured)


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


def exponent_monitor(
    *,
    n_exponents: int = 6,
    n_trajectories: int = 4,
    transient: int = 100,
    n_steps: int = 100,
    device: str = "cpu",
    seed: int = 0,
) -> Callable[[Checkpoint], dict[str, Any]]:
    """A monitor for `train` that measures the largest exponents.

    Parameters
    ----------
    n_exponents : int
        How many; the Kaplan-Yorke dimension is logged where they suffice for it.
    n_trajectories : int
        Trajectories, started from the checkpoint's sample states.
    transient, n_steps : int
        Steps before, and to average over.
    device : str
    seed : int
        Of the frames.

    Returns
    -------
    callable
        Takes a `Checkpoint`; gives "exponents", "stderr", "attractor", "kaplan_yorke" (None where
        it is not known), "status" and "seconds".
    """
    from lyapmap.files.checkpoint import build_module

    measurement = Measurement(n_exponents, n_trajectories, transient, n_steps, seed)

    def measure(checkpoint: Checkpoint) -> dict[str, Any]:
        begin = time.perf_counter()
        module, state_shape = build_module(checkpoint, "checkpoint")
        tangent_map = wrap(module, state_shape=state_shape, device=device)
        measured = measurement.of(tangent_map, checkpoint.sample_states)
        return measured | {"seconds": round(time.perf_counter() - begin, 3)}

    return measure
