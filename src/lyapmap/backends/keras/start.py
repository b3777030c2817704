"""Bringing in TensorFlow and Keras: at first use, quietly, and with as many threads as are wanted.

Requires tensorflow >= 2.18 and keras >= 3.6. Whoever imports them first sets their threads: where
the user's own program has computed with TensorFlow before, its settings stay.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lyapmap.core.errors import MissingExtraError

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


def tensorflow() -> Any:
    """The module; imported, silenced and capped if this is the first call for it.

    Notes
    -----
    TensorFlow beside torch would start several times as many threads as there are cores. Its
    threads are capped here at `OMP_NUM_THREADS`, or the cores that the process may use; operations
    follow one another. TensorFlow takes such settings only before it computes for the first time:
    a program that uses it before lyapmap calls `tf.config.threading` itself.

    Raises
    ------
    MissingExtraError
        If TensorFlow is not installed.
    """
    if sys.modules.get("tensorflow") is not None:
        return sys.modules["tensorflow"]
    with _silence():
        try:
            import tensorflow as tf
        except ModuleNotFoundError as error:
            if error.name != "tensorflow":
                raise
            raise MissingExtraError("tensorflow", "tensorflow", "wrapping a TensorFlow function") from None
        _cap(tf)
        # Looking for devices is the other thing it talks about; memory is taken as it is needed.
        for device in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(device, True)
    return tf


def keras() -> Any:
    """The module, on the backend that its own settings name (`KERAS_BACKEND`; TensorFlow by default).

    Raises
    ------
    MissingExtraError
        If Keras is not installed, or its backend is not.
    """
    if sys.modules.get("keras") is not None:
        return sys.modules["keras"]
    if os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow":
        tensorflow()
    with _silence():
        try:
            import keras as module
        except ModuleNotFoundError as error:
            raise MissingExtraError(str(error.name), "tensorflow", "wrapping a Keras model") from None
    return module


def threads() -> int:
    """Threads that an operation may use: `OMP_NUM_THREADS`, or the cores of this process."""
    named = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if named.isdigit() and int(named) > 0:
        return int(named)
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _cap(tf: Any) -> None:
    tf.config.threading.set_intra_op_parallelism_threads(threads())
    tf.config.threading.set_inter_op_parallelism_threads(1)


@contextmanager
def _silence() -> Iterator[None]:
    """Keeps what TensorFlow says about its build and the devices it does not find from standard error.

    Some of it is said before the variable is read, so the descriptor itself is turned away; what was
    said is shown after all where the import fails. A user who has set the variable wants to hear it.
    """
    if LOG_LEVEL in os.environ:
        yield
        return
    os.environ[LOG_LEVEL] = "2"
    try:
        saved = os.dup(2)
    except OSError:  # no standard error at all
        saved = -1
    with tempfile.TemporaryFile() as said:
        if saved >= 0:
            os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException:
            if saved >= 0:
                said.seek(0)
                os.write(saved, said.read())
            raise
        finally:
            os.environ.pop(LOG_LEVEL, None)
            if saved >= 0:
                os.dup2(saved, 2)
                os.close(saved)
