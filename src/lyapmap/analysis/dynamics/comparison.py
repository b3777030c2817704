"""A learned system beside the true one: is it the same attractor, and how long do forecasts hold?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.dynamics.distances import (
    BinnedDivergence,
    Distance,
    MixtureDivergence,
    NeighborDivergence,
    SpectralDistance,
)
from lyapmap.analysis.dynamics.quantities import (
    COMPONENTS,
    Quantity,
    checked_functions,
    of_exponents,
    of_observable,
    of_symmetry,
)
from lyapmap.analysis.dynamics.resampling import adjusted, drawn_anew, exchanged, labels
from lyapmap.analysis.dynamics.sides import (
    PILOT,
    Data,
    Features,
    Observer,
    common_shape,
    deviation,
    forecast_errors,
    on_attractor,
    recorded,
    side,
    stepped,
)
from lyapmap.analysis.exponents.spectrum import lyapunov_spectrum
from lyapmap.core.arguments import given, one_of, positive, probability, whole
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import Map, TangentMap, as_states
from lyapmap.core.results import Result, Status, Verdict, dims
from lyapmap.core.run import Report, Run

Values = NDArray[np.float64]

AS_GOOD = "as good as the truth resampled"
DIFFERS = "differs"
LOW = 3
"""Dimensions up to which bins are counted."""
POINTS_EACH = 32
"""States of each trajectory between which distances are taken."""
FEWEST, USUAL_STEPS = 6, 1000
DRAWINGS = 200
"""Of trajectories, for the intervals."""
LEVEL = 0.95
SHOWN = 1500
"""Points of each side that the picture shows."""
ESCAPED = 1e8
"""Deviations of the reference beyond which a trajectory of the model has left."""
LONGEST_LAG = 4
"""The lag of pairs of states is at most the length of a trajectory over this."""
Function = Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True)
class DynamicsComparison(Result):
    """A model beside its reference.

    Attributes
    ----------
    verdict : str
        "as good as the truth resampled" where nothing differs by more than chance does at this length of run, else
        "differs".
    differences : tuple of str
        What differs, the surest first.
    divergence : float
        Kullback-Leibler divergence of the states from reference to model, in nats.
    divergence_interval : (2,)
        What another run of this length would give, in 95 of 100.
    divergence_floor : float
        The same between two runs of the reference: what a perfect model would have.
    transition_divergence, transition_divergence_interval, transition_divergence_floor
        Of pairs of states, `lag` steps apart: the right states in the wrong order have one.
    spectral_distance, spectral_distance_interval, spectral_distance_floor
        Hellinger distance of power spectra, 0 to 1.
    escaped : int
        Trajectories of the model that left the range of numbers; then no other number of it is shown.
    prediction_time : float
        Steps for which a forecast stays within the threshold, the median over starts; NaN where the model is data.
    prediction_time_interval : (2,)
        95 % limits of the median.
    prediction_time_chance : float
        The same of a forecast that is another trajectory of the reference.
    lyapunov_times : float
        `prediction_time` times the reference's largest exponent; NaN where that is not known or not positive.
    quantities : tuple of str
        Names of what follows: observables, symmetries, exponents, dimension.
    model, reference : (q,)
        Of both.
    model_interval, reference_interval : (q, 2)
        95 % limits, of trajectories drawn anew.
    p_value : (q + 3,)
        Of the three distances and each quantity: how often labels that are exchanged give any difference as sure.
    forecast_error : (h, 3)
        10, 50 and 90 % quantiles over starts after each step, in deviations of the reference.
    points_model, points_reference : (p, 2)
        Features of some states, for the picture.
    spectrum_model, spectrum_reference : (f, d)
        Smoothed power spectra of the features, each of sum 1.
    frequencies : (f,)
        Per step.
    lag : int
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.dynamics.pictures_dynamics.draw_dynamics_comparison"
    SUMMARY: ClassVar[tuple[str, ...]] = (
        "verdict", "differences", "divergence", "divergence_floor", "transition_divergence",
        "transition_divergence_floor", "spectral_distance", "spectral_distance_floor", "escaped", "prediction_time",
        "lyapunov_times",
    )  # fmt: skip

    verdict: str
    differences: tuple[str, ...]
    divergence: float
    divergence_interval: Values = dims("limit")
    divergence_floor: float
    transition_divergence: float
    transition_divergence_interval: Values = dims("limit")
    transition_divergence_floor: float
    spectral_distance: float
    spectral_distance_interval: Values = dims("limit")
    spectral_distance_floor: float
    escaped: int
    prediction_time: float
    prediction_time_interval: Values = dims("limit")
    prediction_time_chance: float
    lyapunov_times: float
    quantities: tuple[str, ...]
    model: Values = dims("quantity")
    model_interval: Values = dims("quantity", "limit")
    reference: Values = dims("quantity")
    reference_interval: Values = dims("quantity", "limit")
    p_value: Values = dims("difference")
    forecast_error: Values = dims("step_ahead", "quantile")
    points_model: Values = dims("point", "axis_of_plane")
    points_reference: Values = dims("point_of_reference", "axis_of_plane")
    spectrum_model: Values = dims("frequency", "feature")
    spectrum_reference: Values = dims("frequency", "feature")
    frequencies: Values = dims("frequency")
    lag: int

    @property
    def as_good(self) -> bool:
        """Whether nothing differs."""
        return self.verdict == AS_GOOD

    def _finding(self) -> str:
        length = f"{self.settings['n_trajectories']} trajectories of {self.settings['n_steps']} steps"
        if self.as_good:
            words = f"In {length} the model cannot be told from the truth run once more"
        elif self.escaped:
            words = f"The model leaves the range of numbers in {self.escaped} of {length}"
        else:
            words = f"In {length} the model differs from the truth, most surely in {self.differences[0]}"
        holds = (
            f"; its forecasts hold for {self.prediction_time:g} steps" if math.isfinite(self.prediction_time) else ""
        )
        return f"{words}{holds}."


