"""Alignment of deviation vectors: SALI and GALI, which tell chaotic from regular orbits early.

Ch. Skokos (2001); Ch. Skokos, T. Bountis, Ch. Antonopoulos (2007). The vectors are normalized but
never orthogonalized, so that chaos turns all of them to the same direction and the volume that
they span vanishes; on a regular orbit of a conservative map it stays, or falls like a power.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.finite_time import start_states
from lyapmap.core.arguments import whole
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.demand import Advance, Demand, held, of_states
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import Map, TangentMap, rate_unit, time_per_step
from lyapmap.core.ops import Array
from lyapmap.core.propagate import quiet, random_frame, step_states
from lyapmap.core.results import Cause, Result, Status, Verdict, dims
from lyapmap.core.run import Report, Run, unbroken

Values = NDArray[np.float64]

CHAOTIC, REGULAR, UNDETERMINED = "chaotic", "regular", "undetermined"
RECORDS = 400
"""Steps that are kept, about: as many as a picture can show."""
BATCHES = 16
"""Stretches of the second half of the run whose scatter gives the error of the decay: known then to 18 %."""
LEAST_STEPS = 64
"""Steps below which no verdict is given: power laws and exponentials look alike there, and chaos slower than about
2 / 64 nats per step could not be seen."""
CLEARLY, HARDLY = 3.0, 1.5
"""Multiples of the steepest power law of a regular orbit that mean chaos, and no chaos; between them lie sticky
orbits and short runs, which are left undetermined."""


@dataclass(frozen=True, kw_only=True)
class Alignment(Result):
    """How deviation vectors align.

    Attributes
    ----------
    log_gali : (b, r)
        Natural logarithm of GALI_k, the volume spanned by the k unit vectors; known far below
        the smallest positive float.
    log_sali : (b, r)
        Of SALI, from the first two vectors.
    log_stretch : (b, r)
        Of the length of the first vector.
    steps : (r,)
        Steps since the vectors were chosen.
    verdicts : (b,) int
        1 chaotic, 0 regular, -1 undetermined; `verdict` has the words.
    decay_rate, decay_stderr : (b,)
        Rate at which log GALI falls over the second half of the run, in nats, and its standard
        error. For chaos it tends to (l1 - l2) + ... + (l1 - lk).
    k : int
    grid : dict
        "shape", "axes", "low", "high" where the initial states lie on a grid, else empty.
    unit : str
        "per step", or "per unit time" of a flow.
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.tangents.pictures_tangent.draw_alignment"
    REMEDIES: ClassVar[dict[Status | Cause, str]] = {Cause.TOO_SHORT: "raise n_steps"}

    log_gali: Values = dims("trajectory", "record")
    log_sali: Values = dims("trajectory", "record")
    log_stretch: Values = dims("trajectory", "record")
    steps: NDArray[np.int64] = dims("record")
    verdicts: NDArray[np.int64] = dims("trajectory")
    decay_rate: Values = dims("trajectory")
    decay_stderr: Values = dims("trajectory")
    k: int
    grid: dict[str, Any] = field(default_factory=dict)
    unit: str = "per step"

    @property
    def verdict(self) -> list[str]:
        """For each trajectory "chaotic", "regular" or "undetermined"."""
        return [{1: CHAOTIC, 0: REGULAR}.get(int(v), UNDETERMINED) for v in self.verdicts]

    @property
    def counts(self) -> dict[str, int]:
        """How many trajectories are which."""
        counts = Counter(self.verdict)
        return {name: counts[name] for name in (CHAOTIC, REGULAR, UNDETERMINED)}

    @property
    def sali(self) -> Values:
        """SALI, (b, r); 0 where it is smaller than any float."""
        sali: Values = np.exp(self.log_sali)
        return sali

    def _finding(self) -> str:
        counts = self.counts
        return (
            ", ".join(f"{count} of {len(self.verdicts)} trajectories {name}" for name, count in counts.items() if count)
            + "."
        )


