"""Networks of reservoirpy that are fed their own output: the map of their reservoirs' states.

Nothing is imported: what is an object of reservoirpy has brought it in itself. Requires reservoirpy >= 0.4.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import MapError


def closed_loop(model: Any) -> tuple[Callable[[NDArray[Any]], NDArray[Any]], int] | None:
    """One step of a trained model whose output is its next input, and the number of its states; None for others.

    A state holds those of the reservoirs, one after the other in the order in which the model runs them: what a
    readout gives follows from it. The model is copied.

    Raises
    ------
    MapError
        If it has not been fitted or run, has feedback connections of its own, or its output does not fit its input.
    """
    kinds = {f"{kind.__module__}.{kind.__name__}" for kind in type(model).__mro__}
    if not {"reservoirpy.model.Model", "reservoirpy.esn.ESN"} & kinds:
        return None
    if not model.initialized:
        raise MapError("function: the reservoirpy model has not been fitted; call model.fit(x, y) first")
    if model.feedback_buffers:
        raise MapError(
            "function: the reservoirpy model has feedback connections of its own; wrap a function of one step"
        )
    if len(model.outputs) != 1:
        raise MapError(f"function: expected a reservoirpy model with one output, got {len(model.outputs)}")
    own = copy.deepcopy(model)
    reservoirs = [node for node in own.execution_order if hasattr(node, "W") and hasattr(node, "Win")]
    if not reservoirs:
        raise MapError("function: the reservoirpy model has no reservoir, so that there is no state to iterate")
    for node in reservoirs:  # sparse ones let no dual numbers through
        for name in ("W", "Win"):
            weights = getattr(node, name)
            setattr(node, name, weights.toarray() if hasattr(weights, "toarray") else weights)
    sizes = [int(node.output_dim) for node in reservoirs]
    ends = np.cumsum(sizes)[:-1]
    fed, given = own.outputs[0], {int(node.input_dim) for node in own.inputs}
    if given != {int(fed.output_dim)}:
        raise MapError(f"function: its output has {fed.output_dim} values and its input takes {sorted(given)}")

    def step(state: NDArray[Any]) -> NDArray[Any]:
        before = dict(zip(reservoirs, np.split(state, ends), strict=True))

        def value(node: Any) -> Any:
            if node in before:
                return before[node]
            if node in own.inputs:
                raise MapError("function: its readout sees its input directly; wrap a function of one step")
            return node._step(node.state, np.concatenate([value(parent) for parent in own.parents[node]]))["out"]

        fed_back = value(fed)
        after: dict[Any, Any] = {}
        for node in own.execution_order:
            if node in before or _leads_to(own, node, before):
                inputs = [fed_back] if node in own.inputs else []
                inputs += [after[parent] for parent in own.parents[node]]
                memory = {**node.state, "out": before[node]} if node in before else node.state
                after[node] = node._step(memory, np.concatenate(inputs))["out"]
        return np.concatenate([after[node] for node in reservoirs])

    return step, sum(sizes)


def _leads_to(model: Any, node: Any, reservoirs: Any) -> bool:
    """Whether a reservoir stands behind a node."""
    behind = [other for other in model.execution_order if node in model.parents[other]]
    return any(other in reservoirs or _leads_to(model, other, reservoirs) for other in behind)
