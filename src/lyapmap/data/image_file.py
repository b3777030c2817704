"""One image file, decoded in a child process, as 8 bits for each channel and upright."""

from __future__ import annotations

from typing import Any

import numpy as np

from lyapmap.core.errors import DataError
from lyapmap.core.reading.apart import Answer

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF")
EXIF_ORIENTATION = 0x0112
LARGEST_PIXEL = 8
"""Bytes that decoders take for one, with the copies that are made."""


def pixels(path: str, *, room: int) -> Answer:
    """Whether an image had to be turned, and its pixels: grey (h, w) or colour (h, w, 3), uint8.

    Raises
    ------
    DataError
        If it cannot be shown so without losing what it holds, or decodes to more than there is room for.
    """
    from PIL import Image, ImageOps

    Image.init()
    with Image.open(path, formats=FORMATS) as opened:
        width, height = opened.size
        if LARGEST_PIXEL * width * height > room:
            raise DataError(f"{path}: {width} x {height} pixels are more than a file of its size may hold")
        # Pillow reads deep colours as 8 bits without a word; what it decodes from tells.
        deep = opened.mode.startswith(("I", "F")) or ";16" in str([tile[3] for tile in opened.tile])
        frames = getattr(opened, "n_frames", 1)
        image: Any = ImageOps.exif_transpose(opened)
        turned = opened.getexif().get(EXIF_ORIENTATION, 1) not in (0, 1)
    if deep:
        raise DataError(f"{path}: has more than 8 bits for each channel; store it with 8")
    if frames > 1:
        raise DataError(f"{path}: holds {frames} images; store each in a file of its own")
    if image.has_transparency_data:
        image = image.convert("LA" if image.mode in ("LA", "La") else "RGBA")
        if np.asarray(image.getchannel("A")).min() < 255:
            raise DataError(f"{path}: has transparent pixels; lay it on a background first")
    if image.mode == "P":
        image = image.convert("RGB")
        colours = np.asarray(image)
        is_grey = bool((colours == colours[..., :1]).all())
    else:
        is_grey = image.mode in ("1", "L", "LA", "La")
    return bool(turned), {"pixels": np.asarray(image.convert("L" if is_grey else "RGB"))}
