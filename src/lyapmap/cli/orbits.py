"""`lyapmap trajectory`, `orbits`, `continuation`, `limit-cycle`, `settling`, `burn-in`: where a map goes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lyapmap.cli import show
from lyapmap.cli.command import From, Run, command
from lyapmap.core.errors import LyapmapError

if TYPE_CHECKING:
    from rich.table import Table

    from lyapmap.analysis.orbits.continuation import Continuation
    from lyapmap.analysis.orbits.periodic_orbits import PeriodicOrbits
    from lyapmap.analysis.orbits.settling import Settling

CYCLES_SHOWN = 20
"""Cycles that the table shows; the files hold all."""
LISTED = 4
"""Multipliers that are printed."""
ENDS_SHOWN = 12
"""Ends that the table shows; the files hold all."""
COMPONENTS = 3
"""Components of a point that a table shows."""


@command(
    "lyapmap.analysis.orbits.trajectory:trajectory",
    group="look",
    source=From(),
    out="trajectory",
    usual={"n_steps": {"map": 1_000, "callable": 1_000, "model": 30}},
    examples="""
lyapmap trajectory cycle-mnist-012 --steps 30 --out pictures
lyapmap trajectory ikeda --trajectories 1 --steps 5000 --out ikeda
lyapmap trajectory cycle-digits-012 --data digits --classes 0 --json
""",
)
def trajectory(run: Run) -> int:
    """Iterate a network or map; write the states and a picture of them.

    Writes trajectory.npz (opens with NumPy or lyapmap.Trajectory.load) and trajectory.png; for images, a film strip,
    and trajectory.gif.
    """
    from lyapmap.analysis.orbits.pictures_orbits import save_trajectory
    from lyapmap.core.points import channels_first
    from lyapmap.report.images import save_gif

    result = run()
    files = [result.save(run.folder / "trajectory.npz"), save_trajectory(result, run.folder / "trajectory.png")]
    if run.source.shows_images:
        files.append(save_gif(run.folder / "trajectory.gif", channels_first(result.images())))
    b, recorded, _ = result.states.shape
    words = f"{run.source.name}: {b} trajectories of {recorded - 1} steps, started from {run.source.started_from}"
    return show.files_written(run, result, words, files, without=("states",))


@command(
    "lyapmap.analysis.orbits.periodic_orbits:periodic_orbits",
    group="look",
    source=From(),
    examples="""
lyapmap orbits henon --period 7
lyapmap orbits logistic --period 4 --divisors --low 0 --high 1
lyapmap orbits cycle-digits-012 --dtype float64 --out fixed
""",
)
def orbits(run: Run, *, low: tuple[float, ...] | None = None, high: tuple[float, ...] | None = None) -> int:
    """Fixed points and cycles of a network or map, stable and unstable, with their multipliers.

    With --out DIR: orbits.nc, orbits.json, orbits.png and report.html.

    Parameters
    ----------
    low : X[,X...]
        With --high: a box to draw half of the guesses from; one number stands for all components.
    high : X[,X...]
        Upper corner of the box.
    """
    if (low is None) != (high is None):
        raise LyapmapError("--low and --high: expected both or none")
    result = run(run.source.map, run.source.x0, region=None if low is None or high is None else ([*low], [*high]))
    kinds = {kind: result.stability.count(kind) for kind in dict.fromkeys(result.stability)}
    facts = [
        ("cycles", f"{len(result.period)} from {result.settings['n_guesses']} guesses"),
        ("stability", ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "-"),
    ]
    return run.show(result, f"Cycles of {run.source.name}", facts, table=_cycles_table if len(result.period) else None)


def _cycles_table(result: PeriodicOrbits) -> Table:
    table = show.make_table("#", "period", "first point", "|multiplier|", "exponent", "stability", "found")
    for i in range(min(len(result.period), CYCLES_SHOWN)):
        table.add_row(
            str(i + 1),
            str(result.period[i]),
            _point(result.orbits[i, 0]),
            show.number(abs(result.multipliers[i, 0])),
            show.number(result.exponents[i, 0]),
            result.stability[i],
            str(result.n_found[i]),
        )
    show.cut(table, len(result.period), CYCLES_SHOWN)
    return table


def _point(point: Sequence[float]) -> str:
    return " ".join(f"{value:.4f}" for value in point[:COMPONENTS]) + (" ..." if len(point) > COMPONENTS else "")


@command(
    "lyapmap.analysis.orbits.continuation:continue_orbits",
    group="look",
    source=From(without=("section",)),
    names={"low": "--from", "high": "--to"},
    examples="""
