"""The array primitives that the analyses need, so that they can leave arrays where they live."""

from __future__ import annotations

import abc
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import lru_cache
from importlib import import_module
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import PrecisionError

Array = Any
"""An array of whatever library a map lives in."""


def quiet() -> np.errstate:
    """Context without NumPy's warnings, for orbits that may escape: the status tells of it."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")


class ArrayOps(abc.ABC):
    """Array primitives of one library, for one dtype and device.

    Attributes
    ----------
    dtype : str
        "float32" or "float64": of the states and of the map's arithmetic.
    device : str
        Where the arrays live, e.g. "cpu" or "cuda:0".
    library : str
        Name and version, e.g. "numpy 2.4.6".
    """

    dtype: str
    device: str
    library: str

    @abc.abstractmethod
    def from_numpy(self, array: NDArray[Any], dtype: str | None = None) -> Array:
        """A NumPy array brought to the device, in `dtype` (the map's own by default)."""

    @abc.abstractmethod
    def to_numpy(self, array: Array) -> NDArray[Any]:
        """An array as NumPy, its dtype kept."""

    @abc.abstractmethod
    def cast(self, array: Array, dtype: str) -> Array:
        """The array in another dtype; itself where nothing is to be done."""

    @abc.abstractmethod
    def qr(self, frame: Array) -> tuple[Array, Array]:
        """Reduced QR of every (n, k) matrix of (b, n, k): (b, n, k) orthonormal, (b, k, k)."""

    @abc.abstractmethod
    def log_abs_diagonal(self, r: Array) -> NDArray[np.float64]:
        """log|diag R| of (b, k, k) as NumPy (b, k), -inf where R is singular."""

    @abc.abstractmethod
    def matmul(self, a: Array, b: Array) -> Array:
        """Matrix products over the leading axis."""

    @abc.abstractmethod
    def transpose(self, a: Array) -> Array:
        """The last two axes exchanged."""

    @abc.abstractmethod
    def concatenate(self, arrays: list[Array], axis: int) -> Array:
        """Arrays joined along an axis."""

    @abc.abstractmethod
    def take(self, array: Array, rows: NDArray[np.int64]) -> Array:
        """Rows of an array by their numbers, as NumPy."""

    @abc.abstractmethod
    def norm(self, array: Array) -> NDArray[np.float64]:
        """Euclidean norm over all but the first axis, as NumPy (b,)."""

    @abc.abstractmethod
    def all_finite(self, array: Array) -> NDArray[np.bool_]:
        """For each row whether all of it is finite, as NumPy (b,)."""

    @abc.abstractmethod
    def rows_equal(self, a: Array, b: Array) -> NDArray[np.bool_]:
        """For each row whether a and b agree in every bit, as NumPy (b,)."""

    def reshape(self, array: Array, shape: tuple[int, ...]) -> Array:
        """The array in another shape, in C order."""
        return array.reshape(shape)

    @abc.abstractmethod
    def copy(self, array: Array) -> Array:
        """A copy that later work on the original leaves alone."""

    @abc.abstractmethod
    def clip(self, array: Array, low: float, high: float) -> Array:
        """The array with values outside [low, high] moved to its ends; NaN stays."""

    def session(self, n: int = 1) -> AbstractContextManager[Any]:
        """Settings of the library for a run with arrays of this dtype, of states of n values."""
        return nullcontext()

    def threads(self) -> int:
        """Threads of ours that may compute at once; 1 where the library, or the user, wants no others."""
        return 1

    @staticmethod  # noqa: B027  (most libraries have nothing to do)
    def compute_alone() -> None:
        """Make the calling thread, which is ours, compute without the library's other threads."""

    @staticmethod  # noqa: B027
    def after_compute_alone() -> None:
        """Undo, in the thread that asked for others, what `compute_alone` did to threads that are not ours."""

    @abc.abstractmethod
    def zeroed(self, array: Array, where: Array) -> Array:
        """The array with zeros where a condition, which is broadcast to it, holds."""


Pairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]
"""Rows, columns and squared distances of some pairs of a tile."""

SMALLEST = 1e-30
"""Under this a scaled squared distance is lost to the range of float32."""
GROUPS_PER_NEIGHBOR = 8
"""Of the entries of a row, for each neighbour that is wanted: their least entries bound its distance."""


