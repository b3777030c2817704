"""A monitor for `train`: the largest exponents of the network that it trains."""

from __future__ import annotations

import time
from typing import Any

from lyapmap.backends import wrap
from lyapmap.files.checkpoint import Checkpoint, build_module
from lyapmap.training.exponents import Measurement
from lyapmap.training.loop import Monitor


def exponent_monitor(
    *,
    n_exponents: int = 6,
    n_trajectories: int = 4,
    transient: int = 100,
    n_steps: int = 100,
    device: str = "cpu",
    seed: int = 0,
) -> Monitor:
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
    measurement = Measurement(n_exponents, n_trajectories, transient, n_steps, seed)

    def measure(checkpoint: Checkpoint) -> dict[str, Any]:
        begin = time.perf_counter()
        module, state_shape = build_module(checkpoint, "checkpoint")
        tangent_map = wrap(module, state_shape=state_shape, device=device)
        found = measurement.of(tangent_map, checkpoint.sample_states)
        return found | {"seconds": round(time.perf_counter() - begin, 3)}

    return measure
