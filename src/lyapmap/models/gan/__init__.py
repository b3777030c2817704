"""Adversarial networks: DCGAN, and GRAN with its canvas."""

from __future__ import annotations

import lazy_loader

from lyapmap.files.papers import Network, Paper

PAPER = Paper(
    networks={
        "dcgan": Network(
            "dcgan:Dcgan",
            "dcgan:DcganConfig",
            no_map="which draws images of noise and cannot be iterated; see lyapmap gan jacobian",
            serves="lyapmap gan",
            from_noise=True,
        ),
        "gran": Network(
            "gran:Gran",
            "gran:GranConfig",
            no_map="which draws images of noise and cannot be iterated; see lyapmap gan canvas and gan jacobian",
            serves="lyapmap gan",
            from_noise=True,
        ),
    },
    train={"dcgan": "commands:train_dcgan", "gran": "commands:train_gran"},
    study={"gan": "commands:study_gan"},
    group="gan",
    group_help="Samples, Jacobians and canvas dynamics of adversarial networks.",
    group_commands={
        "sample": "commands",
        "interpolate": "commands",
        "jacobian": "commands",
        "canvas": "commands",
        "line": "commands",
    },
    names={
        "training": {
            "CanvasDynamics": "canvas",
            "Gan": "pair",
            "GanRecipe": "recipe",
            "GanSamples": "pair",
            "canvas_dynamics": "canvas",
            "canvas_map": "canvas",
            "canvas_states": "canvas",
            "gan_function": "pair",
            "gan_latents": "pair",
            "interpolate_gan": "pair",
            "load_gan": "pair",
            "sample_gan": "pair",
        },
        "views": {
            "draw_canvas_dynamics": "pictures",
            "draw_gan_line": "pictures",
            "draw_gan_samples": "pictures",
            "save_gan_line_gif": "pictures",
            "save_gan_samples": "pictures",
        },
    },
)
# Names are loaded late, and torch with them.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
