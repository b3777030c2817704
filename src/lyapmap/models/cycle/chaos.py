"""Stages of the cycle study about chaos: exponents by two ways, their spread, convergence, dimensions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lyapmap.analysis.dimension.comparison import compare_dimensions
from lyapmap.analysis.exponents.divergence import divergence
from lyapmap.analysis.exponents.finite_time import finite_time_exponents
from lyapmap.analysis.exponents.spectrum import lyapunov_spectrum
from lyapmap.analysis.orbits.trajectory import trajectory
from lyapmap.models.cycle.subject import CycleSubject
from lyapmap.study.stages import Bench

HISTOGRAMS = 5
"""Exponents of S4 and of the convergence."""
DIMENSION_METHODS = ("gride", "twonn", "mle", "pca")


def spectrum(subject: CycleSubject, bench: Bench) -> dict[str, Any]:
    """Fig. 8."""
    sizes = bench.sizes
    exponents = sizes.exponents if sizes.exponents in ("auto", "all") else int(float(sizes.exponents))
    found = lyapunov_spectrum(
        subject.map,
        subject.starts(sizes.trajectories),
        n_steps=sizes.steps,
        transient=sizes.transient,
        n_exponents=exponents,
        seed=subject.seed,
        progress=bench.progress,
    )
    bench.keep(found, "spectrum")
    bench.show(
        found.plot(),
        "spectrum",
        "Lyapunov spectrum (Fig. 8)",
        "Exponents above zero are directions in which neighbouring images part; where the partial sums cross zero is "
        "the Kaplan-Yorke dimension.",
    )
    return {
        "largest": found.exponents[0],
        "largest_stderr": found.stderr[0],
        "exponents": found.exponents,
        "stderr": found.stderr,
        "n_positive": found.n_positive,
        "kaplan_yorke": found.kaplan_yorke,
        "kaplan_yorke_stderr": found.kaplan_yorke_stderr,
        "kaplan_yorke_verdict": found.kaplan_yorke_verdict,
        "entropy": found.entropy,
        "entropy_stderr": found.entropy_stderr,
        "attractor": found.attractor,
        "n_attractors": max(len(found.groups), 1),
        "status": str(found.status),
        "trajectories": len(found.per_trajectory),
        "steps": found.n_steps,
    }


def direct_divergence(subject: CycleSubject, bench: Bench) -> dict[str, Any]:
    """Fig. 9, and how its slope agrees with the largest exponent of the spectrum."""
    sizes = bench.sizes
    last = sizes.divergence_last
    found = divergence(
        subject.map,
        subject.settled(sizes.ensemble, sizes.transient),
        n_steps="auto" if sizes.divergence_steps is None else sizes.divergence_steps,
        size=sizes.divergence_size,
        window="auto" if last is None else (1, last),
        seed=subject.seed,
        progress=bench.progress,
    )
    bench.keep(found, "divergence")
    tangent = bench.numbers("spectrum")
    words = ""
    residual = math.nan
    if tangent:
        error = math.hypot(found.stderr, tangent["largest_stderr"] or math.nan)
        residual = (found.exponent - tangent["largest"]) / error
        words = f" The spectrum's largest exponent is {tangent['largest']:.3f}."
    bench.show(
        found.plot(),
        "divergence",
        "Divergence of nearest neighbours (Fig. 9)",
        f"Pairs of states on the attractor part at {found.exponent:.3f} nats per step, without any derivative.{words}",
    )
    return {
        "exponent": found.exponent,
        "stderr": found.stderr,
        "window": found.window,
        "size": found.size,
        "pairs": len(found.per_trajectory),
        "standard_errors_from_spectrum": residual,
    }


def histograms(subject: CycleSubject, bench: Bench) -> dict[str, Any]:
    """S4."""
    sizes = bench.sizes
    found = finite_time_exponents(
        subject.map,
        subject.starts(sizes.histogram_trajectories),
        n_steps=sizes.histogram_steps,
        transient=sizes.transient,
        n_exponents=HISTOGRAMS,
        seed=subject.seed,
        progress=bench.progress,
    )
    bench.keep(found, "histograms")
    bench.show(
        found.plot(),
        "histograms",
        "The first five exponents of each trajectory (S4)",
        "One peak each says that all trajectories lie on the same attractor, so that their mean has a meaning.",
    )
    values = found.exponents[:, 0]
    return {
        "mean": values.mean(axis=0),
        "deviation": values.std(axis=0, ddof=1) if len(values) > 1 else [math.nan] * HISTOGRAMS,
        "peaks": [found.modes(i) for i in range(HISTOGRAMS)],
        "trajectories": len(values),
    }


def convergence(subject: CycleSubject, bench: Bench) -> dict[str, Any]:
    """The first five exponents along long trajectories."""
    sizes = bench.sizes
    found = lyapunov_spectrum(
        subject.map,
        subject.starts(sizes.convergence_trajectories),
        n_steps=sizes.convergence_steps,
        transient=sizes.transient,
        n_exponents=HISTOGRAMS,
        seed=subject.seed,
        progress=bench.progress,
    )
    bench.keep(found, "convergence")
    bench.show(
        found.plot(kind="convergence"),
        "convergence",
        f"Convergence of the first five exponents over {found.n_steps} steps",
        "Errors that fall with the square root of the steps, and trajectories that agree, say that the average is one "
        "over the whole attractor.",
    )
    return {
        "exponents": found.exponents,
        "stderr": found.stderr,
        "steps": found.n_steps,
        "trajectories": len(found.per_trajectory),
        "effective_samples": found.effective_samples,
        "status": str(found.status),
    }


def dimension(subject: CycleSubject, bench: Bench) -> dict[str, Any]:
    """Kaplan-Yorke dimension beside the intrinsic dimension of the data and of the attractor."""
    sizes = bench.sizes
    rng = np.random.default_rng(subject.seed)
    data = subject.train.states
    most = len(data) if sizes.dimension_points is None else min(sizes.dimension_points, len(data))
    start = subject.settled(sizes.ensemble, sizes.transient)
    steps = max(-(-most // len(start)) - 1, 0)
    states = trajectory(subject.map, start, n_steps=steps, progress=bench.progress).states
    orbit = states.swapaxes(0, 1).reshape(-1, states.shape[-1])[:most]
    known = bench.numbers("spectrum")
    certain = known.get("kaplan_yorke")
    error = known.get("kaplan_yorke_stderr")
    found = compare_dimensions(
        {"training images": data[np.sort(rng.choice(len(data), most, replace=False))], "attractor": orbit},
        methods=DIMENSION_METHODS,
        kaplan_yorke=(math.nan if certain is None else certain, math.nan if error is None else error),
        seed=subject.seed,
        progress=bench.progress,
        # Real images often have no plateau over scales, which the message says; the numbers are there.
        throw=False,
    )
    bench.keep(found, "dimension")
    bench.show(
        found.plot(),
        "dimension",
        "Dimension of the data and of the attractor",
        "Estimates from neighbour distances fall with the number of points where the dimension is high: compare data "
        "and attractor at the same number, and both with the Kaplan-Yorke dimension.",
    )
    numbers: dict[str, Any] = {"points": most, "kaplan_yorke": certain, "message": found.message}
    for row, name in enumerate(("data", "attractor")):
        for column, method in enumerate(found.methods):
            numbers[f"{name}_{method}"] = found.dimension[row, column]
            numbers[f"{name}_{method}_stderr"] = found.stderr[row, column]
    return numbers
