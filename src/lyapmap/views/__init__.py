"""Pictures: spectra, training curves, trajectories, sheets and films of images, reports."""

from __future__ import annotations

from lyapmap._late import late
from lyapmap.files.papers import public_names

_NAMES = {
    "draw_alignment": "lyapmap.views.alignment",
    "draw_battle": "lyapmap.views.battle",
    "draw_burn_in": "lyapmap.views.settling",
    "draw_covariant": "lyapmap.views.covariant",
    "draw_dimension": "lyapmap.views.dimension",
    "draw_dimension_comparison": "lyapmap.views.dimension",
    "draw_divergence": "lyapmap.views.divergence",
    "draw_embedding": "lyapmap.views.embedding_pictures",
    "draw_finite_time": "lyapmap.views.finite_time",
    "draw_expansion_entropy": "lyapmap.views.entropy",
    "draw_latent_basis": "lyapmap.views.latent_basis",
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
    "draw_tournament": "lyapmap.views.battle",
    "draw_training": "lyapmap.training.pictures",
    "draw_trajectory": "lyapmap.views.trajectory",
    "draw_transitions": "lyapmap.views.transitions",
    "draw_zero_one": "lyapmap.views.zero_one",
    "film_strip": "lyapmap.report.images",
    "save_film_strip": "lyapmap.report.images",
    "save_gif": "lyapmap.report.images",
    "save_report": "lyapmap.report.page",
    "save_sheet": "lyapmap.report.images",
    "save_trajectory": "lyapmap.views.trajectory",
    "sheet": "lyapmap.report.images",
} | public_names("views")
__all__ = [*sorted(_NAMES)]  # loaded late, and matplotlib with them
__getattr__, __dir__ = late(__name__, _NAMES)
