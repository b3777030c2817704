"""umap-learn without what it would bring along: TensorFlow on import, half a minute of compiling in every process."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec
from typing import Any

from lyapmap.core.errors import MissingExtraError

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
