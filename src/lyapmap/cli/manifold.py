"""`lyapmap manifold`: precision and recall of what a map generates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lyapmap.cli import common, show

if TYPE_CHECKING:
    from rich.table import Table

    from lyapmap.analysis.manifold.along import ManifoldAlong
    from lyapmap.analysis.manifold.metrics import ManifoldMetrics
    from lyapmap.cli.source import Source

EPILOG = """Examples:

lyapmap manifold --real mnist --classes 0,1,2 --model cycle-mnist-012 --k 7 --steps 10 --out report

lyapmap manifold --real mnist --classes 0,1,2 --model cycle-mnist-012 --over trajectories --k 1-10

lyapmap manifold --real real.npy --generated generated.npy --k 3,5,10 --json"""

PANEL = common.SAMPLES_PANEL


@common.command
@common.about_a_map(optional=True, without=("x0", "data", "classes", "trajectories"))
def manifold(
    source: Source | None,
    seed: int,
    real: Annotated[
        str,
        typer.Option(
            "--real", metavar="NAME|FOLDER|FILE", help="Data set or file of real samples.", rich_help_panel=PANEL
        ),
    ],
    generated: common.GeneratedOption = None,
    classes: Annotated[
        str | None,
        typer.Option("--classes", metavar="N[,N...]", help="Only these classes of --real.", rich_help_panel=PANEL),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option("--samples", min=2, help="Real samples at most.", show_default="all", rich_help_panel=PANEL),
    ] = None,
    trajectories: Annotated[
        int | None,
        typer.Option(
            "--trajectories",
            "-b",
            min=1,
            help="Started from real samples.",
            show_default="all over steps; 8 over trajectories",
            rich_help_panel=PANEL,
        ),
    ] = None,
    neighbors: Annotated[str, typer.Option("--k", metavar="K|K-K|K,K,...", help="Numbers of neighbours.")] = "3,5,10",
    features: Annotated[
        str | None,
        typer.Option(
            "--features",
            metavar="NAME|FILE",
            help="pixels, classifier, random-vgg, vgg16, or a trained classifier.",
            show_default="classifier if one is shipped, else pixels",
        ),
    ] = None,
    weights: common.WeightsOption = None,
    steps: Annotated[
        int | None,
        typer.Option("--steps", "-n", min=0, help="Steps.", show_default="10; over trajectories as many as samples"),
    ] = None,
    transient: Annotated[int, typer.Option("--transient", min=0, help="Steps before that.")] = 0,
    over: Annotated[
        str, typer.Option("--over", metavar="steps|trajectories", help="What is one comparison.")
    ] = "steps",
    compare: Annotated[
        str, typer.Option("--compare", metavar="<=|<", help="Whether surfaces belong to spheres.")
    ] = "<=",
    out: common.OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Precision, recall, density and coverage of generated samples, along a map or from a file.

    Over steps, the states of all trajectories at one step are compared with the real samples; over
    trajectories, the states of each. A reference row compares as many training images.
    """
    from lyapmap.analysis.manifold.along import manifold_along
    from lyapmap.analysis.manifold.metrics import RealManifold
    from lyapmap.cli.measured import one_of, read_numbers
    from lyapmap.cli.samples import chosen_features, initial_states, neighbor_numbers, real_samples

    one_of(source, generated, "--generated")
    ks = neighbor_numbers(neighbors)
    given = real_samples(
        real,
        classes,
        samples,
        seed,
        None if source is None else source.map,
        resize=source is not None and source.resize,
    )
    embed = chosen_features(features, given, weights, None if source is None else source.map)
    side = RealManifold(given.points, k=ks, features=embed, progress=not as_json)
    if source is None:
        other = read_numbers(generated, "--generated")  # type: ignore[arg-type]
        metrics, interrupted = common.completed(
            lambda: side.compare(other, compare=compare, seed=seed, progress=not as_json, throw=False)
        )
        show.conclude(
            metrics,
            title=f"Manifold metrics of {generated.name} against {given.words}",  # type: ignore[union-attr]
            facts=_facts(metrics, str(metrics.settings["features"] or "values as they are")),
            table=None if as_json else _table_of_k(metrics),
            name="manifold",
            out=out,
            as_json=as_json,
            interrupted=interrupted,
        )
        return
    start, words = initial_states(source, given, trajectories, over, seed)
    along, interrupted = common.completed(
        lambda: manifold_along(
            side,
            source.map,
            start,
            n_steps=(10 if over == "steps" else side.n - 1) if steps is None else steps,
            transient=transient,
            over=over,
            reference=given.others,
            compare=compare,
            seed=seed,
            progress=not as_json,
            throw=False,
        )
    )
    show.conclude(
        along,
        title=f"Manifold metrics of {source.name} against {given.words}",
        facts=[
            ("started from", words),
            ("samples", f"{along.n_real} real, {along.n_generated} generated in each comparison"),
            ("features", str(along.settings["features"] or "values as they are")),
        ],
        table=None if as_json else _table_along(along),
        name="manifold",
        out=out,
        as_json=as_json,
        interrupted=interrupted,
    )


def _facts(metrics: ManifoldMetrics, features: str) -> list[tuple[str, str]]:
    return [
        ("samples", f"{metrics.n_real} real, {metrics.n_generated} generated"),
        ("duplicates", f"{metrics.duplicates_real} real, {metrics.duplicates_generated} generated"),
        ("features", features),
        ("limits", f"{metrics.settings['level']:.0%}, of the samples scored; how spheres vary is not in them"),
    ]


def _table_of_k(metrics: ManifoldMetrics) -> Table:
    table = show.make_table("k", "precision", "recall", "density", "coverage", "prob. precision", "prob. recall")
    names = ("precision", "recall", "density", "coverage", "probabilistic_precision", "probabilistic_recall")
    for place, k in enumerate(metrics.k):
        cells = []
        for name in names:
            low, high = getattr(metrics, f"{name}_interval")[place]
            cells.append(f"{getattr(metrics, name)[place]:.4f} ({low:.3f} to {high:.3f})")
        table.add_row(str(k), *cells)
    return table


def _table_along(along: ManifoldAlong) -> Table:
    """Over steps, a row for each step and k; over trajectories, means and standard deviations for each k."""
    names = ("precision", "recall", "density", "coverage")
    steps = along.over == "steps"
    table = show.make_table(*(["step"] if steps else []), "k", *names)
    for place, at in enumerate(along.at if steps else ()):
        for which, k in enumerate(along.k):
            cells = [f"{getattr(along, name)[place, which]:.4f}" for name in names]
            table.add_row(str(at), str(k), *cells)
    for which, k in enumerate(() if steps else along.k):
        values = [getattr(along, name)[:, which] for name in names]
        table.add_row(str(k), *(f"{v.mean():.3f} ± {v.std():.3f}" if len(v) else "-" for v in values))
    for which, k in enumerate(along.k if len(along.reference_precision) else ()):
        cells = [f"{getattr(along, f'reference_{name}')[0, which]:.4f}" for name in names]
        table.add_row(*(["reference", str(k)] if steps else [f"ref. {k}"]), *cells, style="dim")
    return table
