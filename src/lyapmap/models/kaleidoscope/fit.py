"""Small kaleidoscopic networks fitted to a few points until hardly any loss is left, many at once.

One step of a small network takes as long as its calls do, whatever they compute: a stack of networks with
weights (c, in, out) takes hardly longer than one. Each is trained as it would be alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from lyapmap.core.arguments import positive, whole
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.run import Report, reporting
from lyapmap.models.kaleidoscope.network import Kaleidoscope, KaleidoscopeConfig

BETAS, EPSILON = (0.9, 0.999), 1e-8
"""Adam's (D. P. Kingma and J. Ba, 2015), as torch has them."""
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
    >>> found = fit_points([[0.5]], depth=2, width=5)
    >>> bool(found.loss[0] <= 1e-8), found.tries.tolist()
    (True, [1])
    """
    sets, config = checked_sets(points, depth=depth, width=width, output=output)
    loss, learning_rate = positive("loss", loss), positive("learning_rate", learning_rate)
    steps, tries = whole("steps", steps, 1), whole("tries", tries, 1)
    at_once, seed = whole("at_once", at_once, 1), whole("seed", seed, 0)
    if dtype not in ("float64", "float32"):
        raise LyapmapError(f"dtype: expected 'float64' or 'float32', got {dtype!r}")
    slots = [_Slot() for _ in sets]
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
    weights: Tensor
    dead: bool


class _Slot:
    """The tries of one set of points, which come to an end in any order."""

    def __init__(self) -> None:
        self.over: dict[int, _Try] = {}
        self.chosen: int | None = None

    @property
    def open(self) -> bool:
        return self.chosen is None

    def end(self, number: int, ended: _Try, loss: float) -> None:
        self.over[number] = ended
        # The first that reached the loss counts, once all before it have failed.
        for r in range(len(self.over)):
            if r not in self.over:
                return
            if self.over[r].loss <= loss:
                self.chosen = r
                return

    @property
    def tried(self) -> int:
        return len(self.over) if self.chosen is None else self.chosen + 1

    @property
    def dead(self) -> int:
        return sum(self.over[r].dead for r in range(self.tried))

    @property
    def best(self) -> _Try:
        return min(self.over.values(), key=lambda one: one.loss) if self.chosen is None else self.over[self.chosen]

    def network(self, config: KaleidoscopeConfig, dtype: str) -> Kaleidoscope:
        network = Kaleidoscope(config).to(getattr(torch, dtype))
        torch.nn.utils.vector_to_parameters(self.best.weights, network.parameters())
        return network.eval()


class _Stack:
    """Networks of one size side by side: weights (c, p), points (c, m, d)."""

    def __init__(
        self,
        config: KaleidoscopeConfig,
        sets: NDArray[np.float64],
        tries: list[tuple[int, int]],
        *,
        seed: int,
        dtype: torch.dtype,
    ) -> None:
        self.config = config
        self.tries = tries
        self.x = torch.as_tensor(sets[[s for s, _ in tries]], dtype=dtype)
        # Drawn in float32 as torch draws them for the model by default, whatever the dtype of the fit.
        self.weights = torch.stack([_initial(config, (seed, s, r)) for s, r in tries]).to(dtype)
        self.mean, self.square = torch.zeros_like(self.weights), torch.zeros_like(self.weights)
        # What the best constant output would lose: a network with a dead layer can become no better.
        self.constant = self.x.var(dim=1, correction=0).mean(dim=1)

    def train(self, slots: list[_Slot], *, loss: float, steps: int, rate: float, report: Report) -> None:
        for step in range(steps + 1):
            self.weights.requires_grad_(True)
            losses, hidden = self._losses()
            (gradient,) = torch.autograd.grad(losses.sum(), self.weights)
            self.weights = self.weights.detach()
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
                    one = _Try(float(losses[i].detach()), step, self.weights[i].clone(), bool(dead[i]))
                    slots[s].end(r, one, loss)
                going = [i for i, (s, _) in enumerate(self.tries) if not ended[i] and slots[s].open]
                if not going:
                    break
                gradient = gradient[going]
                self._keep(going)
            self._adam(gradient, step + 1, rate * _decay(step, steps))
        report(steps, steps)

    def _losses(self) -> tuple[Tensor, list[Tensor]]:
        """Of each network (c,), and its hidden layers (c, m, width)."""
        n = self.config.state_shape[0]
        sizes = [n, *[self.config.width] * self.config.depth, n]
        h, first, hidden = self.x, 0, []
        for layer, (n_in, n_out) in enumerate(pairwise(sizes)):
            middle, last = first + n_in * n_out, first + n_in * n_out + n_out
            w, bias = self.weights[:, first:middle].unflatten(1, (n_out, n_in)), self.weights[:, None, middle:last]
            h, first = torch.baddbmm(bias, h, w.transpose(1, 2)), last
            if layer < self.config.depth:
                h = torch.relu(h)
                hidden.append(h.detach())
        y = torch.tanh(h) if self.config.output == "tanh" else torch.sigmoid(h)
        return ((y - self.x) ** 2).mean(dim=(1, 2)), hidden

    def _adam(self, gradient: Tensor, step: int, rate: float) -> None:
        first, second = BETAS
        self.mean.lerp_(gradient, 1 - first)
        self.square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        scale = (self.square.sqrt() / (1 - second**step) ** 0.5).add_(EPSILON)
        self.weights.addcdiv_(self.mean, scale, value=-rate / (1 - first**step))

    def _keep(self, rows: list[int]) -> None:
        self.tries = [self.tries[i] for i in rows]
        self.x, self.weights, self.constant = self.x[rows], self.weights[rows], self.constant[rows]
        self.mean, self.square = self.mean[rows], self.square[rows]


def _decay(step: int, steps: int) -> float:
    late = max(0.0, 2 * step / steps - 1)
    return float(LOWEST_RATE**late)


def _initial(config: KaleidoscopeConfig, key: tuple[int, ...]) -> Tensor:
    """Initial weights of one network as a vector, the same for the same key."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1)))
        return torch.nn.utils.parameters_to_vector(Kaleidoscope(config).parameters()).detach()
