"""Expansion entropy: how fast a map stretches volume of any dimension within a region.

B. R. Hunt and E. Ott (2015). Chaos is where it is positive. It needs no attractor and no orbit:
points are scattered over a region, and those that leave it no longer count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.arguments import box, given, steps_between, whole
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.demand import Advance, Demand, held, of_states
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import Map, TangentMap, dimension, rate_unit, time_per_step
from lyapmap.core.plain import with_error
from lyapmap.core.propagate import quiet
from lyapmap.core.results import Result, Status, Verdict, dims
from lyapmap.core.run import Report, Run

LARGEST = 64
"""Dimension up to which products of n x n derivatives of thousands of points are worth their cost: 80 million
numbers for 20 000 samples."""
BATCHES = 20
"""Batches of samples that are left out in turn: the error is then known to 1 / sqrt(38), 16 %."""
NOISE = 0.1
"""Standard error of ln E up to which a step takes part in the fit: beyond it a few samples carry E, and the
logarithm of a mean of few is biased by half its variance, 0.005."""
FEWEST = 4
"""Steps that a fit needs, and at least half of `n_steps`: both halves then have a slope."""
EVEN = 0.05
"""Share of the mean variance that is added to each step's, so that no step has all the weight: the first steps, in
which no sample differs yet, would have it."""
CERTAIN = 2.0
"""Standard errors by which the slopes of both halves of the window may differ: 95 % of straight curves pass."""
ROUNDING = 1e-9
"""Difference of slopes that is rounding, where all samples agree (constant slope)."""

_Values = NDArray[np.float64]


class GradedProduct:
    """Products A_t ... A_1 of b n x n matrices, kept as Q diag(d) T.

    Q is orthogonal, the sizes d are held as logarithms, and the rows of T are about as long as
    one another, so that large singular values do not swamp small ones, down to exp(-700) of them.
    Multiplied out, a product loses those below 1e-16 of the largest (E. Y. Loh and J. E. Gubernatis
    1992; G. W. Stewart 1997).
    """

    def __init__(self, b: int, n: int) -> None:
        self.directions: _Values = np.broadcast_to(np.eye(n), (b, n, n)).copy()
        """Q: multiply these, then give the product to `times`."""
        self._log_sizes: _Values = np.zeros((b, n))
        self._rest: _Values = np.broadcast_to(np.eye(n), (b, n, n)).copy()

    def times(self, stretched: _Values) -> None:
        """Take in A Q for the next factor A."""
        with np.errstate(divide="ignore"):
            lengths = np.log(np.linalg.norm(stretched, axis=1)) + self._log_sizes
        # Longest column first, as in a pivoted QR decomposition: the diagonal of R then descends.
        order = np.argsort(-lengths, axis=1, kind="stable")
        sizes = np.take_along_axis(self._log_sizes, order, axis=1)
        q, r = np.linalg.qr(np.take_along_axis(stretched, order[:, None, :], axis=2))
        rest = np.take_along_axis(self._rest, order[:, :, None], axis=1)
        with np.errstate(divide="ignore"):
            diagonal = np.log(np.abs(np.diagonal(r, axis1=1, axis2=2)))
        new = diagonal + sizes
        # Rows of R diag(sizes) over their own new size; a row of zeros has size -inf and stays zero.
        upper = np.triu(r)
        there = (upper != 0) & ~np.isneginf(new)[:, :, None] & ~np.isneginf(sizes)[:, None, :]
        exponent = np.where(there, sizes[:, None, :], 0.0) - np.where(there, new[:, :, None], 0.0)
        scaled = np.where(there, upper, 0.0) * np.exp(exponent)
        self.directions = q
        self._log_sizes = new
        self._rest = scaled @ rest

    def log_singular_values(self) -> _Values:
        """Logarithms of the singular values (b, n), largest first; -inf where they are zero."""
        sizes = self._log_sizes
        top = sizes.max(axis=1, keepdims=True)
        safe = np.where(np.isneginf(top), 0.0, top)
        # The transposed T^T diag(d) has columns of falling length. Its triangle is graded from the upper left.
        columns = np.swapaxes(self._rest, 1, 2)
        order = np.argsort(-sizes, axis=1, kind="stable")
        columns = np.take_along_axis(columns, order[:, None, :], axis=2)
        relative = np.take_along_axis(sizes, order, axis=1) - safe
        r = np.linalg.qr(columns)[1] * np.exp(relative)[:, None, :]
        # One more turn brings the triangle close to diagonal, in which the SVD loses little.
        r = np.linalg.qr(np.swapaxes(np.triu(r), 1, 2))[1]
        with np.errstate(divide="ignore"):
            logs: _Values = np.log(np.linalg.svd(np.triu(r), compute_uv=False)) + safe
        return np.where(np.isneginf(top), -np.inf, logs)


@dataclass(frozen=True, kw_only=True)
class ExpansionEntropy(Result):
    """Expansion entropy in nats, and the growth it is the slope of.

    Attributes
    ----------
    entropy, stderr : float
        Slope of ln E over the window, and its standard error from batches of samples.
    log_expansion : (t + 1,)
        ln E after 0, 1, ... t steps; -inf where no sample is left in the region.
    log_expansion_stderr : (t + 1,)
    surviving : (t + 1,)
        Fraction of samples that never left the region.
    window : (int, int)
        First and last step of the fit; (0, 0) where there is none.
    unit : str
        "per step", or "per unit time" of a flow.
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.exponents.pictures_growth.draw_expansion_entropy"
    REMEDIES: ClassVar[dict[Status, str]] = {
        Status.NOT_CONVERGED: "take more samples (n_samples) or fewer steps, or give a window",
        Status.ESCAPED: "enlarge the region, take more samples (n_samples) or fewer steps",
    }

    entropy: float
    stderr: float
    log_expansion: _Values = dims("step")
    log_expansion_stderr: _Values = dims("step")
    surviving: _Values = dims("step")
    window: tuple[int, int]
    unit: str = "per step"

    def _finding(self) -> str:
        size = f"{with_error(self.entropy, self.stderr)} nats {self.unit}"
        if not np.isfinite(self.entropy) or not np.isfinite(self.stderr) or abs(self.entropy) <= 3 * self.stderr:
            return f"Undetermined: the expansion entropy, {size}, cannot be told from zero."
        if self.entropy < 0:
            return f"No chaos is seen in the region: areas in it shrink, at {size}."
        factor = f"by a factor {math.exp(self.entropy):.3g} {self.unit}"
        return f"Chaotic within the region: the number of paths that can be told apart grows {factor} ({size})."


