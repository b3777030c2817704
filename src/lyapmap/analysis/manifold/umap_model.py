"""umap-learn without what it would bring along: TensorFlow on import, half a minute of compiling in every process."""

from __future__ import annotations

import re
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec
from typing import Any

import numpy as np

from lyapmap.analysis.neighbors.search import Graph, Points
from lyapmap.core.errors import MissingExtraError
from lyapmap.core.run import Report

KEPT_OUT = "umap.parametric_umap"
"""The part of umap that imports TensorFlow, Keras and torch; the package does without it where it is missing."""
SLOW_TO_COMPILE = ("smooth_knn_dist", "compute_membership_strengths")
_LOCK = threading.Lock()


class _Refusal:
    """A finder of modules that knows one name, in one thread, and refuses it."""

    def __init__(self, name: str) -> None:
        self._name, self._thread = name, threading.get_ident()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name == self._name and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"{name} is kept out", name=name)
        return None


@contextmanager
def keeping_out(name: str) -> Iterator[None]:
    """Within it, importing a module fails as if it were not installed; other threads and later imports are free."""
    refusal = _Refusal(name)
    sys.meta_path.insert(0, refusal)
    try:
        yield
    finally:
        sys.meta_path.remove(refusal)


def load_umap() -> Any:
    """The module `umap.umap_`, with TensorFlow left alone.

    ``from umap.parametric_umap import ParametricUMAP`` still works afterwards; only the short cut
    ``umap.ParametricUMAP`` is then the one that umap has where TensorFlow is missing.

    Raises
    ------
    MissingExtraError
        If umap-learn is not installed.
    """
    with _LOCK:
        if "umap.umap_" not in sys.modules:
            with keeping_out(KEPT_OUT), warnings.catch_warnings():
                # umap warns that its parametric part is missing, which is the purpose.
                warnings.simplefilter("ignore", ImportWarning)
                warnings.simplefilter("ignore", DeprecationWarning)
                try:
                    module = import_module("umap.umap_")
                except ImportError as error:
                    raise MissingExtraError("umap-learn", "umap", "embed") from error
            _remember_compiled(module)
        return sys.modules["umap.umap_"]


def _remember_compiled(module: Any) -> None:
    """Let Numba keep machine code on disk, as it does for functions that are decorated so."""
    layouts = sys.modules.get("umap.layouts")
    slow: list[Any] = [getattr(module, name, None) for name in SLOW_TO_COMPILE]
    slow.append(getattr(layouts, "_nb_optimize_layout_euclidean_single_epoch", None))
    for function in slow:
        if hasattr(function, "enable_caching"):
            function.enable_caching()


_NAMES_IN_UMAP = {"cityblock": "manhattan"}


class FoundNeighbors:
    """Stands where UMAP keeps pynndescent's index: neighbours that are known already."""

    _angular_trees = False

    def __init__(self, distances: Any, indices: Any) -> None:
        self._graph = indices.astype(np.int32), distances

    def query(self, queries: Any, k: int, epsilon: float = 0.0) -> tuple[Any, Any]:
        return self._graph


def parts_of(matrix: Any) -> int:
    """Number of connected parts of a graph."""
    from scipy.sparse.csgraph import connected_components

    return int(connected_components(matrix, directed=False, return_labels=False))


def fitted(
    rows: Points,
    graph: Graph,
    settings: dict[str, Any],
    seed: int,
    *,
    init: Any = "spectral",
    n_epochs: int | None = None,
    curve: tuple[float, float] | None = None,
    report: Report | None = None,
) -> Any:
    """A UMAP object that has gone through its own `fit`, on neighbours that are known."""
    umap_ = load_umap()
    a, b = (None, None) if curve is None else curve
    distances, indices = graph
    own = np.arange(len(rows))[:, None]
    # Only ratios of distances matter; float32 holds those near 1 best.
    unit = float(distances.mean()) or 1.0
    table = np.hstack([np.zeros((len(rows), 1)), distances / unit]).astype(np.float32)
    which = np.hstack([own, indices]).astype(np.int32)
    model = umap_.UMAP(
        n_neighbors=settings["n_neighbors"],
        min_dist=settings["min_dist"],
        metric=_NAMES_IN_UMAP.get(settings["metric"], settings["metric"]),
        n_components=settings["n_components"],
        a=a,
        b=b,
        init=init,
        n_epochs=n_epochs,
        precomputed_knn=(which, table, FoundNeighbors(table, which)),
        random_state=seed,
        transform_seed=seed,
        n_jobs=1,
        tqdm_kwds=None if report is None else _shown(report),
    )
    threads = umap_.numba.get_num_threads()
    try:
        with quiet():
            model.fit(((rows - rows.mean(axis=0)) / unit).astype(np.float32))
    finally:
        umap_.numba.set_num_threads(threads)  # left at 1 where `fit` was cut short
    return model


class quiet(warnings.catch_warnings):  # noqa: N801  # called as a function
    """Keeps back what UMAP says of things that are meant, or told in the message."""

    def __enter__(self) -> Any:
        entered = super().__enter__()
        warnings.filterwarnings("ignore", r"precomputed_knn\[2\]", UserWarning)
        warnings.filterwarnings("ignore", ".*(not fully connected|separate connected components)", UserWarning)
        warnings.filterwarnings("ignore", r"\s*Spectral initialisation failed", UserWarning)
        return entered


def _shown(report: Report) -> dict[str, Any]:
    """Options that make UMAP's own bar tell a function how far it is."""

    class Ear:
        def write(self, text: str) -> None:
            numbers = re.search(r"(\d+) of (\d+)", text)
            if numbers:
                report(int(numbers[1]), int(numbers[2]))

        def flush(self) -> None: ...

    return {"disable": False, "file": Ear(), "bar_format": "{n_fmt} of {total_fmt}", "mininterval": 0.1, "leave": True}