class TileOps(Protocol):
    """What precision and recall need of an array library.

    Attributes
    ----------
    rows, columns : int
        Size of a tile that suits the device.
    library, device : str
        What computes, and where.
    """

    rows: int
    columns: int
    library: str
    device: str

    def points(self, array: Any, name: str) -> Array:
        """Rows of real floating-point numbers, where and as they are if that will do."""

    def to_numpy(self, points: Array, start: int, stop: int) -> NDArray[Any]:
        """Some of the rows as NumPy."""

    def take(self, points: Array, rows: NDArray[np.int64]) -> Array:
        """Chosen rows."""

    def augmented(self, points: Array, centre: NDArray[np.float64], scale: float, *, left: bool) -> Array:
        """Rows (m, d + 2), centred, scaled and rounded to float32.

        With the squared norms as further columns, so that left rows times right rows are squared
        distances.
        """

    def squares(self, left: Array, right: Array) -> Array:
        """Squared distances (r, c) of augmented rows; the next call may overwrite them."""

    def exclude(self, squares: Array, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> None:
        """Set entries to infinity, in place."""

    def row_bound(self, squares: Array, k: int) -> NDArray[np.float32]:
        """For each row a number that at least k entries do not exceed; infinity if there are too few."""

    def column_bound(self, squares: Array, k: int) -> NDArray[np.float32]:
        """The same for each column."""

    def within(
        self, squares: Array, row_limit: NDArray[np.float32], column_limit: NDArray[np.float32] | None = None
    ) -> Pairs:
        """Entries not above the limit of their row, or not above that of their column."""

    def row_argmin(
        self,
        squares: Array,
        factor: NDArray[np.float32],
        offset: NDArray[np.float32],
        known: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Smallest (K, r) of each row times `factor` (K, c) plus `offset` (K, c), and where it stands.

        Offsets are 0 or out of the way of all that counts. Where nothing that counts is below
        `known` (K, r), the smallest may be missed: what comes then is not below `known` either.
        """

    def log_sums(
        self,
        squares: Array,
        row_ceilings: list[float],
        column_ceilings: list[float],
        row_weights: NDArray[np.float32],
        column_weights: NDArray[np.float32],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weighted sums of min(0, log(square / ceiling)), (K, r) over columns and (K, c) over rows."""

    def distances(
        self, a: Array, i: NDArray[np.int64], b: Array, j: NDArray[np.int64], scale: float
    ) -> NDArray[np.float64]:
        """Distances of pairs of points in float64, by differences."""


class ArrayLibrary(NamedTuple):
    """Functions of an array library, for code that is given arrays of any.

    Attributes
    ----------
    reshape : callable
        (array, shape).
    concatenate : callable
        (arrays, axis).
    stack : callable
        (arrays), along a new first axis.
    over_rows : callable or None
        Makes a function of rows of one of single ones.
    from_numpy : callable or None
        (array, like), of the dtype of the latter, or of the library's default where it is None.
    repeated : callable or None
        (array, rows): the array once for each of the rows, of their dtype where it holds floating-point numbers.
    whole : callable or None
        (array): the nearest whole numbers, as integers.
    complex_of, parts_of : callable
        (real, imaginary): complex numbers; (array): real and imaginary parts of complex numbers.
    """

    reshape: Callable[..., Array]
    concatenate: Callable[[list[Array], int], Array]
    stack: Callable[[list[Array]], Array]
    over_rows: Callable[[Callable[..., Array]], Callable[..., Array]] | None = None
    from_numpy: Callable[[NDArray[Any], Any], Array] | None = None
    repeated: Callable[[Any, Any], Array] | None = None
    whole: Callable[[Array], Array] | None = None
    complex_of: Callable[[Array, Array], Array] = lambda real, imaginary: real + 1j * imaginary
    parts_of: Callable[[Array], tuple[Array, Array]] = lambda array: (array.real, array.imag)


ADAPTERS = {"torch": "lyapmap.backends.torch"}
"""Adapters of frameworks whose arrays and networks are taken where no map is made of them."""


def adapter_of(value: Any) -> Any:
    """The adapter of the framework that an array or a network is of, loaded late; None where NumPy will do.

    >>> adapter_of(np.zeros(3)) is None
    True
    """
    for kind in type(value).__mro__:
        name = kind.__module__.partition(".")[0]
        if name in ADAPTERS:
            return import_module(ADAPTERS[name])
    return None


LARGE = 1024
"""Dimension from which products of matrices are worth threads of the library's own."""


class _OneBlasThread(AbstractContextManager[None]):
    """NumPy's products in the threads that ask for them, until the last of all that entered has left.

    Threads that share out each product wait for each other by spinning, thousands of times a second.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._limit = threading.Lock(), 0, ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                libraries = _blas("scipy.linalg" in sys.modules)
                self._limit.enter_context(libraries.limit(limits=1))

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._limit.close()


@lru_cache(maxsize=2)
def _blas(of_scipy_too: bool) -> Any:
    """The libraries of linear algebra that are loaded."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


_one_blas_thread = _OneBlasThread()


class NumpyOps(ArrayOps):
    """`ArrayOps` of NumPy arrays.

    Examples
    --------
    >>> ops = NumpyOps("float64")
    >>> q, r = ops.qr(np.array([[[3.0, 1.0], [4.0, 1.0]]]))
    >>> np.round(np.exp(ops.log_abs_diagonal(r)), 12)
    array([[5. , 0.2]])
    """

    device = "cpu"

    def __init__(self, dtype: str = "float64") -> None:
        if dtype not in ("float32", "float64"):
            raise PrecisionError(f"dtype: expected 'float32' or 'float64', got {dtype!r}")
        self.dtype = dtype
        self.library = f"numpy {np.__version__}"

    def session(self, n: int = 1) -> AbstractContextManager[Any]:
        return nullcontext() if n >= LARGE else _one_blas_thread

    def from_numpy(self, array: NDArray[Any], dtype: str | None = None) -> NDArray[Any]:
        return np.ascontiguousarray(array, dtype=dtype or self.dtype)

    def to_numpy(self, array: NDArray[Any]) -> NDArray[Any]:
        return array

    def cast(self, array: NDArray[Any], dtype: str) -> NDArray[Any]:
        return array.astype(dtype, copy=False)

    def qr(self, frame: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        q, r = np.linalg.qr(frame)
        return q, r

    def log_abs_diagonal(self, r: NDArray[Any]) -> NDArray[np.float64]:
        diagonal = np.abs(np.diagonal(r, axis1=-2, axis2=-1)).astype(np.float64)
        with np.errstate(divide="ignore"):
            logs: NDArray[np.float64] = np.log(diagonal)
        return logs

    def matmul(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
        product: NDArray[Any] = a @ b
        return product

    def transpose(self, a: NDArray[Any]) -> NDArray[Any]:
        return np.swapaxes(a, -1, -2)

    def concatenate(self, arrays: list[NDArray[Any]], axis: int) -> NDArray[Any]:
        return np.concatenate(arrays, axis=axis)

    def take(self, array: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
        return array[rows]

    def norm(self, array: NDArray[Any]) -> NDArray[np.float64]:
        flat = array.reshape(len(array), -1).astype(np.float64)
        norms: NDArray[np.float64] = np.sqrt(np.einsum("bi,bi->b", flat, flat))
        return norms

    def all_finite(self, array: NDArray[Any]) -> NDArray[np.bool_]:
        finite: NDArray[np.bool_] = np.isfinite(array).reshape(len(array), -1).all(axis=1)
        return finite

    def rows_equal(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.bool_]:
        ours, theirs = a.reshape(len(a), -1), b.reshape(len(b), -1)
        # Rows that differ, as nearly all do, differ in their first value.
        equal: NDArray[np.bool_] = ours[:, 0] == theirs[:, 0]
        return equal & (ours == theirs).all(axis=1) if equal.any() else equal

    def copy(self, array: NDArray[Any]) -> NDArray[Any]:
        return array.copy()

    def clip(self, array: NDArray[Any], low: float, high: float) -> NDArray[Any]:
        clipped: NDArray[Any] = np.clip(array, low, high)
        return clipped

    def zeroed(self, array: NDArray[Any], where: NDArray[np.bool_]) -> NDArray[Any]:
        return np.where(where, array.dtype.type(0), array)
