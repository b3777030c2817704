"""Maps compiled with Numba."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"map": ["wrap_numba"]})
