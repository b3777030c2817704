"""`lyapmap spectrum`, `divergence`, `finite-time`, `covariant`, `alignment`, `entropy`, `sweep`: growth rates."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lyapmap.cli import show
from lyapmap.cli.command import From, Run, command
from lyapmap.cli.options import Plane
from lyapmap.core.errors import LyapmapError

if TYPE_CHECKING:
    from rich.table import Table

    from lyapmap.analysis.exponents.finite_time import FiniteTimeExponents
    from lyapmap.analysis.exponents.spectrum import LyapunovSpectrum
    from lyapmap.analysis.exponents.sweep import Sweep
    from lyapmap.analysis.tangents.alignment import Alignment
    from lyapmap.analysis.tangents.covariant import CovariantVectors
    from lyapmap.cli.source import Source
    from lyapmap.report.page import Section

FILM = 36
"""Steps of the film of a map of images."""
SHOWN = 40
"""Exponents that the table of a spectrum shows; the files hold all."""
VERDICTS_SHOWN = 20
LARGE, LARGE_STEPS = 16, {"n_steps": 4_000, "transient": 1_000}
"""Reference maps of more dimensions than this run fewer steps by default."""


@command(
    "lyapmap.analysis.exponents.spectrum:lyapunov_spectrum",
    group="measure",
    source=From(),
    usual={
        "n_steps": {"map": 100_000, "callable": 10_000, "model": 300},
        "transient": {"map": 1_000, "callable": 1_000, "model": 100},
    },
    examples="""
lyapmap spectrum henon -p a=1.4 -p b=0.3
lyapmap spectrum cycle-mnist-012 --out report
lyapmap spectrum cycle-digits-012 -b 64 --steps 2000 --workers 2 --out long
lyapmap spectrum run/last.pt --data mnist --classes 0 --exponents 8
lyapmap spectrum mypkg.maps:step --state-shape 2 --steps 5000 --json
""",
)
def spectrum(run: Run) -> int:
    """Lyapunov exponents of a network or map, with dimension, entropy and error bars.

    With --out DIR: spectrum.nc, spectrum.json, spectrum.png, convergence.png, trajectory.png and report.html.
    """
    from lyapmap.core.map import dimension

    source = run.source
    if source.kind == "map" and dimension(source.map.state_shape) > LARGE:
        run.values |= {name: steps for name, steps in LARGE_STEPS.items() if name not in run.given}
    result = run()
    return run.show(
        result,
        f"Lyapunov spectrum of {source.name}",
        _about_spectrum(result),
        table=_spectrum_table,
        pictures=[partial(_picture_of_convergence, result), partial(_picture_of_trajectory, source)],
    )


def _spectrum_table(result: LyapunovSpectrum) -> Table:
    table = show.make_table("#", "exponent", "std. error", "spread")
    spread = result.per_trajectory.std(axis=0) if len(result.per_trajectory) > 1 else [None] * len(result.exponents)
    for i, (value, error, width) in enumerate(zip(result.exponents, result.stderr, spread, strict=True), 1):
        if i <= SHOWN:
            cells = show.number(value), show.number(error), "-" if width is None else show.number(width)
            table.add_row(str(i), *cells, style="bold red" if value > 3 * error else "")
    show.cut(table, len(result.exponents), SHOWN)
    return table


def _about_spectrum(result: LyapunovSpectrum) -> list[tuple[str, Any]]:
    facts: list[tuple[str, Any]] = [
        (
            "Kaplan-Yorke dim.",
            f"{show.pair(result.kaplan_yorke, result.kaplan_yorke_stderr)}  ({result.kaplan_yorke_verdict})",
        ),
        ("entropy", f"{show.pair(result.entropy, result.entropy_stderr)} nats {result.unit}"),
        ("positive", f"{result.n_positive} of {len(result.exponents)} computed"),
        ("attractor", result.attractor),
    ]
    rule = result.sum_rule
    if rule is not None:
        facts.append(("sum rule", f"sum {show.number(rule['sum'])}, mean log|det J| {show.number(rule['log_det'])}"))
    checks = result.check()
    if checks:
        failed = [check for check in checks if not check.passed]
        largest = max(checks, key=lambda check: abs(check.residual))
        names = ", ".join(f"{check.name} {check.residual:+.1f}" for check in failed)
        good = f"all {len(checks)} pass, the largest residual {largest.residual:+.1f} standard errors ({largest.name})"
        bad = f"{len(failed)} of {len(checks)} fail: {names}"
        facts.append(("cross-checks", show.styled(bad, "yellow") if failed else good))
    if result.effective_samples[:1].size and result.effective_samples[0] == result.effective_samples[0]:
        words = (
            f"{result.effective_samples[0]:.0f} independent of {result.n_batches} batches of {result.batch_steps} steps"
        )
        facts.append(("largest exponent", words))
    for number, group in enumerate(result.groups, 1):
        words = f"{group['trajectories']} trajectories, {group['attractor']}, largest exponent "
        facts.append((f"attractor {number}", words + show.pair(group["exponents"][0], group["stderr"][0])))
    where = f"{result.provenance['dtype']} on {result.provenance['device']}"
    b = len(result.per_trajectory)
    facts.append(("run", f"{b} x {result.n_steps} steps after {result.settings['transient']}, {where}"))
    return facts


def _picture_of_convergence(result: LyapunovSpectrum, out: Path) -> Section:
    from lyapmap.report.page import figure_section
    from lyapmap.report.style import save_figure

    figure = result.plot(kind="convergence")
    words = "How the estimates settle and their errors fall, which says whether a longer run is worth its time."
    return figure_section("Whether to go on", figure, save_figure(figure, out / "convergence.png"), words)


def _picture_of_trajectory(source: Source, out: Path) -> Section:
    from lyapmap.analysis.orbits.pictures_orbits import draw_trajectory, save_trajectory
    from lyapmap.analysis.orbits.trajectory import trajectory
    from lyapmap.report.interactive import panels_of
    from lyapmap.report.page import figure_section, film_section

    steps = FILM if source.shows_images else 2_000
    path = trajectory(source.map, source.x0, n_steps=steps, throw=False)
    picture = save_trajectory(path, out / "trajectory.png")
    if source.shows_images:
        words = f"What the map makes of its first {len(path.states)} initial images, step by step."
        film = film_section("Trajectories", path.images(), sentence=words)
        return replace(film, panels=panels_of(draw_trajectory(path)))
    words = "Where trajectories go from their initial states."
    return figure_section("Trajectory", draw_trajectory(path), picture, words)


@command(
    "lyapmap.analysis.exponents.divergence:divergence",
    group="measure",
    source=From(trajectories=24),
    usual={"transient": {"map": 1_000, "callable": 1_000, "model": 300}},
    examples="""
