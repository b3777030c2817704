"""States that a generator made itself, of every age, to train on: what it does to its own images counts as well.

The paper trains G on images of the data alone, yet iterates it on its own images. A pool of states is
carried on beside the training, as persistent chains are for energy-based models (T. Tieleman 2008), so that a
loss of one step reaches states after many, at the cost of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lyapmap.core.errors import LyapmapError


class ReplayPool:
    """States of every category, each some steps of G away from the data it came from.

    Parameters
    ----------
    images : sequence of Tensor (m_i, c, h, w)
        The data by category, to start from.
    size : int
        States of each category.
    renewal : float
        Chance with which a state starts anew from the data each time it was used: a state lives for
        1 / renewal uses in the mean.

    Examples
    --------
    >>> torch.manual_seed(0)  # doctest: +ELLIPSIS
    <torch._C.Generator object at ...>
    >>> pool = ReplayPool([torch.zeros(4, 1, 2, 2), torch.ones(4, 1, 2, 2)], size=6, renewal=0.0)
    >>> rows, states = pool.draw(3)
    >>> states.shape
    torch.Size([2, 3, 1, 2, 2])
    >>> pool.put(rows, states + 5)
    >>> int((pool.states >= 5).flatten(2).all(2).sum())
    6
    """

    def __init__(self, images: Sequence[Tensor], *, size: int, renewal: float) -> None:
        if size < 1:
            raise LyapmapError(f"size: expected at least 1 state, got {size}")
        if not 0 <= renewal <= 1:
            raise LyapmapError(f"renewal: expected a chance in [0, 1], got {renewal}")
        self._images = images
        self._renewal = renewal
        first = torch.arange(size)
        self.states = torch.stack([some[first % len(some)] for some in images])
        self.ages = torch.zeros(len(images), size, dtype=torch.long)

    def draw(self, b: int) -> tuple[Tensor, Tensor]:
        """Places and states of b different rows, the same places in each category: (b,), (n, b, c, h, w)."""
        size = self.states.shape[1]
        if not 1 <= b <= size:
            raise LyapmapError(f"b: expected 1 to {size} states (the size of the pool), got {b}")
        rows = torch.randperm(size)[:b]
        return rows, self.states[:, rows]

    @torch.no_grad()
    def put(self, rows: Tensor, moved: Tensor) -> None:
        """Put back images (n, b, c, h, w) of the states drawn, each filed under its new category."""
        anew = torch.rand(moved.shape[:2]) < self._renewal
        ages = self.ages[:, rows].roll(1, dims=0) + 1
        kept = moved.detach().to(self.states, copy=True)  # mixed precision hands on bfloat16
        for i, images in enumerate(self._images):
            places = torch.nonzero(anew[i]).flatten()
            kept[i, places] = images[torch.randint(len(images), (len(places),))]
        self.states[:, rows] = kept
        self.ages[:, rows] = torch.where(anew, 0, ages)

    def state(self) -> dict[str, Any]:
        """What resuming needs."""
        return {"states": self.states, "ages": self.ages}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave."""
        self.states, self.ages = state["states"].to(self.states), state["ages"].clone()
