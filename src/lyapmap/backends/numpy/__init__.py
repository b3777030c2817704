"""Maps of NumPy functions."""

from __future__ import annotations

from lyapmap._late import late

__getattr__, __dir__ = late(
    __name__,
    {
        "NumpyMap": ".map",
        "wrap_numpy": ".map",
    },
)
