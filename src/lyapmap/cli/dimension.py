"""`lyapmap dimension`: intrinsic dimension of data and of an attractor, side by side."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lyapmap.cli import common, show
from lyapmap.core.errors import LyapmapError

if TYPE_CHECKING:
    from lyapmap.analysis.dimension.comparison import DimensionComparison
    from lyapmap.cli.source import Source

STEPS = {"map": (2_500, 1_000), "callable": (2_500, 1_000), "model": (500, 200)}
"""Points of each trajectory and steps before, by kind of source."""
SPECTRUM_STEPS = {"map": 5_000, "callable": 1_000, "model": 300}
"""Steps that the Kaplan-Yorke dimension is averaged over."""
FEW = 16
"""Exponents that are computed all; of more, as many as the dimension needs."""

EPILOG = """Examples:

lyapmap dimension --data digits --classes 0,1,2

lyapmap dimension --map henon --out report

lyapmap dimension --model cycle-mnist-012 --data mnist --classes 0,1,2 --limit 10000

lyapmap dimension --points features.npy --method gride --method pca --json"""


@common.command
@common.about_a_map(optional=True)
def dimension(
    source: Source | None,
    seed: int,
    data: str | None = None,
    classes: str | None = None,
    points: Annotated[
        Path | None, typer.Option("--points", metavar="FILE", help=".npy, .csv or .txt, one point per row.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=10, help="At most so many points of a set, drawn at random.", show_default="all"),
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            help="gride, twonn, mle, pca or correlation; repeatable.",
            show_default="gride, twonn and mle",
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", "-n", min=1, help="Points of each trajectory.", show_default="by kind")
    ] = None,
    transient: Annotated[
        int | None, typer.Option("--transient", min=0, help="Steps before.", show_default="by kind")
    ] = None,
    kaplan_yorke: Annotated[
        bool, typer.Option("--kaplan-yorke/--no-kaplan-yorke", help="Compute the map's Kaplan-Yorke dimension too.")
    ] = True,
    approximate: Annotated[bool, typer.Option("--approximate", help="Let pynndescent find the neighbours.")] = False,
    out: common.OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Intrinsic dimension of data, of points in a file, and of a map's attractor, with error bars.

    With a map, --data names its initial states and the data to compare with.
    """
    from lyapmap.analysis.dimension.comparison import USUAL_METHODS, compare_dimensions

    sets = _sets(source, data=data, classes=classes, points=points, steps=steps, transient=transient)
    if limit is not None:
        sets = {name: _drawn(rows, limit, seed) for name, rows in sets.items()}
    known = (math.nan, math.nan)
    if source is not None and kaplan_yorke:
        known = _kaplan_yorke(source, transient, progress=not as_json)
    result, interrupted = common.completed(
        lambda: compare_dimensions(
            sets,
            methods=methods or USUAL_METHODS,
            kaplan_yorke=known,
            approximate=approximate,
            seed=seed,
            throw=False,
            progress=not as_json,
        )
    )
    names = [name for name in (data, None if points is None else points.name, source and source.name) if name]
    show.conclude(
        result,
        title=f"Intrinsic dimension of {' and '.join(names)}",
        facts=_facts(result, source is not None and kaplan_yorke),
        table=None if as_json else _table(result),
        name="dimension",
        out=out,
        as_json=as_json,
        source=source,
        interrupted=interrupted,
    )


def _sets(
    source: Source | None,
    *,
    data: str | None,
    classes: str | None,
    points: Path | None,
    steps: int | None,
    transient: int | None,
) -> dict[str, Any]:
    """What is measured: data, points of a file, the attractor."""
    from lyapmap.cli.measured import iterated, read_numbers

    if source is None and data is None and points is None:
        raise LyapmapError("expected --data, --points or a map (--map, --model or --callable), got none")
    if source is None and data is None and classes is not None:
        raise LyapmapError("--classes: only together with --data")
    sets: dict[str, Any] = {}
    if data is not None:
        from lyapmap.cli.image_data import images_like

        numbers = common.integers(classes, "--classes")
        sets["data"] = images_like(
            data,
            None if source is None else source.map,
            split="train",
            classes=numbers,
            resize=source is not None and source.resize,
        ).states
    if points is not None:
        values = read_numbers(points, "--points")
        sets["points"] = values[:, None] if values.ndim == 1 else values  # one column: points on a line
    if source is not None:
        usual = STEPS[source.kind]
        path = iterated(
            source,
            steps=usual[0] if steps is None else steps,
            transient=usual[1] if transient is None else transient,
        )
        sets["attractor"] = path.states.reshape(-1, path.states.shape[-1])
    return sets


def _drawn(rows: Any, limit: int, seed: int) -> Any:
    import numpy as np

    if len(rows) <= limit:
        return rows
    return rows[np.sort(np.random.default_rng(seed).choice(len(rows), limit, replace=False))]


def _kaplan_yorke(source: Source, transient: int | None, *, progress: bool) -> tuple[float, float]:
    from lyapmap.analysis.exponents.spectrum import lyapunov_spectrum
    from lyapmap.core.map import dimension as size

    n = size(source.map.state_shape)
    spectrum = lyapunov_spectrum(
        source.map,
        source.x0,
        n_steps=SPECTRUM_STEPS[source.kind],
        transient=STEPS[source.kind][1] if transient is None else transient,
        n_exponents=n if n <= FEW else "auto",
        seed=source.seed,
        progress=progress,
        throw=False,
    )
    return float(spectrum.kaplan_yorke), float(spectrum.kaplan_yorke_stderr)


def _table(result: DimensionComparison) -> Any:
    table = show.make_table("method", *result.names)
    for j, method in enumerate(result.methods):
        table.add_row(
            method, *(show.pair(*pair) for pair in zip(result.dimension[:, j], result.stderr[:, j], strict=True))
        )
    return table


def _facts(result: DimensionComparison, with_kaplan_yorke: bool) -> list[tuple[str, str]]:
    facts = []
    if with_kaplan_yorke:
        facts.append(("Kaplan-Yorke", show.pair(result.kaplan_yorke, result.kaplan_yorke_stderr) + " (attractor)"))
    for i, name in enumerate(result.names):
        dropped = f", {result.duplicates[i]} duplicates dropped" if result.duplicates[i] else ""
        at = result.scale[i, 0]
        scale = "" if math.isnan(at) else f", {result.methods[0]} at distance {at:.3g}"
        facts.append((name, f"{result.n_points[i]} points{dropped}{scale}"))
    return facts
