"""`lyapmap transitions`: which category follows which."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lyapmap.cli import common, show

if TYPE_CHECKING:
    from rich.table import Table

    from lyapmap.analysis.manifold.transitions import Transitions
    from lyapmap.cli.source import Source

STEPS = {"map": 10_000, "callable": 10_000, "model": 300}
WIDEST = 3
"""Categories up to which the matrix is printed."""

EPILOG = """Examples:

lyapmap transitions --model cycle-mnist-012 --order 0,1,2 --steps 300 --out report

lyapmap transitions --model cycle-digits-012 --classifier classifier.pt

lyapmap transitions --map logistic -p r=4 --threshold 0.5

lyapmap transitions --labels labels.npy --json"""


@common.command
@common.about_a_map(optional=True)
def transitions(
    source: Source | None,
    model: str | None,
    device: str | None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="FILE", help="Categories 0, 1, ..., a row a trajectory, instead of a map."),
    ] = None,
    classifier: Annotated[
        str | None,
        typer.Option(
            "--classifier",
            metavar="NAME|FILE",
            help="A shipped or trained classifier of images.",
            show_default="the one shipped for the model's data",
        ),
    ] = None,
    threshold: Annotated[
        str | None,
        typer.Option("--threshold", metavar="X[,X...]", help="Categories are the intervals between these values."),
    ] = None,
    component: Annotated[int, typer.Option("--component", min=0, help="Of the state, for --threshold.")] = 0,
    order: Annotated[
        str | None,
        typer.Option("--order", metavar="N,N,...", help="The cycle to hold.", show_default="the commonest"),
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", "-n", min=1, help="Steps to record.", show_default="by kind of map")
    ] = None,
    transient: Annotated[int, typer.Option("--transient", min=0, help="Steps before that.")] = 0,
    out: common.OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Categories along trajectories: transition matrix, how often a cycle holds, stays, entropy rate."""
    from lyapmap.analysis.manifold.transitions import transitions as analyse
    from lyapmap.analysis.orbits.trajectory import trajectory
    from lyapmap.cli.labelling import chosen_classifier
    from lyapmap.cli.measured import one_of, read_numbers, told_of

    one_of(source, labels, "--labels")
    cycle = common.integers(order, "--order")
    states: Any
    cut = False
    classify = chosen_classifier(
        None if source is None else source.map, model, classifier, threshold, component, device
    )
    if source is None:
        states = read_numbers(labels, "--labels")  # type: ignore[arg-type]
        if states.dtype.kind == "f" and (states == states.round()).all():
            states = states.astype(int)  # a table of text has no integers
    else:
        n_steps = STEPS[source.kind] if steps is None else steps
        # What Ctrl-C leaves of the states is analysed all the same.
        states, cut = common.completed(
            lambda: trajectory(
                source.map, source.x0, n_steps=n_steps, transient=transient, progress=not as_json, throw=False
            )
        )
    result, interrupted = common.completed(
        lambda: analyse(states, classify, order=cycle, progress=not as_json, throw=False)
    )
    result = told_of(result, states, cut)
    name = labels.name if source is None else source.name  # type: ignore[union-attr]
    show.conclude(
        result,
        title=f"Transitions of {name}",
        facts=_facts(result),
        table=None if as_json else _table(result),
        name="transitions",
        out=out,
        as_json=as_json,
        source=source,
        interrupted=interrupted or cut,
    )


def _facts(result: Transitions) -> list[tuple[str, str]]:
    low, high = result.accuracy_interval
    accuracy = "no order is followed more often than chance would"
    if len(result.order):
        cycle = " → ".join(map(str, [*result.order, result.order[0]]))
        asked = "" if result.settings["order"] == "given" else ", the commonest order"
        accuracy = f"{result.accuracy:.4f} ({low:.4f} to {high:.4f}) of {cycle}{asked}"
    best = f"{int(result.cycles.max()) if len(result.cycles) else 0} whole cycles" if len(result.order) else "-"
    b, n = result.labels.shape
    facts = [
        ("states", f"{b} x {n}"),
        ("cycle accuracy", accuracy),
        ("longest run", best),
        ("entropy rate", f"{show.pair(result.entropy_rate, result.entropy_stderr)} nats {result.unit}"),
        (
            "with memory",
            ", ".join(f"{rate:.4f}" for rate in result.memory_rates[:5]) + " given the 0, 1, ... categories before",
        ),
    ]
    if result.settings["classify"]:
        facts.insert(1, ("categories by", str(result.settings["classify"])))
    return facts


def _table(result: Transitions) -> Table:
    """The matrix where it fits into a terminal, else what follows most often."""
    wide = len(result.categories) > WIDEST
    middle = ["followed by"] if wide else [f"to {c}" for c in result.categories]
    table = show.make_table("from", *middle, "part", "stationary", "dwell")
    for place, category in enumerate(result.categories):
        row, errors = result.matrix[place], result.matrix_stderr[place]
        if wide:
            often = [i for i in (-row).argsort(kind="stable")[:4] if row[i] > 0]
            cells = [", ".join(f"{result.categories[i]} ({row[i]:.2f})" for i in often) or "-"]
        else:
            cells = ["-" if p != p else f"{p:.3f} ± {error:.3f}" for p, error in zip(row, errors, strict=True)]
        ends = (result.occupation[place], 3), (result.stationary[place], 3), (result.dwell_mean[place], 2)
        table.add_row(str(category), *cells, *(_or_dash(value, decimals) for value, decimals in ends))
    return table


def _or_dash(value: float, decimals: int) -> str:
    return "-" if value != value else f"{value:.{decimals}f}"