def alignment(
    map: Map,  # noqa: A002  # the field's own word
    x0: Any,
    *,
    n_steps: int,
    k: int = 2,
    transient: int = 0,
    seed: int | None = None,
    progress: bool | Report = False,
    throw: bool = True,
) -> Alignment:
    """GALI_k and SALI along trajectories, and what they say of each.

    Parameters
    ----------
    map : Map
        Any map; `lyapmap.wrap` makes one of a function or a network.
    x0 : (n,), (b, n), state_shape, (b, *state_shape), or Grid
        Initial states, or those of `lyapmap.grid`, whose result is drawn as an image.
    n_steps : int
        Steps; verdicts need at least 64.
    k : int
        Deviation vectors, 2 to n. GALI_2 is equivalent to SALI.
    transient : int
        Steps before the vectors are chosen.
    seed : int, optional
        Of the initial vectors, which are orthonormal.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (steps done, steps in all).
    throw : bool
        Raise if states escape; else return what there is, with NaN for those.

    Returns
    -------
    Alignment

    Raises
    ------
    LyapmapError
        If an argument cannot be used.
    RunError
        If a state becomes infinite or NaN and `throw`.
    Interrupted
        On Ctrl-C, with what was computed until then as its `result`.

    Notes
    -----
    The verdict. On a regular orbit of a conservative map GALI_k falls no faster than t^-k, and a
    deviation grows no faster than t: from half of the run to its end log GALI falls by at most
    k log 2, and the log length grows by at most log 2 (both averaged over the last fifth of the time until then).
    Chaotic: both changes exceed three times that. Regular: the vector grows by less than 1.5
    times that, and GALI falls by less, too, or the vector does not grow at all (on an attracting
    cycle vectors align without chaos). Everything else is undetermined. Chaos slower than about
    2 / n_steps cannot be seen, nor can sticky orbits that become chaotic later.

    The volume follows from QR factors, V = Q C with C upper triangular, as the product of C's
    diagonal; its logarithm is a sum and does not underflow.

    References
    ----------
    Ch. Skokos, J. Phys. A 34 (2001) 10029.
    Ch. Skokos, T. Bountis, Ch. Antonopoulos, Physica D 231 (2007) 30, Eqs. 10 and 22.

    Examples
    --------
    >>> import lyapmap as lm
    >>> standard = lm.systems.standard(k=1.0)
    >>> lm.alignment(standard, [[0.1, 0.1], [3.0, 0.1]], n_steps=1000, seed=0).verdict
    ['chaotic', 'regular']
    """
    tangent_map = as_tangent_map(map)
    x, plane = start_states(x0, tangent_map)
    n, b = tangent_map.n_tangents, int(x.shape[0])
    if not 2 <= whole("k", k, 0) <= n:
        wanted = f"2 to {n}" if n > 1 else "a map of at least 2 dimensions (one direction cannot align)"
        raise LyapmapError(f"k: expected {wanted}, got {k}")
    settings = {
        "n_steps": whole("n_steps", n_steps, 1),
        "k": int(k),
        "transient": whole("transient", transient, 0),
        "n_trajectories": b,
    }
    run = Run("alignment", tangent_map, seed=seed, progress=progress, demand=_demand(tangent_map, x, settings))
    vectors = _DeviationVectors(tangent_map, x, settings, run.rng)
    with run.steps(keep=lambda: vectors.done) as report:
        vectors.carry(report)
    steps, gali, sali, stretch = vectors.curves()
    verdicts, rate, error = _judged(steps, gali, stretch, int(k))
    escaped = np.isnan(gali[:, -1]) & ~tangent_map.ops.all_finite(vectors.x)
    verdict = Verdict()
    if escaped.any():
        verdict = Verdict(Status.ESCAPED, f"{int(escaped.sum())} of {b} trajectories became infinite or NaN")
    elif vectors.done < LEAST_STEPS:
        message = f"{vectors.done} steps tell nothing of chaos; {LEAST_STEPS} at least give a verdict"
        verdict = Verdict(Status.UNRESOLVED, message, Cause.TOO_SHORT)
    per_time = 1 / time_per_step(tangent_map)
    result = Alignment(
        **run.ending(verdict, done=f"{vectors.done} steps"),
        settings=settings,
        log_gali=gali,
        log_sali=sali,
        log_stretch=stretch,
        steps=steps,
        verdicts=verdicts,
        decay_rate=rate * per_time,
        decay_stderr=error * per_time,
        k=int(k),
        grid=plane,
        unit=rate_unit(tangent_map),
    )
    return run.finish(result, throw)


