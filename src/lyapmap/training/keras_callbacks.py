"""A callback for `fit` of Keras that measures the exponents of the network that is trained.

Requires keras >= 3.6; loading this module loads it.
"""

from __future__ import annotations

from typing import Any

from lyapmap.backends.keras.start import keras as start

keras = start()

from lyapmap.backends import wrap  # noqa: E402  # after Keras has started
from lyapmap.training.exponents import Watching  # noqa: E402


class LyapunovCallback(Watching, keras.callbacks.Callback):  # type: ignore[name-defined]
    """Measures the largest Lyapunov exponents every few epochs of `fit`.

    The numbers come into the epoch's `logs` as "lyapunov_1", "lyapunov_2", ... and "kaplan_yorke"
    (where they suffice for it), so that `History`, loggers and early stopping see them. They are a
    measurement on few steps: see `stderr` in `history`.

    Parameters
    ----------
    states : (m, *state_shape)
        Initial states, e.g. test images; the first `n_trajectories` are used.
    every : int
        Epochs between measurements.
    generator : str or callable, optional
        Where the network that is iterated is found: the name of an attribute of the model, e.g.
        "generator", or a function of the model. The model itself by default.
    n_exponents, n_trajectories, transient, n_steps, seed : int
        See `lyapmap.training.exponents.Measurement`.

    Attributes
    ----------
    history : list of dict
        "epoch" (counted from 1), "exponents", "stderr", "attractor", "kaplan_yorke", "status" and
        "seconds" of every measurement; "error" where there was none.

    Examples
    --------
    >>> import numpy as np
    >>> from keras import Sequential, layers
    >>> model = Sequential([layers.Input((2,)), layers.Dense(2, kernel_initializer="identity")])
    >>> model.compile(optimizer="sgd", loss="mse")
    >>> x = np.ones((8, 2), "float32")
    >>> watch = LyapunovCallback(x[:1], every=1, n_exponents=2, n_trajectories=1, transient=0, n_steps=5)
    >>> found = model.fit(x, x, epochs=1, verbose=0, callbacks=[watch])
    >>> [abs(exponent) < 1e-6 for exponent in found.history["lyapunov_1"]]
    [True]
    """

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if not self._watch.due(epoch + 1):
            return
        numbers = self._watch.look(epoch + 1, lambda: wrap(self._watch.network(self.model)))
        if logs is not None:
            logs.update(numbers)
