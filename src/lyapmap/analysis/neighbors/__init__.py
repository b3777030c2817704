"""Nearest neighbours: the one graph and the one search that every method on points stands on."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "duplicates": ["drop_duplicates", "tell_apart"],
        "graph": ["as_points", "neighbor_graph", "pairs_within"],
    },
)
