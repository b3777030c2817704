"""A callback for Lightning that measures the exponents of the network that is trained.

Works with `lightning` and with the older `pytorch_lightning`, whichever the program uses.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from lyapmap.backends import wrap
from lyapmap.training.exponents import Watching


def _base() -> type:
    """Lightning's `Callback`, of the package that is in use; a plain class where neither is installed."""
    names = ("lightning.pytorch", "pytorch_lightning")
    for name in sorted(names, key=lambda name: name not in sys.modules):
        try:
            return import_module(name).Callback
        except ImportError:
            continue
    return object


class LyapunovCallback(Watching, _base()):  # type: ignore[misc]
    """Measures the largest Lyapunov exponents every few epochs of a Lightning `Trainer`.

    The numbers are logged through the LightningModule as "lyapunov_1", "lyapunov_2", ... and
    "kaplan_yorke" (where they suffice for it). The process of rank 0 measures.

    Parameters
    ----------
    states : (m, *state_shape)
        Initial states, e.g. test images; the first `n_trajectories` are used.
    every : int
        Epochs between measurements.
    generator : str or callable, optional
        Where the network that is iterated is found: the name of an attribute of the module, e.g.
        "generator", or a function of the module. The module itself by default.
    n_exponents, n_trajectories, transient, n_steps, seed : int
        See `lyapmap.training.exponents.Measurement`.

    Attributes
    ----------
    history : list of dict
        "epoch" (counted from 1), "exponents", "stderr", "attractor", "kaplan_yorke", "status" and
        "seconds" of every measurement; "error" where there was none.

    Examples
    --------
    >>> import torch
    >>> LyapunovCallback(torch.zeros(4, 1, 8, 8), every=2, generator="G").history
    []
    """

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        epoch = int(trainer.current_epoch) + 1
        if not self._watch.due(epoch) or not trainer.is_global_zero:
            return
        numbers = self._watch.look(epoch, lambda: self._map(pl_module))
        if numbers:
            pl_module.log_dict(numbers, rank_zero_only=True)

    def _map(self, pl_module: Any) -> Any:
        network = self._watch.network(pl_module)
        training = [part for part in network.modules() if part.training]
        network.eval()
        try:
            return wrap(network, state_shape=self._watch.states.shape[1:])
        finally:
            for part in training:
                part.training = True
