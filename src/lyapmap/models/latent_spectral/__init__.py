"""Latent spectral decomposition: a basis of the latent space for the labels of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lyapmap._late import late

if TYPE_CHECKING:
    from lyapmap.models.latent_spectral.config import EncoderConfig as EncoderConfig
    from lyapmap.models.latent_spectral.config import PooledConfig as PooledConfig
    from lyapmap.models.latent_spectral.network import Classifier as Classifier
    from lyapmap.models.latent_spectral.network import Encoder as Encoder
    from lyapmap.models.latent_spectral.network import LatentSpectral as LatentSpectral

_NAMES = {
    "EncoderConfig": ".config",
    "PooledConfig": ".config",
    "Classifier": ".network",
    "Encoder": ".network",
    "LatentSpectral": ".network",
}
__all__ = [*_NAMES]  # loaded late, and torch with them
__getattr__, __dir__ = late(__name__, _NAMES)
