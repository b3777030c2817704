"""Maps of torch."""

from __future__ import annotations

from lyapmap._late import late

__getattr__, __dir__ = late(
    __name__,
    {
        "TorchMap": ".map",
        "wrap_torch": ".map",
    },
)
