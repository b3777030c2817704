"""What `settling` finds: how fast trajectories come to rest, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.results import Result, Status


@dataclass(frozen=True, kw_only=True)
class Settling(Result):
    """How trajectories come to rest on fixed points and cycles, and how many end on each.

    Attributes
    ----------
    step_size : (n_steps, 3)
        10, 50 and 90 % quantiles over trajectories of |x_{n+1} - x_n|.
    settled_share : (n_steps + 1,)
        Part of the trajectories that have settled at step n.
    settled_interval : (n_steps + 1, 2)
        Wilson's limits.
    settled_at : (b,)
        Step at which each settled; -1 where it did not.
    attractor : (b,)
        Number of the fixed point or cycle on which each ended; -1 where it did not settle.
    points : (m, n)
        Of each fixed point or cycle the state where the first trajectory ended on it.
    period : (m,)
        1 for a fixed point.
    share : (m,)
        Part of all trajectories that ended there, largest first: how large the basin is, as the
        distribution of the initial states measures it.
    share_interval : (m, 2)
        Wilson's limits.
    unseen : float
        Probability that a further trajectory ends on a fixed point or cycle that is not among
        these (I. J. Good 1953): the part of the settled ones that ended alone.
    n_estimated : float
        Number of fixed points and cycles in all, at least (A. Chao 1984).
    state_shape : tuple of int
    """

    DIMS: ClassVar[dict[str, tuple[str, ...]]] = {
        "step_size": ("step", "quantile"),
        "settled_share": ("state",),
        "settled_interval": ("state", "limit"),
        "settled_at": ("trajectory",),
        "attractor": ("trajectory",),
        "points": ("end", "component"),
        "period": ("end",),
        "share": ("end",),
        "share_interval": ("end", "limit"),
    }
    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.orbits.pictures_settling.draw_settling"
    REMEDIES: ClassVar[dict[Status, str]] = {
        Status.UNRESOLVED: "raise n_steps or longest_period, or look with lyapunov_spectrum whether they wander"
    }

    step_size: NDArray[np.float64]
    settled_share: NDArray[np.float64]
    settled_interval: NDArray[np.float64]
    settled_at: NDArray[np.int64]
    attractor: NDArray[np.int64]
    points: NDArray[np.float64]
    period: NDArray[np.int64]
    share: NDArray[np.float64]
    share_interval: NDArray[np.float64]
    unseen: float
    n_estimated: float
    state_shape: tuple[int, ...]

    @property
    def median_settled_at(self) -> float:
        """Step at which half of all trajectories had settled; infinite if they had not."""
        steps = np.where(self.settled_at < 0, np.inf, self.settled_at)
        return float(np.quantile(steps, 0.5, method="inverted_cdf"))

    def images(self) -> NDArray[np.float64]:
        """`points` in the shape of a state, (m, *state_shape)."""
        return self.points.reshape(-1, *self.state_shape)
