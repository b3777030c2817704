"""Public names and their types; read when they are loaded, too (`lazy_loader`)."""

import lyapmap.files.papers

from .config import CycleConfig as CycleConfig
from .network import ChannelNorm as ChannelNorm
from .network import CycleModel as CycleModel
from .network import Discriminator as Discriminator
from .network import Generator as Generator
from .network import ResidualBlock as ResidualBlock
from .network import SameConv2d as SameConv2d
from .network import SameConvTranspose2d as SameConvTranspose2d
from .network import Stage as Stage

PAPER: lyapmap.files.papers.Paper
