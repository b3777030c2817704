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
    "lyapunov_spectrum": "lyapmap.analysis.exponents.spectrum",
    "LyapunovSpectrum": "lyapmap.analysis.exponents.spectrum",
    "kaplan_yorke": "lyapmap.analysis.exponents.kaplan_yorke",
    "divergence": "lyapmap.analysis.exponents.divergence",
    "Divergence": "lyapmap.analysis.exponents.divergence",
    "finite_time_exponents": "lyapmap.analysis.exponents.finite_time",
    "FiniteTimeExponents": "lyapmap.analysis.exponents.finite_time",
    "grid": "lyapmap.analysis.exponents.sweep",
    "Grid": "lyapmap.analysis.exponents.sweep",
    "covariant_vectors": "lyapmap.analysis.exponents.covariant",
    "CovariantVectors": "lyapmap.analysis.exponents.covariant",
    "alignment": "lyapmap.analysis.exponents.alignment",
    "Alignment": "lyapmap.analysis.exponents.alignment",
    "trajectory": "lyapmap.analysis.orbits.trajectory",
    "Trajectory": "lyapmap.analysis.orbits.trajectory",
    "correlation_dimension": "lyapmap.analysis.dimension.correlation",
    "CorrelationDimension": "lyapmap.analysis.dimension.correlation",
    "intrinsic_dimension": "lyapmap.analysis.dimension.intrinsic",
    "DimensionEstimate": "lyapmap.analysis.dimension.intrinsic",
    "compare_dimensions": "lyapmap.analysis.dimension.comparison",
    "DimensionComparison": "lyapmap.analysis.dimension.comparison",
    "IntrinsicDimensionEstimator": "lyapmap.analysis.dimension.estimator",
    "from_series": "lyapmap.analysis.exponents.series",
    "SeriesExponent": "lyapmap.analysis.exponents.series",
    "embed_delay": "lyapmap.analysis.exponents.delays",
    "zero_one_test": "lyapmap.analysis.exponents.zero_one",
    "ZeroOneTest": "lyapmap.analysis.exponents.zero_one",
    "check_map": "lyapmap.core.conformance",
    "compose": "lyapmap.core.combinators",
    "iterate": "lyapmap.core.combinators",
    "noisy": "lyapmap.core.combinators",
    "periodic_orbits": "lyapmap.analysis.orbits.periodic_orbits",
    "PeriodicOrbits": "lyapmap.analysis.orbits.periodic_orbits",
    "expansion_entropy": "lyapmap.analysis.exponents.entropy",
    "ExpansionEntropy": "lyapmap.analysis.exponents.entropy",
    "settling": "lyapmap.analysis.orbits.settling",
    "Settling": "lyapmap.analysis.orbits.settling",
    "burn_in": "lyapmap.analysis.orbits.burn_in",
    "BurnIn": "lyapmap.analysis.orbits.burn_in",
    "sweep": "lyapmap.analysis.exponents.sweep",
    "Sweep": "lyapmap.analysis.exponents.sweep",
    "return_map": "lyapmap.core.combinators",
    "driven": "lyapmap.core.driven",
    "random_inputs": "lyapmap.core.driven",
    "Status": "lyapmap.core.results",
    "LyapmapError": "lyapmap.core.errors",
    "RunError": "lyapmap.core.errors",
    "manifold_metrics": "lyapmap.analysis.manifold",
    "ManifoldMetrics": "lyapmap.analysis.manifold",
    "RealManifold": "lyapmap.analysis.manifold",
    "manifold_along": "lyapmap.analysis.manifold.along",
    "ManifoldAlong": "lyapmap.analysis.manifold.along",
    "ManifoldMetric": "lyapmap.analysis.manifold.along",
    "transitions": "lyapmap.analysis.manifold.transitions",
    "Transitions": "lyapmap.analysis.manifold.transitions",
    "embed": "lyapmap.analysis.manifold.embedding",
    "Embedding": "lyapmap.analysis.manifold.embedding",
    "EmbeddedStates": "lyapmap.analysis.manifold.embedding",
    "memorization": "lyapmap.analysis.manifold.memorization",
    "Memorization": "lyapmap.analysis.manifold.memorization",
    "battle": "lyapmap.analysis.battle",
    "BattleResult": "lyapmap.analysis.battle",
    "Contender": "lyapmap.analysis.battle",
    "tournament": "lyapmap.analysis.battle",
    "Tournament": "lyapmap.analysis.battle",
    "load_model": "lyapmap.files.zoo",
    "jacobian_spectrum": "lyapmap.analysis.exponents.singular_values",
    "JacobianSpectrum": "lyapmap.analysis.exponents.singular_values",
    "wrap_function": "lyapmap.backends.function",
    "LatentBasis": "lyapmap.analysis.latent_basis",
    "LatentTriple": "lyapmap.core.latent",
    "in_turn": "lyapmap.core.sampling",
}
_MODULES = ("systems", "data", "models", "training", "views")

