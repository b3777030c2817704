"""The 0-1 test for chaos: one number, near 0 for regular and near 1 for chaotic motion.

G. A. Gottwald and I. Melbourne (2004, 2009). A series drives a walk in the plane; regular motion
keeps the walk bounded, chaos makes it diffuse. No space is reconstructed, no neighbours are sought.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.orbits.trajectory import Trajectory, drift, trajectory
from lyapmap.analysis.series.delays import choose_delay, decorrelation_time, measured_rows, one_recording
from lyapmap.analysis.series.unfolding import LIKE_NOISE, beside_linear
from lyapmap.core.arguments import given, whole
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.demand import held, of_points
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.map import resembles_map
from lyapmap.core.plain import with_error
from lyapmap.core.results import Result, Status, Verdict, dims
from lyapmap.core.run import Report, Run

Values = NDArray[np.float64]

FEWEST_VALUES = 200
"""Values from which K is read: the displacement is followed for a tenth of them, 20 steps."""
FEWEST_FREQUENCIES = 10
"""Frequencies that a median and its error need."""
REGULAR, CHAOTIC = 0.2, 0.8
"""K below and above which the verdict is given, if its error allows. Between them lie noise on regular motion and
short series."""
LOWEST, HIGHEST = np.pi / 5, 4 * np.pi / 5
"""Frequencies between which there are few resonances with the motion itself (Gottwald and Melbourne 2009, Sect.
5)."""
CONSTANT = 1e-10
"""Spread relative to the largest value under which a series stands still: rounding of a computation."""
DRAWN = 2000
"""Steps of the walk that the result keeps for a picture."""
PREDICTED = 3000
"""Values on which the predictions of neighbours and of a linear rule are compared: enough to tell their errors
apart."""
CHUNK_VALUES = 4_000_000
"""Complex numbers held at once by the Fourier transforms: 64 MB."""


@dataclass(frozen=True, kw_only=True)
class ZeroOneTest(Result):
    """Outcome of the 0-1 test.

    Attributes
    ----------
    K : float
        Median over frequencies, then over series: near 0 regular, near 1 chaotic.
    stderr : float
        Of the median: from the spread over series where there are several, else from the spread
        over frequencies.
    K_per_series : (b,)
    K_per_frequency : (b, c)
    frequencies : (c,)
    displacement : (t,)
        Mean square displacement of the first series' walk after `lags` steps, at the frequency
        whose K is nearest to the median.
    lags : (t,)
    walk : (s, 2)
        That walk.
    verdict : "regular", "chaotic" or "undetermined"
    every : int
        Only each so many-th value was used.
    n_values : int
        Values used of each series.
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.series.pictures_series.draw_zero_one"
    SUMMARY: ClassVar[tuple[str, ...]] = ("K", "verdict", "n_values")
    REMEDIES: ClassVar[dict[Status, str]] = {
        Status.NOT_CONVERGED: "give a longer series, or one sampled less finely (every)"
    }

    K: float
    stderr: float
    K_per_series: Values = dims("series")
    K_per_frequency: Values = dims("series", "frequency")
    frequencies: Values = dims("frequency")
    displacement: Values = dims("lag")
    lags: NDArray[np.int64] = dims("lag")
    walk: Values = dims("step", "plane")
    verdict: str
    every: int
    n_values: int

    def _finding(self) -> str:
        words = {"chaotic": "The series is chaotic", "regular": "The series is regular"}.get(
            self.verdict, "Undetermined"
        )
        return f"{words}: the test gives K = {with_error(self.K, self.stderr)}, where 0 means regular and 1 chaotic."


