"""Maps of Keras and TensorFlow."""

from __future__ import annotations

from lyapmap._late import late

__getattr__, __dir__ = late(
    __name__,
    {
        "wrap_keras": ".map",
        "wrap_tensorflow": ".functions",
    },
)
