"""Largest exponent from pairs of trajectories that start close together.

G. Benettin, L. Galgani, J.-M. Strelcyn (1976). Needs no derivative: twins are placed beside states (`pairs.py`), and
their distance is followed. Either a line is fitted to the straight part of its mean logarithm, or twins are set back
again and again and the growth between is averaged.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.pairs import Escape, FitTwins, RescaledTwins, twins_demand
from lyapmap.core.arguments import given, one_of, positive, steps_between, whole
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import Map, as_states, rate_unit, time_per_step
from lyapmap.core.plain import with_error
from lyapmap.core.results import Cause, Result, Status, dims
from lyapmap.core.run import Report, Run
from lyapmap.engine.crew import crew_of

DIRECTIONS, METHODS = ("neighbour", "random", "tangent"), ("fit", "rescaled")


@dataclass(frozen=True, kw_only=True)
class Divergence(Result):
    """Largest exponent in nats from the divergence of pairs of trajectories.

    Attributes
    ----------
    exponent, stderr : float
        Mean over pairs and its standard error; the error is infinite where a single pair was
        followed over too few steps to tell.
    per_trajectory : (b,)
        Of each pair.
    log_distance : (b, r)
        Log distance of each pair after `steps`; -inf where twins became one. For "rescaled", what
        it would be without an end to the growth.
    steps : (r,)
        Steps since the pairs were placed.
    window : (int, int)
        First and last step used; empty where there is no such window.
    method : "fit" or "rescaled"
        Fit a line to the straight part of the mean log distance, or set twins back to the initial distance again and
        again and average the growth between: for long runs, and for decay.
    size : float
        Initial distance.
    log_saturation : float
        Log distance between unrelated states of the attractor; infinite where unknown.
    unit : str
        "per step", or "per unit time" of a flow.
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.exponents.pictures_growth.draw_divergence"
    SUMMARY: ClassVar[tuple[str, ...]] = ("exponent", "method", "size")
    REMEDIES: ClassVar[dict[Status | Cause, str]] = {
        Cause.TOO_SHORT: "give more initial states, or more steps",
        Status.NOT_CONVERGED: "start on the attractor (transient), or give a window; growth may be no exponential",
        Status.UNRESOLVED: "another size, a map in float64, or lyapunov_spectrum, which needs no second trajectory",
    }

    exponent: float
    stderr: float
    per_trajectory: NDArray[np.float64] = dims("trajectory")
    log_distance: NDArray[np.float64] = dims("trajectory", "record")
    steps: NDArray[np.int64] = dims("record")
    window: tuple[int, ...]
    method: str
    size: float
    log_saturation: float
    unit: str = "per step"

    @property
    def failed(self) -> bool:
        """Also where there is no exponent at all."""
        return self.status.failed or bool(np.isnan(self.exponent))

    @property
    def mean_log_distance(self) -> NDArray[np.float64]:
        """Mean over pairs, (r,): Eq. 14 of the paper."""
        mean: NDArray[np.float64] = self.log_distance.mean(axis=0)
        return mean

    def _finding(self) -> str:
        value, error = self.exponent, self.stderr
        time = "step" if self.unit == "per step" else "unit of time"
        if not np.isfinite(error) or abs(value) <= 3 * error:
            size = f"{with_error(value, error)} nats per {time}"
            return f"Undetermined: distances change by {size}, not to be told from no change."
        if value > 0:
            return f"Chaotic: neighbouring states part by a factor e every {1 / value:.3g} {time}s."
        return f"Not chaotic: neighbouring states approach each other by a factor e every {-1 / value:.3g} {time}s."


