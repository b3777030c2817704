"""Kaleidoscopic sampling: noise, put through a network again and again with a little noise after each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.arguments import interval, whole
from lyapmap.core.combinators import noisy
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import Map, dimension
from lyapmap.core.propagate import step_states
from lyapmap.core.results import Result, Status, Verdict, dims
from lyapmap.core.run import Report, Run
from lyapmap.files.model import Model
from lyapmap.files.zoo import load_model
from lyapmap.models.kaleidoscope.network import RANGES

KEPT = (0, 1, 2, 5, 10, 20, 30, 50, 75, 100, 150, 200, 300)
"""Steps whose states are kept unless others are asked for; the last step always is."""
KINDS = ("uniform", "normal")
FILM_START = 30
"""Steps that a film shows one by one."""
BLOCK = 10
"""Steps between looks at the clock, about."""


@dataclass(frozen=True, kw_only=True)
class KaleidoscopeSamples(Result):
    """States of kaleidoscopic sampling.

    Attributes
    ----------
    states : (n, kept, d)
        Samples after each step that was kept; NaN from where one is no longer finite.
    steps : (kept,) int64
        Numbers of these steps; 0 is the noise that sampling starts from.
    state_shape : tuple of int
        Shape of one state, of d components.
    value_range : (float, float)
        Smallest and largest value of a component.
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.models.kaleidoscope.pictures.draw_kaleidoscope_samples"
    REMEDIES: ClassVar[dict[Status, str]] = {
        Status.ESCAPED: "look whether the network's weights are finite",
    }

    states: NDArray[Any] = dims("sample", "step", "component")
    steps: NDArray[np.int64] = dims("step")
    state_shape: tuple[int, ...]
    value_range: tuple[float, float]

    def images(self) -> NDArray[Any]:
        """States in their own shape, (n, kept, *state_shape)."""
        return self.states.reshape(*self.states.shape[:2], *self.state_shape)

    def only(self, steps: Sequence[int]) -> KaleidoscopeSamples:
        """The same with some of the kept steps."""
        missing = [step for step in steps if step not in self.steps]
        if missing or not len(steps):
            raise LyapmapError(f"steps: step {missing[0] if missing else 'none'} was not kept")
        places = [int(np.flatnonzero(self.steps == step)[0]) for step in steps]
        return replace(self, states=self.states[:, places], steps=self.steps[places])


def noise_states(
    state_shape: tuple[int, ...],
    n: int,
    *,
    value_range: tuple[float, float] = (-1.0, 1.0),
    kind: str = "uniform",
    seed: int = 0,
    first: int = 0,
) -> NDArray[np.float64]:
    """Noise that sampling starts from, (n, d): that of sample i is a function of (seed, i) alone.

    Parameters
    ----------
    state_shape : tuple of int
    n : int
    value_range : (float, float)
        Uniform noise fills it; normal noise has its middle as mean and half its width as standard
        deviation, and is clipped to it.
    kind : "uniform" or "normal"
    seed : int
    first : int
        Number of the first sample.

    Examples
    --------
    >>> noise_states((2,), 3, seed=1).shape
    (3, 2)
    """
    n, first, seed = whole("n", n, 1), whole("first", first, 0), whole("seed", seed, 0)
    low, high = interval("value_range", value_range)
    if kind not in KINDS:
        raise LyapmapError(f"start: expected one of {', '.join(KINDS)}, got {kind!r}")
    if seed >= 2**64:
        raise LyapmapError(f"seed: expected an integer below 2**64, got {seed}")
    # The second half of the key keeps these draws apart from the noise of later steps and from inputs.
    rng = np.random.Generator(np.random.Philox(key=np.array([seed, 2], np.uint64)))
    shape = (first + n, dimension(tuple(state_shape)))
    if kind == "uniform":
        return rng.uniform(low, high, shape)[first:]
    normal = (low + high) / 2 + (high - low) / 2 * rng.standard_normal(shape)[first:]
    return np.clip(normal, low, high)


