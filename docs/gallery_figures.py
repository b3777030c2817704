"""How the gallery gets an example's picture: the figure that its last line returns."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

LAST = "___"
"""Where sphinx-gallery keeps the value of a block's last line."""


def scrape(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save the figure, if there is one, and return the text that shows it."""
    figure = block_vars["example_globals"].get(LAST)
    if not isinstance(figure, Figure):
        return ""
    path = next(block_vars["image_path_iterator"])
    figure.savefig(path, format="png", dpi=100)
    return figure_rst([path], gallery_conf["src_dir"])
