"""Tangents and Jacobians of TensorFlow functions, each traced once for all numbers of states and directions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lyapmap.backends.keras.start import tensorflow
from lyapmap.core.errors import MapError

Tensor = Any
Image = Callable[[Tensor], Tensor]
"""A function of flat states, (b, n) -> (b, n)."""

NO_FORWARD = ("ResizeBilinear", "ResizeBicubic")
"""Operations through which TensorFlow carries no tangents, in silence: beside another way they are as good as zero."""
SUSPECTS = (*NO_FORWARD, "While", "StatelessWhile", "EagerPyFunc", "PyFunc")
"""Operations to name where forward mode fails."""


ROUNDOFF = {"bfloat16": 2.0**-7, "float16": 2.0**-10, "float32": 2.0**-23, "float64": 2.0**-52}
STEPS = (
    *("Round", "Rint", "Floor", "Ceil", "Sign", "FloorMod", "Mod", "ArgMax", "ArgMin", "EagerPyFunc", "PyFunc"),
    *("Greater", "GreaterEqual", "Less", "LessEqual", "FakeQuantWithMinMaxVars", "PyFuncStateless", "Bucketize"),
)
"""Operations whose values move in steps, or whose inside TensorFlow does not see."""


class NoTangents(Exception):  # noqa: N818  # no error: the caller takes the other way
    """TensorFlow finds nothing that leads from the state to the image."""


def traced(function: Callable[..., Any], n: int, dtype: str, device: str, *, axes: tuple[int, ...], xla: bool) -> Any:
    """A compiled function of arrays whose axis of size n is known and all others are free.

    `axes` holds, for each argument, its number of axes: 2 for (b, n), 3 for (b, n, k).
    """
    tf = tensorflow()
    specs = [tf.TensorSpec((None, n) if ndim == 2 else (None, n, None), dtype) for ndim in axes]
    with _patient(tf), tf.device(device):
        # A concrete function: it can never be traced again, and is called without looking for a fitting one.
        return tf.function(function, jit_compile=xla or None).get_concrete_function(*specs)


def forward(image: Image) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Images and tangents, (b, n), (b, n, k) -> (b, n), (b, n, k), by forward accumulation.

    The k directions pass through the function together: each operation is written out once for all
    of them, while what depends on the state alone is computed once.
    """
    tf = tensorflow()

    def carry(x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        lost: list[bool] = []

        def one(u: Tensor) -> Tensor:
            with tf.autodiff.ForwardAccumulator(x, u) as accumulator:
                y = image(x)
            tangent = accumulator.jvp(y)
            lost.append(tangent is None)
            return y if tangent is None else tangent

        tangents = tf.vectorized_map(one, tf.transpose(v, (2, 0, 1)))
        if any(lost):
            raise NoTangents
        return image(x), tf.transpose(tangents, (1, 2, 0))

    return carry


def pullbacks(image: Image, *, looped: bool) -> Callable[[Tensor, Tensor], Tensor]:
    """Rows of Jacobians by reverse mode, (b, n) and cotangents (m, n) -> (b, m, n).

    `looped` does the cotangents one after the other, for operations that cannot be written out for
    many at once.
    """
    tf = tensorflow()

    def pull(x: Tensor, cotangents: Tensor) -> Tensor:
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            y = image(x)
        lost: list[bool] = []

        def one(u: Tensor) -> Tensor:
            # Rows are independent, so one cotangent serves all states of the batch.
            pulled = tape.gradient(y, x, output_gradients=tf.broadcast_to(u, tf.shape(y)))
            lost.append(pulled is None)
            return y if pulled is None else tf.convert_to_tensor(pulled)

        rows = (tf.map_fn if looped else tf.vectorized_map)(one, cotangents)
        if any(lost):
            raise NoTangents
        return tf.transpose(rows, (1, 0, 2))

    return pull


def pulled_back(image: Image, x: Tensor, u: Tensor) -> Tensor | None:
    """Jᵀu of states (b, n) and cotangents (b, n), operation by operation; None without a derivative."""
    tf = tensorflow()
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = image(x)
    gradient = tape.gradient(y, x, output_gradients=u)
    return None if gradient is None else tf.convert_to_tensor(gradient)


def without_forward(graph: Any, operations: tuple[str, ...] = NO_FORWARD) -> str:
    """The first of some operations in a traced function, with its place; "" if it has none."""
    for node in _nodes(graph):
        if node.op in operations:
            return f"{node.op} in {node.name}" if "/" in node.name else node.op
    return ""


def precision_inside(graph: Any) -> tuple[float, bool]:
    """Rounding of the coarsest precision in a traced function, and whether values move in steps or unseen."""
    coarsest, steps = 0.0, False
    graphs = [graph, *(function.graph for function in graph._functions.values() if hasattr(function, "graph"))]
    for operation in (operation for part in graphs for operation in part.get_operations()):
        steps |= operation.type in STEPS
        for output in operation.outputs:
            if output.dtype.is_floating:
                coarsest = max(coarsest, ROUNDOFF.get(output.dtype.name, 0.0))
    return coarsest, steps


def bytes_per_row(graph: Any, itemsize: int) -> int:
    """Size of the largest array that a traced function makes of each row of its batch."""
    largest = 1
    for node in _nodes(graph):
        for shape in node.attr["_output_shapes"].list.shape:
            sizes = [d.size for d in shape.dim]
            if len(sizes) > 1 and sizes[0] < 0 and min(sizes[1:]) > 0:
                count = 1
                for size in sizes[1:]:
                    count *= size
                largest = max(largest, count)
    return largest * itemsize


def reason(error: Exception) -> str:
    """What TensorFlow complains about, in one line: its messages quote the user's code first."""
    text = str(getattr(error, "message", error)).replace("\x1b[1m", "").replace("\x1b[0m", "")
    lines = [line.strip() for line in text.partition("Arguments received")[0].splitlines()]
    said = [line for line in lines if line and not line.startswith(("Exception encountered", "in user code", "File "))]
    return (said or [type(error).__name__])[-1 if "in user code:" in lines else 0].removesuffix("[Op:]").strip()


def unusable(error: Exception, what: str) -> MapError:
    return MapError(f"function: TensorFlow cannot {what}: {reason(error)}")


def _nodes(graph: Any) -> Iterator[Any]:
    definition = graph.as_graph_def(add_shapes=True)
    yield from definition.node
    for function in definition.library.function:
        yield from function.node_def


@contextmanager
def _patient(tf: Any) -> Iterator[None]:
    """Without the warnings about operations that are looped over, which are as right as any other."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
