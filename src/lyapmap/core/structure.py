"""States that are not one array: a tuple, list or dict of arrays, laid out as one row and restored.

Nothing here knows a framework: arrays are told apart from containers by their shape and dtype, and
taken apart by slices and reshapes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import LyapmapError, PrecisionError, ShapeError
from lyapmap.core.ops import Array

FLOATS = ("float32", "float64")
COMPLEX = {"complex64": "float32", "complex128": "float64"}
"""Complex numbers, and what their parts are."""


@dataclass(frozen=True)
class Leaf:
    """One array of a state.

    Attributes
    ----------
    path : str
        Where it stands, e.g. "['c']" or "[0]".
    shape : tuple of int
        Its shape in one state.
    start : int
        Where its values begin in the row.
    parts : int
        1, or 2 of complex numbers: all real parts, then all imaginary ones.
    """

    path: str
    shape: tuple[int, ...]
    start: int
    parts: int = 1

    @property
    def stop(self) -> int:
        """Where the values of the next one begin."""
        return self.start + self.parts * math.prod(self.shape)


@dataclass(frozen=True)
class Structure:
    """How the arrays of a state lie in a row of n values: one after the other, each in C order.

    `structure_of` makes it of an example. Dicts keep the order of the example's keys.

    Attributes
    ----------
    template : nested tuple, list or dict
        The example, with a `Leaf` for each array.
    leaves : tuple of Leaf
        In the order of the row.
    dtype : str
        "float32" or "float64", that of the example's arrays, or of the parts of complex ones.
    """

    template: Any
    leaves: tuple[Leaf, ...]
    dtype: str

    @property
    def n(self) -> int:
        """Values in one state."""
        return self.leaves[-1].stop

    @property
    def n_complex(self) -> int:
        """Complex numbers in one state."""
        return sum(math.prod(leaf.shape) for leaf in self.leaves if leaf.parts == 2)

    def restore(
        self,
        flat: Array,
        reshape: Callable[[Array, tuple[int, ...]], Array] = np.reshape,
        complex_of: Callable[[Array, Array], Array] = lambda real, imaginary: real + 1j * imaginary,
    ) -> Any:
        """Rows as states: (n,), (b, n) or (T, b, n) become leaves with the same leading axes.

        Parameters
        ----------
        flat : (..., n)
            NumPy arrays as results hold them, or those of any library with its own `reshape`.
        reshape : callable, optional
            Takes an array and a shape; NumPy's by default.
        complex_of : callable, optional
            Takes real and imaginary parts.

        Returns
        -------
        tuple, list or dict
            As the example.
        """
        lead = tuple(flat.shape[:-1])
        if not flat.shape or flat.shape[-1] != self.n:
            raise ShapeError(f"flat: expected (..., {self.n}) for {self}, got {tuple(flat.shape)}")
        # Traced batches have no known length: -1 leaves it open.
        lead = lead if len(lead) != 1 else (-1,)

        def restored(leaf: Leaf, _: str) -> Array:
            size = (leaf.stop - leaf.start) // leaf.parts
            starts = range(leaf.start, leaf.stop, size)
            parts = [reshape(flat[..., i : i + size], (*lead, *leaf.shape)) for i in starts]
            return parts[0] if leaf.parts == 1 else complex_of(*parts)

        return _mapped(self.template, restored)

    def arrays(self, state: Any, name: str = "state") -> list[Any]:
        """The arrays of a state in the order of the row.

        Raises
        ------
        ShapeError
            If the state has other containers, lacks an entry, or has one too many.
        """
        arrays: list[Any] = []
        _collect(self.template, state, name, arrays)
        return arrays

    def flatten(self, x0: Any, name: str = "x0") -> NDArray[Any]:
        """States given as a structure, in NumPy: one as (n,), a batch as (b, n).

        Every array has its shape in one state, or all of them one axis more, the batch.
        """
        arrays = [as_numpy(array) for array in self.arrays(as_numpy(x0) if self.is_complex else x0, name)]
        first, length = arrays[0], 1
        single = first.shape == self.leaves[0].shape
        if not single and first.ndim > 0:
            length = first.shape[0]
        parts = []
        for leaf, array in zip(self.leaves, arrays, strict=True):
            if array.dtype.kind not in ("fiub" if leaf.parts == 1 else "fiubc"):
                raise PrecisionError(f"{name}{leaf.path}: expected real numbers, got dtype {array.dtype}")
            wanted = leaf.shape if single else (length, *leaf.shape)
            if array.shape != wanted:
                batch = f"{leaf.shape} or a batch {_batch(leaf.shape)}" if leaf is self.leaves[0] else str(wanted)
                raise ShapeError(f"{name}{leaf.path}: expected {batch}, got {array.shape}")
            values = array.reshape(length, math.prod(leaf.shape))
            parts += [values] if leaf.parts == 1 else [values.real, values.imag]
        rows = np.concatenate(parts, axis=1)
        return rows[0] if single else rows

    def is_like(self, state: Any) -> bool:
        """Whether a state is given as a structure, rather than as an array of flat rows."""
        if self.is_complex:
            return np.iscomplexobj(as_numpy(state))
        return _kind(state) is not None and _kind(state) == _kind(self.template)

    @property
    def is_complex(self) -> bool:
        """Whether a state is one array of complex numbers."""
        return isinstance(self.template, Leaf) and self.template.parts == 2

    def without_last(self, m: int) -> Structure | None:
        """The structure without the entries that hold the last m values; None if m cuts one in two."""
        kept, stop = self.template, self.n - m
        kind = _kind(kept)
        if kind == "dict":
            kept = {key: part for key, part in kept.items() if _stop(part) <= stop}
        elif kind == "sequence":
            kept = [part for part in kept if _stop(part) <= stop]
            kept = kept if isinstance(self.template, list) else tuple(kept)
        leaves = tuple(leaf for leaf in self.leaves if leaf.stop <= stop)
        if kind is None or not leaves or leaves[-1].stop != stop or _stop(kept) != stop:
            return None
        return Structure(kept, leaves, self.dtype)

    def described(self) -> dict[str, list[int]]:
        """Shapes by path, as results record them."""
        return {leaf.path: list(leaf.shape) for leaf in self.leaves}

    def __str__(self) -> str:
        return ", ".join(f"state{leaf.path} {leaf.shape}" for leaf in self.leaves)


def structure_of(example: Any) -> Structure:
    """The structure of an example of one state, without a batch axis.

    Raises
    ------
    LyapmapError
        If it holds anything but arrays of floating-point numbers, all of one dtype.

    Examples
    --------
    >>> s = structure_of({"h": np.zeros(2), "c": np.zeros((2, 3))})
    >>> s.n, s.restore(np.arange(8.0))["c"]
    (8, array([[2., 3., 4.],
           [5., 6., 7.]]))
    """
    leaves: list[Leaf] = []
    arrays: list[Any] = []

    def placed(array: Any, path: str) -> Leaf:
        shape, dtype = getattr(array, "shape", None), getattr(array, "dtype", None)
        if shape is None or dtype is None:
            raise LyapmapError(f"state_example{path}: expected an array or tensor, got {type(array).__name__}")
        if real_dtype(dtype) not in FLOATS:
            raise PrecisionError(f"state_example{path}: expected float32 or float64, got {dtype_name(dtype)}")
        if arrays and real_dtype(dtype) != real_dtype(arrays[0].dtype):
            raise PrecisionError(
                f"state_example{path}: expected {dtype_name(arrays[0].dtype)} like state_example{leaves[0].path}, "
                f"got {dtype_name(dtype)}"
            )
        sizes = tuple(int(size) for size in shape)
        if 0 in sizes:
            raise ShapeError(f"state_example{path}: expected positive sizes, got {sizes}")
        parts = 2 if dtype_name(dtype) in COMPLEX else 1
        leaf = Leaf(path, sizes, leaves[-1].stop if leaves else 0, parts)
        leaves.append(leaf)
        arrays.append(array)
        return leaf

    template = _mapped(example, placed)
    if not leaves:
        raise LyapmapError(f"state_example: expected arrays, got an empty {type(example).__name__}")
    return Structure(template, tuple(leaves), real_dtype(arrays[0].dtype))


def dtype_name(dtype: Any) -> str:
    """Name of a dtype of any library, e.g. "float64"."""
    return str(getattr(dtype, "name", None) or str(dtype).removeprefix("torch."))


def real_dtype(dtype: Any) -> str:
    """Name of a dtype, or of that of the parts of complex numbers."""
    name = dtype_name(dtype)
    return COMPLEX.get(name, name)


def as_numpy(x0: Any) -> NDArray[Any]:
    """NumPy view of what may be a tensor: every framework's tensors offer `detach` or `__array__`."""
    if hasattr(x0, "detach"):
        x0 = x0.detach().cpu()
    return np.asarray(x0)