__all__ = ["__version__", *_NAMES, *_MODULES]  # names are loaded late

if TYPE_CHECKING:
    from lyapmap import data, models, systems, training, views
    from lyapmap.analysis.battle import BattleResult, Contender, Tournament, battle, tournament
    from lyapmap.analysis.dimension.comparison import DimensionComparison, compare_dimensions
    from lyapmap.analysis.dimension.correlation import CorrelationDimension, correlation_dimension
    from lyapmap.analysis.dimension.estimator import IntrinsicDimensionEstimator
    from lyapmap.analysis.dimension.intrinsic import DimensionEstimate, intrinsic_dimension
    from lyapmap.analysis.exponents.alignment import Alignment, alignment
    from lyapmap.analysis.exponents.covariant import CovariantVectors, covariant_vectors
    from lyapmap.analysis.exponents.delays import embed_delay
    from lyapmap.analysis.exponents.divergence import Divergence, divergence
    from lyapmap.analysis.exponents.entropy import ExpansionEntropy, expansion_entropy
    from lyapmap.analysis.exponents.finite_time import FiniteTimeExponents, finite_time_exponents
    from lyapmap.analysis.exponents.kaplan_yorke import kaplan_yorke
    from lyapmap.analysis.exponents.series import SeriesExponent, from_series
    from lyapmap.analysis.exponents.singular_values import JacobianSpectrum, jacobian_spectrum
    from lyapmap.analysis.exponents.spectrum import LyapunovSpectrum, lyapunov_spectrum
    from lyapmap.analysis.exponents.sweep import Grid, Sweep, grid, sweep
    from lyapmap.analysis.exponents.zero_one import ZeroOneTest, zero_one_test
    from lyapmap.analysis.latent_basis import LatentBasis
    from lyapmap.analysis.manifold.along import ManifoldAlong, ManifoldMetric, manifold_along
    from lyapmap.analysis.manifold.embedding import EmbeddedStates, Embedding, embed
    from lyapmap.analysis.manifold.memorization import Memorization, memorization
    from lyapmap.analysis.manifold.metrics import ManifoldMetrics, RealManifold, manifold_metrics
    from lyapmap.analysis.manifold.transitions import Transitions, transitions
    from lyapmap.analysis.orbits.burn_in import BurnIn, burn_in
    from lyapmap.analysis.orbits.periodic_orbits import PeriodicOrbits, periodic_orbits
    from lyapmap.analysis.orbits.settling import Settling, settling
    from lyapmap.analysis.orbits.trajectory import Trajectory, trajectory
    from lyapmap.backends import wrap
    from lyapmap.backends.flow import flow
    from lyapmap.backends.function import wrap_function
    from lyapmap.core.combinators import compose, iterate, noisy, return_map
    from lyapmap.core.conformance import check_map
    from lyapmap.core.driven import driven, random_inputs
    from lyapmap.core.errors import LyapmapError, RunError
    from lyapmap.core.latent import LatentTriple
    from lyapmap.core.results import Status
    from lyapmap.core.sampling import in_turn
    from lyapmap.files.zoo import load_model


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
