"""Generated states beside real ones: precision and recall, copies, order of categories, layouts in the plane."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"metrics": ["ManifoldMetrics", "RealManifold", "manifold_metrics"]}
)