def expansion_entropy(
    map: Map,  # noqa: A002  # the field's own word
    region: Any,
    *,
    n_steps: int = 20,
    n_samples: int = 20_000,
    window: tuple[int, int] | None = None,
    seed: int | None = None,
    progress: bool | Report = False,
    throw: bool = True,
) -> ExpansionEntropy:
    """Expansion entropy of a map on a box.

    E(t) = (1 / N) sum of G(Df^t(x)) over the samples x that stay in the box for t steps, where G
    is the product of the singular values above 1; the entropy is the slope of ln E.

    Parameters
    ----------
    map : Map
        Of at most 64 dimensions.
    region : (low, high)
        The box: two numbers, or two arrays (n,). Its borders belong to it.
    n_steps : int
        Longest time. The noise of E grows with it; 10 to 30 steps are usual.
    n_samples : int
        Points scattered evenly over the box, at least 40.
    window : (int, int), optional
        First and last step of the fit. Without it: the last is the latest with a standard error
        of ln E below 0.1, the first the earliest from which both halves have the same slope
        within 2 standard errors; together they must span half of the steps.
    seed : int, optional
        Of the samples. Without it they are drawn from the operating system, and the seed that
        stands for them is recorded.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (steps done, steps in all).
    throw : bool
        Raise if there is no slope to tell; else return the result with that status.

    Returns
    -------
    ExpansionEntropy

    Raises
    ------
    LyapmapError
        If an argument cannot be used.
    RunError
        If all samples left the region too soon ("escaped"), or ln E is too noisy or too bent for
        a slope ("not_converged"), and `throw`.
    Interrupted
        On Ctrl-C, with the steps done until then.

    Notes
    -----
    For a smooth map that keeps the box to itself this is the topological entropy, which bounds
    the sum of the positive exponents from above. The slope is the mean increment of ln E, each
    step weighted by its precision. Its error comes from leaving out one batch of samples at a
    time, and from a quarter of the difference between the slopes of the window's halves. What
    neither shows is a heavy tail: E is carried by the few points that stretch most, so distrust a
    curve that bends down where its errors grow. Derivatives must be exact where the map jumps:
    differences across a jump would count as stretching.

    References
    ----------
    B. R. Hunt, E. Ott, Chaos 25 (2015) 097618, eqs. (1)-(4).

    Examples
    --------
    >>> import lyapmap as lm
    >>> h = lm.expansion_entropy(lm.systems.arnold_cat(), (0, 1), n_samples=100, seed=0)
    >>> round(h.entropy, 4)
    0.9624
    """
    tangent_map = as_tangent_map(map)
    n = dimension(tangent_map.state_shape)
    if n > LARGEST:
        raise LyapmapError(
            f"map: expected at most {LARGEST} dimensions, got {n}; the sum of the positive exponents "
            "(lyapunov_spectrum) does for larger ones"
        )
    low, high = box("region", region, n)
    n_steps, n_samples = whole("n_steps", n_steps, FEWEST), whole("n_samples", n_samples, 2 * BATCHES)
    window = given(steps_between, "window", window, n_steps)
    run = Run("expansion entropy", tangent_map, seed=seed, progress=progress)
    run.needs(_demand(tangent_map, low, high, n_samples, n_steps))
    samples = _Samples(tangent_map, low, high, run.rng.uniform(low, high, (n_samples, len(low))))
    with run.steps(keep=lambda: len(samples.surviving) > FEWEST) as report:
        for step in range(n_steps):
            samples.advance(step)
            report(step + 1, n_steps)
            if samples.inside.sum() == 0:
                break
    done = len(samples.surviving) - 1
    log_e, left_out = _jackknifed(np.array(samples.log_growth[: done + 1]))
    stderr = _jackknife_error(left_out)
    if run.interrupted and window is not None and window[1] > done:
        window = None
    elif window is None:
        window = _choose(log_e, left_out, stderr, n_steps)
    verdict = _verdict(window, log_e)
    slope, error = _slope(log_e, left_out, window) if window and verdict.status is Status.OK else (np.nan, np.nan)
    rate = 1 / time_per_step(tangent_map)
    result = ExpansionEntropy(
        **run.ending(verdict, done=f"{done} of {n_steps} steps"),
        settings={
            "region": (low.tolist(), high.tolist()),
            "n_steps": n_steps,
            "n_samples": n_samples,
            "time_per_step": time_per_step(tangent_map),
        },
        entropy=slope * rate,
        stderr=error * rate,
        log_expansion=log_e,
        log_expansion_stderr=stderr,
        surviving=np.array(samples.surviving),
        window=window or (0, 0),
        unit=rate_unit(tangent_map),
    )
    return run.finish(result, throw)


