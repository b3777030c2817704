"""Losses of a cycle model beyond the paper's: of its iterates, and of its largest exponent.

The paper trains G on images of the data alone and judges one step, yet iterates G on its own images: nothing keeps
later iterates from growing alike. Here a pool of states is carried on beside the training, as persistent chains are for
energy-based models (T. Tieleman 2008), so that a loss of one step reaches states after many at the cost of one;
the iterates are judged, compared with the data as a whole, and the largest exponent is held.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import jvp

from lyapmap.core.errors import LyapmapError
from lyapmap.models.cycle.network import CycleModel

TANGENTS = 32
"""States on the attractor that carry a tangent each."""
RENEWAL = 8
"""Steps after which the oldest of them starts anew from the data: transients count for little."""
MEMORY = 0.8
"""Weight of the past in the running mean of the growth; a longer one lags, and the training overshoots."""


@dataclass(frozen=True)
class ExtraTerms:
    """Terms added to the paper's losses of a cycle model; by default none.

    Parameters
    ----------
    unroll : int
        Steps of G that the discriminators judge: 1 is the paper's, m also judges G(G(x)), ..., each with
        gradients through its last step only, which bounds the memory.
    replay : float
        Images of G that G goes on from, beside each batch and as part of its size: states of a pool that
        have seen up to hundreds of steps, judged like those of the first (see `ReplayPool`); 0 for none.
    renewal : float
        Chance of such a state to start anew from the data at each use.
    replay_cycle : float
        Weight of the cycle loss F(G(x)) = x on them, as part of that on the data.
    diversity : float
        Weight of the energy distance between the images of each of these steps and the data.
    exponent : float, optional
        The largest exponent that the network saved shall have, in nats per step: the mean of the weights where there
        is an `average`.
    exponent_weight : float
        Weight of its squared error.
    average : float
        Weight of the past in the exponential mean of G's weights that is saved, in [0, 1); 0 saves
        the weights themselves.
    """

    unroll: int = 1
    replay: float = 0.0
    renewal: float = 0.05
    replay_cycle: float = 0.0
    diversity: float = 0.0
    exponent: float | None = None
    exponent_weight: float = 1.0
    average: float = 0.0

    def __post_init__(self) -> None:
        if self.unroll < 1:
            raise LyapmapError(f"unroll: expected at least 1 step, got {self.unroll}")
        for name in ("diversity", "exponent_weight", "replay_cycle"):
            if not 0 <= getattr(self, name) < math.inf:
                raise LyapmapError(f"{name}: expected a weight of at least 0, got {getattr(self, name)}")
        for name in ("replay", "renewal"):
            if not 0 <= getattr(self, name) <= 1:
                raise LyapmapError(f"{name}: expected a part in [0, 1], got {getattr(self, name)}")
        if self.exponent is not None and not math.isfinite(self.exponent):
            raise LyapmapError(f"exponent: expected a finite number, got {self.exponent}")
        if not 0 <= self.average < 1:
            raise LyapmapError(f"average: expected a weight in [0, 1), got {self.average}")

    def to_dict(self) -> dict[str, Any]:
        """What differs from the paper's way, as plain values."""
        usual = asdict(ExtraTerms())
        return {name: value for name, value in asdict(self).items() if value != usual[name]}


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


def energy_distance(x: Tensor, y: Tensor) -> Tensor:
    """Twice the mean distance between two samples, minus the mean distances within each.

    Zero in the mean if, and only if, both come from one distribution (Székely and Rizzo 2004); unbiased, so
    that it can be a little below zero. In units of the root mean square of a value.

    Parameters
    ----------
    x, y : Tensor (a, ...), (b, ...)
        At least two rows each.

    Examples
    --------
    >>> points = torch.tensor([[0.0], [2.0]])
    >>> energy_distance(points, points + 10)
    tensor(16.)
    """
    kind = torch.promote_types(x.dtype, y.dtype)
    x, y = x.flatten(1).to(kind), y.flatten(1).to(kind)
    scale = math.sqrt(x.shape[1])
    # Differences of squares: in mixed precision nothing would be left of them.
    with torch.autocast(x.device.type, enabled=False):
        within = [_distances(z, z).sum() / (len(z) * (len(z) - 1)) for z in (x, y)]
        return (2 * _distances(x, y).mean() - within[0] - within[1]) / scale


