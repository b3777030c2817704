"""Maps of torch."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={"distances": ["TorchTiles"], "function": ["network_of_arrays"], "map": ["TorchMap", "wrap_torch"]},
)