def zero_one_test(
    series_or_map: Any,
    x0: Any = None,
    *,
    n_steps: int | None = None,
    transient: int = 0,
    observable: int | Callable[[NDArray[Any]], Any] = 0,
    n_frequencies: int = 100,
    every: int | str = "auto",
    seed: int | None = None,
    progress: bool | Report = False,
    throw: bool = True,
) -> ZeroOneTest:
    """Tell chaos from regular motion in a series or a map.

    Parameters
    ----------
    series_or_map : (N,), (b, N), list of (N,), Trajectory or Map
        One series, several of the same process, or a map that makes them. A list is cut to its
        shortest; a gap (NaN, a masked value) is an error.
    x0 : (n,), (b, n), state_shape or (b, *state_shape), optional
        Initial states of a map.
    n_steps : int, optional
        Steps of a map that are used; 5000 by default.
    transient : int
        Steps of a map before.
    observable : int or callable
        Of a map or trajectory: the component looked at, or a function of states (m, n) -> (m,).
    n_frequencies : int
        Frequencies tried, at least 10, drawn between pi/5 and 4 pi/5.
    every : int or "auto"
        Use each so many-th value. A flow that is sampled finely looks regular whatever it is:
        "auto" takes the first minimum of the mutual information as the distance, and 1 for a
        series that decorrelates within a step.
    seed : int, optional
        Of the frequencies.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (series done, series in all).
    throw : bool
        Raise if the orbit escapes; else return the result with that status.

    Returns
    -------
    ZeroOneTest
        The verdict is "regular" where K + 2 stderr < 0.2, "chaotic" where K - 2 stderr > 0.8, and
        else "undetermined", with status not_converged only if the series is sampled too finely or
        left too short by `every`, or if K is near 1 and the series may be noise.

    Raises
    ------
    LyapmapError, ShapeError
        If the series or an option cannot be used.
    RunError
        If the run failed and `throw`.
    Interrupted
        On Ctrl-C.

    Notes
    -----
    K is the correlation of the mean square displacement D_c(n) with n, up to a tenth of the
    series. The mean is taken off the series first, so that the oscillating term
    (E phi)^2 (1 - cos nc) / (1 - cos c), which the paper takes off the displacement, is zero from
    the start; K then does not depend on the observable's offset either. A series that stands still
    has K = 0: a fixed point is regular. The test itself cannot tell chaos from noise, which has K = 1:
    measured series are "chaotic" only if neighbours predict what comes better than a linear rule does
    (M. Casdagli 1992); of a map or its trajectory that is taken for granted.

    References
    ----------
    G. A. Gottwald, I. Melbourne, Proc. R. Soc. A 460 (2004) 603; SIAM J. Appl. Dyn. Syst. 8 (2009) 129.

    Examples
    --------
    >>> import lyapmap as lm
    >>> [lm.zero_one_test(lm.systems.logistic(r=r), [0.3], n_steps=2000, transient=500, seed=0).verdict
    ...  for r in (3.55, 4.0)]
    ['regular', 'chaotic']
    """
    n_frequencies = whole("n_frequencies", n_frequencies, FEWEST_FREQUENCIES)
    every = given(whole, "every", every, 1, unless="auto")
    series, tangent_map, escape = _series(series_or_map, x0, n_steps, transient, observable)
    run = Run("0-1 test", tangent_map, seed=seed, progress=progress)
    angles, length = np.linspace(LOWEST, HIGHEST, n_frequencies), series.shape[1]
    arrays = [held("series", 4 * 8, n_steps=length, _series=len(series)), held("transforms", 16, _values=CHUNK_VALUES)]
    run.needs(of_points(arrays, length, lambda some: [correlations(row[some], angles) for row in series]))
    settings = {
        "n_frequencies": n_frequencies,
        "every": every,
        "transient": transient,
        "observable": observable if isinstance(observable, int) else getattr(observable, "__name__", "function"),
        "n_series": len(series),
        "measured": not (tangent_map is not None or isinstance(series_or_map, Trajectory)),
    }
    frequencies = np.sort(run.rng.uniform(LOWEST, HIGHEST, n_frequencies))
    drifting = "" if escape else _drifting(series)
    stride = 1 if escape or drifting or _still(series[0]) else _stride(series, every)
    used = series[:, ::stride]
    usable = not (escape or drifting) and used.shape[1] >= FEWEST_VALUES
    K = np.full((len(used), n_frequencies), np.nan)
    with run.steps() as report:
        for i, row in enumerate(used if usable else ()):
            K[i] = 0.0 if _still(row) else correlations(row, frequencies)
            report(i + 1, len(used))
    return run.finish(_result(used, K, frequencies, stride, escape, drifting, settings, run), throw)


