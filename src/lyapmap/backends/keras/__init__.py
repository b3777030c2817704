"""Maps of Keras and TensorFlow."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"map": ["wrap_keras"], "functions": ["wrap_tensorflow"]}
)
