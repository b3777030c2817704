"""The Kaplan-Yorke (Lyapunov) dimension of a spectrum, with its standard error, and how many exponents it needs.

J. Kaplan and J. Yorke (1979): D = j + (lambda_1 + ... + lambda_j) / |lambda_{j+1}|, where j is the
largest number of leading exponents whose sum is not negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lyapmap.core.errors import ShapeError

_ZERO = 1e-12
"""Sums of exponents that are smaller than this, relative to their terms, are zero up to rounding: thousands of
float64 terms leave about 1e-13."""
CERTAIN = 3.0
"""Standard errors by which a partial sum must be negative: 1 in 740 by chance."""

CERTIFIED = "certified"
UNCERTAIN = "uncertain"
NEEDS_MORE = "needs more exponents"
NEEDS_RESOLUTION = "needs exponents that were not resolved"
NEEDS_STEPS = "needs more steps"
SIGN_UNKNOWN = "the largest exponent may be zero or negative"


@dataclass(frozen=True)
class KaplanYorke:
    """A Kaplan-Yorke dimension.

    Attributes
    ----------
    dimension : float
        NaN if the exponents given do not determine it.
    stderr : float
        Standard error by propagation from the exponents' covariance.
    verdict : str
        "certified": some partial sum is negative by more than 3 standard errors (or all exponents
        are there), so that no further exponent can matter; "uncertain": negative, but not by that
        much; "needs more exponents"; "needs exponents that were not resolved"; "needs more steps":
        errors of exponents that count are not known; "the largest exponent may be zero or negative":
        the dimension falls from 1 or more to 0 where it goes through zero.
    """

    dimension: float
    stderr: float
    verdict: str


def kaplan_yorke(exponents: ArrayLike) -> float:
    """Kaplan-Yorke dimension of Lyapunov exponents.

    Parameters
    ----------
    exponents : (k,)
        Leading exponents in any order; NaN stands for exponents that are too negative to be
        resolved.

    Returns
    -------
    float
        0 if all are negative; k if they sum to zero; NaN if no partial sum is negative, so that
        more exponents are needed, or if the deciding one is NaN or infinite.

    Raises
    ------
    ShapeError
        If `exponents` is not one row of at least one number.

    References
    ----------
    J. Kaplan and J. Yorke, Chaotic behavior of multidimensional difference equations (1979).

    Examples
    --------
    >>> round(kaplan_yorke([0.419251, -1.623224]), 5)
    1.25828
    >>> kaplan_yorke([-0.5, -1.0])
    0.0
    >>> kaplan_yorke([0.5, 0.2])
    nan
    """
    values = np.asarray(exponents, dtype=float)
    if values.ndim != 1 or values.size == 0:
        raise ShapeError(f"exponents: expected one row of at least one number, got shape {values.shape}")
    return kaplan_yorke_with_error(_sorted(values)).dimension


def kaplan_yorke_with_error(
    exponents: NDArray[np.float64],
    covariance: NDArray[np.float64] | None = None,
    *,
    complete: bool = False,
    zero: float = 0.0,
) -> KaplanYorke:
    """Dimension with its standard error.

    Parameters
    ----------
    exponents : (k,)
        In descending order, unresolved ones as NaN at the end.
    covariance : (k, k), optional
        Of the exponents; zero by default.
    complete : bool
        Whether these are all exponents of the map.
    zero : float
        Exponents no farther from zero than this are zero: what rounding leaves.
    """
    k = len(exponents)
    cov = np.zeros((k, k)) if covariance is None else covariance
    exponents = np.where(np.abs(exponents) <= zero, 0.0, exponents)
    resolved = exponents[~np.isnan(exponents)]
    if np.isposinf(resolved).any():
        return KaplanYorke(np.nan, np.nan, NEEDS_RESOLUTION)
    sums = np.cumsum(resolved)
    sizes = np.cumsum(np.abs(resolved))
    with np.errstate(invalid="ignore"):
        negative = np.flatnonzero((sums < -_ZERO * sizes) | np.isneginf(sums))
    conserves = complete and len(resolved) == k and bool(abs(sums[-1]) <= zero * k)
    if conserves or negative.size == 0:
        if np.isinf(np.diagonal(cov)[: len(resolved)]).any():
            return KaplanYorke(np.nan, np.nan, NEEDS_STEPS)
        if conserves:
            return KaplanYorke(float(k), 0.0, CERTIFIED)
        return _never_negative(k, len(resolved), sums, sizes, cov, complete)
    j = int(negative[0])  # of the first exponent (from 0) that makes the sum negative
    errors = np.sqrt(np.maximum(np.diagonal(cov[: len(sums)].cumsum(axis=0).cumsum(axis=1)), 0.0))
    with np.errstate(invalid="ignore"):
        certain = complete or bool(np.isneginf(sums).any() or (-sums > CERTAIN * errors).any())
    verdict = CERTIFIED if certain else UNCERTAIN
    if np.isinf(np.diagonal(cov)[: j + 1]).any():
        return KaplanYorke(np.nan, np.nan, NEEDS_STEPS)
    if 0 < abs(exponents[0]) <= CERTAIN * np.sqrt(max(cov[0, 0], 0.0)):
        return KaplanYorke(np.nan, np.nan, SIGN_UNKNOWN if certain else UNCERTAIN)
    if j == 0:
        return KaplanYorke(0.0, 0.0, verdict)
    before, last = sums[j - 1], abs(resolved[j])
    if np.isinf(last):
        return KaplanYorke(float(j), 0.0, verdict)
    gradient = np.zeros(k)
    gradient[:j] = 1 / last
    gradient[j] = before / last**2
    used = np.flatnonzero(gradient)  # errors may be infinite, and 0 times infinity is no number
    variance = max(float(gradient[used] @ cov[np.ix_(used, used)] @ gradient[used]), 0.0)
    return KaplanYorke(float(j + max(before, 0.0) / last), float(np.sqrt(variance)), verdict)


def _never_negative(
    k: int,
    resolved: int,
    sums: NDArray[np.float64],
    sizes: NDArray[np.float64],
    cov: NDArray[np.float64],
    complete: bool,
) -> KaplanYorke:
    if resolved < k:
        return KaplanYorke(np.nan, np.nan, NEEDS_RESOLUTION)
    conserves_volume = bool(abs(sums[-1]) <= _ZERO * sizes[-1]) and sizes[-1] > 0
    if complete or conserves_volume:
        return KaplanYorke(float(k), 0.0, CERTIFIED)
    return KaplanYorke(np.nan, np.nan, NEEDS_MORE)


def _sorted(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Descending, NaN last."""
    finite = np.sort(values[~np.isnan(values)])[::-1]
    return np.concatenate([finite, np.full(len(values) - len(finite), np.nan)])