def _demand(tangent_map: TangentMap, x: Array, settings: dict[str, Any]) -> Demand:
    b, k = int(x.shape[0]), settings["k"]

    def begin(rows: int) -> Advance:
        vectors = _DeviationVectors(tangent_map, x[:rows], settings | {"transient": 0}, np.random.default_rng(0))

        def advance(steps: int) -> None:
            vectors.n_steps = steps
            vectors.carry(lambda done, total: None)

        return advance

    records = held("records", 4 * 8 * 2, trajectories=b, _records=min(settings["n_steps"], RECORDS) + 2)
    arrays = [*of_states(tangent_map, b, k), held("coefficients", 4 * 8, trajectories=b, k=k, _k=k), records]
    return Demand(arrays, rows=b, steps=settings["n_steps"] + settings["transient"] // (k + 1), begin=begin)


class _DeviationVectors:
    """Deviation vectors V = Q C of every trajectory; Q on the device, C (b, k, k) in float64."""

    def __init__(self, tangent_map: TangentMap, x: Array, settings: dict[str, Any], rng: np.random.Generator) -> None:
        self.map, self.ops, self.x = tangent_map, tangent_map.ops, x
        self.b, self.k = int(x.shape[0]), settings["k"]
        self.n_steps, self.transient = settings["n_steps"], settings["transient"]
        self.frame = random_frame(tangent_map, self.b, self.k, rng, self.ops.dtype)
        self.coefficients: Values = np.broadcast_to(np.eye(self.k), (self.b, self.k, self.k)).copy()
        self.log_r: Values = np.zeros((self.b, self.k))
        self.log_lengths: Values = np.zeros((self.b, self.k))
        self.done = 0
        self._records: list[tuple[int, Values, Values, Values]] = []

    def carry(self, report: Report) -> None:
        """Carry everything over the transient and all steps."""
        self.x = step_states(self.map, self.x, n_steps=self.transient)
        self._record()
        thin = max(1, self.n_steps // RECORDS)
        for step in range(self.n_steps):
            with quiet():
                x, tangents = self.map.at(self.transient + step).jvp(self.x, self.frame)
                frame, r = self.ops.qr(tangents)
                product = np.triu(self.ops.to_numpy(r).astype(np.float64)) @ self.coefficients
                lengths = np.linalg.norm(product, axis=1)
                log_r, log_lengths = self.log_r + self.ops.log_abs_diagonal(r), self.log_lengths + np.log(lengths)
                coefficients = product / lengths[:, None, :]
            with unbroken():
                self.x, self.frame, self.coefficients = x, frame, coefficients
                self.log_r, self.log_lengths = log_r, log_lengths
                self.done = step + 1
                recorded = self.done % thin == 0 or self.done == self.n_steps
                if recorded:
                    self._record()
            if recorded:
                report(self.transient + self.done, self.transient + self.n_steps)

    def _record(self) -> None:
        with np.errstate(invalid="ignore"):
            gali = self.log_r.sum(axis=1) - self.log_lengths.sum(axis=1)
            pair = self.log_r[:, :2].sum(axis=1) - self.log_lengths[:, :2].sum(axis=1)
        # GALI_2 is the sine of the angle, SALI twice the sine of its half.
        pair = np.minimum(pair, 0.0)
        sali = pair + 0.5 * np.log(2 / (1 + np.sqrt(np.maximum(-np.expm1(2 * pair), 0.0))))
        self._records.append((self.done, np.minimum(gali, 0.0), sali, self.log_lengths[:, 0]))

    def curves(self) -> tuple[NDArray[np.int64], Values, Values, Values]:
        """Recorded steps (r,) and log GALI, log SALI, log stretch, each (b, r)."""
        steps, *rest = zip(*self._records, strict=True)
        gali, sali, stretch = (np.array(values).T for values in rest)
        return np.array(steps, np.int64), gali, sali, stretch


def _judged(
    steps: NDArray[np.int64], gali: Values, stretch: Values, k: int
) -> tuple[NDArray[np.int64], Values, Values]:
    """Verdicts (b,), decay rates (b,) and their errors (b,)."""
    b, last = len(gali), int(steps[-1])
    with np.errstate(invalid="ignore"):
        rate, error = _decay(steps, gali)
        if last < LEAST_STEPS:
            return np.full(b, -1), rate, error
        # The same fractions of T / 2 and T: a power t^-p falls by p log 2 between them.
        middle, end = (steps > 0.4 * last) & (steps <= 0.5 * last), steps > 0.8 * last
        fall = (gali[:, middle].mean(axis=1) - gali[:, end].mean(axis=1)) / (k * np.log(2))
        growth = (stretch[:, end].mean(axis=1) - stretch[:, middle].mean(axis=1)) / np.log(2)
        verdicts = np.full(b, -1)
        verdicts[(growth <= 0) | ((growth < HARDLY) & (fall < HARDLY))] = 0
        verdicts[(growth > CLEARLY) & (fall > CLEARLY)] = 1
    verdicts[~np.isfinite(stretch[:, -1])] = -1
    return verdicts, rate, error


def _decay(steps: NDArray[np.int64], gali: Values) -> tuple[Values, Values]:
    """Rate of decay over the second half, and its error from batch means."""
    half = np.flatnonzero(steps >= steps[-1] / 2)
    first, last = int(half[0]), len(steps) - 1
    if last == first:
        return np.full(len(gali), np.nan), np.full(len(gali), np.nan)
    rate = (gali[:, first] - gali[:, last]) / (steps[last] - steps[first])
    if last - first < BATCHES:
        return rate, np.full(len(gali), np.inf)
    marks = np.linspace(first, last, BATCHES + 1).astype(int)
    rates = -np.diff(gali[:, marks], axis=1) / np.diff(steps[marks])
    error: Values = rates.std(axis=1, ddof=1) / np.sqrt(BATCHES)
    return rate, error
