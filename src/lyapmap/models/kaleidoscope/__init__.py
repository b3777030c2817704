"""Kaleidoscopic networks: training points as attracting fixed points of an autoencoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lyapmap._late import late

if TYPE_CHECKING:
    from lyapmap.models.kaleidoscope.config import KaleidoscopeConfig as KaleidoscopeConfig
    from lyapmap.models.kaleidoscope.network import Kaleidoscope as Kaleidoscope
    from lyapmap.models.kaleidoscope.network import manifold_loss as manifold_loss

_NAMES = {
    "KaleidoscopeConfig": ".config",
    "Kaleidoscope": ".network",
    "manifold_loss": ".network",
}
__all__ = [*_NAMES]  # loaded late, and torch with them
__getattr__, __dir__ = late(__name__, _NAMES)
