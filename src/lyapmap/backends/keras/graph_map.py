"""Tangents and Jacobians of TensorFlow functions, each traced once for all numbers of states and directions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.backends.compiled import CompilableFlow, Twin
from lyapmap.backends.keras.ops import TensorFlowOps
from lyapmap.backends.keras.program import program_of
from lyapmap.backends.keras.start import tensorflow
from lyapmap.core.errors import LyapmapError, MapError, PrecisionError, ShapeError
from lyapmap.core.map import JACOBIAN_CHUNK, TangentMap, dimension
from lyapmap.core.ops import ArrayOps, quiet

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

    `axes` holds, for each argument, its number of axes: 2 for (b, n), 3 for (b, n, k), 0 for a whole number.
    """
    tf = tensorflow()
    shapes = {2: (None, n), 3: (None, n, None), 0: ()}
    specs = [tf.TensorSpec(shapes[ndim], dtype if ndim else tf.int32) for ndim in axes]
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

        def along(u: Tensor) -> Tensor:
            with tf.autodiff.ForwardAccumulator(x, u) as accumulator:
                y = image(x)
            tangent = accumulator.jvp(y)
            lost.append(tangent is None)
            return y if tangent is None else tangent

        tangents = tf.vectorized_map(along, tf.transpose(v, (2, 0, 1)))
        if any(lost):
            raise NoTangents
        return image(x), tf.transpose(tangents, (1, 2, 0))

    return carry