DISTANCES = ("states", "transitions", "power spectra")
"""The first names of `p_value`."""


def compare_dynamics(
    model: Map | Any,
    reference: Map | Any,
    x0: Any = None,
    *,
    n_steps: int | None = None,
    transient: int = 500,
    n_trajectories: int = 16,
    method: str = "auto",
    bins: int | None = None,
    variance: float = 1.0,
    smoothing: float | None = None,
    observables: Mapping[str, Callable[[Any], Any]] | None = None,
    symmetries: Mapping[str, Callable[[Any], Any]] | None = None,
    features: Callable[[Any], Any] | None = None,
    readout: Callable[[Any], Any] | None = None,
    model_x0: Any = None,
    n_exponents: int | str | None = None,
    threshold: float = 0.4,
    false_alarm: float = 0.01,
    n_permutations: int = 400,
    seed: int | None = None,
    progress: bool | Report = False,
    throw: bool = True,
) -> DynamicsComparison:
    """Hold a learned map, or data of it, against a reference: is it the same attractor, how long do forecasts hold?

    Trajectories start independently on the reference's attractor: of the model, and of the reference twice. Every
    difference is held against what chance makes of the same trajectories with their labels exchanged, and all
    together call the truth itself different in at most `false_alarm` of all runs. What is not told apart may differ by
    less than runs of this length show.

    Parameters
    ----------
    model : Map or data
        A map, or trajectories of one: a `Trajectory`, an array (T, ...) of states in a row, a list of such arrays.
    reference : Map or data
        The truth, likewise; a step of the model is a step of the reference.
    x0 : (n,), (b, n), state_shape or (b, *state_shape), optional
        Where the reference starts; by default states of its data, or random ones that the map knows. From few states
        more are made, `n_steps` apart on their trajectories.
    n_steps : int, optional
        Steps of each trajectory; 1000 by default, and as many as data have.
    transient : int
        Steps before, of the reference from `x0`, and of the model from states of the reference.
    n_trajectories : int, at least 6
        Of the model; the reference has twice as many.
    method : "auto", "binned", "neighbors" or "mixture"
        How the divergence of states is estimated. "auto" counts visits to bins in up to 3 dimensions, and takes
        distances to nearest neighbours above.
    bins : int, optional
        Along each axis; by default at most 30, and fewer where the states would be too few for them.
    variance : float
        Of each Gaussian of a mixture, in squared deviations of the reference.
    smoothing : float, optional
        Deviation of the Gaussian that smooths power spectra, in frequencies; a hundredth of them by default.
    observables : dict of str to callable, optional
        Functions of states (b, *state_shape) that give one number each; the first components by default.
    symmetries : dict of str to callable, optional
        Maps of states (b, *state_shape) onto themselves that the reference may keep: reported is how far each side's
        states lie from their images, 0 where the symmetry is kept.
    features : callable, optional
        Of states (b, *state_shape), (b, d): what is compared in the place of states. By default states of up to 32
        values as they are, larger ones as 32 principal components of the reference and the distance from them.
    readout : callable, optional
        Makes states of the reference (b, ...) of the model's (b, *state_shape), where those are of another kind, such
        as of a reservoir; there are no forecasts then.
    model_x0 : (b, n) or (b, *state_shape), optional
        Where the model starts; needed with `readout`, by default states of the reference.
    n_exponents : int, "auto", "all" or None
        Compared, counted from the largest, where both sides are maps; 0 for none.
    threshold : float
        Of the error of a forecast, in deviations of the reference.
    false_alarm : float
        How often the truth itself may be called different.
    n_permutations : int
        Exchanges of labels.
    seed : int, optional
        Of everything that is random; drawn from the operating system without it, and recorded.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (steps done, steps in all).
    throw : bool
        Raise if the reference escapes.

    Returns
    -------
    DynamicsComparison

    Raises
    ------
    LyapmapError, ShapeError
        If an argument cannot be used.
    RunError
        If the reference escapes and `throw`.
    Interrupted
        On Ctrl-C, without a result.

    References
    ----------
    G. Koppe, H. Toutounji, P. Kirsch, S. Lis, D. Durstewitz, PLoS Comput. Biol. 15 (2019) e1007263, and D. Brenner et
    al., ICML 2022 (divergence of states: bins, mixtures).
    F. Hess, Z. Monfared, M. Brenner, D. Durstewitz, ICML 2023 (mixtures at the states).
    Q. Wang, S. Kulkarni, S. Verdú, IEEE Trans. Inf. Theory 55 (2009) 2392 (nearest neighbours).
    J. Mikhaeil, Z. Monfared, D. Durstewitz, NeurIPS 2022 (Hellinger distance of power spectra).
    J. Pathak, B. Hunt, M. Girvan, Z. Lu, E. Ott, Phys. Rev. Lett. 120 (2018) 024102 (valid time, threshold 0.4).
    P. Westfall, S. Young, Resampling-based multiple testing (1993).

    Examples
    --------
    Hénon's map with a slightly different parameter:

    >>> import lyapmap as lm
    >>> henon, other = lm.systems.henon(), lm.systems.henon(a=1.38)
    >>> lm.compare_dynamics(henon, henon, n_steps=200, n_exponents=0, seed=0).verdict
    'as good as the truth resampled'
    >>> lm.compare_dynamics(other, henon, n_steps=200, n_exponents=0, seed=0).verdict
    'differs'
    """
    settings = {
        "n_steps": given(whole, "n_steps", n_steps, 16),
        "transient": whole("transient", transient, 0),
        "n_trajectories": whole("n_trajectories", n_trajectories, FEWEST),
        "method": one_of("method", method, ("auto", "binned", "neighbors", "mixture")),
        "bins": given(whole, "bins", bins, 2),
        "variance": positive("variance", variance, finite=True),
        "smoothing": given(positive, "smoothing", smoothing),
        "n_exponents": n_exponents,
        "threshold": positive("threshold", threshold, finite=True),
        "false_alarm": probability("false_alarm", false_alarm),
        "n_permutations": whole("n_permutations", n_permutations, 20),
    }
    if settings["n_permutations"] + 1 < 1 / settings["false_alarm"]:
        raise LyapmapError(
            f"n_permutations: expected at least {math.ceil(1 / settings['false_alarm'])} for a false alarm in "
            f"{settings['false_alarm']:g} of runs, got {settings['n_permutations']}"
        )
    pair = side(model, "model"), side(reference, "reference")
    functions = checked_functions("observables", observables), checked_functions("symmetries", symmetries)
    known_map = next((part for part in reversed(pair) if isinstance(part, TangentMap)), None)
    run = Run("comparing", known_map, seed=seed, progress=progress)
    with run.steps() as report:
        sides = _Sides(*pair, x0, model_x0, *functions, features, readout)
        followed = _follow(sides, settings, run, report)
        fields, verdict = _compared(followed, run)
    run.details = {"compared": followed.observer.features.words}
    return run.finish(DynamicsComparison(**run.ending(verdict), settings=followed.settings, **fields), throw)


