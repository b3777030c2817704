"""What the commands of `lyapmap lsd` share: their options, the images, what they print."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lyapmap.cli import common, show
from lyapmap.core.errors import LyapmapError

if TYPE_CHECKING:
    from lyapmap.data import ImageSet
    from lyapmap.models.latent_spectral.images import LsdImages
    from lyapmap.models.latent_spectral.network import Lsd

SHOWN = 2
"""Components that are printed."""

ModelOption = Annotated[
    str, typer.Option("--model", metavar="NAME|FILE", help="Networks of train lsd, with their basis.")
]
DataOption = Annotated[
    str,
    typer.Option(
        "--data", metavar="NAME|FOLDER|FILE", help="Images: the test images of a data set, a folder, or one image."
    ),
]
CountOption = Annotated[int, typer.Option("--samples", min=1, help="Images, the first ones.")]
ComponentsOption = Annotated[str, typer.Option("--components", metavar="N[,N...]", help="Numbers of components.")]
RescaleOption = Annotated[
    bool, typer.Option("--rescale", help="Give latent vectors of few components the length sqrt(M).")
]


def loaded(model: str, data: str, count: int, *, device: str | None, label: int | None = None) -> tuple[Lsd, ImageSet]:
    """The networks, and images as they take them; of one class where a label is given."""
    from lyapmap.cli.source import require_torch

    require_torch("latent spectral decomposition")
    from dataclasses import replace

    from lyapmap.cli.image_data import told
    from lyapmap.data import load
    from lyapmap.models.latent_spectral.network import load_lsd

    lsd = load_lsd(model, device=device)
    if lsd.basis is None:
        raise LyapmapError(f"--model: {lsd.name} has no basis; the last stage of `lyapmap train lsd` makes it")
    channels, size, _ = lsd.module.state_shape
    given = Path(data).is_dir()
    found = told(
        load(
            data,
            split="train" if given and not (Path(data) / "test").is_dir() else "test",
            classes=None if label is None else [label],
            image_size=size,
            channels=channels,
            value_range=lsd.generator.config.value_range,  # type: ignore[union-attr, arg-type]
        )
    )
    return lsd, replace(found, images=found.images[:count], labels=found.labels[:count])


def tell(
    result: LsdImages,
    lsd: Lsd,
    images: ImageSet,
    title: str,
    *,
    name: str,
    out: Path | None,
    as_json: bool,
    columns: slice = slice(None),
) -> None:
    """Print one row for each image, write pictures and numbers, and leave; labels of some columns are printed."""
    assert lsd.basis is not None
    table = show.make_table("image", "label", "LSD", "largest components", "seen as")
    for row, label in enumerate(images.labels):
        parts = [
            f"{c:+.2f} ({lsd.classes[lsd.basis.label[k]]}, {lsd.basis.set_number[k]})"
            for k, c in zip(result.largest[row, :SHOWN], result.coefficients[row, :SHOWN], strict=True)
        ]
        seen = " ".join(str(lsd.classes[place]) for place in result.seen[row, columns])
        table.add_row(str(row + 1), str(label), str(lsd.classes[result.named[row]]), "  ".join(parts), seen)
    facts: Sequence[tuple[str, str]] = [
        ("components", "coefficient (label, set)"),
        ("seen as", f"labels of the images: {', '.join(result.columns[columns])}"),
    ]
    folder = common.output_folder(out)
    show.conclude(result, title=title, facts=facts, name=name, out=folder, as_json=as_json, table=table)
