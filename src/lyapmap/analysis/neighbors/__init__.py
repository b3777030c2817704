"""Nearest neighbours: the one graph and the one search that every method on points stands on."""

from __future__ import annotations

from lyapmap._late import late

__getattr__, __dir__ = late(
    __name__,
    {
        "as_points": ".graph",
        "drop_duplicates": ".graph",
        "neighbor_graph": ".graph",
        "pairs_within": ".graph",
        "tell_apart": ".graph",
    },
)