def _distances(x: Tensor, y: Tensor) -> Tensor:
    """Distances between all rows; with finite gradients where two rows are the same."""
    squares = x.square().sum(1)[:, None] + y.square().sum(1) - 2 * x @ y.mT
    # Below this rounding decides, and the root's slope has no bound.
    floor = 1e-6 * squares.detach().mean()
    return torch.where(squares > floor, squares.clamp_min(floor).sqrt(), 0.0)


def unrolled(model: CycleModel, by_g: Tensor, steps: int) -> list[Tensor]:
    """Images of successive steps of G, by category, each (n, b, c, h, w) with the graph of one step."""
    images = [by_g]
    for _ in range(steps - 1):
        images.append(model.advance(images[-1].detach()))
    return images


def iterate_losses(
    model: CycleModel,
    batch: Tensor,
    images: Sequence[Tensor],
    terms: ExtraTerms,
    gathered: Callable[[Tensor], Tensor] = lambda rows: rows,
) -> dict[str, Tensor]:
    """Losses of the steps of G: "iterates" (adversarial, from the second on) and "diversity" (of all).

    The energy distance is not a mean over rows: where processes share a batch, `gathered` gives the rows of all.
    """
    losses = {}
    if len(images) > 1:
        losses["iterates"] = torch.stack([model.adversarial_loss(step) for step in images[1:]]).sum()
    if terms.diversity:
        apart = [energy_distance(gathered(a), gathered(b)) for step in images for a, b in zip(step, batch, strict=True)]
        losses["diversity"] = torch.stack(apart).sum() / len(images)
    return losses


class ExponentTerm:
    """Holds the largest exponent of a network to a value while it trains.

    A pool of states is iterated beside the training, each with a tangent, so that the tangents turn to the
    direction that grows fastest; the mean of log |J v| / |v| is then the largest exponent, and the
    error of its running mean says in which direction the weights are to go. Differentiable
    through the network's forward mode.

    Parameters
    ----------
    states : Tensor (m, c, h, w)
        To start from.
    target : float
        Nats per step.
    """

    def __init__(self, states: Tensor, target: float) -> None:
        self._starts = states
        self._target = target
        self._x = states[torch.arange(TANGENTS) % len(states)].clone()
        # Any direction does, if it is the same in every run.
        draws = torch.Generator().manual_seed(0)
        self._v = _unit(torch.randn(self._x.shape, generator=draws).to(states))
        self._mean = target
        self._steps = 0

    def loss(self, network: nn.Module) -> Tensor:
        """Its gradient is that of the squared error; its value too, once the mean has settled."""
        was_training = network.training
        network.eval()
        # The exponent is that of the network as it will be iterated, in full precision.
        with torch.autocast(self._x.device.type, enabled=False):
            image, moved = cast(tuple[Tensor, Tensor], jvp(network, (self._x,), (self._v,)))
        network.train(was_training)
        growth = moved.flatten(1).norm(dim=1).clamp_min(torch.finfo(moved.dtype).tiny).log().mean()
        self._mean = MEMORY * self._mean + (1 - MEMORY) * growth.item()
        error = self._mean - self._target
        with torch.no_grad():
            self._x, self._v = image.detach().clone(), _unit(moved.detach())
            turn, due = divmod(self._steps, RENEWAL)
            if due == 0:
                self._x[turn % TANGENTS] = self._starts[turn % len(self._starts)]
        self._steps += 1
        return error**2 + 2 * error * (growth - growth.detach())

    def state(self) -> dict[str, Any]:
        """What resuming needs."""
        return {"x": self._x, "v": self._v, "mean": self._mean, "steps": self._steps}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave."""
        self._x, self._v = (state[name].to(self._starts) for name in ("x", "v"))
        self._mean, self._steps = float(state["mean"]), int(state["steps"])


def _unit(v: Tensor) -> Tensor:
    norms = v.flatten(1).norm(dim=1).clamp_min(torch.finfo(v.dtype).tiny)
    return v / norms.view(-1, *[1] * (v.ndim - 1))


def __getattr__(name: str) -> Any:
    if name == "Wishes":
        warnings.warn("Wishes is now ExtraTerms", DeprecationWarning, stacklevel=2)
        return ExtraTerms
    raise AttributeError(f"module {__name__} has no attribute {name!r}")
