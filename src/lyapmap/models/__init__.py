"""Networks of the papers, one folder each, with all that belongs to it: `lyapmap.models.cycle`, `.kaleidoscope`,
`.gan`, `.latent_spectral`, `.classifier`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from lyapmap._moved import MOVED

PAPERS = ("cycle", "kaleidoscope", "gan", "latent_spectral", "classifier")
__all__ = [*PAPERS]  # loaded late


def __getattr__(name: str) -> Any:
    if name not in PAPERS and f"models.{name}" not in MOVED:
        raise AttributeError(f"module 'lyapmap.models' has no attribute {name!r}")
    return import_module(f"lyapmap.models.{name}")


def __dir__() -> list[str]:
    return sorted(__all__)
