"""Maps of NumPy functions."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"map": ["NumpyMap", "wrap_numpy"]})
