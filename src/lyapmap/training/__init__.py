"""Training: a loop that knows no model, checkpoints, trained models by name; what the papers bring to train theirs."""

from __future__ import annotations

from lyapmap._late import gathered
from lyapmap.files.papers import public_names

# Names are loaded late, and torch with them.
__getattr__, __dir__, __all__ = gathered(__name__, __file__, public_names("training"))
