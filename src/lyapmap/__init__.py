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

from lyapmap import _moved
from lyapmap._version import __version__

_moved.install()

_NAMES = {
    "wrap": "lyapmap.backends",
    "flow": "lyapmap.backends.flow",
    "lyapunov_spectrum": "lyapmap.analysis.spectrum",
    "LyapunovSpectrum": "lyapmap.analysis.spectrum",
    "kaplan_yorke": "lyapmap.analysis.kaplan_yorke",
    "divergence": "lyapmap.analysis.divergence",
    "Divergence": "lyapmap.analysis.divergence",
    "finite_time_exponents": "lyapmap.analysis.finite_time",
    "FiniteTimeExponents": "lyapmap.analysis.finite_time",
    "grid": "lyapmap.analysis.grid",
    "Grid": "lyapmap.analysis.grid",
    "covariant_vectors": "lyapmap.analysis.covariant",
    "CovariantVectors": "lyapmap.analysis.covariant",
    "alignment": "lyapmap.analysis.alignment",
    "Alignment": "lyapmap.analysis.alignment",
    "trajectory": "lyapmap.analysis.trajectory",
    "Trajectory": "lyapmap.analysis.trajectory",
    "correlation_dimension": "lyapmap.analysis.correlation_dimension",
    "CorrelationDimension": "lyapmap.analysis.correlation_dimension",
    "intrinsic_dimension": "lyapmap.analysis.intrinsic_dimension",
    "DimensionEstimate": "lyapmap.analysis.intrinsic_dimension",
    "compare_dimensions": "lyapmap.analysis.dimension_comparison",
    "DimensionComparison": "lyapmap.analysis.dimension_comparison",
    "IntrinsicDimensionEstimator": "lyapmap.analysis.dimension_estimator",
    "from_series": "lyapmap.analysis.from_series",
    "SeriesExponent": "lyapmap.analysis.from_series",
    "embed_delay": "lyapmap.analysis.embedding",
    "zero_one_test": "lyapmap.analysis.zero_one",
    "ZeroOneTest": "lyapmap.analysis.zero_one",
    "check_map": "lyapmap.core.conformance",
    "compose": "lyapmap.core.combinators",
    "iterate": "lyapmap.core.combinators",
    "noisy": "lyapmap.core.combinators",
    "periodic_orbits": "lyapmap.analysis.periodic_orbits",
    "PeriodicOrbits": "lyapmap.analysis.periodic_orbits",
    "expansion_entropy": "lyapmap.analysis.expansion_entropy",
    "ExpansionEntropy": "lyapmap.analysis.expansion_entropy",
    "settling": "lyapmap.analysis.settling",
    "Settling": "lyapmap.analysis.settling",
    "burn_in": "lyapmap.analysis.burn_in",
    "BurnIn": "lyapmap.analysis.burn_in",
    "sweep": "lyapmap.analysis.sweep",
    "Sweep": "lyapmap.analysis.sweep",
    "return_map": "lyapmap.core.combinators",
    "driven": "lyapmap.core.driven",
    "random_inputs": "lyapmap.core.driven",
    "Status": "lyapmap.core.results",
    "LyapmapError": "lyapmap.core.errors",
    "RunError": "lyapmap.core.errors",
    "manifold_metrics": "lyapmap.analysis.manifold",
    "ManifoldMetrics": "lyapmap.analysis.manifold",
    "RealManifold": "lyapmap.analysis.manifold",
    "manifold_along": "lyapmap.analysis.manifold_along",
    "ManifoldAlong": "lyapmap.analysis.manifold_along",
    "ManifoldMetric": "lyapmap.analysis.manifold_updates",
    "transitions": "lyapmap.analysis.transitions",
    "Transitions": "lyapmap.analysis.transitions",
    "embed": "lyapmap.views.embedding",
    "Embedding": "lyapmap.views.embedding_result",
    "EmbeddedStates": "lyapmap.views.embedded_states",
    "memorization": "lyapmap.analysis.memorization",
    "Memorization": "lyapmap.analysis.memorization",
    "battle": "lyapmap.analysis.battle",
    "BattleResult": "lyapmap.analysis.battle",
    "Contender": "lyapmap.analysis.battle",
    "tournament": "lyapmap.analysis.tournament",
    "Tournament": "lyapmap.analysis.tournament",
    "load_model": "lyapmap.files.zoo",
    "jacobian_spectrum": "lyapmap.analysis.singular_values",
    "JacobianSpectrum": "lyapmap.analysis.singular_values",
    "wrap_function": "lyapmap.backends.function",
    "LatentBasis": "lyapmap.analysis.latent_basis",
    "LatentTriple": "lyapmap.core.latent",
    "in_turn": "lyapmap.core.in_turn",
}
_MODULES = ("systems", "data", "models", "training", "views")

