"""`lyapmap memorization`: does a map repeat the samples it was trained on?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lyapmap.cli import common, show

if TYPE_CHECKING:
    from lyapmap.analysis.manifold.memorization import Memorization
    from lyapmap.cli.source import Source

EPILOG = """Examples:

lyapmap memorization --data mnist --classes 0,1,2 --model cycle-mnist-012 --out report

lyapmap memorization --data digits --classes 0,1,2 --model cycle-digits-012 -b 60 --steps 5

lyapmap memorization --data training.npy --held-out held_out.npy --generated generated.npy --json"""

PANEL = common.SAMPLES_PANEL


@common.command
@common.about_a_map(optional=True, without=("x0", "data", "classes", "trajectories"))
def memorization(
    source: Source | None,
    seed: int,
    data: Annotated[
        str,
        typer.Option(
            "--data", metavar="NAME|FOLDER|FILE", help="Data set or file of training samples.", rich_help_panel=PANEL
        ),
    ],
    classes: Annotated[
        str | None,
        typer.Option("--classes", metavar="N[,N...]", help="Only these classes of --data.", rich_help_panel=PANEL),
    ] = None,
    held_out: Annotated[
        Path | None,
        typer.Option(
            "--held-out",
            metavar="FILE",
            help="Samples not trained on.",
            show_default="test images; without, training samples among themselves",
            rich_help_panel=PANEL,
        ),
    ] = None,
    generated: common.GeneratedOption = None,
    trajectories: Annotated[
        int | None,
        typer.Option(
            "--trajectories",
            "-b",
            min=1,
            help="Started from held-out or training samples.",
            show_default="100, or as many as there are",
            rich_help_panel=PANEL,
        ),
    ] = None,
    features: Annotated[
        str,
        typer.Option(
            "--features", metavar="NAME|FILE", help="pixels, classifier, random-vgg, vgg16, or a trained classifier."
        ),
    ] = "pixels",
    weights: common.WeightsOption = None,
    quantile: Annotated[
        float, typer.Option("--quantile", min=0, max=1, help="Of the held-out distances that counts as close.")
    ] = 0.05,
    steps: Annotated[int, typer.Option("--steps", "-n", min=0, help="Steps to take states from.")] = 9,
    transient: Annotated[int, typer.Option("--transient", min=0, help="Steps before that.")] = 20,
    out: common.OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Distances of generated samples to the training data, against those of samples never trained on."""
    from lyapmap.analysis.manifold.memorization import memorization as analyse
    from lyapmap.cli.measured import one_of
    from lyapmap.cli.samples import chosen_features
    from lyapmap.cli.training_samples import generated_samples, training_samples

    one_of(source, generated, "--generated")
    training, others = training_samples(
        data,
        classes,
        held_out,
        None if source is None else source.map,
        resize=source is not None and source.resize,
    )
    embed = chosen_features(features, training, weights, None if source is None else source.map)
    samples, words = generated_samples(
        source, generated, training, others, trajectories=trajectories, steps=steps, transient=transient, seed=seed
    )
    result, interrupted = common.completed(
        lambda: analyse(
            samples,
            training.points,
            held_out=others,
            features=embed,
            quantile=quantile,
            seed=seed,
            progress=not as_json,
            throw=False,
        )
    )
    show.conclude(
        result,
        title=f"Memorization of {training.words}",
        facts=[("generated", words), *_facts(result)],
        name="memorization",
        out=out,
        as_json=as_json,
        interrupted=interrupted,
    )


def _facts(result: Memorization) -> list[tuple[str, str]]:
    low, high = result.closer_interval
    among = "held-out samples" if result.settings["reference"] == "held out" else "training samples among themselves"
    median = sorted(result.distance)[len(result.distance) // 2]
    return [
        ("samples", f"{result.settings['n_training']} training, {len(result.distance)} generated"),
        ("reference", f"{len(result.reference_distance)} {among}"),
        ("features", str(result.settings["features"] or "values as they are")),
        ("copies", f"{result.copies} exact, nearest at {result.distance.min():.4g}, median {median:.4g}"),
        (
            "close",
            f"{result.closer:.4f} ({low:.4f} to {high:.4f}) within {result.threshold:.4g}, "
            f"of the reference {result.settings['quantile']:g}",
        ),
        ("preference", f"{result.preference:.4f} that a generated sample is nearer than one of the reference"),
        ("p value", f"{result.p_value:.2g} (Mann-Whitney), {result.p_value_ks:.2g} (Kolmogorov-Smirnov)"),
    ]
