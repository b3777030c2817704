"""`lyapmap embed`: data in the plane by UMAP, and where a map goes among them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lyapmap.cli import common, show
from lyapmap.core.errors import LyapmapError

if TYPE_CHECKING:
    from lyapmap.analysis.manifold.embedding import EmbeddedStates, Embedding
    from lyapmap.cli.source import Source

STEPS = 1000
"""Of one trajectory, if neither --steps nor --at is given."""
ENSEMBLE = 1000
"""Trajectories at most by default, if --at is given."""

EPILOG = """Examples:

lyapmap embed --real mnist --classes 0,1,2 --model cycle-mnist-012 --steps 3000 --out report

lyapmap embed --fitted report/fitted.nc --real mnist --start 0 --model cycle-mnist-012 --at 0,1,2,3,10,30 --out panels

lyapmap embed --real data.npy --generated generated.npy --json"""

PANEL = common.SAMPLES_PANEL
FIT = "Layout"


@common.command
@common.about_a_map(optional=True, without=("x0", "data", "classes", "trajectories"))
def embed(
    source: Source | None,
    seed: int,
    real: Annotated[
        str | None,
        typer.Option(
            "--real", metavar="NAME|FOLDER|FILE", help="Data set or file of samples to lay out.", rich_help_panel=PANEL
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option("--classes", metavar="N[,N...]", help="Only these classes of --real.", rich_help_panel=PANEL),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option("--samples", min=4, help="Training images at most.", show_default="all", rich_help_panel=PANEL),
    ] = None,
    fitted: Annotated[
        Path | None,
        typer.Option("--fitted", metavar="FILE", help="A layout made before, fitted.nc.", rich_help_panel=PANEL),
    ] = None,
    generated: Annotated[
        Path | None,
        typer.Option("--generated", metavar="FILE", help="Points in order, instead of a map.", rich_help_panel=PANEL),
    ] = None,
    trajectories: Annotated[
        int | None,
        typer.Option(
            "--trajectories",
            "-b",
            min=1,
            help="Started from test images of --real.",
            show_default="1; with --at all, at most 1000",
            rich_help_panel=PANEL,
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--start", metavar="N[,N...]", help="Start from these classes only.", rich_help_panel=PANEL),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option("--steps", "-n", min=1, help="One picture of so many steps.", show_default="1000"),
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="N,N,...", help="Or a panel for each of these steps.")
    ] = None,
    transient: Annotated[int, typer.Option("--transient", min=0, help="Steps before --steps.")] = 0,
    neighbors: Annotated[
        int | None,
        typer.Option("--neighbors", min=2, help="Of each point, itself one.", show_default="15", rich_help_panel=FIT),
    ] = None,
    min_dist: Annotated[
        float | None,
        typer.Option("--min-dist", help="How close points may come.", show_default="0.1", rich_help_panel=FIT),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric", help="euclidean, chebyshev or cityblock.", show_default="euclidean", rich_help_panel=FIT
        ),
    ] = None,
    approximate: Annotated[
        bool, typer.Option("--approximate", help="Let pynndescent find the neighbours.", rich_help_panel=FIT)
    ] = False,
    out: common.OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Lay data out in the plane by UMAP and show where a map, or a file of points, lies among them.

    The layout is of training images; trajectories start from test images. --out also holds
    fitted.nc, which --fitted takes instead of fitting again.
    """
    from lyapmap.cli.measured import iterated_from, read_numbers, told_of

    if source is not None and generated is not None:
        raise LyapmapError("expected a map (--map, --model or --callable) or --generated, got both")
    if steps is not None and at is not None:
        raise LyapmapError("--steps and --at: expected one of them, got both")
    chosen = common.integers(at, "--at")
    options = {"n_neighbors": neighbors, "min_dist": min_dist, "metric": metric, "approximate": approximate or None}
    given = {name: value for name, value in options.items() if value is not None}
    layout, words = _layout(source, real, classes, samples, fitted, given, seed, progress=not as_json)
    facts = [("layout of", words)]
    result: EmbeddedStates
    interrupted = False
    if source is None:
        states = None if generated is None else read_numbers(generated, "--generated")
        result = layout.place(layout.points[:0] if states is None else states, at=chosen)
    else:
        usual = 1 if chosen is None else ENSEMBLE
        x0, origin = _start(source, layout, real, classes, start, trajectories, usual, seed)
        facts.append(("started from", origin))
        if chosen is None:
            orbit, interrupted = common.completed(
                lambda: iterated_from(
                    source, x0, steps=STEPS if steps is None else steps, transient=transient, progress=not as_json
                )
            )
            result = told_of(layout.place(orbit), orbit, interrupted)
        else:
            result = layout.along(source.map, x0, at=chosen, progress=not as_json)
    if out is not None and fitted is None:
        layout.save(out / "fitted.nc")
    show.conclude(
        result,
        title=f"Embedding of {_named(source, generated) or words}",
        facts=[*facts, *_facts(result, layout)],
        name="embedding",
        out=out,
        as_json=as_json,
        interrupted=interrupted,
    )


