"""Pictures: spectra, training curves, trajectories, sheets and films of images, reports."""

from __future__ import annotations

from lyapmap._late import late
from lyapmap.files.papers import public_names

_NAMES = {
    "draw_alignment": "lyapmap.analysis.exponents.pictures_covariant",
    "draw_battle": "lyapmap.analysis.pictures",
    "draw_burn_in": "lyapmap.analysis.orbits.pictures_orbits",
    "draw_covariant": "lyapmap.analysis.exponents.pictures_covariant",
    "draw_dimension": "lyapmap.analysis.dimension.pictures_dimension",
    "draw_dimension_comparison": "lyapmap.analysis.dimension.pictures_dimension",
    "draw_divergence": "lyapmap.analysis.exponents.pictures_growth",
    "draw_embedding": "lyapmap.analysis.manifold.pictures_embedding",
    "draw_finite_time": "lyapmap.analysis.exponents.pictures_spectrum",
    "draw_expansion_entropy": "lyapmap.analysis.exponents.pictures_growth",
    "draw_latent_basis": "lyapmap.analysis.pictures",
    "draw_manifold": "lyapmap.analysis.manifold.pictures_manifold",
    "draw_manifold_along": "lyapmap.analysis.manifold.pictures_manifold",
    "draw_memorization": "lyapmap.analysis.manifold.pictures_manifold",
    "draw_periodic_orbits": "lyapmap.analysis.orbits.pictures_orbits",
    "draw_correlation_dimension": "lyapmap.analysis.exponents.pictures_growth",
    "draw_series_exponent": "lyapmap.analysis.exponents.pictures_growth",
    "draw_settling": "lyapmap.analysis.orbits.pictures_orbits",
    "draw_singular_values": "lyapmap.analysis.exponents.pictures_spectrum",
    "draw_spectrum": "lyapmap.analysis.exponents.pictures_spectrum",
    "draw_sweep": "lyapmap.analysis.exponents.pictures_growth",
    "draw_tournament": "lyapmap.analysis.pictures",
    "draw_training": "lyapmap.training.pictures",
    "draw_trajectory": "lyapmap.analysis.orbits.pictures_orbits",
    "draw_transitions": "lyapmap.analysis.manifold.pictures_manifold",
    "draw_zero_one": "lyapmap.analysis.exponents.pictures_growth",
    "film_strip": "lyapmap.report.images",
    "save_film_strip": "lyapmap.report.images",
    "save_gif": "lyapmap.report.images",
    "save_report": "lyapmap.report.page",
    "save_sheet": "lyapmap.report.images",
    "save_trajectory": "lyapmap.analysis.orbits.pictures_orbits",
    "sheet": "lyapmap.report.images",
} | public_names("views")
__all__ = [*sorted(_NAMES)]  # loaded late, and matplotlib with them
__getattr__, __dir__ = late(__name__, _NAMES)