def _kind(state: Any) -> str | None:
    """ "dict", "sequence", or None for anything else: tuples and lists stand for each other."""
    if isinstance(state, Mapping):
        return "dict"
    return "sequence" if isinstance(state, tuple | list) else None


def _mapped(state: Any, leaf: Callable[[Any, str], Any], path: str = "") -> Any:
    """The state with `leaf`, which takes a part and its path, applied to everything that is no container."""
    kind = _kind(state)
    if kind == "dict":
        return {key: _mapped(part, leaf, f"{path}[{key!r}]") for key, part in state.items()}
    if kind == "sequence":
        parts = [_mapped(part, leaf, f"{path}[{i}]") for i, part in enumerate(state)]
        if isinstance(state, list):
            return parts
        return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)
    return leaf(state, path)


def _collect(template: Any, state: Any, where: str, arrays: list[Any]) -> None:
    kind = _kind(template)
    if kind is None:
        if not hasattr(state, "shape"):
            raise ShapeError(f"{where}: expected an array of shape {template.shape}, got {type(state).__name__}")
        arrays.append(state)
        return
    if kind != _kind(state):
        raise ShapeError(f"{where}: expected {_word(template)}, got {_word(state)}")
    if kind == "dict":
        absent = [key for key in template if key not in state]
        extra = [key for key in state if key not in template]
        if absent or extra:
            fault = f"lacks {absent[0]!r}" if absent else f"has {extra[0]!r} besides"
            raise ShapeError(f"{where}: expected {_word(template)}, got one that {fault}")
    elif len(template) != len(state):
        raise ShapeError(f"{where}: expected {_word(template)}, got {_word(state)}")
    for key in template if kind == "dict" else range(len(template)):
        _collect(template[key], state[key], f"{where}[{key!r}]", arrays)


def _word(state: Any) -> str:
    kind = _kind(state)
    if kind == "dict":
        return f"a dict of {', '.join(repr(key) for key in state)}" if state else "an empty dict"
    if kind == "sequence":
        return f"a {'list' if isinstance(state, list) else 'tuple'} of {len(state)}"
    shape = getattr(state, "shape", None)
    return type(state).__name__ if shape is None else f"an array of shape {tuple(shape)}"


def _stop(template: Any) -> int:
    """Where the values of a part of a template end."""
    ends = [0]
    _mapped(template, lambda leaf, _: ends.append(leaf.stop))
    return max(ends)


def _batch(shape: tuple[int, ...]) -> str:
    return f"({', '.join(['b', *map(str, shape)])})"