@dataclass(frozen=True)
class _Sides:
    """What is compared, as the caller gave it."""

    model: TangentMap | Data
    reference: TangentMap | Data
    x0: Any
    model_x0: Any
    observables: dict[str, Function]
    symmetries: dict[str, Function]
    features: Function | None
    readout: Function | None

    def __post_init__(self) -> None:
        if isinstance(self.reference, Data) and self.x0 is not None:
            raise LyapmapError("x0: only where the reference is a map; data say where to start")
        if isinstance(self.model, Data) and not (self.readout is None and self.model_x0 is None):
            raise LyapmapError("readout and model_x0: only where the model is a map")
        if self.readout is not None and self.model_x0 is None:
            raise LyapmapError("model_x0: needed with readout, as states of the reference are none of the model")


@dataclass(frozen=True)
class _Followed:
    """Trajectories of both sides, first those of the model, then both halves of the reference.

    Attributes
    ----------
    values : (3 b, T, d + ...)
        What `observer` records.
    escaped : int
        Of the model.
    lost : bool
        Whether the reference escapes.
    forecast, unrelated : (2 b, h)
        Errors of forecasts by the model and by another trajectory; without columns where the model is data.
    exponents : (3 b, k) or None
        Of each trajectory, per step or unit of time.
    notes : list of str
    """

    observer: Observer
    settings: dict[str, Any]
    values: Values
    escaped: int
    lost: bool
    forecast: Values
    unrelated: Values
    exponents: Values | None
    rate: float
    notes: list[str]


