"""What a GRAN's canvas does when it is drawn on and on: exponents, and whether updates and image come to rest."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from lyapmap.analysis.progress import Report
from lyapmap.analysis.spectrum import lyapunov_spectrum
from lyapmap.core.arguments import whole
from lyapmap.core.driven import DrivenMap
from lyapmap.core.errors import Interrupted, LyapmapError
from lyapmap.core.results import Result, Status, provenance
from lyapmap.models.gan.canvas import canvas_map, canvas_states
from lyapmap.models.gan.config import NOISES
from lyapmap.models.gan.files import Gan, load_gan
from lyapmap.models.gan.parts import bounded

QUANTILES = (0.1, 0.5, 0.9)
SATURATED = 0.01
"""Distance from an end of the range, relative to its width, within which a pixel counts as black or white."""


@dataclass(frozen=True, kw_only=True)
class CanvasDynamics(Result):
    """Exponents of the canvas recurrence, and how far updates and image still move at each step.

    Lengths are root mean squares over pixels; of them 10, 50 and 90 % quantiles over the trajectories.

    Attributes
    ----------
    noises : tuple of str
        Kinds of noise, "one" and "fresh".
    statuses : tuple of str
        Of their spectra.
    exponents, stderr : (noises, k)
        In nats per step, the noise held to what it was.
    update_size : (noises, T, 3)
        |dC_t|.
    update_change : (noises, T - 1, 3)
        |dC_t - dC_{t-1}| from the second step on; 0 where the recurrence has come to rest.
    image_change : (noises, T - 1, 3)
        |C_t - C_{t-1}| of the image after its tanh or sigmoid.
    saturated : (noises, T)
        Share of pixels that are black or white within 1 %.
    trained_steps : int
        Updates that the network was trained with.
    unit : str
    """

    DIMS: ClassVar[dict[str, tuple[str, ...]]] = {
        "exponents": ("noise", "exponent"),
        "stderr": ("noise", "exponent"),
        "update_size": ("noise", "step", "quantile"),
        "update_change": ("noise", "change", "quantile"),
        "image_change": ("noise", "change", "quantile"),
        "saturated": ("noise", "step"),
    }
    DRAWN_BY: ClassVar[str] = "lyapmap.models.gan.pictures_canvas.draw_canvas_dynamics"

    noises: tuple[str, ...]
    statuses: tuple[str, ...]
    exponents: NDArray[np.float64]
    stderr: NDArray[np.float64]
    update_size: NDArray[np.float64]
    update_change: NDArray[np.float64]
    image_change: NDArray[np.float64]
    saturated: NDArray[np.float64]
    trained_steps: int
    unit: str = "per step"


def canvas_dynamics(
    model: Gan | str | Path,
    *,
    noises: Sequence[str] = NOISES,
    n_steps: int = 300,
    transient: int = 100,
    n_exponents: int = 6,
    trajectories: int = 8,
    canvas_steps: int = 100,
    state: str = "update",
    seed: int = 0,
    progress: bool | Report = False,
    throw: bool = True,
) -> CanvasDynamics:
    """Exponents of a GRAN's canvas with one noise and with fresh noise, and whether it settles.

    Parameters
    ----------
    model : Gan, str or path
        A GRAN of at least two steps.
    noises : sequence of "one" and "fresh"
        With which to drive it, whatever it was trained with.
    n_steps, transient : int
        Steps to average exponents over, and before.
    n_exponents : int
        How many, from the largest.
    trajectories : int
        Pieces of noise.
    canvas_steps : int
        Updates over which the canvas is watched, at least 2.
    state : "update" or "code"
        Of which map the exponents are taken; see `canvas_map`.
    seed : int
        Of noise and frames.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (steps done, steps in all).
    throw : bool
        Raise if a spectrum failed; else return what there is with its status.

    Returns
    -------
    CanvasDynamics

    Raises
    ------
    LyapmapError
        If the model is no GRAN of two or more steps, or an argument does not fit.
    RunError
        If a run failed and `throw`.
    Interrupted
        On Ctrl-C, without a result.
    """
    gan = load_gan(model) if isinstance(model, str | Path) else model
    kinds = tuple(noises)
    if not kinds or len(set(kinds)) < len(kinds) or not set(kinds) <= set(NOISES):
        raise LyapmapError(f"noises: expected different ones of {', '.join(NOISES)}, got {noises!r}")
    b, total = whole("trajectories", trajectories, 1), whole("canvas_steps", canvas_steps, 2)
    begin = time.perf_counter()
    spectra, watched, origin = [], [], {}
    try:
        for kind in kinds:
            canvas = canvas_map(gan, noise=kind, seed=seed)
            moved = canvas if state == "update" else canvas_map(gan, noise=kind, state=state, seed=seed)
            spectrum = lyapunov_spectrum(
                moved,
                canvas_states(gan, b, noise=kind, state=state, seed=seed),
                n_steps=n_steps,
                transient=transient,
                n_exponents=n_exponents,
                seed=seed,
                progress=progress,
                throw=False,
            )
            spectra.append(spectrum)
            watched.append(_watched(gan, canvas, canvas_states(gan, b, noise=kind, seed=seed), total))
            origin = provenance(canvas, seed=seed, seconds=time.perf_counter() - begin)
    except KeyboardInterrupt:
        raise Interrupted(None) from None
    worst = max((s.status for s in spectra), key=lambda status: (status.failed, status is not Status.OK))
    # That trajectories lie on several attractors, which an ordinary spectrum tells, is no news: each has its noise.
    words = [
        f"{kind} noise: {s.message}"
        for kind, s in zip(kinds, spectra, strict=True)
        if s.status is not Status.OK and s.message
    ]
    origin["map"] = f"canvas of {gan.name}"
    origin.pop("noise", None)
    origin.pop("driven_by", None)
    return CanvasDynamics(
        status=worst,
        message="; ".join(words),
        settings={
            "n_steps": n_steps,
            "transient": transient,
            "n_exponents": n_exponents,
            "trajectories": b,
            "canvas_steps": total,
            "state": state,
        },
        provenance=origin,
        noises=kinds,
        statuses=tuple(str(s.status) for s in spectra),
        exponents=np.stack([s.exponents for s in spectra]),
        stderr=np.stack([s.stderr for s in spectra]),
        trained_steps=int(getattr(gan.config, "steps", 1)),
        update_size=np.stack([w["update_size"] for w in watched]),
        update_change=np.stack([w["update_change"] for w in watched]),
        image_change=np.stack([w["image_change"] for w in watched]),
        saturated=np.stack([w["saturated"] for w in watched]),
    ).checked(throw)


def _watched(gan: Gan, canvas: DrivenMap, start: NDArray[Any], steps: int) -> dict[str, NDArray[np.float64]]:
    """Lengths of updates and of changes over the steps."""
    update = canvas.ops.from_numpy(start)
    total, before = update, None
    low, high = gan.config.value_range
    sizes, changes, moves, ends = [_quantiles(update)], [], [], []
    image = bounded(total, gan.config.output)
    for step in range(steps):
        near = torch.minimum(image - low, high - image) < SATURATED * (high - low)
        ends.append(float(near.double().mean()))
        if step == steps - 1:
            break
        before, update = update, canvas.at(step).apply(update)
        total = total + update
        sizes.append(_quantiles(update))
        changes.append(_quantiles(update - before))
        last, image = image, bounded(total, gan.config.output)
        moves.append(_quantiles(image - last))
    return {
        "update_size": np.stack(sizes),
        "update_change": np.stack(changes),
        "image_change": np.stack(moves),
        "saturated": np.array(ends),
    }


def _quantiles(rows: torch.Tensor) -> NDArray[np.float64]:
    lengths = rows.double().square().mean(1).sqrt().cpu().numpy()
    found: NDArray[np.float64] = np.quantile(lengths, QUANTILES)
    return found
