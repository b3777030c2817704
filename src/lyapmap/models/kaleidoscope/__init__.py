"""Kaleidoscopic networks: training points as attracting fixed points of an autoencoder."""

from __future__ import annotations

import lazy_loader

from lyapmap.files.papers import Network, Paper

PAPER = Paper(
    networks={"kaleidoscope": Network("network:Kaleidoscope", "network:KaleidoscopeConfig")},
    train={"kaleidoscope": "commands:train_kaleidoscope"},
    study={"kaleidoscope": "commands:study_kaleidoscope"},
    group="kaleidoscope",
    group_help="Sampling and experiments with kaleidoscopic networks.",
    group_commands=dict.fromkeys(("sample", "line", "plane", "corners", "depth"), "commands"),
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
# Names are loaded late, and torch with them.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