__all__ = ["__version__", *_NAMES, *_MODULES]  # names are loaded late

if TYPE_CHECKING:
    from lyapmap import data, models, systems, training, views
    from lyapmap.analysis.alignment import Alignment, alignment
    from lyapmap.analysis.battle import BattleResult, Contender, battle
    from lyapmap.analysis.burn_in import BurnIn, burn_in
    from lyapmap.analysis.correlation_dimension import CorrelationDimension, correlation_dimension
    from lyapmap.analysis.covariant import CovariantVectors, covariant_vectors
    from lyapmap.analysis.dimension_comparison import DimensionComparison, compare_dimensions
    from lyapmap.analysis.dimension_estimator import IntrinsicDimensionEstimator
    from lyapmap.analysis.divergence import Divergence, divergence
    from lyapmap.analysis.embedding import embed_delay
    from lyapmap.analysis.expansion_entropy import ExpansionEntropy, expansion_entropy
    from lyapmap.analysis.finite_time import FiniteTimeExponents, finite_time_exponents
    from lyapmap.analysis.from_series import SeriesExponent, from_series
    from lyapmap.analysis.grid import Grid, grid
    from lyapmap.analysis.intrinsic_dimension import DimensionEstimate, intrinsic_dimension
    from lyapmap.analysis.kaplan_yorke import kaplan_yorke
    from lyapmap.analysis.latent_basis import LatentBasis
    from lyapmap.analysis.manifold import ManifoldMetrics, RealManifold, manifold_metrics
    from lyapmap.analysis.manifold_along import ManifoldAlong, manifold_along
    from lyapmap.analysis.manifold_updates import ManifoldMetric
    from lyapmap.analysis.memorization import Memorization, memorization
    from lyapmap.analysis.periodic_orbits import PeriodicOrbits, periodic_orbits
    from lyapmap.analysis.settling import Settling, settling
    from lyapmap.analysis.singular_values import JacobianSpectrum, jacobian_spectrum
    from lyapmap.analysis.spectrum import LyapunovSpectrum, lyapunov_spectrum
    from lyapmap.analysis.sweep import Sweep, sweep
    from lyapmap.analysis.tournament import Tournament, tournament
    from lyapmap.analysis.trajectory import Trajectory, trajectory
    from lyapmap.analysis.transitions import Transitions, transitions
    from lyapmap.analysis.zero_one import ZeroOneTest, zero_one_test
    from lyapmap.backends import wrap
    from lyapmap.backends.flow import flow
    from lyapmap.backends.function import wrap_function
    from lyapmap.core.combinators import compose, iterate, noisy, return_map
    from lyapmap.core.conformance import check_map
    from lyapmap.core.driven import driven, random_inputs
    from lyapmap.core.errors import LyapmapError, RunError
    from lyapmap.core.in_turn import in_turn
    from lyapmap.core.latent import LatentTriple
    from lyapmap.core.results import Status
    from lyapmap.files.zoo import load_model
    from lyapmap.views.embedded_states import EmbeddedStates
    from lyapmap.views.embedding import embed
    from lyapmap.views.embedding_result import Embedding


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