lyapmap continuation logistic --over r --from 2.5 --to 3.9
lyapmap continuation logistic --over r --from 3 --to 3.6 --start 3.3 --period 2
lyapmap continuation henon -p b=0.3 --over a --from -0.5 --to 1.4 --start 0.2 --out henon
""",
)
def continuation(run: Run, *, over: str, low: float, high: float) -> int:
    """Follow fixed points or cycles of a reference map along one of its parameters, stable and unstable.

    With --out DIR: continuation.nc, continuation.json, continuation.png and report.html.

    Parameters
    ----------
    over : NAME
        The parameter that is varied.
    low : X
        Its lowest value.
    high : X
        Its highest value.
    """
    from lyapmap.cli.exponents import family

    result = run(family(run.source, over), over, (low, high), run.source.x0)
    facts = [
        ("branches", f"{len(result.ends) // 2}, {len(result.values)} points"),
        ("ends", ", ".join(result.ends) or "-"),
    ]
    title = f"Continuation of {run.source.name} over {over}"
    return run.show(result, title, facts, table=_special_table if len(result.special_kinds) else None)


def _special_table(result: Continuation) -> Table:
    table = show.make_table("branch", "kind", result.parameter, "first point", "multiplier")
    for i, (kind, value, orbit) in enumerate(result.special[:CYCLES_SHOWN]):
        multiplier = complex(result.special_real[i], result.special_imag[i])
        table.add_row(str(result.special_branch[i] + 1), kind, f"{value:.10g}", _point(orbit[0]), _complex(multiplier))
    show.cut(table, len(result.special_kinds), CYCLES_SHOWN)
    return table


@command(
    "lyapmap.analysis.orbits.limit_cycle:limit_cycle",
    group="look",
    source=From(),
    names={"period": "--period"},
    examples="""
lyapmap limit-cycle rossler -p c=2.5
lyapmap limit-cycle rossler -p c=4 --transient 5000 --out cycle
lyapmap limit-cycle oscillator:flow --x0 start.npy --transient 0 --json
""",
)
def limit_cycle(run: Run) -> int:
    """Limit cycle of a flow, with its period and its Floquet multipliers.

    With --out DIR: limit-cycle.nc, limit-cycle.json, limit-cycle.png and report.html.
    """
    result = run()
    facts = [
        ("period", show.number(result.period)),
        ("stability", result.stability or "-"),
        ("multipliers", ", ".join(_complex(value) for value in result.multipliers[:LISTED])),
        ("exponents", ", ".join(show.number(value) for value in result.exponents[:LISTED])),
        ("checks", f"trivial multiplier off by {result.trivial_error:.1e}, sum by {result.divergence_error:.1e}"),
    ]
    return run.show(result, f"Limit cycle of {run.source.name}", facts)


def _complex(value: complex) -> str:
    return show.number(value.real) if value.imag == 0 else f"{value.real:.6f}{value.imag:+.6f}i"


@command(
    "lyapmap.analysis.orbits.settling:settling",
    group="look",
    source=From(),
    usual={"n_steps": 1_000},
    examples="""
lyapmap settling kaleidoscope-mnist --trajectories 32
lyapmap settling logistic -p r=3.5 --trajectories 200 --steps 2000
lyapmap settling last.pt --x0 noise.npy --steps 1000 --out rest
""",
)
def settling(run: Run) -> int:
    """When trajectories come to rest, and where: fixed points and cycles with the share of starts that end there.

    With --out DIR: settling.nc, settling.json, settling.png and report.html.
    """
    result = run()
    low, high = result.settled_interval[-1]
    half = result.median_settled_at
    settled = int((result.attractor >= 0).sum())
    facts = [
        ("at rest", f"{result.settled_share[-1]:.1%} ({low:.1%} to {high:.1%}) of {len(result.attractor)}"),
        ("half by step", f"{half:.0f}" if half < math.inf else "-"),
        ("ends", f"{len(result.points)}, at least {result.n_estimated:.0f} in all" if len(result.points) else "-"),
        ("unseen", show.number(result.unseen) if result.unseen or not settled else f"below {1 / settled:.2g}"),
    ]
    return run.show(
        result, f"Where {run.source.name} comes to rest", facts, table=_ends_table if len(result.points) else None
    )


def _ends_table(result: Settling) -> Table:
    table = show.make_table("#", "period", "share", "95 % limits", "first components")
    for i, (share, (low, high)) in enumerate(zip(result.share, result.share_interval, strict=True)):
        if i < ENDS_SHOWN:
            limits = f"{low:.3f} to {high:.3f}"
            table.add_row(str(i + 1), str(result.period[i]), f"{share:.3f}", limits, _point(result.points[i]))
    show.cut(table, len(result.share), ENDS_SHOWN)
    return table


@command(
    "lyapmap.analysis.orbits.burn_in:burn_in",
    group="look",
    source=From(trajectories=200),
    usual={"n_steps": 300},
    examples="""
lyapmap burn-in logistic --trajectories 400
lyapmap burn-in kaleidoscope-mnist --trajectories 32 --steps 300 --out burn
""",
)
def burn_in(run: Run) -> int:
    """After how many steps the states of an ensemble can no longer be told from those at the end.

    With --out DIR: burn-in.nc, burn-in.json, burn-in.png and report.html.
    """
    result = run()
    words = "-"
    if math.isfinite(result.burn_in):
        first, last = result.burn_in_interval
        words = f"{result.burn_in:.0f} steps ({first:.0f} to {'no end' if math.isinf(last) else f'{last:.0f}'})"
    facts = [
        ("burn-in", words),
        ("threshold", f"{result.threshold:.4g}"),
        ("trajectories", str(result.settings["n_trajectories"])),
    ]
    return run.show(result, f"Burn-in of {run.source.name}", facts)
