"""lyapmap: chaos analysis of iterated networks and maps.

>>> import lyapmap as lm
>>> spectrum = lm.lyapunov_spectrum(lm.systems.henon(), [0.1, 0.1], n_steps=20_000, transient=1000, seed=0)
>>> bool(abs(spectrum.exponents[0] - 0.4193) < 0.02)
True

Public names are loaded at first use, so that importing the package brings in no framework.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lyapmap._version import __version__

_NAMES = {
    "wrap": "lyapmap.backends",
    "lyapunov_spectrum": "lyapmap.analysis.spectrum",
    "LyapunovSpectrum": "lyapmap.analysis.spectrum",
    "kaplan_yorke": "lyapmap.analysis.kaplan_yorke",
    "trajectory": "lyapmap.analysis.trajectory",
    "Trajectory": "lyapmap.analysis.trajectory",
    "check_map": "lyapmap.core.conformance",
    "compose": "lyapmap.core.combinators",
    "iterate": "lyapmap.core.combinators",
    "noisy": "lyapmap.core.combinators",
    "Status": "lyapmap.core.results",
    "LyapmapError": "lyapmap.core.errors",
    "RunError": "lyapmap.core.errors",
    "load_model": "lyapmap.training.zoo",
}
_MODULES = ("systems", "data", "models", "training", "views")

__all__ = ["__version__", *_NAMES, *_MODULES]  # names are loaded late

if TYPE_CHECKING:
    from lyapmap import data, models, systems, training, views
    from lyapmap.analysis.kaplan_yorke import kaplan_yorke
    from lyapmap.analysis.spectrum import LyapunovSpectrum, lyapunov_spectrum
    from lyapmap.analysis.trajectory import Trajectory, trajectory
    from lyapmap.backends import wrap
    from lyapmap.core.combinators import compose, iterate, noisy
    from lyapmap.core.conformance import check_map
    from lyapmap.core.errors import LyapmapError, RunError
    from lyapmap.core.results import Status
    from lyapmap.training.zoo import load_model


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        value = getattr(import_module(_NAMES[name]), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return import_module(f"lyapmap.{name}")
    raise AttributeError(f"module 'lyapmap' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
