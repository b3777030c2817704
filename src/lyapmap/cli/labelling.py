"""How a command puts states into categories."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import TangentMap, dimension
from lyapmap.core.points import image_shape


def chosen_classifier(
    tangent_map: TangentMap | None,
    model: str | None,
    classifier: str | None,
    threshold: str | None,
    component: int,
    device: str | None,
) -> Callable[[Any], Any] | None:
    """A function from states to categories; None where labels were given instead of a map."""
    if classifier is not None and threshold is not None:
        raise LyapmapError("--classifier and --threshold: expected one of them, got both")
    if tangent_map is None:
        if classifier is not None or threshold is not None:
            raise LyapmapError("--classifier and --threshold: only for a map, and --labels gives categories")
        return None
    if threshold is not None:
        return _intervals(threshold, component, dimension(tangent_map.state_shape))
    if classifier is None and model is None:
        raise LyapmapError("expected --classifier or --threshold, which put the states of the map into categories")
    from lyapmap.cli.source import require_torch

    require_torch("--classifier")
    from lyapmap.files.features import classifier as load
    from lyapmap.files.features import usual_classifier

    found = load(usual_classifier(str(model)) if classifier is None else classifier, device=device or "cpu")
    if found.state_shape != image_shape(tuple(tangent_map.state_shape)):
        raise LyapmapError(
            f"--classifier: {found.name} takes images {found.state_shape}, "
            f"states of the map have shape {tuple(tangent_map.state_shape)}"
        )
    return found


def _intervals(threshold: str, component: int, n: int) -> Callable[[Any], Any]:
    if component >= n:
        raise LyapmapError(f"--component: states have the components 0 to {n - 1}, got {component}")
    try:
        borders = np.array([float(part) for part in threshold.split(",")])
    except ValueError:
        raise LyapmapError(f"--threshold: expected numbers separated by commas, got {threshold!r}") from None
    if not (np.isfinite(borders).all() and (np.diff(borders) > 0).all()):
        raise LyapmapError(f"--threshold: expected ascending numbers, got {threshold!r}")

    def interval(states: Any) -> Any:
        return np.digitize(states.reshape(len(states), -1)[:, component], borders)

    return interval