def sample(
    model: Model | Map | str | Path,
    n: int = 64,
    *,
    steps: int = 300,
    eps: float = 0.01,
    noise: str = "uniform",
    start: str = "uniform",
    keep: Sequence[int] | None = None,
    value_range: tuple[float, float] | None = None,
    seed: int = 0,
    first: int = 0,
    progress: bool | Report = False,
    throw: bool = True,
) -> KaleidoscopeSamples:
    """Sample a kaleidoscopic network: x <- clamp(f(x) + eps * noise), from noise (paper, Eq. 2 and 3).

    The noise of sample i at step s is a function of (seed, s, i) alone, so that samples are the
    same however many are drawn at once. The published code adds noise that is never negative;
    here its mean is zero, as the paper says.

    Parameters
    ----------
    model : Model, Map, str or path
        What `lyapmap.load_model` gives or reads, or any map.
    n : int
        Samples.
    steps : int
        Applications of the network.
    eps : float
        Half width of uniform noise, standard deviation of normal noise; 0 for none.
    noise : "uniform" or "normal"
        Of the noise after each step.
    start : "uniform" or "normal"
        Of the noise to start from, see `noise_states`.
    keep : sequence of int, optional
        Steps whose states are wanted; some that grow by about half each time, by default.
    value_range : (float, float), optional
        To which states are clamped; that of the network's output by default, [-1, 1] where it is not
        known.
    seed : int
    first : int
        Number of the first sample, for a run that is split.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (steps done, steps in all).
    throw : bool
        Raise if a state is not finite; else return what there is with status "escaped".

    Returns
    -------
    KaleidoscopeSamples

    Raises
    ------
    LyapmapError
        If an argument does not fit.
    RunError
        If a state becomes NaN and `throw`.
    Interrupted
        On Ctrl-C, with the states until then as its `result`.

    References
    ----------
    H. Shrivastava, "Generative Kaleidoscopic Networks" (2024).

    Examples
    --------
    >>> import lyapmap as lm
    >>> steep = lm.wrap(lambda x: np.tanh(2 * x), state_shape=1, backend="numpy")
    >>> settled = sample(steep, 5, steps=50, eps=0)
    >>> np.abs(settled.states[:, -1, 0]).round(4)
    array([0.9575, 0.9575, 0.9575, 0.9575, 0.9575])
    """
    loaded = load_model(model) if isinstance(model, str | Path) else model
    bounds = _range(loaded) if value_range is None else interval("value_range", value_range)
    n, steps = whole("n", n, 1), whole("steps", steps, 0)
    kept = _kept(keep, steps)
    inner = as_tangent_map(loaded.map if isinstance(loaded, Model) else loaded)
    shaken = noisy(inner, scale=eps, kind=noise, seed=seed, first_trajectory=first, clamp=bounds)
    starts = noise_states(tuple(inner.state_shape), n, value_range=bounds, kind=start, seed=seed, first=first)
    run = Run("sampling", shaken, seed=seed, progress=progress)
    ops = inner.ops
    x = ops.from_numpy(starts)
    taken: list[NDArray[Any]] = []
    done = 0
    with run.steps(keep=lambda: taken) as report:
        for target in kept:
            while done < target:
                block = min(BLOCK, target - done)
                x = step_states(shaken, x, n_steps=block, first_step=done)
                done += block
                report(done, steps)
            taken.append(ops.to_numpy(x).copy())
    states = np.stack(taken, axis=1)
    lost = np.logical_or.accumulate(~np.isfinite(states).all(axis=2), axis=1)
    states[lost] = np.nan
    words = f"{int(lost.any(axis=1).sum())} of {n} samples are no longer finite"
    verdict = Verdict(Status.ESCAPED, words) if lost.any() else Verdict()
    settings = {"n": n, "steps": steps, "eps": float(eps), "noise": noise, "start": start, "first": first}
    result = KaleidoscopeSamples(
        **run.ending(verdict, done=f"{done} of {steps} steps"),
        settings=settings,
        states=states,
        steps=np.array(kept[: len(taken)], np.int64),
        state_shape=tuple(inner.state_shape),
        value_range=bounds,
    )
    return run.finish(result, throw)


def usual_steps(steps: int) -> list[int]:
    """The steps of a run that are kept by default.

    >>> usual_steps(12)
    [0, 1, 2, 5, 10, 12]
    """
    return sorted({*(step for step in KEPT if step < steps), steps})


def film_steps(steps: int) -> list[int]:
    """The steps of a run that a film shows: each of the first, where most changes, then every fifth.

    >>> film_steps(36)[-4:]
    [29, 30, 35, 36]
    """
    return sorted({*range(min(steps, FILM_START)), *range(FILM_START, steps, 5), steps})


def _range(loaded: Model | Map) -> tuple[float, float]:
    output = loaded.config.get("output", "tanh") if isinstance(loaded, Model) else "tanh"
    return RANGES.get(str(output), RANGES["tanh"])


def _kept(keep: Sequence[int] | None, steps: int) -> list[int]:
    if keep is None:
        return usual_steps(steps)
    kept = [whole("keep", step, 0) for step in keep]
    if not kept or kept != sorted(set(kept)) or kept[-1] > steps:
        raise LyapmapError(f"keep: expected ascending steps from 0 to {steps}, got {list(keep)}")
    return kept