def _follow(sides: _Sides, settings: dict[str, Any], run: Run, report: Report) -> _Followed:
    model, reference, rng = sides.model, sides.reference, run.rng
    shape = common_shape(model, reference, read=sides.readout is not None)
    b, transient, steps = settings["n_trajectories"], settings["transient"], settings["n_steps"]
    known = reference.units(2 * b, steps, "reference") if isinstance(reference, Data) else None
    steps = steps if known is None else known.shape[1]
    generated = model.units(b, steps, "model") if isinstance(model, Data) else None
    steps = steps if generated is None else generated.shape[1]
    steps = USUAL_STEPS if steps is None else steps
    settings = settings | {"n_steps": steps}
    done, total = 0, 3 * steps + 2 * transient

    def more(count: int) -> None:
        nonlocal done
        done = min(done + count, total)
        report(done, total)

    states = None
    if isinstance(reference, TangentMap):
        start = sides.x0 if sides.x0 is not None else reference.initial_states(3 * b, rng)
        start = generated[:, 0] if start is None and generated is not None else start
        if start is None:
            raise LyapmapError("x0: expected initial states, as the reference knows of none")
        states = on_attractor(reference, start, 3 * b, steps, transient, more)
        states = reference.ops.take(states, rng.permutation(3 * b))
        pilot = recorded(reference, states, PILOT, np.asarray, more)
        first = np.asarray(reference.ops.to_numpy(states), np.float64)
        model_start, reference_start = first[:b], first[b:]
        states = reference.ops.take(states, np.arange(b, 3 * b))
    else:
        assert known is not None
        known = known[rng.permutation(2 * b), :steps]
        pilot, reference_start, rows = known[:, :: max(1, steps // PILOT)], known[:, 0], np.concatenate(reference.rows)
        model_start = rows[rng.choice(len(rows), b, replace=len(rows) < b)]
    pilot = pilot.reshape(-1, pilot.shape[2]).astype(np.float64)
    if not np.isfinite(pilot).all():
        raise LyapmapError("x0: the reference leaves the range of numbers from there; start within its basin")
    observer = Observer(shape, Features(pilot, shape, sides.features), sides.observables, sides.symmetries)
    if isinstance(reference, TangentMap):
        of_reference = recorded(reference, states, steps, observer, more)
    else:
        of_reference = observer.of_data(known)  # type: ignore[arg-type]
    lost = not np.isfinite(of_reference).all()
    if isinstance(model, TangentMap):
        x = as_states(model_start if sides.model_x0 is None else sides.model_x0, model)[0]
        x = model.ops.take(x, np.arange(b) % len(x)) if sides.readout is not None else x
        x = stepped(model, x, transient, more)
        of_model = recorded(model, x, steps, _read(observer, model, sides.readout), more)
    else:
        of_model = observer.of_data(generated[:, :steps])  # type: ignore[index]
    escaped = int((~(np.abs(of_model) < ESCAPED).all(axis=(1, 2))).sum())
    forecast = unrelated = np.zeros((2 * b, 0))
    truth = of_reference[:, :, : observer.d]
    if isinstance(model, TangentMap) and sides.readout is None and not lost:
        forecast = forecast_errors(model, reference_start, truth, observer.features, settings["threshold"], more)
        other = np.roll(truth, b, axis=0)
        unrelated = np.sqrt(((other - truth) ** 2).sum(axis=2))[:, 1:] / deviation(truth)
    exponents: Values | None = None
    rate, notes = math.nan, list[str]()
    if not (lost or escaped or settings["n_exponents"] == 0):
        exponents, rate, notes = _exponents(sides, states, model_start, settings, rng)
    values = np.concatenate([of_model, of_reference])
    return _Followed(observer, settings, values, escaped, lost, forecast, unrelated, exponents, rate, notes)


def _read(observer: Observer, model: TangentMap, readout: Function | None) -> Function:
    if readout is None:
        return observer
    n = math.prod(observer.shape)

    def read(states: Any) -> Values:
        own = np.asarray(readout(np.asarray(states).reshape(len(states), *model.state_shape)), np.float64)
        if own.size != len(states) * n:
            raise LyapmapError(f"readout: expected states of {n} values, got {own.shape} of {len(states)} states")
        return observer(own.reshape(len(states), n))

    return read


def _exponents(
    sides: _Sides, states: Any, model_start: Values, settings: dict[str, Any], rng: np.random.Generator
) -> tuple[Values | None, float, list[str]]:
    """Of each trajectory of both sides (3 b, k), where both are maps; the reference's largest per step; notes."""
    wanted = {"n_steps": settings["n_steps"], "transient": settings["transient"], "throw": False}
    of_sides = []
    for name, part, x in (("reference", sides.reference, states), ("model", sides.model, model_start)):
        if not isinstance(part, TangentMap):
            continue
        x = sides.model_x0 if name == "model" and sides.model_x0 is not None else x
        rows = as_states(x, part)[0]
        b = settings["n_trajectories"] * (1 if name == "model" else 2)
        rows = part.ops.take(rows, np.arange(b) % len(rows))
        spectrum = lyapunov_spectrum(
            part, rows, n_exponents=settings["n_exponents"], seed=int(rng.integers(2**32)), **wanted
        )
        if spectrum.status in (Status.ESCAPED, Status.COLLAPSED):
            return None, math.nan, [f"no exponents, as those of the {name} end {spectrum.status}: {spectrum.message}"]
        # Per step of both, and in the reference's unit of time.
        of_sides.append(spectrum.per_trajectory * part.time_per_step)
    reference = of_sides[0] if isinstance(sides.reference, TangentMap) else None
    rate = math.nan if reference is None else float(reference[:, 0].mean())
    if len(of_sides) < 2:
        return None, rate, []
    k = max(values.shape[1] for values in of_sides)
    both = [np.pad(v, ((0, 0), (0, k - v.shape[1])), constant_values=np.nan) for v in reversed(of_sides)]
    return np.concatenate(both) / sides.reference.time_per_step, rate, []  # type: ignore[union-attr]


def _compared(followed: _Followed, run: Run) -> tuple[dict[str, Any], Verdict]:
    settings, observer = followed.settings, followed.observer
    b, rng = settings["n_trajectories"], run.rng
    fields = _forecast(followed, rng) | {"escaped": followed.escaped}
    if followed.lost or followed.escaped:
        verdict = Verdict(message=f"{followed.escaped} of {b} trajectories of the model leave the range of numbers")
        if followed.lost:
            verdict = Verdict(Status.ESCAPED, "the reference leaves the range of numbers")
        return fields | _nothing(followed.lost), verdict
    values = followed.values
    features = values[:, :, : observer.d]
    is_reference = labels(b)[0] == 0
    lag = _lag(features[is_reference])
    distances = _distances(features, is_reference, lag, settings)
    quantities = _quantities(followed, values)
    weights = labels(b)

    def differences(weights: Values) -> Values:
        of = [distance.of(weights) for distance in distances]
        halves = weights[1] + weights[2]
        of += [abs(q.of(weights[0]) - q.of(halves)) for q in quantities]
        return np.asarray(np.nan_to_num(np.array(of)))

    by_chance = [differences(other) for other in exchanged(b, settings["n_permutations"], rng)]
    p = adjusted(np.stack([differences(weights), *by_chance]))
    anew = drawn_anew(b, DRAWINGS, rng)
    for name, distance in zip(("divergence", "transition_divergence", "spectral_distance"), distances, strict=True):
        value = distance.of(weights)
        # Drawn anew, trajectories are fewer, which biases a distance and leaves its spread.
        reach = 1.96 * float(np.std([distance.of(other) for other in anew]))
        fields |= {name: value, f"{name}_interval": np.array([value - reach, value + reach])}
        fields[f"{name}_floor"] = distance.floor(weights)
    for name, rows in (("model", [0]), ("reference", [1, 2])):
        fields[name] = np.array([q.of(weights[rows].sum(axis=0)) for q in quantities])
        repeated = np.array([[q.of(other[rows].sum(axis=0)) for q in quantities] for other in anew])
        fields[f"{name}_interval"] = np.quantile(repeated, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0).T
    names = [*DISTANCES, *(q.name for q in quantities)]
    surest = np.argsort(p, kind="stable")
    differing = tuple(names[i] for i in surest if p[i] <= settings["false_alarm"])
    spectral = distances[2]
    assert isinstance(spectral, SpectralDistance)
    some = rng.permutation(b * settings["n_steps"])[:SHOWN]
    shown = features[:, :, :2] if observer.d > 1 else np.stack([features[:, :-1, 0], features[:, 1:, 0]], axis=2)
    some = some[some < b * shown.shape[1]]
    fields |= {
        "verdict": DIFFERS if differing else AS_GOOD,
        "differences": differing,
        "quantities": tuple(names[3:]),
        "p_value": p,
        "points_model": shown[:b].reshape(-1, 2)[some],
        "points_reference": shown[b : 2 * b].reshape(-1, 2)[some],
        "spectrum_model": spectral.spectrum(weights[0]),
        "spectrum_reference": spectral.spectrum(weights[1] + weights[2]),
        "frequencies": spectral.frequency,
        "lag": lag,
    }
    return fields, Verdict(message="; ".join(followed.notes))


def _nothing(lost: bool) -> dict[str, Any]:
    """The fields of a comparison without numbers."""
    nan, none = float("nan"), np.zeros(0)
    fields: dict[str, Any] = {"verdict": "" if lost else DIFFERS, "differences": () if lost else ("escapes",), "lag": 0}
    for name in ("divergence", "transition_divergence", "spectral_distance"):
        fields |= {name: nan, f"{name}_interval": np.full(2, nan), f"{name}_floor": nan}
    fields |= {"quantities": (), "model": none, "reference": none, "p_value": none, "frequencies": none}
    pairs = ("model_interval", "reference_interval", "points_model", "points_reference")
    fields |= {name: np.zeros((0, 2)) for name in pairs}
    return fields | {"spectrum_model": np.zeros((0, 0)), "spectrum_reference": np.zeros((0, 0))}


def _lag(features: Values) -> int:
    """Steps after which states have half forgotten where they were; 1 of most maps."""
    centred = features - features.mean(axis=(0, 1))
    size = (centred**2).sum(axis=2).mean()
    for lag in range(1, max(2, features.shape[1] // LONGEST_LAG)):
        if (centred[:, lag:] * centred[:, :-lag]).sum(axis=2).mean() < size / 2:
            return lag
    return 1


def _distances(features: Values, reference: NDArray[np.bool_], lag: int, settings: dict[str, Any]) -> list[Distance]:
    """Of states, of pairs of states, and of power spectra."""
    _, steps, d = features.shape
    some = np.linspace(0, steps - 1 - lag, min(POINTS_EACH, steps - lag)).round().astype(int)
    points = features[:, some]
    method = settings["method"]
    method = ("binned" if d <= LOW else "neighbors") if method == "auto" else method
    if method == "binned" and d > LOW:
        raise LyapmapError(f"method: bins are for up to {LOW} dimensions, got {d}; use 'neighbors' or 'mixture'")
    states: Distance
    if method == "binned":
        states = BinnedDivergence(features, reference, settings["bins"])
    elif method == "mixture":
        states = MixtureDivergence(points, settings["variance"])
    else:
        states = NeighborDivergence(points, reference)
    transitions = NeighborDivergence(np.concatenate([points, features[:, some + lag]], axis=2), reference)
    return [states, transitions, SpectralDistance(features, settings["smoothing"])]


def _quantities(followed: _Followed, values: Values) -> list[Quantity]:
    """All that have a value on at least one side."""
    observer, d = followed.observer, followed.observer.d
    features = observer.features
    quantities = []
    for place, name in enumerate(observer.observables):
        quantities += of_observable(name, values[:, :, d + place])
    if not observer.observables:
        for i in range(min(COMPONENTS, d)):
            name = f"{'component' if features.words == 'states' else 'feature'} {i}"
            quantities += of_observable(name, values[:, :, i] * features.scale[i] + features.centre[i])
    begin = d + len(observer.observables)
    for name in observer.symmetries:
        quantities.append(of_symmetry(name, values[:, :, :d], values[:, :, begin : begin + d]))
        begin += d
    if followed.exponents is not None:
        quantities += of_exponents(followed.exponents)
    first, second, third = labels(len(values) // 3)
    return [q for q in quantities if math.isfinite(q.of(first)) or math.isfinite(q.of(second + third))]


def _forecast(followed: _Followed, rng: np.random.Generator) -> dict[str, Any]:
    """How long forecasts hold."""
    nan = float("nan")
    threshold, error = followed.settings["threshold"], followed.forecast
    fields: dict[str, Any] = {
        "prediction_time": nan,
        "prediction_time_interval": np.full(2, nan),
        "prediction_time_chance": nan,
        "lyapunov_times": nan,
        "forecast_error": np.zeros((0, 3)),
    }
    if not error.shape[1]:
        return fields
    steps, chance = _steps_within(error, threshold), _steps_within(followed.unrelated, threshold)
    time = float(np.median(steps))
    again = np.median(steps[rng.integers(len(steps), size=(DRAWINGS, len(steps)))], axis=1)
    with np.errstate(invalid="ignore"):
        quantiles = np.quantile(error, (0.1, 0.5, 0.9), axis=0, method="inverted_cdf").T
    return fields | {
        "prediction_time": time,
        "prediction_time_interval": np.quantile(again, ((1 - LEVEL) / 2, (1 + LEVEL) / 2)),
        "prediction_time_chance": float(np.median(chance)),
        "lyapunov_times": time * followed.rate if followed.rate > 0 else nan,
        "forecast_error": quantiles,
    }


def _steps_within(error: Values, threshold: float) -> Values:
    """Steps before the first at which the error exceeds the threshold, (b,); all of them where none does."""
    beyond = error > threshold
    return np.asarray(np.where(beyond.any(axis=1), beyond.argmax(axis=1), error.shape[1]), np.float64)