def _named(source: Source | None, generated: Path | None) -> str:
    return source.name if source is not None else generated.name if generated is not None else ""


def _layout(
    source: Source | None,
    real: str | None,
    classes: str | None,
    samples: int | None,
    fitted: Path | None,
    given: dict[str, Any],
    seed: int,
    *,
    progress: bool,
) -> tuple[Embedding, str]:
    """A layout that was saved, or one of a data set or file, and what it is of."""
    from dataclasses import replace

    import numpy as np

    from lyapmap.analysis.manifold.embedding import Embedding, embed
    from lyapmap.cli.samples import some
    from lyapmap.cli.training_samples import training_samples

    if fitted is not None:
        if given or samples is not None:
            raise LyapmapError("--fitted: a layout that is made has its samples, neighbours and metric already")
        layout = Embedding.load(fitted)
        return layout, f"{len(layout.data)} points, {fitted}"
    if real is None:
        raise LyapmapError("expected --real, which is laid out, or --fitted, got none")
    training, _ = training_samples(
        real,
        classes,
        None,
        None if source is None else source.map,
        "--real",
        resize=source is not None and source.resize,
    )
    keep = some(range(len(training.points)), samples, seed)
    labels = None if training.labels is None else training.labels[keep]
    layout = embed(training.points[keep], labels=labels, seed=seed, progress=progress, **given)
    if labels is not None and training.class_names:
        words = tuple(training.class_names[int(label)] for label in np.unique(labels))
        layout = replace(layout, label_names=words)
    return layout, f"{len(keep)} of {training.words}"


def _start(
    source: Source,
    layout: Embedding,
    real: str | None,
    classes: str | None,
    start: str | None,
    trajectories: int | None,
    usual: int,
    seed: int,
) -> tuple[Any, str]:
    """Initial states among test images, else among the points laid out."""
    import numpy as np

    from lyapmap.cli.samples import states_among
    from lyapmap.cli.training_samples import held_out_images

    if start is not None or classes is not None:
        wanted = common.integers(start or classes, "--start" if start else "--classes")
    else:
        wanted = tuple(int(label) for label in np.unique(layout.labels)) or None
    points, words = (None, "") if real is None else held_out_images(real, wanted, source.map, resize=source.resize)
    if points is None:
        points, words = layout.points, "points laid out"
        if start is not None:
            raise LyapmapError("--start: only with --real, a data set that has test images")
    count = min(usual, len(points)) if trajectories is None else trajectories
    return states_among(points, source, count, seed, "--real", words), f"{count} of {words}"


def _facts(result: EmbeddedStates, layout: Embedding) -> list[tuple[str, str]]:
    s = layout.settings
    b, n, _ = result.coordinates.shape
    facts = [
        ("parameters", f"{s['n_neighbors']} neighbours, min_dist {s['min_dist']:g}, {s['metric']}, seed {layout.seed}"),
        ("fitted in", f"{layout.provenance['seconds']:.1f} s"),
    ]
    if b * n:
        steps = ", ".join(map(str, result.at)) if n <= 20 else f"{result.at[0]} to {result.at[-1]}"
        facts.append(("states", f"{b} x {n}, steps {steps}"))
    return facts
