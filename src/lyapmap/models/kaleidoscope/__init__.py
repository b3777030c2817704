"""Kaleidoscopic networks: training points as attracting fixed points of an autoencoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lyapmap._late import late
from lyapmap.files.papers import Network, Paper

if TYPE_CHECKING:
    from lyapmap.models.kaleidoscope.network import Kaleidoscope as Kaleidoscope
    from lyapmap.models.kaleidoscope.network import KaleidoscopeConfig as KaleidoscopeConfig
    from lyapmap.models.kaleidoscope.network import manifold_loss as manifold_loss

PAPER = Paper(
    networks={"kaleidoscope": Network("network:Kaleidoscope", "network:KaleidoscopeConfig")},
    train={"kaleidoscope": "commands.train"},
    study={"kaleidoscope": "commands.study"},
    group="kaleidoscope",
    group_help="Sampling and experiments with kaleidoscopic networks.",
    group_commands={
        "sample": "commands.sample",
        "line": "commands.line",
        "plane": "commands.plane",
        "corners": "commands.corners",
        "depth": "commands.depth",
    },
    names={
        "training": {
            "KaleidoscopeRecipe": "recipe",
            "KaleidoscopeSamples": "sampling",
            "noise_states": "sampling",
            "sample": "sampling",
        },
        "views": {
            "draw_kaleidoscope_corners": "pictures",
            "draw_kaleidoscope_depth": "pictures",
            "draw_kaleidoscope_line": "pictures",
            "draw_kaleidoscope_plane": "pictures",
            "draw_kaleidoscope_samples": "pictures",
            "save_kaleidoscope_samples": "pictures",
        },
    },
)
_NAMES = {
    "KaleidoscopeConfig": ".network",
    "Kaleidoscope": ".network",
    "manifold_loss": ".network",
}
__all__ = [*_NAMES]  # loaded late, and torch with them
__getattr__, __dir__ = late(__name__, _NAMES)
