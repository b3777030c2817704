"""Small kaleidoscopic networks fitted to a few points until hardly any loss is left, many at once.

One step of a small network takes as long as its calls do, whatever they compute: a stack of networks with
weights (c, out, in) takes hardly longer than one. Each is trained as it would be alone.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from lyapmap.core.arguments import positive, whole
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.run import Report, reporting
from lyapmap.models.kaleidoscope.network import Kaleidoscope, KaleidoscopeConfig

LOWEST_RATE = 0.01
"""Of the learning rate, at the end of its decay."""
LOOK_EVERY = 50
"""Steps between looks for networks that cannot learn any more."""


@dataclass(frozen=True)
class Fitted:
    """Networks fitted to points, and what it took.

    Attributes
    ----------
    networks : list of Kaleidoscope
        In the dtype asked for, one for each set of points.
    loss : (s,)
        What is left, in the square of the unit of the points.
    steps : (s,) int
        Of Adam.
    tries : (s,) int
        Initial weights of each, those before this one included.
    dead : (s,) int
        Of these, how many could not learn any more: all units of a layer were 0 at all points, which leaves a
        constant output.
    """

    networks: list[Kaleidoscope]
    loss: NDArray[np.float64]
    steps: NDArray[np.int64]
    tries: NDArray[np.int64]
    dead: NDArray[np.int64]

    def reached(self, loss: float) -> NDArray[np.bool_]:
        """Which of them have no more loss left than that, (s,)."""
        return np.asarray(self.loss <= loss)


def fit_points(
    points: ArrayLike,
    *,
    depth: int,
    width: int,
    output: str = "sigmoid",
    loss: float = 1e-8,
    steps: int = 12_000,
    tries: int = 32,
    at_once: int = 4,
    learning_rate: float = 1e-3,
    seed: int = 0,
    dtype: str = "float64",
    progress: bool | Report = False,
    label: str = "fitting",
) -> Fitted:
    """Fit a network to each set of points, from further initial weights where some fail.

    All points form one batch. Adam's learning rate is constant over the first half of the steps, then falls
    geometrically to a hundredth. Initial weights are those of `Kaleidoscope`, seeded by (seed, set, try);
    a try fails if its ReLU units have died or the loss is not reached, and the first that does not is taken.

    Parameters
    ----------
    points : array_like (m, d) or (s, m, d)
        One set, or several of equal size, within the range of the output.
    depth, width : int
        Hidden layers, and units of each.
    output : "sigmoid" or "tanh"
        For points in [0, 1] or [-1, 1].
    loss : float
        At which a network is done (paper, Eq. 1).
    steps : int
        Most steps of one try.
    tries : int
        Most tries for one set; if all fail, the one with the smallest loss is returned.
    at_once : int
        Tries of a set that are trained side by side; it changes the time taken, not what is found.
    learning_rate : float
    seed : int
    dtype : "float64" or "float32"
    progress : bool or callable
    label : str
        Beside the progress bar.

    Returns
    -------
    Fitted

    Raises
    ------
    LyapmapError
        If points lie outside the range of the output, or an option is out of its range.
    ShapeError
        If `points` is no table of points.

    References
    ----------
    H. Shrivastava, "Generative Kaleidoscopic Networks" (2024), Eq. 1, Fig. 2 to 6.

    Examples
    --------
    >>> fitted = fit_points([[0.5]], depth=2, width=5)
    >>> bool(fitted.loss[0] <= 1e-8), fitted.tries.tolist()
    (True, [1])
    """
    sets, config = checked_sets(points, depth=depth, width=width, output=output)
    loss, learning_rate = positive("loss", loss), positive("learning_rate", learning_rate)
    steps, tries = whole("steps", steps, 1), whole("tries", tries, 1)
    at_once, seed = whole("at_once", at_once, 1), whole("seed", seed, 0)
    if dtype not in ("float64", "float32"):
        raise LyapmapError(f"dtype: expected 'float64' or 'float32', got {dtype!r}")
    slots = [_Tries() for _ in sets]
    with reporting(progress, label) as report:
        for first in range(0, tries, at_once):
            pending = [(s, r) for s, slot in enumerate(slots) if slot.open for r in range(first, first + at_once)]
            pending = [(s, r) for s, r in pending if r < tries]
            if not pending:
                break
            stack = _Stack(config, sets, pending, seed=seed, dtype=getattr(torch, dtype))
            stack.train(slots, loss=loss, steps=steps, rate=learning_rate, report=report)
    return Fitted(
        [slot.network(config, dtype) for slot in slots],
        np.array([slot.best.loss for slot in slots]),
        np.array([slot.best.steps for slot in slots]),
        np.array([slot.tried for slot in slots]),
        np.array([slot.dead for slot in slots]),
    )


def checked_sets(
    points: ArrayLike, *, depth: int, width: int, output: str
) -> tuple[NDArray[np.float64], KaleidoscopeConfig]:
    """Sets of points (s, m, d) and the sizes of a network for them."""
    try:
        sets = np.asarray(points, float)
    except (TypeError, ValueError):
        raise ShapeError("points: expected numbers in a table (points, dimensions)") from None
    sets = sets[None] if sets.ndim == 2 else sets
    if sets.ndim != 3 or 0 in sets.shape:
        raise ShapeError(f"points: expected (points, dimensions) or (sets, points, dimensions), got {np.shape(points)}")
    config = KaleidoscopeConfig(
        state_shape=(sets.shape[2],), depth=whole("depth", depth, 1), width=whole("width", width, 1), output=output
    )
    low, high = config.value_range
    if not np.isfinite(sets).all() or sets.min() < low or sets.max() > high:
        raise LyapmapError(
            f"points: expected values from {low:g} to {high:g} for {output}, got {sets.min():g} to {sets.max():g}"
        )
    return sets, config


@dataclass
class _Try:
    """One try of one set, when it is over."""

    loss: float
    steps: int
    weights: dict[str, Tensor]
    dead: bool


class _Tries:
    """The tries of one set of points, which come to an end in any order."""

    def __init__(self) -> None:
        self.over: dict[int, _Try] = {}
        self.winner: int | None = None

    @property
    def open(self) -> bool:
        return self.winner is None

    def end(self, number: int, ended: _Try, loss: float) -> None:
        self.over[number] = ended
        # The first that reached the loss counts, once all before it have failed: so the result does not depend on
        # how many are trained side by side.
        for r in range(len(self.over)):
            if r not in self.over:
                return
            if self.over[r].loss <= loss:
                self.winner = r
                return

    @property
    def tried(self) -> int:
        return len(self.over) if self.winner is None else self.winner + 1

    @property
    def dead(self) -> int:
        return sum(self.over[r].dead for r in range(self.tried))

    @property
    def best(self) -> _Try:
        return min(self.over.values(), key=lambda ended: ended.loss) if self.winner is None else self.over[self.winner]

    def network(self, config: KaleidoscopeConfig, dtype: str) -> Kaleidoscope:
        network = Kaleidoscope(config).to(getattr(torch, dtype))
        network.load_state_dict(self.best.weights)
        return network.eval()


class _Stack:
    """Networks of one size side by side: each weight (c, ...), points (c, m, d)."""

    def __init__(
        self,
        config: KaleidoscopeConfig,
        sets: NDArray[np.float64],
        tries: list[tuple[int, int]],
        *,
        seed: int,
        dtype: torch.dtype,
    ) -> None:
        self.tries = tries
        self.x = torch.as_tensor(sets[[s for s, _ in tries]], dtype=dtype)
        # Drawn in float32 as torch draws them for the model by default, whatever the dtype of the fit.
        networks: list[nn.Module] = [_initial(config, (seed, s, r)).to(dtype) for s, r in tries]
        self.weights, _ = torch.func.stack_module_state(networks)
        self.layers = Kaleidoscope(config).layers
        self.adam = torch.optim.Adam(self.weights.values(), fused=True)
        # What the best constant output would lose: a network with a dead layer can become no better.
        self.constant = self.x.var(dim=1, correction=0).mean(dim=1)

    def train(self, slots: list[_Tries], *, loss: float, steps: int, rate: float, report: Report) -> None:
        for step in range(steps + 1):
            losses, hidden = self._losses()
            self.adam.zero_grad()
            losses.sum().backward()  # the networks share nothing: each gets the gradient of its own loss
            over = losses.detach() <= loss
            dead = torch.zeros_like(over)
            if step % LOOK_EVERY == 0:
                alive = torch.stack([(h > 0).any(dim=2).any(dim=1) for h in hidden])
                dead = ~alive.all(dim=0) & ~over & (self.constant > loss)
                report(step, steps)
            last = step == steps
            if last or bool((over | dead).any()):
                ended = torch.ones_like(over) if last else over | dead
                for i in torch.nonzero(ended).flatten().tolist():
                    s, r = self.tries[i]
                    weights = {name: stacked[i].detach().clone() for name, stacked in self.weights.items()}
                    slots[s].end(r, _Try(float(losses[i].detach()), step, weights, bool(dead[i])), loss)
                going = [i for i, (s, _) in enumerate(self.tries) if not ended[i] and slots[s].open]
                if not going:
                    break
                self._keep(going)
            self.adam.param_groups[0]["lr"] = rate * _decay(step, steps)
            self.adam.step()
        report(steps, steps)

    def _losses(self) -> tuple[Tensor, list[Tensor]]:
        """Of each network (c,), and its hidden layers (c, m, width).

        The network's own layers, one batched product for each linear one: `torch.func.vmap` over the whole network
        gives the same and takes twice as long for the smallest networks.
        """
        h, hidden = self.x, []
        for i, layer in enumerate(self.layers):
            if isinstance(layer, nn.Linear):
                weight, bias = self.weights[f"layers.{i}.weight"], self.weights[f"layers.{i}.bias"]
                h = torch.baddbmm(bias[:, None], h, weight.mT)
            else:
                h = layer(h)
                if isinstance(layer, nn.ReLU):
                    hidden.append(h.detach())
        return ((h - self.x) ** 2).mean(dim=(1, 2)), hidden

    def _keep(self, rows: list[int]) -> None:
        """Go on with some of the networks, each with its own gradient and moments of Adam."""
        self.tries = [self.tries[i] for i in rows]
        self.x, self.constant = self.x[rows], self.constant[rows]
        moments = self.adam.state
        self.adam.state = defaultdict(dict)
        for name, stacked in self.weights.items():
            assert stacked.grad is not None
            kept = self.weights[name] = stacked.detach()[rows].requires_grad_()
            kept.grad = stacked.grad[rows]
            self.adam.state[kept] = {key: v[rows] if v.ndim else v for key, v in moments.get(stacked, {}).items()}
        self.adam.param_groups[0]["params"] = list(self.weights.values())


def _decay(step: int, steps: int) -> float:
    late = max(0.0, 2 * step / steps - 1)
    return float(LOWEST_RATE**late)


def _initial(config: KaleidoscopeConfig, key: tuple[int, ...]) -> Kaleidoscope:
    """A network with initial weights, the same for the same key."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1)))
        return Kaleidoscope(config)