def divergence(
    map: Map,  # noqa: A002  # the field's own word
    x0: Any,
    *,
    n_steps: int | str = "auto",
    transient: int = 0,
    direction: str = "neighbour",
    size: float | None = None,
    window: tuple[int, int] | str = "auto",
    method: str = "fit",
    renormalize_every: int = 1,
    seed: int | None = None,
    progress: bool | Report = False,
    journal: str | Path | None = None,
    client: Any = None,
    throw: bool = True,
) -> Divergence:
    """Largest Lyapunov exponent from two trajectories that start close together, b times.

    Parameters
    ----------
    map : Map
        Any map; `lyapmap.wrap` makes one of a function or a network. No derivative is needed.
    x0 : (n,), (b, n), state_shape or (b, *state_shape)
        Initial states; each gets a twin after the transient.
    n_steps : int or "auto"
        Steps to follow the pairs. "auto": for "fit" until the distance saturates or shrinks to
        rounding, at most 1000; for "rescaled" 2000.
    transient : int
        Steps before, for states to reach the attractor.
    direction : "neighbour", "random" or "tangent"
        Where twins are placed: towards the nearest other state, which lies on the attractor as
        well (at least 2 distinct states are needed); anywhere; along the tangent that grows
        fastest, which is carried over the end of the transient and at least 50 steps.
    size : float, optional
        Initial distance; eps^(2/3) of the states' norm by default (2e-5 in float32, 4e-11 in
        float64).
    window : (first, last) or "auto"
        Steps that the line is fitted to, both included. "auto" ends it e^2 below saturation (or
        above rounding) and starts it where the slope has settled.
    method : "fit" or "rescaled"
        A line fitted to the growing distance, or twins that are set back again and again.
    renormalize_every : int
        Steps between rescalings; "rescaled" only. Its first 50 rescalings align the twins and
        are not counted.
    seed : int, optional
        Of random directions.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (steps done, steps in all).
    journal : path, optional
        Folder from which the same call goes on to the same bits where it was cut short, as in `lyapunov_spectrum`.
    client : distributed.Client, optional
        Cluster whose workers compute the trajectories, to the same bits; see docs/distributed.md.
    throw : bool
        Raise if there is no exponent; else return the result with its status.

    Returns
    -------
    Divergence

    Raises
    ------
    LyapmapError
        If an argument cannot be used: a size that rounding eats, states without neighbour.
    RunError
        If states escape, the orbit died of rounding, no part of the curve is straight, or it is
        too short to fit, and `throw`.
    Interrupted
        On Ctrl-C, with what was computed until then as its `result`.

    References
    ----------
    G. Benettin, L. Galgani, J.-M. Strelcyn, Phys. Rev. A 14 (1976) 2338.

    Examples
    --------
    >>> import numpy as np
    >>> import lyapmap as lm
    >>> logistic = lm.wrap(lambda x: 4 * x * (1 - x), state_shape=1)
    >>> found = lm.divergence(logistic, np.linspace(0.1, 0.9, 50)[:, None], transient=100, seed=0)
    >>> bool(abs(found.exponent - np.log(2)) < 3 * found.stderr < 0.1)
    True
    """
    one_of("direction", direction, DIRECTIONS)
    one_of("method", method, METHODS)
    steps = None if n_steps == "auto" else whole("n_steps", n_steps, 1)
    fitted = None if isinstance(window, str) and window == "auto" else steps_between("window", window, steps, least=2)
    if fitted is not None and method == "rescaled":
        raise LyapmapError("window: only method='fit' takes one")
    tangent_map = as_tangent_map(map)
    x, _ = as_states(x0, tangent_map)
    settings = {
        "n_steps": n_steps if steps is None else steps,
        "transient": whole("transient", transient, 0),
        "direction": direction,
        "size": given(positive, "size", size),
        "window": window if fitted is None else fitted,
        "renormalize_every": whole("renormalize_every", renormalize_every, 1),
        "n_trajectories": int(x.shape[0]),
    }
    run = Run(
        "divergence",
        tangent_map,
        seed=seed,
        progress=progress,
        journal=journal,
        crew=crew_of(client),
        start=x,
        settings=settings | {"method": method},
        demand=twins_demand(tangent_map, x, settings, steps, method),
    )
    twins: FitTwins | RescaledTwins = (
        FitTwins(tangent_map, x, run.rng, steps, fitted)
        if method == "fit"
        else RescaledTwins(tangent_map, x, run.rng, steps, settings)
    )
    lost = ""
    with run.steps(keep=lambda: twins.done, work=twins) as report:
        try:
            if not twins.placed:
                twins.place(settings)
            twins.follow(report)
        except Escape as event:
            lost = str(event)
    growth = twins.conclude(lost)
    rate = 1 / time_per_step(tangent_map)
    result = Divergence(
        **run.ending(growth.verdict, done=f"{twins.done} steps"),
        settings=settings,
        exponent=growth.exponent * rate,
        stderr=growth.stderr * rate,
        per_trajectory=growth.per_trajectory * rate,
        log_distance=growth.log_distance,
        steps=growth.steps,
        window=growth.window,
        method=method,
        size=twins.size,
        log_saturation=growth.log_saturation,
        unit=rate_unit(tangent_map),
    )
    return run.finish(result, throw)