def _series(
    source: Any, x0: Any, n_steps: int | None, transient: int, observable: int | Callable[[NDArray[Any]], Any]
) -> tuple[Values, Any, str]:
    """Series (b, N), the map that they come from, and whether it escaped."""
    tangent_map, escape = None, ""
    if resembles_map(source):
        tangent_map = as_tangent_map(source)
        if x0 is None:
            raise LyapmapError("x0: a map needs initial states")
        steps = whole("n_steps", 5000 if n_steps is None else n_steps, FEWEST_VALUES - 1)
        source = trajectory(tangent_map, x0, n_steps=steps, transient=transient, throw=False)
    elif x0 is not None or n_steps is not None or transient:
        raise LyapmapError("x0, n_steps and transient are for maps; a series is there already")
    if isinstance(source, Trajectory):
        escape = source.message if source.failed else ""
        series = observed(np.asarray(source.states), observable)
    else:
        series = _whole_rows(source)
    series = np.atleast_2d(series).astype(np.float64)
    if series.ndim != 2 or series.shape[1] < FEWEST_VALUES:
        raise ShapeError(f"series: expected (N,) or (b, N) of at least {FEWEST_VALUES} values, got {series.shape}")
    if not escape and not np.isfinite(series).all():
        raise LyapmapError(f"series: value {int(np.argwhere(~np.isfinite(series))[0][1])} is not finite")
    return series, tangent_map, escape


def _whole_rows(series: Any) -> Values:
    """Series (b, N) without gaps; a list of several is cut to the shortest."""
    if isinstance(series, list | tuple) and series and all(np.ndim(part) == 1 for part in series):
        rows = [one_recording(part, f"series[{i}]")[:, 0] for i, part in enumerate(series)]
        shortest = min(len(row) for row in rows)
        return np.array([row[:shortest] for row in rows])
    if np.ndim(series) > 2:
        raise ShapeError(f"series: expected (N,) or (b, N) of at least {FEWEST_VALUES} values, got {np.shape(series)}")
    if np.ndim(series) == 1:
        return one_recording(series).T
    table = measured_rows(series)
    for i, row in enumerate(table if np.isnan(table).any() else ()):
        one_recording(row, f"series {i}")
    return table


def observed(states: NDArray[Any], observable: int | Callable[[NDArray[Any]], Any]) -> NDArray[Any]:
    """One number of each state, (b, N, n) -> (b, N)."""
    b, n_steps, n = states.shape
    if callable(observable):
        values = np.asarray(observable(states.reshape(-1, n)))
        if values.shape != (b * n_steps,):
            raise ShapeError(f"observable: expected {(b * n_steps,)} values of as many states, got {values.shape}")
        return values.reshape(b, n_steps)
    if not -n <= observable < n:
        raise LyapmapError(f"observable: expected a component from 0 to {n - 1}, got {observable}")
    return np.asarray(states[..., observable])


def _drifting(series: Values) -> str:
    """What is said of series (b, N) that grow without bound, for which the test was not made."""
    if not drift(series[..., None]):
        return ""
    return "the series drifts without bound: observe what stays bounded, or declare periods= of what comes round"


def _still(row: Values) -> bool:
    return bool(np.ptp(row) <= CONSTANT * np.abs(row).max())


def _stride(series: Values, every: int | str) -> int:
    if isinstance(every, int):
        return every
    return max(choose_delay(row) for row in series[:8] if not _still(row))


