"""The largest exponents of a network while it trains, as plain values for logs.

The sign of the largest exponent moves while training goes on, so the last epoch alone says little.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from lyapmap.analysis.spectrum import lyapunov_spectrum
from lyapmap.core.arguments import whole
from lyapmap.core.map import TangentMap


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
