"""`lyapmap spectrum`: Lyapunov exponents, dimension and entropy with error bars."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lyapmap.cli import common, show

if TYPE_CHECKING:
    from rich.table import Table

    from lyapmap.analysis.exponents.spectrum import LyapunovSpectrum
    from lyapmap.cli.source import Source

SHOWN = 40
"""Exponents that the table shows; the files hold all."""
STEPS = {"map": (100_000, 1_000), "callable": (10_000, 1_000), "model": (300, 100)}
"""Default steps and transient by kind of source."""
LARGE, LARGE_STEPS = 16, (4_000, 1_000)
"""Reference maps of more dimensions than this run fewer steps by default."""

EPILOG = """Examples:

lyapmap spectrum --map henon -p a=1.4 -p b=0.3

lyapmap spectrum --model cycle-mnist-012 --out report

lyapmap spectrum --model run/last.pt --data mnist --classes 0 --exponents 8

lyapmap spectrum --callable mypkg.maps:step --state-shape 2 --steps 5000 --json"""


@common.command
@common.about_a_map()
def spectrum(
    source: Source,
    steps: Annotated[
        int | None, typer.Option("--steps", "-n", min=1, help="Steps to average over.", show_default="by kind of map")
    ] = None,
    transient: Annotated[
        int | None, typer.Option("--transient", min=0, help="Steps before that.", show_default="by kind of map")
    ] = None,
    exponents: Annotated[
        str | None,
        typer.Option(
            "--exponents", "-k", metavar="K|auto|all", help="How many.", show_default="all to n=64, then auto"
        ),
    ] = None,
    qr_every: Annotated[
        str, typer.Option("--qr-every", metavar="STEPS|auto", help="Steps between re-orthonormalizations.")
    ] = "auto",
    tolerance: Annotated[
        float | None, typer.Option("--tolerance", help="Stop when the largest exponent's standard error is below.")
    ] = None,
    out: common.OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Lyapunov exponents of a network or map, with dimension, entropy and error bars.

    With --out DIR: spectrum.nc, spectrum.json, spectrum.png, convergence.png, trajectory.png and
    report.html.
    """
    from lyapmap.analysis.exponents.spectrum import lyapunov_spectrum
    from lyapmap.core.map import dimension

    k = _exponents(exponents)
    usual = STEPS[source.kind]
    if source.kind == "map" and dimension(source.map.state_shape) > LARGE:
        usual = LARGE_STEPS
    result, interrupted = common.completed(
        lambda: lyapunov_spectrum(
            source.map,
            source.x0,
            n_steps=usual[0] if steps is None else steps,
            transient=usual[1] if transient is None else transient,
            n_exponents=k,
            qr_every=qr_every if qr_every == "auto" else _number(qr_every, "--qr-every"),
            tolerance=tolerance,
            seed=source.seed,
            progress=not as_json,
            throw=False,
        )
    )
    show.conclude(
        result,
        title=f"Lyapunov spectrum of {source.name}",
        facts=_facts(result),
        table=None if as_json else _table(result),
        name="spectrum",
        out=out,
        as_json=as_json,
        source=source,
        interrupted=interrupted,
        pictures=[] if out is None else [_picture_of_convergence(result, out), _picture_of_trajectory(source, out)],
    )


def _exponents(text: str | None) -> int | str | None:
    return text if text in (None, "auto", "all") else _number(str(text), "--exponents")


def _number(text: str, option: str) -> int:
    from lyapmap.core.errors import LyapmapError

    try:
        return int(text)
    except ValueError:
        words = "a number, 'auto' or 'all'" if option == "--exponents" else "a number or 'auto'"
        raise LyapmapError(f"{option}: expected {words}, got {text!r}") from None


def _table(result: LyapunovSpectrum) -> Table:
    table = show.make_table("#", "exponent", "std. error", "spread")
    spread = result.per_trajectory.std(axis=0) if len(result.per_trajectory) > 1 else [None] * len(result.exponents)
    for i, (value, error, width) in enumerate(zip(result.exponents, result.stderr, spread, strict=True), 1):
        if i > SHOWN:
            table.caption = f"and {len(result.exponents) - SHOWN} more; --out or --json gives all"
            break
        cells = show.number(value), show.number(error), "-" if width is None else show.number(width)
        table.add_row(str(i), *cells, style="bold red" if value > 3 * error else "")
    return table


def _facts(result: LyapunovSpectrum) -> list[tuple[str, str]]:
    facts = [
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
        facts.append(
            ("cross-checks", f"[yellow]{len(failed)} of {len(checks)} fail: {names}[/yellow]" if failed else good)
        )
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


def _picture_of_convergence(result: LyapunovSpectrum, out: Path) -> tuple[str, Path]:
    path = out / "convergence.png"
    result.plot(kind="convergence").savefig(path, dpi=150)
    return "Whether to go on", path


def _picture_of_trajectory(source: Source, out: Path) -> tuple[str, Path]:
    from lyapmap.analysis.orbits.pictures_orbits import save_trajectory
    from lyapmap.analysis.orbits.trajectory import trajectory

    steps = 12 if source.shows_images else 2_000
    path = trajectory(source.map, source.x0, n_steps=steps, throw=False)
    return "Trajectory", save_trajectory(path, out / "trajectory.png")
