"""Watching the exponents of a network while it trains.

The sign of the largest exponent moves while training goes on, so the last epoch alone says little.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from lyapmap.analysis.spectrum import lyapunov_spectrum
from lyapmap.backends.torch_map import wrap_torch
from lyapmap.core.errors import LyapmapError
from lyapmap.training.checkpoint import Checkpoint
from lyapmap.training.loop import Monitor
from lyapmap.training.zoo import build_module


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
    for name, value in {"n_exponents": n_exponents, "n_trajectories": n_trajectories, "n_steps": n_steps}.items():
        if value < 1:
            raise LyapmapError(f"{name}: expected at least 1, got {value}")

    def measure(checkpoint: Checkpoint) -> dict[str, Any]:
        begin = time.perf_counter()
        module, state_shape = build_module(checkpoint, "checkpoint")
        tangent_map = wrap_torch(module, state_shape=state_shape, device=device)
        spectrum = lyapunov_spectrum(
            tangent_map,
            checkpoint.sample_states[:n_trajectories],
            n_steps=n_steps,
            transient=transient,
            n_exponents=n_exponents,
            seed=seed,
            throw=False,
        )
        dimension = spectrum.kaplan_yorke
        return {
            "exponents": [_plain(value) for value in spectrum.exponents],
            "stderr": [_plain(value) for value in spectrum.stderr],
            "attractor": spectrum.attractor,
            "kaplan_yorke": _plain(dimension),
            "status": str(spectrum.status),
            "seconds": round(time.perf_counter() - begin, 3),
        }

    return measure


def _plain(value: float) -> float | None:
    """A number as JSON and checkpoints take it."""
    return round(float(value), 6) if np.isfinite(value) else None
