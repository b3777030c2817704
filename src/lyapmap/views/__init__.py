"""Pictures: spectra, training curves, trajectories, sheets and films of images, reports."""

from __future__ import annotations

from lyapmap._late import gathered
from lyapmap.files.papers import public_names

# Names are loaded late, and matplotlib with them.
__getattr__, __dir__, __all__ = gathered(__name__, __file__, public_names("views"))
