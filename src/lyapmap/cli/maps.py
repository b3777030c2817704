"""`lyapmap maps`: the reference maps and flows."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lyapmap.cli import common

LISTED = 4
"""Exponents that a line of the table holds."""

EPILOG = """Examples:

lyapmap maps

lyapmap maps henon

lyapmap maps lorenz

lyapmap maps --json"""


@common.command
def maps(
    name: Annotated[str | None, typer.Argument(help="Show one map in full.")] = None,
    as_json: common.JsonOption = False,
) -> None:
    """List the reference maps and flows, or show one in full."""
    from lyapmap import systems

    known = systems.catalogue()
    if name is not None and name not in known:
        systems.create(name)  # raises, with the nearest name
    if as_json:
        common.echo_json(known[name].to_dict() if name else {key: info.to_dict() for key, info in known.items()})
    elif name:
        _show_one(known[name])
    else:
        _show_all(known)


def _show_all(known: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("map", "n", "parameters", "known exponents"):
        table.add_column(heading, overflow="fold")
    for name, info in known.items():
        best = info.known[0] if info.known else None
        exponents = f"{_some(best.exponents)}  ({_kind(best, info)})" if best else "-"
        table.add_row(name, "any" if info.dimension is None else str(info.dimension), _parameters(info), exponents)
    Console(soft_wrap=True, highlight=False).print(table)


def _some(exponents: tuple[float, ...]) -> str:
    """The first few, for a line of a table."""
    more = ", ..." if len(exponents) > LISTED else ""
    return ", ".join(f"{value:.4g}" for value in exponents[:LISTED]) + more


def _kind(known: Any, info: Any) -> str:
    """Where they come from, and what they are counted in where it is not steps."""
    return known.kind if info.unit == "per step" else f"{known.kind}, {info.unit}"


def _parameters(info: Any) -> str:
    return ", ".join(f"{key}={_plain(value)}" for key, value in info.parameters.items()) or "-"


def _plain(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _show_one(info: Any) -> None:
    facts = {
        "formula": info.formula,
        "source": info.source,
        "dimension": "any" if info.dimension is None else str(info.dimension),
        "parameters": _parameters(info),
        "identity": info.identity,
        "unit": f"nats {info.unit}",
        "start in": f"{info.low} to {info.high}",
        "notes": info.notes,
    }
    typer.echo(info.name)
    for label, text in facts.items():
        if text:
            typer.echo(f"  {label:<12} {text}")
    for known in info.known:
        at = ", ".join(f"{key}={_plain(value)}" for key, value in known.parameters.items()) or "all parameters"
        exponents = ", ".join(f"{value:.6g}" for value in known.exponents)
        formula = f" = {known.formula}" if known.formula else ""
        typer.echo(f"  {'exponents':<12} {exponents}{formula}  ({_kind(known, info)}, at {at})")
