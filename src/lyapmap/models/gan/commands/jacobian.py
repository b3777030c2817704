"""`lyapmap gan jacobian`: along how many directions a generator's images spread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lyapmap.cli import common, show
from lyapmap.models.gan.commands import sample as gan_sample

if TYPE_CHECKING:
    from lyapmap.analysis.dimension.comparison import DimensionComparison
    from lyapmap.analysis.exponents.singular_values import JacobianSpectrum

EPILOG = """Examples:

lyapmap gan jacobian --model runs/dcgan/last.pt --samples 50

lyapmap gan jacobian --model runs/gran3/last.pt --data mnist --out report"""


@common.command
def jacobian(
    model: gan_sample.ModelOption,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Pieces of noise to take it at.")] = 50,
    threshold: Annotated[
        float, typer.Option("--threshold", help="Share of the largest variance below which a direction does not count.")
    ] = 0.05,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="NAME|FOLDER", help="Compare with the intrinsic dimension of these images."),
    ] = None,
    classes: Annotated[
        str | None, typer.Option("--classes", metavar="N[,N...]", help="Only these classes of --data.")
    ] = None,
    points: Annotated[
        int, typer.Option("--points", min=10, help="Images, generated and of --data, to compare by.")
    ] = 2000,
    dtype: Annotated[str, typer.Option("--dtype", help="float32 or float64.")] = "float64",
    device: common.DeviceOption = None,
    seed: common.SeedOption = 0,
    out: common.OutOption = None,
    as_json: common.JsonOption = False,
) -> None:
    """Singular values of a generator's Jacobian, and the local dimension of what it draws.

    With --data, also the intrinsic dimensions of generated images and of the data, by neighbours.
    """
    from lyapmap.cli.source import require_torch

    require_torch("a generator's Jacobian")
    from lyapmap.analysis.exponents.singular_values import jacobian_spectrum
    from lyapmap.core.errors import LyapmapError
    from lyapmap.models.gan.pair import gan_function, gan_latents, load_gan, manifold_dimensions

    if classes is not None and data is None:
        raise LyapmapError("--classes: only together with --data")
    folder = common.output_folder(out)
    gan = load_gan(model, device=device)
    function = gan_function(gan, dtype=dtype)
    images = None
    if data is not None:
        from lyapmap.cli.image_data import told
        from lyapmap.data import load

        images = told(
            load(
                data,
                classes=common.integers(classes, "--classes"),
                image_size=gan.config.image_size,
                channels=gan.config.channels,
                value_range=gan.config.value_range,
            )
        )
        images = images.some(min(points, len(images)), seed=seed)
    noise = gan_latents(gan.config.latent_shape, samples, seed=seed)
    result, interrupted = common.completed(
        lambda: jacobian_spectrum(function, noise, threshold=threshold, seed=seed, progress=not as_json, throw=False)
    )
    beside = None
    if images is not None and not interrupted:
        beside = manifold_dimensions(gan, images.images, n=points, seed=seed, progress=not as_json)
        if folder is not None:
            show.save(beside, folder, "dimension")
    pictures = [] if beside is None or folder is None else [("Intrinsic dimension", folder / "dimension.png")]
    show.conclude(
        result,
        title=f"Jacobian of {gan.name}: {result.inputs} values of noise to {result.outputs} pixels",
        facts=_facts(result) + ([] if beside is None else _dimensions(beside, str(data))),
        name="jacobian",
        out=folder,
        as_json=as_json,
        interrupted=interrupted,
        pictures=pictures,
    )


def _facts(result: JacobianSpectrum) -> list[tuple[str, str]]:
    if result.failed:
        return []
    largest = result.singular_values[:, 0]
    facts = [
        ("local dimension", show.pair(*result.mean("dimension")) + f" (variances above {result.threshold:g})"),
        ("numerical rank", show.pair(*result.mean("rank")) + " (above rounding)"),
        (
            "largest value",
            f"{show.number(float(largest.mean()))} on average, up to {show.number(float(largest.max()))}",
        ),
    ]
    if result.complete:
        facts.insert(1, ("participation", show.pair(*result.mean("participation"))))
    return facts


def _dimensions(beside: DimensionComparison, data: str) -> list[tuple[str, str]]:
    """Intrinsic dimensions of images, by each method."""
    facts = []
    for i, name in enumerate(beside.names):
        values = zip(beside.methods, beside.dimension[i], beside.stderr[i], strict=True)
        words = ", ".join(f"{method} {show.pair(value, error)}" for method, value, error in values)
        facts.append((data if name == "data" else name, f"{words} ({beside.n_points[i]} images)"))
    if beside.message:
        facts.append(("of these", beside.message))
    return facts