def correlations(series: Values, frequencies: Values) -> Values:
    """K_c of one series (N,) at each frequency: correlation of the displacement with time."""
    lags = np.arange(1, len(series) // 10 + 1)
    centred = lags - lags.mean()
    K = []
    for some in np.array_split(frequencies, -(-len(frequencies) * len(series) * 4 // CHUNK_VALUES)):
        moved = displacements(_walks(series, some), len(lags))
        moved -= moved.mean(axis=1, keepdims=True)
        length = np.linalg.norm(moved, axis=1) * np.linalg.norm(centred)
        K.append(np.divide(moved @ centred, length, out=np.zeros(len(some)), where=length > 0))
    return np.concatenate(K)


def _beside_linear(row: Values) -> float:
    """Error of nearest neighbours' predictions beside that of linear ones."""
    some = row[:PREDICTED]
    ahead = max(1, min(decorrelation_time(some), len(some) // 20))
    return beside_linear(some, delay=1, dimension=6, ahead=ahead, theiler=min(3 * ahead, len(some) // 20))


def _walks(series: Values, frequencies: Values) -> NDArray[np.complex128]:
    """p + i q after each step, (c, N)."""
    turns = np.exp(1j * frequencies[:, None] * np.arange(1, len(series) + 1))
    return np.cumsum((series - series.mean()) * turns, axis=1)


def displacements(walks: NDArray[np.complex128], n_lags: int) -> Values:
    """Mean square displacements of walks (c, N) after 1 to n_lags steps, (c, n_lags).

    Every lag is averaged over the same N - n_lags starts. The sum over starts of
    |w(j+n)|^2 + |w(j)|^2 - 2 Re w(j+n) w*(j) is a sliding sum and a correlation by FFT.
    """
    n = walks.shape[1]
    starts = n - n_lags
    walks = walks - walks.mean(axis=1, keepdims=True)
    size = 1 << (2 * n - 1).bit_length()
    product = np.fft.fft(walks, size) * np.conj(np.fft.fft(walks[:, :starts], size))
    crossed = np.fft.ifft(product)[:, 1 : n_lags + 1].real
    squares = np.cumsum(np.abs(walks) ** 2, axis=1)
    squares = np.concatenate([np.zeros((len(walks), 1)), squares], axis=1)
    lags = np.arange(1, n_lags + 1)
    sums = squares[:, lags + starts] - squares[:, lags] + squares[:, [starts]] - 2 * crossed
    return np.asarray(np.maximum(sums, 0.0) / starts)


def _result(
    used: Values,
    per_frequency: Values,
    frequencies: Values,
    stride: int,
    escape: str,
    drifting: str,
    settings: dict[str, Any],
    run: Run,
) -> ZeroOneTest:
    b, n = used.shape
    per_series = np.median(per_frequency, axis=1)
    K = float(np.median(per_series))
    # The standard error of a median is sqrt(pi / 2) times that of a mean.
    within = 1.2533 * per_frequency.std(axis=1) / np.sqrt(per_frequency.shape[1])
    between = 1.2533 * per_series.std(ddof=1) / np.sqrt(b) if b > 1 else 0.0
    stderr = float(max(between, np.median(within) / np.sqrt(b)))
    walk, moved, lags = np.empty((0, 2)), np.empty(0), np.empty(0, np.int64)
    if np.isfinite(K):
        nearest = int(np.abs(per_frequency[0] - per_series[0]).argmin())
        path = _walks(used[0], frequencies[[nearest]])
        lags = np.arange(1, n // 10 + 1)
        moved = displacements(path, len(lags))[0]
        walk = np.stack([path[0, :DRAWN].real, path[0, :DRAWN].imag], axis=1)
    word, verdict = _judged(used, K, stderr, stride, escape, drifting, measured=settings["measured"])
    return ZeroOneTest(
        **run.ending(verdict),
        settings=settings,
        K=K,
        stderr=stderr,
        K_per_series=per_series,
        K_per_frequency=per_frequency,
        frequencies=frequencies,
        displacement=moved,
        lags=lags,
        walk=walk,
        verdict=word,
        every=stride,
        n_values=n,
    )


def _judged(
    used: Values, K: float, stderr: float, stride: int, escape: str, drifting: str, *, measured: bool
) -> tuple[str, Verdict]:
    """Whether the series are chaotic, in a word, and how the test ended."""
    if escape:
        return "undetermined", Verdict(Status.ESCAPED, escape)
    if drifting:
        return "undetermined", Verdict(Status.NOT_CONVERGED, drifting)
    words = [f"each {stride}th value was used, for the series is sampled finely"] if stride > 1 else []
    still = sum(_still(row) for row in used)
    if still:
        words.append("the series stands still" if len(used) == 1 else f"{still} of {len(used)} series stand still")
    if used.shape[1] < FEWEST_VALUES:
        words.append(f"{used.shape[1]} values are too few for a verdict")
        return "undetermined", Verdict(Status.NOT_CONVERGED, "; ".join(words))
    chaotic, regular = K - 2 * stderr > CHAOTIC, K + 2 * stderr < REGULAR
    times = [decorrelation_time(row) for row in used[:8] if not _still(row)]
    if times and max(times) > 3 and stride == 1 and not chaotic:
        words.append(f"sampled too finely: values stay correlated for {max(times)} steps, every={max(times)} would do")
        return "undetermined", Verdict(Status.NOT_CONVERGED, "; ".join(words))
    if chaotic and measured:
        share = min(_beside_linear(row) for row in used[:8] if not _still(row))
        if share > LIKE_NOISE:
            words.append(
                f"K is near 1, but neighbours tell the next values no better than a linear rule does "
                f"({share:.2g} of its error): noise has K = 1 as well"
            )
            return "undetermined", Verdict(Status.NOT_CONVERGED, "; ".join(words))
    return "chaotic" if chaotic else "regular" if regular else "undetermined", Verdict(message="; ".join(words))
