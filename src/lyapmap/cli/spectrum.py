"""`lyapmap spectrum`: Lyapunov exponents, dimension and entropy with error bars."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lyapmap.cli import common

if TYPE_CHECKING:
    from lyapmap.analysis.spectrum import LyapunovSpectrum
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
def spectrum(
    model: common.ModelOption = None,
    map_name: common.MapOption = None,
    parameters: common.ParameterOption = None,
    function: common.CallableOption = None,
    state_shape: common.ShapeOption = None,
    steps: Annotated[
        int | None, typer.Option("--steps", "-n", min=1, help="Steps to average over.", show_default="by kind of map")
    ] = None,
    transient: Annotated[
        int | None, typer.Option("--transient", min=0, help="Steps before that.", show_default="by kind of map")
    ] = None,
    trajectories: common.TrajectoriesOption = None,
    exponents: Annotated[
        str | None,
        typer.Option(
            "--exponents", "-k", metavar="K|auto|all", help="How many.", show_default="all to n=64, then auto"
        ),
    ] = None,
    qr_every: Annotated[int, typer.Option("--qr-every", min=1, help="Steps between re-orthonormalizations.")] = 1,
    tolerance: Annotated[
        float | None, typer.Option("--tolerance", help="Stop when the largest exponent's standard error is below.")
    ] = None,
    dtype: common.DtypeOption = None,
    device: common.DeviceOption = None,
    seed: common.SeedOption = 0,
    x0: common.X0Option = None,
    data: common.DataOption = None,
    classes: common.ClassesOption = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Write files and pictures there.")] = None,
    as_json: common.JsonOption = False,
) -> None:
    """Lyapunov exponents of a network or map, with dimension, entropy and error bars.

    With --out DIR: spectrum.nc, spectrum.json, spectrum.png, trajectory.png and report.html.
    """
    from lyapmap.analysis.spectrum import lyapunov_spectrum
    from lyapmap.cli.source import load_source
    from lyapmap.core.errors import Interrupted
    from lyapmap.core.map import dimension

    k = _exponents(exponents)
    out = common.output_folder(out)
    source = load_source(
        model=model,
        map_name=map_name,
        parameters=parameters,
        function=function,
        state_shape=state_shape,
        x0=x0,
        data=data,
        classes=classes,
        trajectories=trajectories,
        dtype=dtype,
        device=device,
        seed=seed,
    )
    usual = STEPS[source.kind]
    if source.kind == "map" and dimension(source.map.state_shape) > LARGE:
        usual = LARGE_STEPS
    interrupted = False
    try:
        result = lyapunov_spectrum(
            source.map,
            source.x0,
            n_steps=usual[0] if steps is None else steps,
            transient=usual[1] if transient is None else transient,
            n_exponents=k,
            qr_every=qr_every,
            tolerance=tolerance,
            seed=seed,
            progress=not as_json,
            throw=False,
        )
    except Interrupted as stopped:
        if stopped.result is None:
            raise
        result, interrupted = stopped.result, True  # type: ignore[assignment]
    if out is not None:
        _write(result, source, out)
    if as_json:
        typer.echo(result.to_json())
    else:
        _show(result, source, out)
    if interrupted:
        raise typer.Exit(common.INTERRUPTED)
    if result.failed:
        raise typer.Exit(common.BAD_STATUS)


def _exponents(text: str | None) -> int | str | None:
    if text is None or text in ("auto", "all"):
        return text
    from lyapmap.core.errors import LyapmapError

    try:
        return int(text)
    except ValueError:
        raise LyapmapError(f"--exponents: expected a number, 'auto' or 'all', got {text!r}") from None


def _show(result: LyapunovSpectrum, source: Source, out: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=not sys.stdout.isatty(), highlight=False)
    table = Table(title=f"Lyapunov spectrum of {source.name}", title_justify="left", caption_justify="left")
    for heading in ("#", "exponent", "std. error", "spread"):
        table.add_column(heading, justify="right")
    spread = result.per_trajectory.std(axis=0) if len(result.per_trajectory) > 1 else [None] * len(result.exponents)
    for i, (value, error, width) in enumerate(zip(result.exponents, result.stderr, spread, strict=True), 1):
        if i > SHOWN:
            table.caption = f"and {len(result.exponents) - SHOWN} more; --out or --json gives all"
            break
        style = "bold red" if value > 3 * error else ""
        table.add_row(str(i), _number(value), _number(error), "-" if width is None else _number(width), style=style)
    console.print(table)
    for label, text in _facts(result, source):
        console.print(f"[bold]{label:<18}[/bold] {text}")
    if out is not None:
        console.print(f"[bold]{'written to':<18}[/bold] {out}")


def _facts(result: LyapunovSpectrum, source: Source) -> list[tuple[str, str]]:
    b = len(result.per_trajectory)
    facts = [
        (
            "Kaplan-Yorke dim.",
            f"{_pair(result.kaplan_yorke, result.kaplan_yorke_stderr)}  ({result.kaplan_yorke_verdict})",
        ),
        ("entropy", f"{_pair(result.entropy, result.entropy_stderr)} nats per step"),
        ("positive", f"{result.n_positive} of {len(result.exponents)} computed"),
        ("attractor", result.attractor),
    ]
    rule = result.sum_rule
    if rule is not None:
        facts.append(("sum rule", f"sum {_number(rule['sum'])}, mean log|det J| {_number(rule['log_det'])}"))
    origin = result.provenance
    where = f"{origin['dtype']} on {origin['device']}"
    facts.append(("run", f"{b} x {result.n_steps} steps after {result.settings['transient']}, {where}"))
    facts.append(("started from", source.started_from))
    if origin["derivative"] in ("complex step", "central differences"):
        facts.append(("derivative", origin["derivative"]))
    facts.append(("seconds", f"{origin['seconds']:.2f}"))
    status = str(result.status)
    colour = "green" if status == "ok" else "red" if result.failed else "yellow"
    words = f"[{colour}]{status}[/{colour}]"
    if result.message:
        words += f": {result.message}; {result.status.remedy}"
    facts.append(("status", words))
    return facts


def _number(value: float) -> str:
    """Six decimals where that shows something, else scientific."""
    if value != value:  # NaN
        return "-"
    small = value != 0 and abs(value) < 5e-6
    return f"{value:.1e}" if small or abs(value) >= 1e6 else f"{value:.6f}"


def _pair(value: float, error: float) -> str:
    if value != value:
        return "not determined"
    return f"{value:.4f} ± {error:.4f}" if error == error else f"{value:.4f}"


def _write(result: LyapunovSpectrum, source: Source, out: Path) -> None:
    from lyapmap.analysis.trajectory import trajectory
    from lyapmap.views.report import save_report
    from lyapmap.views.trajectory import save_trajectory

    result.save(out / "spectrum.nc")
    result.save(out / "spectrum.json")
    result.plot().savefig(out / "spectrum.png", dpi=150)
    steps = 12 if source.shows_images else 2_000
    path = trajectory(source.map, source.x0, n_steps=steps, throw=False)
    save_trajectory(path, out / "trajectory.png")
    facts: list[tuple[str, Any]] = [(label, _without_markup(text)) for label, text in _facts(result, source)]
    save_report(
        out / "report.html",
        title=f"Lyapunov spectrum of {source.name}",
        facts=facts,
        pictures=[("Spectrum, convergence, dimension", out / "spectrum.png"), ("Trajectory", out / "trajectory.png")],
        provenance=result.provenance,
    )


def _without_markup(text: str) -> str:
    from rich.text import Text

    return Text.from_markup(text).plain
