"""What the training loop needs to know of whatever it trains."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from lyapmap.files.checkpoint import Checkpoint
from lyapmap.training.distributed import Workers


class Recipe(Protocol):
    """A model with its data, losses and optimizers.

    A recipe draws its randomness from torch's global generator, which the loop seeds and saves,
    and from nothing else, so that a resumed run equals an uninterrupted one.
    """

    images_per_step: int
    steps_per_epoch: int

    def start_epoch(self, epoch: int) -> None:
        """Put the data in the order of this epoch, a function of seed and epoch alone."""

    def step(self, index: int) -> dict[str, float]:
        """Train on one batch; the losses by name."""

    def state(self) -> dict[str, Any]:
        """Everything that resuming needs, as tensors and plain values."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave."""

    def checkpoint(self) -> Checkpoint:
        """The network that is iterated, with sample states, ready to be saved.

        What stands in its `training` under "settings" must be the same when a run is resumed.
        """

    def sample_sheet(self) -> NDArray[np.float32]:
        """Images to look at, (rows, columns, channels, height, width) in [-1, 1]."""


@runtime_checkable
class SharedRecipe(Protocol):
    """What a recipe offers besides, if several processes may train it together.

    Every process holds the whole model and the whole data and draws the same random numbers, those of the
    whole batch; from the batch it takes its own rows, `workers.rows(rows_per_step)`, and it calls
    `workers.average_gradients(optimizer)` between `backward` and `optimizer.step`. Losses that are means over rows
    come out right thereby; one that compares rows with each other must see all of them
    (`workers.gathered`), or be refused.
    """

    rows_per_step: int

    def share(self, workers: Workers) -> None:
        """Train together with others from now on; raise a `LyapmapError` for what cannot be shared."""
