"""Pictures: spectra, training curves, trajectories, sheets and films of images, reports."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_NAMES = {
    "draw_alignment": "alignment",
    "draw_burn_in": "settling",
    "draw_canvas_dynamics": "canvas",
    "draw_covariant": "covariant",
    "draw_dimension": "dimension",
    "draw_dimension_comparison": "dimension",
    "draw_divergence": "divergence",
    "draw_embedding": "embedding_pictures",
    "draw_finite_time": "finite_time",
    "draw_expansion_entropy": "entropy",
    "draw_gan_samples": "gan_samples",
    "draw_kaleidoscope_corners": "kaleidoscope_corners",
    "draw_kaleidoscope_depth": "kaleidoscope_depth",
    "draw_kaleidoscope_line": "kaleidoscope_line",
    "draw_kaleidoscope_plane": "kaleidoscope_plane",
    "draw_kaleidoscope_samples": "kaleidoscope_samples",
    "draw_manifold": "manifold",
    "draw_manifold_along": "manifold",
    "draw_memorization": "memorization",
    "draw_periodic_orbits": "periodic_orbits",
    "draw_correlation_dimension": "scaling",
    "draw_series_exponent": "scaling",
    "draw_settling": "settling",
    "draw_singular_values": "singular_values",
    "draw_spectrum": "spectrum",
    "draw_sweep": "sweep",
    "draw_training": "training",
    "draw_trajectory": "trajectory",
    "draw_transitions": "transitions",
    "draw_zero_one": "zero_one",
    "film_strip": "images",
    "save_film_strip": "images",
    "save_gan_samples": "gan_samples",
    "save_gif": "images",
    "save_kaleidoscope_samples": "kaleidoscope_samples",
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