FORETOLD = 4.0
"""Standard errors below zero that a sum should have at the end, as foretold; 3 will be asked for."""


def exponents_needed(mean: ArrayLike, covariance: ArrayLike, part: float, n: int) -> int:
    """How many exponents have a sum that is negative for certain, judged from a look at their growth.

    This is what `n_exponents="auto"` goes by. The error of the sums after the whole run is foretold from that
    of the look.

    Parameters
    ----------
    mean, covariance : (k,), (k, k)
        Growth of the look, and the covariance of its means; not finite where the look was too short.
    part : float
        Length of the look, as a part of the run.
    n : int
        Dimension of the states: no more than these.

    Returns
    -------
    int
        At most k where k are enough.
    """
    growth, covariances = np.asarray(mean, float), np.asarray(covariance, float)
    k = len(growth)
    order = np.argsort(-growth, kind="stable")
    growth = growth[order]
    sums = np.cumsum(growth)
    variances = np.diagonal(covariances[np.ix_(order, order)].cumsum(axis=0).cumsum(axis=1))
    errors = np.sqrt(np.maximum(variances, 0.0) * part)
    # A look too short for errors still shows about where the sum turns negative.
    errors = np.where(np.isfinite(errors), errors, 0.05 * np.abs(growth).cumsum())
    certain = np.flatnonzero(-sums > FORETOLD * errors)
    if certain.size:
        return min(k, int(certain[0]) + 2)
    return min(n, max(half_as_many_again(k), _extrapolated(growth, sums, errors)))


def half_as_many_again(k: int) -> int:
    """How many exponents are tried next where k were too few, and nothing tells how many are missing."""
    return max(k + 4, k * 3 // 2)


def _extrapolated(growth: NDArray[np.float64], sums: NDArray[np.float64], errors: NDArray[np.float64]) -> int:
    """Where the sum would turn negative for certain if the exponents went on falling evenly.

    At most three times as many as there are: a guess to be looked at again, which spares looks.
    """
    k = len(growth)
    middle = k // 2
    fall = (growth[middle] - growth[-1]) / max(k - 1 - middle, 1)
    if not fall > 0:
        return 0
    more = np.arange(1, 2 * k + 1)
    guessed = sums[-1] + np.cumsum(growth[-1] - fall * more)
    certain = np.flatnonzero(-guessed > FORETOLD * errors[-1] * (k + more) / k)
    return k + int(certain[0]) + 2 if certain.size else 3 * k