def _demand(tangent_map: TangentMap, low: _Values, high: _Values, n_samples: int, n_steps: int) -> Demand:
    n, rng = len(low), np.random.default_rng(0)

    def begin(rows: int) -> Advance:
        samples = _Samples(tangent_map, low, high, rng.uniform(low, high, (rows, n)))

        def advance(steps: int) -> None:
            for _ in range(steps):
                samples.advance(0)

        return advance

    matrices = held("derivatives", 12 * 8, n_samples=n_samples, _n=n, _columns=n)
    growth = held("growth", 4 * 8, n_samples=n_samples, n_steps=n_steps + 1)
    return Demand(
        [*of_states(tangent_map, n_samples, rows="n_samples"), matrices, growth],
        rows=n_samples,
        steps=n_steps,
        begin=begin,
    )


class _Samples:
    """Points scattered over the box, with the derivatives of f^t at each."""

    def __init__(self, tangent_map: TangentMap, low: _Values, high: _Values, x: _Values) -> None:
        self.map = tangent_map
        self.low, self.high = low, high
        self.start = x
        self.x = x
        self.inside = np.ones(len(x), bool)
        self.product = GradedProduct(len(x), x.shape[1])
        self.log_growth = [np.zeros(len(x))]
        self.surviving = [1.0]

    def advance(self, step: int) -> None:
        """One step; -inf is the log growth of a point that has left, so that it counts for nothing."""
        ops = self.map.ops
        now = self.map.at(step)
        with quiet():
            # A point that has left waits at its start: its row stays, as noise belongs to rows.
            image, tangents = now.jvp(ops.from_numpy(self.x), ops.from_numpy(self.product.directions))
        y = ops.to_numpy(image).astype(np.float64)
        stretched = ops.to_numpy(tangents).astype(np.float64)
        self.inside &= ((y >= self.low) & (y <= self.high)).all(axis=1)
        broken = self.inside & ~np.isfinite(stretched).all(axis=(1, 2))
        if broken.any():
            raise LyapmapError(f"map: the derivative at a state inside the region is not finite (step {step})")
        self.x = np.where(self.inside[:, None], y, self.start)
        stretched[~self.inside] = np.eye(y.shape[1])
        self.product.times(stretched)
        logs = self.product.log_singular_values()
        self.log_growth.append(np.where(self.inside, np.maximum(logs, 0).sum(axis=1), -np.inf))
        self.surviving.append(float(self.inside.mean()))