lyapmap divergence henon -b 200
lyapmap divergence cycle-digits-012 -b 27 --out parting
lyapmap divergence ikeda --method rescaled --direction random --steps 10000
lyapmap divergence henon --window 5,40 --json
""",
)
def divergence(run: Run) -> int:
    """Largest exponent from trajectories that start close together; no derivative needed.

    With --out DIR: divergence.nc, divergence.json, divergence.png and report.html.
    """
    result = run()
    settings = result.settings
    window = f"steps {result.window[0]} to {result.window[1]}" if result.window else "none"
    facts = [
        ("largest exponent", f"{show.pair(result.exponent, result.stderr)} nats {result.unit}"),
        ("method", f"{result.method}, {window}"),
        ("pairs", f"{settings['n_trajectories']}, {result.size:.1e} apart, placed: {settings['direction']}"),
        ("run", f"{result.steps[-1] if len(result.steps) else 0} steps after {settings['transient']}"),
    ]
    return run.show(result, f"Divergence of neighbouring trajectories of {run.source.name}", facts)


@command(
    "lyapmap.analysis.exponents.finite_time:finite_time_exponents",
    group="measure",
    source=From(),
    usual={
        "n_steps": {"map": 100, "callable": 100, "model": 50},
        "transient": {"map": 1_000, "callable": 1_000, "model": 100},
    },
    shown={"measure": "local; stretching over a grid"},
    examples="""