def looped(carry: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], n: int) -> Callable[..., tuple[Tensor, Tensor]]:
    """So many steps of `carry` in one loop of TensorFlow's, (x, v, count) -> (x, v)."""
    tf = tensorflow()
    states, tangents = tf.TensorShape((None, n)), tf.TensorShape((None, n, None))

    def steps(x: Tensor, v: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        def step(i: Tensor, x: Tensor, v: Tensor) -> tuple[Tensor, ...]:
            y, u = carry(x, v)
            return i + 1, tf.ensure_shape(y, states), tf.ensure_shape(u, tangents)

        shapes = (tf.TensorShape(()), states, tangents)
        now = tf.while_loop(lambda i, *_: i < count, step, (tf.constant(0), x, v), shape_invariants=shapes)
        return now[1], now[2]

    return steps


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

        def back_from(u: Tensor) -> Tensor:
            # Rows are independent, so one cotangent serves all states of the batch.
            pulled = tape.gradient(y, x, output_gradients=tf.broadcast_to(u, tf.shape(y)))
            lost.append(pulled is None)
            return y if pulled is None else tf.convert_to_tensor(pulled)

        rows = (tf.map_fn if looped else tf.vectorized_map)(back_from, cotangents)
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


AGREEMENT = 1e4
"""Roundings, relative to the largest value, within which forward and reverse mode must agree."""
CPU_LAYER_BYTES = 8 * 2**20
"""Size of a layer's tangents up to which a CPU carries rows at once: more fall out of its caches."""
DEFAULT_MEMORY_LIMIT = 2 * 2**30
FORWARD, NONE = "forward mode", "none"
STEP, TRACING, TRACING_OPERATION = 1e-3, 1.0, 0.02
"""Seconds, about, that a step takes in Python, that tracing a loop of steps takes, and more for each operation."""
XLA_DIRECTIONS = 16
"""Code compiled by XLA carries a multiple of so many directions; zeros fill up the rest."""
LIVE_TENSORS = 8
"""Tensors of the largest layer that are alive at once while tangents pass through it, about."""


class TensorFlowMap(TangentMap):
    """A TensorFlow function of a batch of states. Users get one from `wrap_tensorflow` or `wrap_keras`.

    Attributes
    ----------
    derivative : str
        "forward mode", or "batch Jacobian (forward mode fails at ...)" where TensorFlow carries no
        tangents, or wrong ones. That is found out when the map is made: u . (J v) of forward mode
        must be (Jᵀ u) . v of reverse mode at random states. "none" where TensorFlow has no
        derivative at all: then `jvp` and `jacobian` raise `MapError`.
    roundoff : float
        Rounding of the coarsest precision inside.
    steps_inside : bool
        Whether something inside rounds, compares, or is not seen by TensorFlow.
    """

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        state_shape: tuple[int, ...],
        dtype: str,
        device: str,
        *,
        xla: bool,
        memory_limit: int,
        provenance: dict[str, Any],
    ) -> None:
        self._tf = tensorflow()
        self.state_shape = state_shape
        self.ops: ArrayOps = TensorFlowOps(dtype, device)
        self.provenance = provenance | ({"compiler": "XLA"} if xla else {})
        self.derivative = FORWARD
        self._function = function
        self._n = dimension(state_shape)
        self._xla = xla
        self._require_map_of_states()
        try:
            self._apply = self._traced(self._image, 2)
        except Exception as error:
            raise unusable(error, "trace it") from error
        self._require_same_when_traced()
        self.rows_at_once = self._rows_at_once(memory_limit)
        self.roundoff, self.steps_inside = precision_inside(self._apply.graph)
        self._pull: Any = None
        self._looped = False
        self._steps: Any = None
        self._carry = self._checked_forward()
        self.twin = Twin(self, partial(program_of, self._apply, self._n, dtype))

    def apply(self, x: Tensor) -> Tensor:
        self._require(x, "x")
        return self._joined([self._apply(rows) for rows in self._split(x, self.rows_at_once)])

    def jvp(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        self._require(x, "x")
        self._require(v, "v")
        k = int(v.shape[2])
        if k == 0:
            return self.apply(x), v
        if self._carry is None:
            return self.apply(x), self._by_jacobian(x, v)  # and its error, where there is no derivative
        if self._xla and k % XLA_DIRECTIONS:
            # Every shape is compiled anew, which takes seconds.
            more = self._tf.zeros((v.shape[0], self._n, -k % XLA_DIRECTIONS), self.ops.dtype)
            image, carried = self.jvp(x, self._tf.concat([v, more], 2))
            return image, carried[:, :, :k]
        directions = min(k, self.rows_at_once)
        states = max(1, self.rows_at_once // directions)
        images, tangents = [], []
        for first in range(0, int(x.shape[0]), states):
            rows = x[first : first + states]
            moved = v[first : first + states]
            passes = [self._carry(rows, moved[:, :, d : d + directions]) for d in range(0, k, directions)]
            images.append(passes[0][0])
            tangents.append(self._joined([t for _, t in passes], 2))
        image, carried = self._joined(images), self._joined(tangents)
        if not np.isfinite(float(self._tf.reduce_sum(carried))):
            carried = self._without_gaps(x, v, image, carried)
        return image, carried

    def propagate(
        self,
        x: Tensor,
        frame: Tensor,
        n_steps: int,
        qr_every: int = 1,
        *,
        frame_dtype: str | None = None,
        first_step: int = 0,
    ) -> tuple[Tensor, Tensor, NDArray[np.float64]]:
        """See `TangentMap`; in a long run TensorFlow goes from one QR decomposition to the next by itself."""
        rest: dict[str, Any] = {"frame_dtype": frame_dtype, "first_step": first_step}
        b, k = int(x.shape[0]), int(frame.shape[2])
        whole = (
            self._carry is not None
            and self.carries(frame_dtype)
            and 0 < k <= self.rows_at_once
            and b <= self.rows_at_once // k
        )
        if self._steps is None or not whole:
            return super().propagate(x, frame, n_steps, qr_every, **rest)
        self._require(x, "x")
        self._require(frame, "v")
        total = np.zeros((b, k))
        with quiet():
            for done in range(0, n_steps, qr_every):
                count = min(qr_every, n_steps - done)
                y, tangents = self._steps(x, frame, self._tf.constant(count))
                if np.isfinite(float(self._tf.reduce_sum(tangents))):
                    x, (frame, r) = y, self.ops.qr(tangents)
                    total += self.ops.log_abs_diagonal(r)
                else:  # perhaps forward mode has a gap there
                    x, frame, growth = super().propagate(x, frame, count, count, **rest)
                    total += growth
        return x, frame, total

    def _without_gaps(self, x: Tensor, v: Tensor, image: Tensor, tangents: Tensor) -> Tensor:
        """Tangents that are not finite where states, directions and images are, by reverse mode if that knows them."""
        ops = self.ops
        if (ops.all_finite(tangents) | ~ops.all_finite(image) | ~ops.all_finite(v)).all():
            return tangents
        tangents = self._by_jacobian(x, v)
        if not ops.all_finite(tangents)[ops.all_finite(image)].all():
            return tangents
        self._carry = None
        self.derivative = "batch Jacobian (forward mode fails at some states, where it is not finite)"
        return tangents

    def jacobian(self, x: Tensor) -> Tensor:
        """By reverse mode, independent of `jvp`."""
        self._require(x, "x")
        if self.derivative == NONE:
            raise MapError(
                "function: its image does not depend on the state as far as TensorFlow can see; it must not pass "
                "through NumPy, whole numbers or tf.stop_gradient"
            )
        jacobians = self._jacobian(x)
        if not self._looped and self._has_gaps(jacobians, x):
            self._looped, self._pull = True, None
            jacobians = self._jacobian(x)
        return jacobians

    def for_run(self, x: Tensor, k: int, n_steps: int) -> TangentMap:
        made = self.twin.for_run(x, n_steps)
        if made is None and self._steps is None and self._carry is not None and not self._xla:
            operations = len(self._apply.graph.get_operations())
            if n_steps * STEP >= TRACING + TRACING_OPERATION * operations:
                self._steps = self._traced(looped(forward(self._image), self._n), 2, 3, 0)
        if made is None and self.twin.reason:
            self.provenance = self.provenance | {"compiled": f"no: {self.twin.reason}"}
        return made or self

    def along(self, tau: float, scheme: Any) -> TangentMap:
        return CompilableFlow(self, self.twin, tau, scheme)

    def other_derivative(self, reason: str) -> bool:
        """Turn to Jacobians by reverse mode; False where that has been tried."""
        if self._carry is None:
            return False
        self._carry = None
        self.derivative = f"batch Jacobian ({reason})"
        return True

    def _jacobian(self, x: Tensor) -> Tensor:
        tf = self._tf
        if self._pull is None:
            self._pull = self._traced_pull()
        unit = tf.eye(self._n, dtype=self.ops.dtype)
        chunks = self._split(unit, JACOBIAN_CHUNK)
        states = self._split(x, max(1, self.rows_at_once // JACOBIAN_CHUNK))
        return self._joined([self._joined([self._pull(rows, u) for u in chunks], 1) for rows in states])

    def _traced_pull(self) -> Any:
        try:
            return self._traced(pullbacks(self._image, looped=self._looped), 2, 2)
        except Exception as error:
            if self._looped:
                raise unusable(error, "differentiate it") from error
            self._looped = True
            return self._traced_pull()

    def _has_gaps(self, jacobians: Tensor, x: Tensor) -> bool:
        """Whether derivatives are not finite where the images are."""
        fine = self.ops.all_finite(jacobians)
        return not fine.all() and bool((~fine & self.ops.all_finite(self.apply(x))).any())

    def _by_jacobian(self, x: Tensor, v: Tensor) -> Tensor:
        return self._tf.matmul(self.jacobian(x), v)

    def _checked_forward(self) -> Any:
        """The function that carries tangents, if what it gives is what reverse mode gives; else None."""
        name = without_forward(self._apply.graph, SUSPECTS)
        x, u, v, pulled = self._probe()
        if pulled is None:
            self.derivative = NONE
            return None
        try:
            if without_forward(self._apply.graph):
                raise NoTangents
            carry = self._traced(forward(self._image), 2, 3)
            if self._same(np.einsum("bi,bik->bk", u, self.ops.to_numpy(carry(x, self.ops.from_numpy(v))[1])), pulled):
                return carry
            name = name or "a layer whose tangents are not those of reverse mode"
        except NoTangents:
            name = name or "a layer that gives none"
        except (self._tf.errors.ResourceExhaustedError, MemoryError):
            raise
        except Exception as error:
            name = name or reason(error)
        self.derivative = f"batch Jacobian (forward mode fails at {name})"
        return None

    def _probe(self) -> tuple[Tensor, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64] | None]:
        """States where the function is defined, random u and v, and (Jᵀ u) . v by reverse mode if there is any."""
        rng, shape = np.random.default_rng(0), (2, self._n)
        for low, high in ((-1.0, 1.0), (0.0, 1.0), (0.25, 1.25), (1.0, 2.0), (-2.0, -1.0)):
            x = self.ops.from_numpy(rng.uniform(low, high, shape))
            if self.ops.all_finite(self._apply(x)).all():
                break
        else:
            raise MapError("function: gives no finite image of random states between -2 and 2, where it is checked")
        u, v = rng.standard_normal(shape), rng.standard_normal((*shape, 2))
        try:
            with self._tf.device(self.ops.device):
                pulled = pulled_back(self._image, x, self.ops.from_numpy(u))
        except Exception as error:
            raise unusable(error, "differentiate it") from error
        if pulled is None:
            return x, u, v, None
        return x, u, v, np.einsum("bi,bik->bk", self.ops.to_numpy(pulled).astype(np.float64), v)

    def _same(self, ours: Any, theirs: Any) -> bool:
        tolerance = AGREEMENT * np.finfo(self.ops.dtype).eps
        return bool(np.linalg.norm(ours - theirs) <= tolerance * np.linalg.norm(theirs))

    def _image(self, x: Tensor) -> Tensor:
        return self._tf.reshape(self._function(self._tf.reshape(x, (-1, *self.state_shape))), (-1, self._n))

    def _traced(self, function: Callable[..., Any], *axes: int) -> Any:
        return traced(function, self._n, self.ops.dtype, self.ops.device, axes=axes, xla=self._xla)

    def _split(self, array: Tensor, rows: int) -> list[Tensor]:
        count = int(array.shape[0])
        return [array] if count <= rows else [array[i : i + rows] for i in range(0, count, rows)]

    def _joined(self, parts: list[Tensor], axis: int = 0) -> Tensor:
        return parts[0] if len(parts) == 1 else self._tf.concat(parts, axis)

    def _require(self, array: Any, name: str) -> None:
        if not self._tf.is_tensor(array):
            raise PrecisionError(f"{name}: expected a TensorFlow tensor, got {type(array).__name__}")
        if array.dtype.name != self.ops.dtype:
            raise PrecisionError(
                f"{name}: expected {self.ops.dtype}, got {array.dtype.name}; wrap the map with the other dtype"
            )
        shape = tuple(array.shape)
        if len(shape) != (2 if name == "x" else 3) or shape[1] != self._n:
            raise ShapeError(f"{name}: expected {self._n} values per row for {self.state_shape}, got shape {shape}")

    def _require_map_of_states(self) -> None:
        """Calls the function twice on the same states, and looks at what comes back."""
        tf = self._tf
        with tf.device(self.ops.device):
            probe = tf.fill((2, *self.state_shape), tf.constant(0.5, self.ops.dtype))
            try:
                y, again = self._function(probe), self._function(probe)
            except tf.errors.ResourceExhaustedError:
                raise
            except LyapmapError:
                raise
            except Exception as error:
                raise MapError(
                    f"function: failed on {self.ops.dtype} states of shape {tuple(probe.shape)}: {reason(error)}"
                ) from error
        if not tf.is_tensor(y):
            raise MapError(f"function: expected it to return a tensor, got {type(y).__name__}")
        if tuple(y.shape) != tuple(probe.shape):
            raise ShapeError(
                f"function: expected {tuple(probe.shape)} for two states of shape {self.state_shape}, "
                f"got {tuple(y.shape)}; only a map of a space to itself can be iterated"
            )
        if y.dtype.name != self.ops.dtype:
            raise PrecisionError(f"function: expected {self.ops.dtype} back, got {y.dtype.name}")
        if not np.array_equal(y.numpy(), again.numpy(), equal_nan=True):
            raise MapError(
                "function: two calls with the same states differ; switch dropout and noise off "
                "(lyapmap.noisy adds noise that can be repeated)"
            )

    def _require_same_when_traced(self) -> None:
        """What a function does in Python is done once, when it is traced."""
        x = self.ops.from_numpy(np.full((2, self._n), 0.5))
        with self._tf.device(self.ops.device):
            eager, compiled = self.ops.to_numpy(self._image(x)), self.ops.to_numpy(self._apply(x))
        tolerance = AGREEMENT * float(np.finfo(self.ops.dtype).eps)
        size = np.abs(np.nan_to_num(eager)).max(initial=0)
        if not np.allclose(eager, compiled, rtol=tolerance, atol=tolerance * size, equal_nan=True):
            raise MapError(
                "function: its image does not depend on the state in the same way when TensorFlow traces it and when "
                "it is called; it must not pass through NumPy, or remember in Python"
            )

    def _rows_at_once(self, memory_limit: int) -> int:
        largest = bytes_per_row(self._apply.graph, np.dtype(self.ops.dtype).itemsize)
        self.row_bytes = float(largest * LIVE_TENSORS)
        rows = max(1, int(memory_limit / self.row_bytes))
        if self.ops.device == "cpu":
            rows = min(rows, max(32, int(2 * CPU_LAYER_BYTES / largest)))
        return rows


def checked_options(state_shape: tuple[int, ...], memory_limit: int) -> None:
    """Complain about sizes that cannot be."""
    if not state_shape or min(state_shape) < 1:
        raise ShapeError(f"state_shape: expected positive sizes, got {state_shape}")
    if memory_limit < 1:
        raise LyapmapError(f"memory_limit: expected a positive number of bytes, got {memory_limit}")


def dtype_name(dtype: Any) -> str | None:
    """ "float32" or "float64" for what names it in any framework; None for None."""
    if dtype is None:
        return None
    name = str(getattr(dtype, "name", dtype)).rpartition(".")[2]
    if name not in ("float32", "float64"):
        raise PrecisionError(f"dtype: expected 'float32' or 'float64', got {name!r}")
    return name
