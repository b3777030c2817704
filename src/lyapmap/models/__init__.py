"""Networks of the papers, one file each: `lyapmap.models.cycle`, `.dcgan`, `.gran`, `.classifier`, `.latent_spectral`,
`.vgg` of PyTorch.

`.keras_cycle` is the generator of `.cycle` in Keras; `.cycle_config` belongs to both.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_MODULES = ("cycle", "dcgan", "gran", "classifier", "latent_spectral", "vgg")
_OTHERS = ("cycle_config", "gan_config", "keras_cycle")
__all__ = [*_MODULES]  # loaded late, and torch with them


def __getattr__(name: str) -> Any:
    if name not in _MODULES + _OTHERS:
        raise AttributeError(f"module 'lyapmap.models' has no attribute {name!r}")
    return import_module(f"lyapmap.models.{name}")


def __dir__() -> list[str]:
    return sorted(__all__)