lyapmap finite-time henon -b 200 --steps 50 --windows 20 -k 2
lyapmap finite-time standard --grid 300,300 --low 0,0 --high 6.283,6.283 --steps 30 --out field
lyapmap finite-time cycle-digits-012 -b 27 -k 5 --out distribution
""",
)
def finite_time(run: Run, grid: Plane) -> int:
    """Exponents over windows of time: their distribution, or with --grid a field over a plane of states.

    With --out DIR: finite-time.nc, finite-time.json, finite-time.png and report.html.
    """
    start: Any = run.source.x0
    if grid.grid is not None:
        from lyapmap.cli.source import plane

        start = plane(run.source, grid)
        usual = {"transient": 0, "measure": "stretching"}
        run.values |= {name: value for name, value in usual.items() if name not in run.given}
    result = run(run.source.map, start)
    b, windows, _ = result.exponents.shape
    facts = [("measure", f"{result.measure} growth, nats {result.unit}")]
    if result.grid:
        facts.append(("grid", " x ".join(str(count) for count in result.grid["shape"])))
    facts.append(("run", f"{b} x {windows} windows of {result.n_steps} steps after {result.settings['transient']}"))
    return run.show(
        result,
        f"Finite-time exponents of {run.source.name}",
        facts,
        table=_windows_table,
        source=None if grid.grid is not None else run.source,
    )


def _windows_table(result: FiniteTimeExponents) -> Table:
    import numpy as np

    table = show.make_table("#", "mean", "spread", "smallest", "largest", "peaks")
    for i in range(result.exponents.shape[2]):
        values = result.values(i)
        if values.size == 0:
            table.add_row(str(i + 1), "-", "-", "-", "-", "-")
            continue
        numbers = [show.number(float(f(values))) for f in (np.mean, np.std, np.min, np.max)]
        table.add_row(str(i + 1), *numbers, str(result.modes(i) or "-"))
    return table


@command(
    "lyapmap.analysis.tangents.covariant:covariant_vectors",
    group="measure",
    source=From(trajectories=1),
    usual={"n_steps": {"map": 2_000, "callable": 2_000, "model": 20}},
    examples="""
lyapmap covariant henon -b 2
lyapmap covariant cycle-digits-012 -b 1 -k 3 --steps 20 --out directions
lyapmap covariant generalized_henon -b 1 --split 2 --sample-every 10 --json
""",
)
def covariant(run: Run) -> int:
    """Covariant Lyapunov vectors: the directions that chaos amplifies, and the angles between them.

    With --out DIR: covariant.nc, covariant.json, covariant.png (images, where states are images) and report.html.
    """
    result = run()
    return run.show(
        result, f"Covariant Lyapunov vectors of {run.source.name}", _about_vectors(result), table=_vectors_table
    )


def _vectors_table(result: CovariantVectors) -> Table:
    table = show.make_table("#", "exponent", "of the frames", "backward residual")
    columns = (result.exponents, result.qr_exponents, result.backward_residual)
    for i, (own, frame, rest) in enumerate(zip(*columns, strict=True), 1):
        table.add_row(str(i), show.number(own), show.number(frame), f"{rest:.1e}")
    return table


def _about_vectors(result: CovariantVectors) -> list[tuple[str, Any]]:
    import numpy as np

    settings = result.settings
    k, split = len(result.exponents), result.split
    facts = []
    if np.isfinite(result.smallest_angle):
        median = np.degrees(np.nanmedian(result.angles))
        words = f"smallest {np.degrees(result.smallest_angle):.2g}°, median {median:.3g}°"
        facts.append(("angle", f"{words}, between the first {split} and the other {k - split}"))
    b, samples = result.angles.shape
    lengths = f"{settings['transient']} before, {settings['backward_transient']} after"
    facts.append(("run", f"{b} x {settings['n_steps']} steps ({lengths}), {samples} samples"))
    return facts


@command(
    "lyapmap.analysis.tangents.alignment:alignment",
    group="measure",
    source=From(),
    usual={"n_steps": {"map": 1_000, "callable": 1_000, "model": 200}},
    names={"k": "-k"},
    examples="""
lyapmap alignment standard --grid 100,100 --low 0,0 --high 6.283,6.283 --out islands
lyapmap alignment henon --transient 100
lyapmap alignment cycle-digits-012 -k 3 --json
""",
)
def alignment(run: Run, grid: Plane) -> int:
    """Chaotic or regular? How the volume of deviation vectors (GALI, SALI) vanishes.

    With --out DIR: alignment.nc, alignment.json, alignment.png and report.html.
    """
    start: Any = run.source.x0
    if grid.grid is not None:
        from lyapmap.cli.source import plane

        start = plane(run.source, grid)
    result = run(run.source.map, start)
    facts = [
        ("verdicts", ", ".join(f"{count} {name}" for name, count in result.counts.items())),
        (
            "run",
            f"{len(result.verdict)} x {result.steps[-1]} steps after {result.settings['transient']}, "
            f"nats {result.unit}",
        ),
    ]
    return run.show(
        result,
        f"Alignment of deviation vectors of {run.source.name}",
        facts,
        table=None if grid.grid is not None else _verdicts_table,
        source=None if grid.grid is not None else run.source,
    )


def _verdicts_table(result: Alignment) -> Table:
    table = show.make_table("#", f"log GALI_{result.k}", "decay rate", "std. error", "verdict")
    for i, verdict in enumerate(result.verdict[:VERDICTS_SHOWN]):
        numbers = (result.log_gali[i, -1], result.decay_rate[i], result.decay_stderr[i])
        table.add_row(str(i + 1), *(show.number(float(number)) for number in numbers), verdict)
    show.cut(table, len(result.verdict), VERDICTS_SHOWN)
    return table


@command(
    "lyapmap.analysis.exponents.entropy:expansion_entropy",
    group="measure",
    source=From(),
    examples="""
