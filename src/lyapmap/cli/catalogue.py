"""`lyapmap check`, `maps`, `models`: what can be measured, and whether it keeps the contract."""

from __future__ import annotations

from typing import Any

from lyapmap.cli import show
from lyapmap.cli.command import From, Run, command
from lyapmap.core.errors import LyapmapError

LISTED = 4
"""Exponents that a line of the table holds."""


@command(
    group="data",
    source=From(trajectories=4),
    out=False,
    examples="""
lyapmap check cycle-mnist-012
lyapmap check mypkg.maps:step --state-shape 2
lyapmap check ikeda --json
""",
)
def check(run: Run) -> int:
    """Check a network or map: finite, repeatable, rows independent, derivatives right.

    Exits with 1 if a check fails.
    """
    from lyapmap.core.conformance import check_map

    source = run.source
    report = check_map(source.map, source.x0, seed=source.seed)
    if run.as_json:
        show.print_json(report.to_dict())
    else:
        print(f"{source.name}: {len(source.x0)} states from {source.started_from}")
        print(report)
    return 0 if report.ok else show.BAD_STATUS


@command(
    group="data",
    out=False,
    examples="""
lyapmap maps
lyapmap maps henon
lyapmap maps lorenz
lyapmap maps --json
""",
)
def maps(run: Run, name: str | None = None, /) -> int:
    """List the reference maps and flows, or show one in full.

    Parameters
    ----------
    name : NAME
        Show one map in full.
    """
    from lyapmap import systems

    known = systems.catalogue()
    if name is not None and name not in known:
        systems.create(name)  # raises, with the nearest name
    if run.as_json:
        show.print_json(known[name].to_dict() if name else {key: info.to_dict() for key, info in known.items()})
    elif name:
        _show_map(known[name])
    else:
        _show_maps(known)
    return 0


def _show_maps(known: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("map", "n", "parameters", "known exponents"):
        table.add_column(heading, overflow="fold")
    for name, info in known.items():
        best = info.known[0] if info.known else None
        exponents = f"{_some(best.exponents)}  ({_kind(best, info)})" if best else "-"
        table.add_row(name, "any" if info.dimension is None else str(info.dimension), _parameters(info), exponents)
    Console(soft_wrap=True, highlight=False, markup=False).print(table)


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


def _show_map(info: Any) -> None:
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
    print(info.name)
    for label, text in facts.items():
        if text:
            print(f"  {label:<12} {text}")
    for known in info.known:
        at = ", ".join(f"{key}={_plain(value)}" for key, value in known.parameters.items()) or "all parameters"
        exponents = ", ".join(f"{value:.6g}" for value in known.exponents)
        formula = f" = {known.formula}" if known.formula else ""
        print(f"  {'exponents':<12} {exponents}{formula}  ({_kind(known, info)}, at {at})")


@command(
    group="data",
    out=False,
    examples="""
lyapmap models
lyapmap models cycle-mnist-012
lyapmap models --json
""",
)
def models(run: Run, name: str | None = None, /) -> int:
    """List the shipped models, or show the card of one.

    Parameters
    ----------
    name : NAME
        Show the card of one model.
    """
    from lyapmap.files import papers, zoo

    if name is not None and name not in zoo.shipped():
        zoo.load_model(name)  # raises for what is neither shipped nor a file
        raise LyapmapError(f"NAME: {name} is a file and has no card; lyapmap spectrum {name} measures it")
    models_shown = {key: facts for key, facts in zoo.index().items() if name in (None, key)}
    if run.as_json:
        show.print_json(models_shown)
    elif name:
        print(zoo.card(name).rstrip())
    else:
        networks = {name: network for name, (_, network) in papers.networks().items()}
        for key, facts in models_shown.items():
            training, config = facts["training"], facts["config"]
            trained = training.get("settings", {}).get("data", "?")
            size = "x".join(map(str, facts["sample_states"][1:]))
            words = f"{facts['model']} model, states {size}, trained on {trained}, {training.get('epoch')} epochs"
            network = networks[facts["model"]]
            if network.from_noise:
                shape = "x".join(str(config[key]) for key in ("channels", "image_size", "image_size"))
                words = words.replace(f"states {size}", f"images {shape}")
            elif network.no_map:
                words = words.replace("model, states", "of images")
            words += f"; no map, for {network.serves}" if network.no_map else ""
            print(f"{key:<24} {words}")
    return 0
