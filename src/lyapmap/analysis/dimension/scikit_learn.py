"""Intrinsic dimension as an estimator of scikit-learn, for its pipelines and searches.

The class derives from one of scikit-learn's, whose import takes a second: it is made at first use.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from lyapmap.analysis.dimension.intrinsic import ENOUGH_POINTS, FEWEST_POINTS, intrinsic_dimension
from lyapmap.core.points import as_points


@functools.cache
def _make() -> type:
    from sklearn.base import BaseEstimator
    from sklearn.utils.validation import validate_data

    class IntrinsicDimensionEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
        """Intrinsic dimension of points, with scikit-learn's `fit`.

        Parameters
        ----------
        method : str
        k : int, optional
        scales : sequence of int, optional
        discard_fraction : float
        fit_rule : str
            `fit` of `lyapmap.intrinsic_dimension`, whose name is taken here.
        average, rule : str
        threshold : float, optional
        approximate : bool
        random_state : int
            Seed of the approximate search and of "correlation".

        Attributes
        ----------
        dimension_, stderr_, scale_ : float
        local_ : (n_samples,)
        result_ : DimensionEstimate
            Everything else.

        Raises
        ------
        RunError
            From `fit`, if there is no estimate of enough points. Of fewer it is NaN, since scikit-learn's own
            rules want small sets to be taken.

        Examples
        --------
        >>> import numpy as np
        >>> import lyapmap as lm
        >>> line = np.linspace(0, 1, 200)[:, None] ** 2 @ [[1.0, 2.0]]
        >>> round(lm.IntrinsicDimensionEstimator(method="mle", k=10).fit(line).dimension_)
        1
        """

        def __init__(
            self,
            method: str = "gride",
            k: int | None = None,
            scales: Any = None,
            discard_fraction: float = 0.1,
            fit_rule: str = "regression",
            average: str = "mackay-ghahramani",
            rule: str = "fukunaga-olsen",
            threshold: float | None = None,
            approximate: bool = False,
            random_state: int = 0,
        ) -> None:
            self.method = method
            self.k = k
            self.scales = scales
            self.discard_fraction = discard_fraction
            self.fit_rule = fit_rule
            self.average = average
            self.rule = rule
            self.threshold = threshold
            self.approximate = approximate
            self.random_state = random_state

        def fit(self, X: Any, y: Any = None) -> Any:
            """Estimate the dimension of the points of X (N, ...); y is not used."""
            if isinstance(X, np.ma.MaskedArray) or np.ndim(X) > 2:  # scikit-learn drops masks and refuses images
                X = as_points(X, "X")
            rows = validate_data(self, X, ensure_min_samples=2)
            self.result_ = intrinsic_dimension(
                rows,
                method=self.method,
                k=self.k,
                scales=self.scales,
                discard_fraction=self.discard_fraction,
                fit=self.fit_rule,
                average=self.average,
                rule=self.rule,
                threshold=self.threshold,
                approximate=self.approximate,
                seed=self.random_state,
                throw=False,
            )
            self.result_.checked(not FEWEST_POINTS <= self.result_.n_points < ENOUGH_POINTS)
            self.dimension_ = self.result_.dimension
            self.stderr_ = self.result_.stderr
            self.scale_ = self.result_.scale
            self.local_ = self.result_.local
            return self

    # Found again under this name when it is unpickled.
    IntrinsicDimensionEstimator.__qualname__ = "IntrinsicDimensionEstimator"
    return IntrinsicDimensionEstimator


def __getattr__(name: str) -> Any:
    if name == "IntrinsicDimensionEstimator":
        return _make()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
