"""Lyapunov spectrum of a map from tangent frames, with error bars.

G. Benettin, L. Galgani, A. Giorgilli, J.-M. Strelcyn (1980); I. Shimada and T. Nagashima (1979).
k exponents cost about k + 1 evaluations of the map per step, and memory does not grow with time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lyapmap.analysis.exponents.attractor import FULL_UP_TO
from lyapmap.analysis.exponents.spectrum_result import LyapunovSpectrum, Summary
from lyapmap.analysis.exponents.tangent_run import Follower, TangentRun, further_steps
from lyapmap.core.arguments import given, interval, one_of, positive, whole
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.demand import Advance, Demand, of_states
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import Map, TangentMap, as_states
from lyapmap.core.ops import Array
from lyapmap.core.run import Report, Run
from lyapmap.engine.crew import crew_of

__all__ = ["LyapunovSpectrum", "lyapunov_spectrum"]

AUTO_START = 16
"""Exponents carried until it is known how many are needed: cheap, and enough to see how fast they fall."""


def lyapunov_spectrum(
    map: Map,  # noqa: A002  # the field's own word
    x0: Any,
    *,
    n_steps: int,
    transient: int = 0,
    n_exponents: int | str | None = None,
    qr_every: int | str = "auto",
    tolerance: float | None = None,
    bounds: tuple[float, float] | None = None,
    seed: int | None = None,
    frame_dtype: str | None = None,
    tangent_dtype: str = "auto",
    progress: bool | Report = False,
    journal: str | Path | None = None,
    client: Any = None,
    throw: bool = True,
) -> LyapunovSpectrum:
    """Lyapunov exponents of a map, with standard errors.

    Parameters
    ----------
    map : Map
        Any map; `lyapmap.wrap` makes one of a function or a network.
    x0 : (n,), (b, n), state_shape or (b, *state_shape)
        One initial state or a batch; every trajectory carries its own tangent frame.
    n_steps : int
        Steps to average over.
    transient : int
        Steps before, for states to reach the attractor and frames to align.
    n_exponents : int, "auto", "all" or None
        How many, counted from the largest; by default all up to n = 64, "auto" above. "auto" takes as
        many as certify the Kaplan-Yorke dimension: until the partial sum is negative by more than
        3 standard errors.
    qr_every : int or "auto"
        Steps between re-orthonormalizations. "auto" makes as many as rounding allows, judged from
        how differently the directions grow; `settings["qr_every_used"]` says how many.
    tolerance : float, optional
        Stop as soon as the standard error of the largest exponent, in the unit reported, is below this.
    bounds : (float, float), optional
        A state with a value outside has escaped.
    seed : int, optional
        Of the initial frames. Without it they are drawn from the operating system, and the seed
        that stands for them is recorded.
    frame_dtype : "float32" or "float64", optional
        Precision in which frames are kept and orthonormalized; the map's by default.
    tangent_dtype : "auto", "float64", "float32", "bfloat16" or "float16"
        In which the layers of a network multiply tangents; they add up in float32, and states and
        frames stay as they are. "auto" takes bfloat16 where the machine is fast at it, the states are
        float32, the run is long, no exponent lies under its floor, and no shift shows beside the error
        on the same states; the provenance tells (see docs/method.md). Exponents that the precision
        hides are NaN.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (steps done, steps in all).
    journal : path, optional
        Folder in which the run writes where it stands, for at most 1 % of its time. The same call goes on
        from there, to the same bits, whatever ended it; after the end it gives the result at once.
    client : distributed.Client, optional
        Cluster whose workers compute the trajectories, to the same bits; see docs/distributed.md.
    throw : bool
        Raise if the run ends collapsed, escaped or not converged; else return it with that status.

    Returns
    -------
    LyapunovSpectrum

    Raises
    ------
    LyapmapError
        If an argument cannot be used.
    RunError
        If the run failed and `throw`.
    Interrupted
        On Ctrl-C, with what was computed until then as its `result`.

    References
    ----------
    G. Benettin, L. Galgani, A. Giorgilli, J.-M. Strelcyn, Meccanica 15 (1980) 9 and 21.
    I. Shimada, T. Nagashima, Prog. Theor. Phys. 61 (1979) 1605.

    Examples
    --------
    >>> import numpy as np
    >>> import lyapmap as lm
    >>> cat = lm.wrap(lambda x: x @ np.array([[2.0, 1.0], [1.0, 1.0]]) % 1, state_shape=2)
    >>> s = lm.lyapunov_spectrum(cat, [0.1, 0.2], n_steps=1000, transient=50, seed=0)
    >>> np.round(s.exponents, 6).tolist(), s.attractor
    ([0.962424, -0.962424], 'chaotic')
    """
    tangent_map = as_tangent_map(map)
    x, _ = as_states(x0, tangent_map)
    k, auto = _requested(n_exponents, tangent_map.n_tangents)
    settings = {
        "n_steps": whole("n_steps", n_steps, 1),
        "transient": whole("transient", transient, 0),
        "n_exponents": n_exponents,
        "qr_every": given(whole, "qr_every", qr_every, 1, unless="auto"),
        "tolerance": given(positive, "tolerance", tolerance),
        "bounds": given(interval, "bounds", bounds),
        "frame_dtype": given(one_of, "frame_dtype", frame_dtype, ("float32", "float64")) or tangent_map.ops.dtype,
        "tangent_dtype": tangent_dtype,
        "n_trajectories": int(x.shape[0]),
    }
    tangent_map = tangent_map.for_run(x, k, settings["n_steps"] + settings["transient"])
    demand = _demand(tangent_map, x, k, auto, settings)
    run = Run(
        "spectrum",
        tangent_map,
        seed=seed,
        progress=progress,
        journal=journal,
        start=x,
        settings=settings,
        demand=demand,
        crew=crew_of(client),
    )
    tangents = TangentRun(tangent_map, x, k, run.rng, settings, auto=auto)
    with run.steps(keep=lambda: tangents.statistics.steps, work=tangents, rows=tangents.b) as tangents.report:
        if isinstance(progress, Follower):
            tangents.report = progress.beside(tangents, tangents.report)
        tangents.carry_out()
    run.details |= tangents.tangents.described()
    return run.finish(Summary(tangents).result(settings, run), throw)


def _demand(tangent_map: TangentMap, x: Array, k: int, auto: bool, settings: dict[str, Any]) -> Demand:
    b = int(x.shape[0])

    def begin(rows: int) -> Advance:
        return TangentRun(tangent_map, x[:rows], k, np.random.default_rng(0), settings).trial(auto, b)

    steps = settings["n_steps"] + settings["transient"] + further_steps(tangent_map, b, k, settings)
    return Demand(of_states(tangent_map, b, k), rows=b, steps=steps, begin=begin)


def _requested(n_exponents: int | str | None, n: int) -> tuple[int, bool]:
    """Number of exponents to start with, and whether it may change."""
    if n_exponents == "all" or (n_exponents is None and n <= FULL_UP_TO):
        return n, False
    if n_exponents is None or n_exponents == "auto":
        return min(AUTO_START, n), True
    message = f"n_exponents: expected 1 to {n}, 'auto' or 'all', got {n_exponents!r}"
    try:
        k = whole("n_exponents", n_exponents, 1)
    except LyapmapError:
        raise LyapmapError(message) from None
    if k > n:
        raise LyapmapError(message)
    return k, False
