"""Generated states beside real ones: precision and recall, copies, order of categories, layouts in the plane."""

from __future__ import annotations

from lyapmap._late import late

__getattr__, __dir__ = late(
    __name__,
    {
        "ManifoldMetrics": ".metrics",
        "RealManifold": ".metrics",
        "manifold_metrics": ".metrics",
    },
)
