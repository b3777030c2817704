"""Public names and their types; read when they are loaded, too (`lazy_loader`)."""

import lyapmap.files.papers

from .network import Kaleidoscope as Kaleidoscope
from .network import KaleidoscopeConfig as KaleidoscopeConfig
from .network import manifold_loss as manifold_loss

PAPER: lyapmap.files.papers.Paper
