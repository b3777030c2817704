"""Networks of the papers, one folder each, with all that belongs to it: `lyapmap.models.cycle`, `.kaleidoscope`,
`.gan`, `.latent_spectral`, `.classifier`. A paper is one line of the stub beside this file.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import lazy_loader

from lyapmap._moved import MOVED

_paper, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
PAPERS = (*__all__,)


def __getattr__(name: str) -> Any:
    return import_module(f"{__name__}.{name}") if f"models.{name}" in MOVED else _paper(name)
