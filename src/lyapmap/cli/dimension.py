"""`lyapmap dimension` and `correlation-dimension`: of data, and of an attractor."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lyapmap.cli import show
from lyapmap.cli.command import From, Run, command
from lyapmap.core.errors import LyapmapError

if TYPE_CHECKING:
    from lyapmap.analysis.dimension.comparison import DimensionComparison
    from lyapmap.cli.source import Source

SPECTRUM_STEPS = {"map": 5_000, "callable": 1_000, "model": 300}
"""Steps that the Kaplan-Yorke dimension is averaged over."""
FEW = 16
"""Exponents that are computed all; of more, as many as the dimension needs."""


@command(
    "lyapmap.analysis.dimension.comparison:compare_dimensions",
    group="measure",
    source=From(optional=True),
    hides=("kaplan_yorke",),
    names={"methods": "--method"},
    usual={
        "n_steps": {"map": 2_500, "callable": 2_500, "model": 500},
        "transient": {"map": 1_000, "callable": 1_000, "model": 200},
    },
    examples="""
lyapmap dimension --data digits --classes 0,1,2
lyapmap dimension henon --out report
lyapmap dimension cycle-mnist-012 --data mnist --classes 0,1,2 --limit 10000
lyapmap dimension --points features.npy --method gride --method pca --json
""",
)
def dimension(
    run: Run,
    *,
    points: Path | None = None,
    limit: int | None = None,
    n_steps: int,
    transient: int,
    kaplan_yorke: bool = True,
) -> int:
    """Intrinsic dimension of data, of points in a file, and of a map's attractor, with error bars.

    With a map, --data names its initial states and the data to compare with.

    Parameters
    ----------
    points : FILE
        .csv, .tsv, .txt, .npy or .npz, one point per row.
    limit : N, at least 10
        At most so many points of a set, drawn at random; all by default.
    n_steps : N, at least 1
        Points of each trajectory.
    transient : N, at least 0
        Steps before.
    kaplan_yorke
        Compute the map's Kaplan-Yorke dimension too.
    """
    source, data = run.source, run.values["data"]
    sets = _sets(run, points, n_steps, transient)
    if limit is not None:
        sets = {name: _drawn(rows, limit, run.seed) for name, rows in sets.items()}
    known = (math.nan, math.nan)
    if source is not None and kaplan_yorke:
        known = _kaplan_yorke(source, transient, progress=run.progress)
    result = run(sets, kaplan_yorke=known)
    names = [name for name in (data, None if points is None else points.name, source and source.name) if name]
    return run.show(
        result,
        f"Intrinsic dimension of {' and '.join(names)}",
        _facts(result, source is not None and kaplan_yorke),
        table=_table,
    )


def _sets(run: Run, points: Path | None, n_steps: int, transient: int) -> dict[str, Any]:
    """What is measured: data, points of a file, the attractor."""
    from lyapmap.cli.samples import iterated, read_numbers
    from lyapmap.cli.source import images_like

    source, data, classes = run.source, run.values["data"], run.values["classes"]
    if source is None and data is None and points is None:
        raise LyapmapError("expected --data, --points or a map (--map, --model or --callable), got none")
    if source is None and data is None and classes is not None:
        raise LyapmapError("--classes: only together with --data")
    sets: dict[str, Any] = {}
    if data is not None:
        tangent_map = None if source is None else source.map
        sets["data"] = images_like(data, tangent_map, split="train", classes=classes, changed=run.images).states
    if points is not None:
        values = read_numbers(points, "--points")
        sets["points"] = values[:, None] if values.ndim == 1 else values  # one column: points on a line
    if source is not None:
        path = iterated(source, source.x0, steps=n_steps, transient=transient)
        sets["attractor"] = path.states.reshape(-1, path.states.shape[-1])
    return sets


def _drawn(rows: Any, limit: int, seed: int) -> Any:
    import numpy as np

    if len(rows) <= limit:
        return rows
    return rows[np.sort(np.random.default_rng(seed).choice(len(rows), limit, replace=False))]


def _kaplan_yorke(source: Source, transient: int, *, progress: bool) -> tuple[float, float]:
    from lyapmap.analysis.exponents.spectrum import lyapunov_spectrum
    from lyapmap.core.map import dimension as size

    n = size(source.map.state_shape)
    spectrum = lyapunov_spectrum(
        source.map,
        source.x0,
        n_steps=SPECTRUM_STEPS[source.kind],
        transient=transient,
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


@command(
    "lyapmap.analysis.dimension.correlation:correlation_dimension",
    group="measure",
    source=From(trajectories=1, optional=True),
    hides=("trajectories",),
    usual={"n_steps": {"map": 20_000, "callable": 20_000, "model": 2_000}, "transient": 1_000},
    examples="""
lyapmap correlation-dimension henon
lyapmap correlation-dimension henon --trajectories 4 --steps 5000 --out report
lyapmap correlation-dimension --points orbit.npy --theiler 50 --json
""",
)
def correlation_dimension(
    run: Run, *, points: Path | None = None, bundle: bool = False, n_steps: int, transient: int
) -> int:
    """Correlation dimension of an attractor, with an error bar.

    Parameters
    ----------
    points : FILE
        .csv, .tsv, .txt, .npy or .npz, one point per row.
    bundle
        --points holds trajectories (b, N, d) and no points of N x d values.
    n_steps : N, at least 1
        Points of each trajectory.
    transient : N, at least 0
        Steps before.
    """
    from lyapmap.cli.samples import iterated, one_of, read_numbers

    one_of(run.source, points, "--points")
    if bundle and points is None:
        raise LyapmapError("--bundle: only together with --points")
    given: Any
    if points is None:
        given, name = iterated(run.source, run.source.x0, steps=n_steps, transient=transient), run.source.name
    else:
        given, name = read_numbers(points, "--points"), points.name
    result = run(given, trajectories=bundle)
    low, high = result.window
    facts = [
        ("dimension", show.pair(result.dimension, result.stderr)),
        ("error", f"{show.number(result.statistical)} sample, {show.number(result.systematic)} window"),
        ("radii", "none" if low != low else f"{low:.3g} to {high:.3g}"),
        ("points", f"{result.n_points}, pairs more than {result.theiler} steps apart"),
    ]
    return run.show(result, f"Correlation dimension of {name}", facts, name="correlation_dimension")