lyapmap entropy logistic --low 0 --high 1
lyapmap entropy henon --low -2,-2 --high 2,2 --steps 20 --samples 50000 --out henon
""",
)
def entropy(run: Run, *, low: tuple[float, ...], high: tuple[float, ...]) -> int:
    """Expansion entropy: positive where a map is chaotic within a region, attractor or not.

    Needs no initial states: points are scattered over the region. With --out DIR: entropy.nc, entropy.json,
    entropy.png and report.html.

    Parameters
    ----------
    low : X[,X...]
        Lower corner of the region; one number stands for all components.
    high : X[,X...]
        Upper corner of the region.
    """
    result = run(run.source.map, ([*low], [*high]))
    first, last = result.window
    facts = [
        ("entropy", f"{show.pair(result.entropy, result.stderr)} nats {result.unit}"),
        ("fit", f"steps {first} to {last} of {len(result.log_expansion) - 1}" if last else "-"),
        ("samples left", f"{100 * result.surviving[-1]:.4g} % of {result.settings['n_samples']}"),
    ]
    return run.show(result, f"Expansion entropy of {run.source.name}", facts, source=None)


@command(
    "lyapmap.analysis.exponents.sweep:sweep",
    group="measure",
    source=From(),
    names={"low": "--from", "high": "--to"},
    hides=("n_trajectories", "workers"),
    examples="""
lyapmap sweep logistic --over r --from 2.5 --to 4 --values 1000 --out logistic
lyapmap sweep henon -p b=0.3 --over a --from 1 --to 1.4 --out henon
lyapmap sweep ikeda --over u --from 0.9 --to 0.6 --carry --only spectrum --json
""",
)
def sweep(
    run: Run,
    *,
    over: str,
    low: float,
    high: float,
    values: int = 200,
    only: str | None = None,
    n_kept: int = 25,
) -> int:
    """Bifurcation diagram and Lyapunov exponents of a reference map along one of its parameters.

    With --out DIR: sweep.nc, sweep.json, sweep.png and report.html.

    Parameters
    ----------
    over : NAME
        The parameter that is varied.
    low : X
        Its first value.
    high : X
        Its last value; may be the smaller one.
    values : N, at least 1
        How many, evenly spaced.
    only : "bifurcation" or "spectrum"
        One of both; both by default.
    n_kept : N
        Steps of each trajectory that are kept for the bifurcation diagram.
    """
    import numpy as np

    from lyapmap.core.demand import held, require_room

    require_room("sweep", held("values", 64, values=values))
    result = run(
        family(run.source, over),
        over,
        np.linspace(low, high, values),
        run.source.x0,
        analysis=only or ("bifurcation", "spectrum"),
    )
    return run.show(result, f"Sweep of {run.source.name} over {over}", _about_sweep(result))


def family(source: Source, over: str) -> Any:
    """The factory of the reference map, its other parameters fixed as `-p` gave them."""
    from functools import partial

    from lyapmap.systems import catalogue

    if source.kind != "map":
        raise LyapmapError(f"--map: only reference maps have parameters to sweep, got --{source.kind}")
    info = catalogue()[source.name]
    if over not in info.parameters:
        there = ", ".join(info.parameters) or "none"
        raise LyapmapError(f"--over: {source.name} has no parameter {over!r}; there are {there}")
    given = source.map.parameters  # type: ignore[attr-defined]  # reference maps have them
    return partial(info.factory, **{k: v for k, v in given.items() if k in info.parameters and k != over})


def _about_sweep(result: Sweep) -> list[tuple[str, Any]]:
    facts = [("values", f"{len(result.values)} from {result.values[0]:g} to {result.values[-1]:g}")]
    if result.exponents.shape[1]:
        largest, error = result.exponents[:, 0], result.stderr[:, 0]
        positive = [bool(value > 3 * e) for value, e in zip(largest, error, strict=True)]
        facts.append(("largest exponent", f"positive at {sum(positive)} values"))
        best = max((value, i) for i, value in enumerate(largest) if value == value) if any(largest == largest) else None
        if best:
            words = f"{show.pair(best[0], error[best[1]])} nats {result.unit}"
            facts.append(("its maximum", f"{words} at {result.parameter} = {result.values[best[1]]:g}"))
    return facts
