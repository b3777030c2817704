"""Manifold metrics gathered batch by batch, as training loops do it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.manifold.metrics import Features, RealManifold
from lyapmap.analysis.manifold.result import ManifoldMetrics
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.points import real_array


class ManifoldMetric:
    """Precision, recall, density and coverage with `update` and `compute`, as torchmetrics has them.

    Features are kept of every batch, the samples are not; the real side is computed once and kept
    over `reset`.

    Parameters
    ----------
    k : int or sequence of int
    features : callable, optional
        Applied to every batch.
    **options
        Of `manifold_metrics`: compare, reach, level, n_boot, seed.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> metric = ManifoldMetric(k=3, seed=0)
    >>> for _ in range(4):
    ...     metric.update(rng.standard_normal((50, 2)), real=True)
    ...     metric.update(rng.standard_normal((50, 2)), real=False)
    >>> bool(metric.compute().precision[0] > 0.8)
    True
    >>> metric.reset()
    >>> metric.n_real, metric.n_generated
    (200, 0)
    """

    def __init__(self, *, k: Any = (3, 5, 10), features: Features | None = None, **options: Any) -> None:
        unknown = set(options) - {"compare", "reach", "level", "n_boot", "seed"}
        if unknown:
            raise LyapmapError(f"options: expected compare, reach, level, n_boot or seed, got {sorted(unknown)[0]!r}")
        self.k, self.features, self.options = k, features, options
        self._batches: dict[bool, list[NDArray[Any]]] = {True: [], False: []}
        self._manifold: RealManifold | None = None

    @property
    def n_real(self) -> int:
        """Real samples so far."""
        return sum(map(len, self._batches[True]))

    @property
    def n_generated(self) -> int:
        """Generated samples so far."""
        return sum(map(len, self._batches[False]))

    def update(self, samples: Any, *, real: bool) -> None:
        """Take a batch (b, ...) of real or of generated samples; tensors are brought to the CPU."""
        found = samples if self.features is None else self.features(samples)
        rows = real_array(found, "samples")
        if rows.ndim < 2 or 0 in rows.shape:
            raise ShapeError(f"samples: expected a batch (b, ...), got shape {rows.shape}")
        rows = rows.reshape(len(rows), -1).copy()  # the caller may use its buffer again
        others = self._batches[True] or self._batches[False]
        if others and others[0].shape[1] != rows.shape[1]:
            raise ShapeError(f"samples: expected {others[0].shape[1]} values for each, as before, got {rows.shape[1]}")
        self._batches[bool(real)].append(rows)
        if real:
            self._manifold = None

    def compute(self) -> ManifoldMetrics:
        """The metrics of all batches so far."""
        for real, name in ((True, "real"), (False, "generated")):
            if not self._batches[real]:
                raise LyapmapError(f"compute: no {name} samples yet; call update(samples, real={real})")
        if self._manifold is None:
            self._manifold = RealManifold(np.concatenate(self._batches[True]), k=self.k)
        return self._manifold.compare(np.concatenate(self._batches[False]), **self.options)

    def reset(self, *, real: bool = False) -> None:
        """Forget the generated batches; with `real`, those of real samples too."""
        self._batches[False] = []
        if real:
            self._batches[True], self._manifold = [], None
