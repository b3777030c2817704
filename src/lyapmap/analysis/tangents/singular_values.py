"""Singular values of Jacobians that need not be square, and along how many directions an image really spreads.

A generator from noise R^m to images R^n draws on a manifold whose tangent space at an image is the range of its
Jacobian. The singular values say how far each direction of noise carries; how many of them count is
the local dimension of the manifold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.arguments import positive, whole
from lyapmap.core.demand import Demand, held
from lyapmap.core.errors import LyapmapError
from lyapmap.core.function import TangentFunction, as_tangent_function, jacobian_of
from lyapmap.core.map import as_rows, dimension
from lyapmap.core.ops import Array
from lyapmap.core.results import Cause, Result, Status, Verdict, dims
from lyapmap.core.run import Report, Run

ALL_UP_TO = 128
"""Inputs up to which all singular values are computed by default: about one chunk of tangents."""
LEADING = 32
"""Computed by default of functions with more inputs; where all of them count, the message says that there may be
more."""
SPARE, MOST_ITERATIONS, SETTLED = 8, 200, 1e-2
"""Of the block iteration: directions carried besides (Halko et al. advise 5 to 10), passes at most, and the
largest residual that is taken for settled: the error of a value is its square, 1e-4."""
CHUNK_VALUES = 10_000_000
"""Entries of the Jacobians that are held at once, about: 80 MB."""


@dataclass(frozen=True, kw_only=True)
class JacobianSpectrum(Result):
    """Singular values of the Jacobian at several inputs.

    Attributes
    ----------
    singular_values : (b, k)
        From the largest down, in units of output per unit of input; NaN where an output is not finite.
    rank : (b,)
        Values that stand above rounding: the local dimension in the strict sense, where all are computed.
    dimension : (b,)
        Directions whose variance, the squared value, is more than `threshold` of the largest: the rule by which
        `intrinsic_dimension(method="pca")` counts directions of neighbours.
    participation : (b,)
        (sum of squares)^2 / (sum of fourth powers): the dimension without any threshold, between 1 and the rank. NaN
        where not all values are computed, and 0 where the function is constant.
    residual : (b,)
        Within so much, relative to the largest value, there is a singular value by each of those given (usually
        much nearer: its square, over the gap); 0 where all are computed.
    threshold : float
    inputs, outputs : int
        m and n.
    complete : bool
        Whether all min(m, n) values are there.
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.tangents.pictures_tangent.draw_singular_values"
    REMEDIES: ClassVar[dict[Status, str]] = {
        Status.NOT_CONVERGED: "ask for all values (n_values='all')",
        Status.ESCAPED: "look whether the function is differentiable there, and its weights are finite",
    }

    singular_values: NDArray[np.float64] = dims("state", "value")
    rank: NDArray[np.int64] = dims("state")
    dimension: NDArray[np.int64] = dims("state")
    participation: NDArray[np.float64] = dims("state")
    residual: NDArray[np.float64] = dims("state")
    threshold: float
    inputs: int
    outputs: int
    complete: bool

    def mean(self, name: str) -> tuple[float, float]:
        """Mean over the states of "rank", "dimension" or "participation", and its standard error."""
        values = np.asarray(getattr(self, name), float)
        error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
        return float(values.mean()), float(error)


