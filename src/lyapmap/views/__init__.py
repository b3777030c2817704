"""Pictures: spectra, training curves, trajectories, sheets and films of images, reports."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_NAMES = {
    "draw_spectrum": "spectrum",
    "draw_training": "training",
    "draw_trajectory": "trajectory",
    "film_strip": "images",
    "save_film_strip": "images",
    "save_gif": "images",
    "save_report": "report",
    "save_sheet": "images",
    "save_trajectory": "trajectory",
    "sheet": "images",
}
__all__ = [*_NAMES]  # loaded late, and matplotlib with them


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'lyapmap.views' has no attribute {name!r}")
    return getattr(import_module(f"lyapmap.views.{_NAMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