def _jackknifed(log_growth: _Values) -> tuple[_Values, _Values]:
    """ln E (t + 1,) from all samples, and (BATCHES, t + 1) leaving out one batch at a time."""
    top = log_growth.max(axis=1, keepdims=True)
    top[~np.isfinite(top)] = 0.0
    weights = np.exp(log_growth - top)  # (t + 1, N)
    batch = np.arange(weights.shape[1]) % BATCHES
    sums = np.stack([weights[:, batch == i].sum(axis=1) for i in range(BATCHES)])
    sizes = np.bincount(batch, minlength=BATCHES)
    with np.errstate(divide="ignore"):
        of_all = np.log(sums.sum(axis=0) / sizes.sum()) + top[:, 0]
        without = np.log((sums.sum(axis=0) - sums) / (sizes.sum() - sizes)[:, None]) + top[:, 0]
    # Differences of sums leave rounding behind where the other batches are empty.
    lonely = (sums > 0).sum(axis=0) < 2
    without[:, lonely] = -np.inf
    return of_all, without


def _jackknife_error(left_out: NDArray[np.float64]) -> Any:
    with np.errstate(invalid="ignore"):
        deviations = left_out - left_out.mean(axis=0)
        error = np.sqrt((BATCHES - 1) / BATCHES * (deviations**2).sum(axis=0))
    return np.where(np.isfinite(error), error, np.inf)


def _slopes(curves: _Values, left_out: _Values, first: int, last: int) -> Any:
    """Slopes of the last axis over a window: the mean increment, each step weighted by its precision.

    What later steps add to the noise of ln E is close to independent of what earlier ones added.
    """
    with np.errstate(invalid="ignore"):
        variance = _jackknife_error(np.diff(left_out[:, first : last + 1])) ** 2
        increments = np.diff(curves[..., first : last + 1])
    level = variance.mean()
    weights = 1 / (variance + EVEN * level) if 0 < level < np.inf else np.ones_like(variance)
    return increments @ weights / weights.sum()


def _slope(log_e: _Values, left_out: _Values, window: tuple[int, int]) -> tuple[float, float]:
    """Slope over a window and its error: noise, and what bend is left."""
    noise = float(_jackknife_error(_slopes(left_out, left_out, *window)))
    bend = _bend(log_e, left_out, window)[0] if window[1] - window[0] > 1 else 0.0
    return float(_slopes(log_e, left_out, *window)), math.hypot(noise, bend / 4)


def _bend(log_e: _Values, left_out: _Values, window: tuple[int, int]) -> tuple[float, float]:
    """By how much the slopes of the two halves of a window differ, and the error of that."""
    first, last = window
    middle = (first + last) // 2
    both = np.vstack([log_e, left_out])
    differences = _slopes(both, left_out, middle, last) - _slopes(both, left_out, first, middle)
    return float(differences[0]), float(_jackknife_error(differences[1:]))


def _choose(log_e: _Values, left_out: _Values, stderr: _Values, n_steps: int) -> tuple[int, int] | None:
    """The window of the fit, or None where ln E is not precise and straight for half of the steps."""
    precise = np.isfinite(log_e) & (stderr <= NOISE)
    last = int(np.argmin(precise)) - 1 if not precise.all() else len(log_e) - 1
    for first in range(1, last - max(FEWEST, n_steps // 2) + 2):
        difference, error = _bend(log_e, left_out, (first, last))
        if abs(difference) <= CERTAIN * error + ROUNDING:
            return first, last
    return None


def _verdict(window: tuple[int, int] | None, log_e: _Values) -> Verdict:
    gone = np.flatnonzero(np.isneginf(log_e))
    if gone.size and (window is None or gone[0] <= window[1]):
        return Verdict(Status.ESCAPED, f"no sample is left in the region after step {gone[0]}")
    if window is None:
        return Verdict(Status.NOT_CONVERGED, "ln E is too noisy, or too bent, for a slope over half of the steps")
    return Verdict()
