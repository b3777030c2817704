"""States among data in the plane: the numbers behind the pictures of an embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.results import Result


@dataclass(frozen=True, kw_only=True)
class EmbeddedStates(Result):
    """Coordinates of data, and of trajectories placed among them.

    Attributes
    ----------
    data : (m, n_components)
        Coordinates of the data.
    labels : (m,)
        Their categories; empty if there are none.
    label_names : tuple of str
        Of the different labels, in ascending order.
    coordinates : (b, s, n_components)
        Of b trajectories at s steps.
    at : (s,)
        The steps.
    """

    DIMS: ClassVar[dict[str, tuple[str, ...]]] = {
        "data": ("point", "axis"),
        "labels": ("label",),
        "coordinates": ("trajectory", "step", "axis"),
        "at": ("step",),
    }
    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.manifold.pictures_embedding.draw_embedding"

    data: NDArray[np.float32]
    labels: NDArray[np.int64]
    label_names: tuple[str, ...]
    coordinates: NDArray[np.float32]
    at: NDArray[np.int64]
