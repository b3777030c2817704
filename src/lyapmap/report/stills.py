"""Parts of figures that stay pictures."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from lyapmap.report.words import in_html, in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


LARGE = 500_000
"""Pixels from which a better packing takes too long."""


def is_picture(axes: Axes) -> bool:
    """Whether axes hold an image and no scale to read it by, or nothing at all."""
    drawn = any(axes.lines) or any(axes.collections) or any(axes.patches)
    no_scale = not axes.axison or (not len(axes.get_xticks()) and not len(axes.get_yticks()))
    return no_scale and not drawn and axes.name == "rectilinear"


def needs_picture(axes: Axes) -> bool:
    from matplotlib.quiver import Quiver

    return axes.name != "rectilinear" or any(isinstance(part, Quiver) for part in axes.collections)


def apart(pictures: Iterable[Axes], plots: Iterable[Axes]) -> bool:
    """Whether a box around the pictures meets no plot."""
    from matplotlib.transforms import Bbox

    box = Bbox.union([axes.get_window_extent() for axes in pictures])
    return not any(box.overlaps(axes.get_window_extent()) for axes in plots)


def still(figure: Figure, axes: list[Axes]) -> dict[str, Any]:
    """The part of a figure that some axes take, as a picture."""
    from matplotlib.transforms import Bbox
    from PIL import Image

    boxes = [box for part in axes if (box := part.get_tightbbox(figure.canvas.get_renderer())) is not None]  # type: ignore[attr-defined]
    pixels = np.asarray(figure.canvas.buffer_rgba())  # type: ignore[attr-defined]
    height, width = pixels.shape[:2]
    box = Bbox.union(boxes).padded(6) if boxes else Bbox.from_extents(0, 0, width, height)
    left, right = max(int(box.x0), 0), min(int(box.x1) + 1, width)
    top, bottom = max(int(height - box.y1), 0), min(int(height - box.y0) + 1, height)
    part = Image.fromarray(pixels[top:bottom, left:right, :3])
    titles = [in_words(title) for part_ in axes if (title := title_of(part_))]
    title = in_html(title_of(axes[0])) if len(axes) == 1 else ""
    return {
        "title": title,
        "alt": "; ".join(dict.fromkeys(" ".join(words.split()) for words in titles[:24])) or "Pictures",
        "picture": as_address(part),
        "size": [right - left, bottom - top],
    }


def as_address(picture: Any) -> str:
    """A picture of Pillow as an address that holds all of it, in the smaller of two formats."""
    forms = []
    for kind, options in (
        ("png", {"optimize": picture.width * picture.height < LARGE}),
        ("webp", {"quality": 82, "method": 4}),
    ):
        written = BytesIO()
        picture.save(written, format=kind, **options)
        forms.append((len(written.getvalue()), kind, written.getvalue()))
    _, kind, data = min(forms)
    return f"data:image/{kind};base64,{b64encode(data).decode('ascii')}"


def title_of(axes: Axes) -> str:
    return axes.get_title(loc="left") or axes.get_title() or axes.get_title(loc="right")
