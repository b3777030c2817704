"""Images of data sets as a map's states have them: their size, number of channels and layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lyapmap.core.errors import LyapmapError
from lyapmap.core.images import image_shape, laid_out
from lyapmap.core.map import TangentMap

if TYPE_CHECKING:
    from lyapmap.data import ImageSet


def images_like(
    data: str, tangent_map: TangentMap | None, *, split: str, classes: Sequence[int] | None, resize: bool = True
) -> ImageSet:
    """Images of a data set, in the layout of the map's states.

    Without a map whose states are images they come as they are. `resize` gives them the size and
    number of channels of the states.
    """
    from lyapmap.data import load

    shape = () if tangent_map is None else tuple(tangent_map.state_shape)
    wanted = image_shape(shape)
    if wanted is None:
        return load(data, split=split, classes=classes)
    channels, height, width = wanted
    if resize and height != width:
        raise LyapmapError(f"--data: images are made square, and states of this map have {height} x {width} pixels")
    size: dict[str, int] = {"image_size": height, "channels": channels} if resize else {}
    found = load(data, split=split, classes=classes, **size)  # type: ignore[arg-type]
    return replace(found, images=laid_out(found.images, shape))
