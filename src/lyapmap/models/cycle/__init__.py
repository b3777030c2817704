"""The cycle generator: images of one category to images of the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lyapmap._late import late
from lyapmap.files.papers import Network, Paper

if TYPE_CHECKING:
    from lyapmap.models.cycle.config import CycleConfig as CycleConfig
    from lyapmap.models.cycle.network import ChannelNorm as ChannelNorm
    from lyapmap.models.cycle.network import CycleModel as CycleModel
    from lyapmap.models.cycle.network import Discriminator as Discriminator
    from lyapmap.models.cycle.network import Generator as Generator
    from lyapmap.models.cycle.network import ResidualBlock as ResidualBlock
    from lyapmap.models.cycle.network import SameConv2d as SameConv2d
    from lyapmap.models.cycle.network import SameConvTranspose2d as SameConvTranspose2d
    from lyapmap.models.cycle.network import Stage as Stage

PAPER = Paper(
    networks={"cycle": Network("network:Generator", "config:CycleConfig")},
    train={"cycle": "commands.train"},
    study={"cycle": "commands.study", "cycle-seeds": "commands.seeds", "cycle-trials": "commands.trials"},
    commands={"convert": "commands.convert"},
    readers={"TensorFlow checkpoint": "keras_checkpoint"},
    keras_layers="keras_network",
    names={"training": {"CycleRecipe": "recipe", "convert": "conversion"}},
)
_NAMES = {
    "CycleConfig": ".config",
    "ChannelNorm": ".network",
    "CycleModel": ".network",
    "Discriminator": ".network",
    "Generator": ".network",
    "ResidualBlock": ".network",
    "Stage": ".network",
    "SameConv2d": ".network",
    "SameConvTranspose2d": ".network",
}
__all__ = [*_NAMES]  # loaded late, and torch with them
__getattr__, __dir__ = late(__name__, _NAMES)