def jacobian_spectrum(
    function: Any,
    z: Any,
    *,
    n_values: int | str | None = None,
    threshold: float = 0.05,
    seed: int | None = None,
    progress: bool | Report = False,
    throw: bool = True,
) -> JacobianSpectrum:
    """Singular values of a function's Jacobian, and the local dimension of what it draws.

    Parameters
    ----------
    function : TangentFunction or Map
        `lyapmap.wrap_function` makes one of a function or a network; a map will do as well.
    z : (m,), (b, m), input_shape or (b, *input_shape)
        Inputs at which the Jacobian is taken.
    n_values : int, "all" or None
        How many, from the largest; by default all up to 128 inputs, else 32. All of them take m
        tangents; fewer, of more than 128 inputs, come from a block iteration with J and its transpose, which never
        makes the matrix and needs `vjp`.
    threshold : float
        Share of the largest variance below which a direction does not count in the local dimension.
    seed : int, optional
        Of the block iteration.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (states done, states in all).
    throw : bool
        Raise if a Jacobian is not finite or the iteration did not settle; else return it with that status.

    Returns
    -------
    JacobianSpectrum

    Raises
    ------
    LyapmapError, ShapeError
        If an argument cannot be used.
    RunError
        If the run failed and `throw`.
    Interrupted
        On Ctrl-C, with the states until then as its `result`.

    Notes
    -----
    A network's Jacobian has full numerical rank almost everywhere, however flat the manifold; `dimension` and
    `participation` then say how many directions matter at the scale of an infinitesimal step. At larger scales
    `intrinsic_dimension` of its images says it.

    References
    ----------
    K. Fukunaga, D. R. Olsen, IEEE Trans. Comput. C-20 (1971) 176 (counting variances against a threshold).
    N. Halko, P. G. Martinsson, J. A. Tropp, SIAM Rev. 53 (2011) 217, Algorithm 4.4 (block iteration).

    Examples
    --------
    Three numbers that name a point of a sphere, two directions on it:

    >>> import lyapmap as lm
    >>> sphere = lm.wrap_function(lambda z: z / np.sqrt((z**2).sum(1, keepdims=True)), input_shape=3)
    >>> found = lm.jacobian_spectrum(sphere, [[0.0, 0.0, 2.0]])
    >>> found.singular_values.round(6).tolist(), int(found.rank[0])
    ([[0.5, 0.5, 0.0]], 2)
    """
    tangent_function = as_tangent_function(function)
    rows, _ = as_rows("z", z, tuple(tangent_function.input_shape), tangent_function.ops)
    m, n = dimension(tuple(tangent_function.input_shape)), dimension(tuple(tangent_function.output_shape))
    k, block = _requested(tangent_function, n_values, m, n)
    threshold = positive("threshold", threshold)
    if threshold >= 1:
        raise LyapmapError(f"threshold: expected a share below 1, got {threshold}")
    run = Run("Jacobians", tangent_function, seed=seed, progress=progress)  # type: ignore[arg-type]
    b = int(rows.shape[0])
    kept = held("singular values", 2 * 8, states=b, n_values=k)
    matrices = held("Jacobians", 3 * 8, _m=m, _n=n) if not block else held("directions", 4 * 8, _n=m + n, n_values=k)
    run.needs(Demand([kept, matrices]))
    at_once = max(1, CHUNK_VALUES // (m * n if not block else (k + SPARE) * (m + n)))
    values: list[NDArray[np.float64]] = []
    residuals: list[NDArray[np.float64]] = []
    done = 0
    with run.steps(keep=lambda: residuals) as report:
        while done < b:
            part = rows[done : done + at_once]
            leading, residual = _leading(tangent_function, part, k, run.rng) if block else _all(tangent_function, part)
            values.append(leading)
            residuals.append(residual)
            done += len(residual)
            report(done, b)
    settings = {"n_values": n_values, "threshold": threshold, "n_states": b}
    computed = np.concatenate(values[: len(residuals)]), np.concatenate(residuals)
    return run.finish(_result(tangent_function, *computed, k, b, settings, run), throw)


def _requested(function: TangentFunction, n_values: int | str | None, m: int, n: int) -> tuple[int, bool]:
    """How many values, and whether by the block iteration."""
    most = min(m, n)
    transposed = function.has_vjp
    if n_values == "all" or (n_values is None and m <= ALL_UP_TO):
        return most, False
    if n_values is None:
        if not transposed:
            raise LyapmapError(f"n_values: of {m} inputs the leading ones need a function with vjp; give 'all'")
        return min(LEADING, most), most > LEADING
    message = f"n_values: expected 1 to {most} or 'all', got {n_values!r}"
    if isinstance(n_values, str):
        raise LyapmapError(message)
    k = whole("n_values", n_values, 1)
    if k > most:
        raise LyapmapError(message)
    return k, transposed and m > ALL_UP_TO and k + SPARE < most


def _all(function: TangentFunction, z: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    ops = function.ops
    output, matrices = jacobian_of(function, z)
    jacobians = ops.to_numpy(matrices).astype(np.float64)
    finite = ops.all_finite(output) & np.isfinite(jacobians).all(axis=(1, 2))
    values = np.full((len(finite), min(jacobians.shape[1:])), np.nan)
    if finite.any():
        values[finite] = np.linalg.svd(jacobians[finite], compute_uv=False)
    return values, np.zeros(len(finite))


def _leading(
    function: TangentFunction, z: Array, k: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The k largest by block iteration: V is turned by J'J until it holds its own image."""
    ops = function.ops
    b, m = int(z.shape[0]), dimension(tuple(function.input_shape))
    frame, _ = ops.qr(ops.from_numpy(rng.standard_normal((b, m, k + SPARE))))
    values, residual = np.full((b, k), np.nan), np.full(b, np.inf)
    for _ in range(MOST_ITERATIONS):
        output, image = function.jvp(z, frame)
        finite = ops.all_finite(output) & ops.all_finite(image)
        if not finite.all():
            values[~finite], residual[~finite] = np.nan, 0.0
            if finite.any():
                rows = np.flatnonzero(finite)
                values[rows], residual[rows] = _leading(function, ops.take(z, rows), k, rng)
            return values, residual
        q, r = ops.qr(image)
        small = ops.to_numpy(r).astype(np.float64)
        values = np.linalg.svd(small, compute_uv=False)[:, :k]
        back = function.vjp(z, q)
        # |J'q - V r'|, what is left of the range of J' outside the frame.
        outside = ops.to_numpy(back - ops.matmul(frame, ops.transpose(r))).astype(np.float64)
        scale = np.maximum(values[:, 0], np.finfo(float).tiny)
        left = np.linalg.svd(small)[0][:, :, :k]
        # Of the leading k left vectors alone: the spare ones never settle, and need not.
        error = np.linalg.norm(outside @ left, axis=1).max(axis=1)
        residual = np.where(values[:, 0] > 0, error / scale, 0.0)
        # The error of a value is of second order in that of its vectors.
        if (residual**2 < np.finfo(ops.dtype).eps).all():
            break
        frame, _ = ops.qr(back)
    return values, residual


def _result(
    function: TangentFunction,
    values: NDArray[np.float64],
    residual: NDArray[np.float64],
    k: int,
    asked: int,
    settings: dict[str, Any],
    run: Run,
) -> JacobianSpectrum:
    threshold = settings["threshold"]
    m, n = dimension(tuple(function.input_shape)), dimension(tuple(function.output_shape))
    known = np.isfinite(values).all(axis=1)
    complete = values.shape[1] == min(m, n)
    largest = values[:, :1]
    epsilon = float(np.finfo(function.ops.dtype).eps)
    if function.derivative.startswith("central differences"):
        epsilon = epsilon ** (2 / 3)
    with np.errstate(invalid="ignore", divide="ignore"):
        rank = ((values > largest * max(m, n) * epsilon) & (values > 0)).sum(axis=1)
        directions = ((values**2 > threshold * largest**2) & (values > 0)).sum(axis=1)
        unit = values / np.where(largest > 0, largest, 1.0)
        spread = (unit**2).sum(axis=1) ** 2 / (unit**4).sum(axis=1)
    participation = np.where(largest[:, 0] == 0, 0.0, spread) if complete else np.full(len(values), np.nan)
    status, cause, words = Status.OK, Cause.NONE, []
    if run.interrupted:
        status, cause = Status.NOT_CONVERGED, Cause.INTERRUPTED
        words.append(f"interrupted after {len(values)} of {asked} states")
    if (residual[known] > SETTLED).any():
        status = Status.NOT_CONVERGED
        words.append(f"values of {int((residual[known] > SETTLED).sum())} of {len(values)} states have not settled")
    if not known.all():
        status = Status.ESCAPED
        words.append(f"the output or Jacobian of {int((~known).sum())} of {len(values)} states is not finite")
    flat = int((largest[known, 0] == 0).sum())
    if flat:
        words.append(f"the function is constant about {flat} of {len(values)} states")
    values = values[:, :k]
    if not complete and known.any() and (directions[known] >= k).any():
        words.append(f"all {k} values count, so that dimension and rank are lower bounds")
    return JacobianSpectrum(
        **run.ending(Verdict(status, "; ".join(words), cause)),
        settings=settings,
        singular_values=values,
        rank=rank.astype(np.int64),
        dimension=directions.astype(np.int64),
        participation=participation,
        residual=residual,
        threshold=threshold,
        inputs=m,
        outputs=n,
        complete=complete and k == min(m, n),
    )
