"""Images of data sets as a map's states have them: their size, number of channels and layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import TangentMap
from lyapmap.core.points import image_shape, laid_out

if TYPE_CHECKING:
    from lyapmap.data import ImageSet


def images_like(
    data: str,
    tangent_map: TangentMap | None,
    *,
    split: str,
    classes: Sequence[int] | None,
    resize: bool = False,
    option: str = "--data",
) -> ImageSet:
    """Images of a data set, in the layout of the map's states.

    Without a map whose states are images they come as they are. With one they must have the size and
    number of channels of its states, or be given them by `resize`.
    """
    from lyapmap.data import load

    shape = () if tangent_map is None else tuple(tangent_map.state_shape)
    wanted = image_shape(shape)
    if wanted is None:
        return told(load(data, split=split, classes=classes))
    channels, height, width = wanted
    if resize and height != width:
        raise LyapmapError(f"{option}: images are made square, and states of this map have {height} x {width} pixels")
    size: dict[str, int] = {"image_size": height, "channels": channels} if resize else {}
    found = load(data, split=split, classes=classes, **size)  # type: ignore[arg-type]
    if found.state_shape != wanted:
        raise LyapmapError(
            f"{option}: images of {data} have shape {found.state_shape} (channels, height, width), states of this map "
            f"{wanted}; give --resize to change the images"
        )
    return told(replace(found, images=laid_out(found.images, shape)))


def told(images: ImageSet) -> ImageSet:
    """The images, once what was done to them has been said on the terminal."""
    for note in images.notes:
        typer.echo(f"lyapmap: {images.name}: {note}", err=True)
    return images
