"""Pictures: spectra, training curves, trajectories, sheets and films of images, reports."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_NAMES = {
    "draw_alignment": "lyapmap.views.alignment",
    "draw_burn_in": "lyapmap.views.settling",
    "draw_canvas_dynamics": "lyapmap.models.gan.pictures_canvas",
    "draw_covariant": "lyapmap.views.covariant",
    "draw_dimension": "lyapmap.views.dimension",
    "draw_dimension_comparison": "lyapmap.views.dimension",
    "draw_divergence": "lyapmap.views.divergence",
    "draw_embedding": "lyapmap.views.embedding_pictures",
    "draw_finite_time": "lyapmap.views.finite_time",
    "draw_expansion_entropy": "lyapmap.views.entropy",
    "draw_gan_samples": "lyapmap.models.gan.pictures_samples",
    "draw_kaleidoscope_corners": "lyapmap.models.kaleidoscope.pictures_corners",
    "draw_kaleidoscope_depth": "lyapmap.models.kaleidoscope.pictures_depth",
    "draw_kaleidoscope_line": "lyapmap.models.kaleidoscope.pictures_line",
    "draw_kaleidoscope_plane": "lyapmap.models.kaleidoscope.pictures_plane",
    "draw_kaleidoscope_samples": "lyapmap.models.kaleidoscope.pictures_samples",
    "draw_manifold": "lyapmap.views.manifold",
    "draw_manifold_along": "lyapmap.views.manifold",
    "draw_memorization": "lyapmap.views.memorization",
    "draw_periodic_orbits": "lyapmap.views.periodic_orbits",
    "draw_correlation_dimension": "lyapmap.views.scaling",
    "draw_series_exponent": "lyapmap.views.scaling",
    "draw_settling": "lyapmap.views.settling",
    "draw_singular_values": "lyapmap.views.singular_values",
    "draw_spectrum": "lyapmap.views.spectrum",
    "draw_sweep": "lyapmap.views.sweep",
    "draw_training": "lyapmap.training.pictures",
    "draw_trajectory": "lyapmap.views.trajectory",
    "draw_transitions": "lyapmap.views.transitions",
    "draw_zero_one": "lyapmap.views.zero_one",
    "film_strip": "lyapmap.report.images",
    "save_film_strip": "lyapmap.report.images",
    "save_gan_samples": "lyapmap.models.gan.pictures_samples",
    "save_gif": "lyapmap.report.images",
    "save_kaleidoscope_samples": "lyapmap.models.kaleidoscope.pictures_samples",
    "save_report": "lyapmap.report.page",
    "save_sheet": "lyapmap.report.images",
    "save_trajectory": "lyapmap.views.trajectory",
    "sheet": "lyapmap.report.images",
}
__all__ = [*_NAMES]  # loaded late, and matplotlib with them


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'lyapmap.views' has no attribute {name!r}")
    return getattr(import_module(_NAMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
