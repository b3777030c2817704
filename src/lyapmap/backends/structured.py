"""Functions of states that are tuples, lists or dicts of arrays, seen as functions of flat rows.

Works for arrays of any library that keeps the array API standard, for torch, TensorFlow and Keras,
without importing one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lyapmap.core.errors import MapError, PrecisionError, ShapeError
from lyapmap.core.ops import Array, ArrayLibrary
from lyapmap.core.structure import COMPLEX, Leaf, Structure, dtype_name, real_dtype


class FlatFunction:
    """x -> f(state), with x and the image as rows: (b, n) -> (b, n), or (n,) -> (n,) for one state."""

    def __init__(self, function: Callable[[Any], Any], structure: Structure) -> None:
        self.function = function
        self.structure = structure
        self.__name__ = name_of(function)

    def __call__(self, x: Array) -> Array:
        given = array_library(x)
        image = self.function(self.structure.restore(x, given.reshape, given.complex_of))
        arrays = self.structure.arrays(image, "function: state")
        lead = tuple(x.shape[:-1])
        for leaf, array in zip(self.structure.leaves, arrays, strict=True):
            _require(array, leaf, f"function: state{leaf.path}", x)
        # Those of what came back: a function of another framework that is given NumPy shows itself.
        library = array_library(next((a for a in arrays if library_of(a) != "numpy"), arrays[0]))
        rows = []
        for array, leaf in zip(arrays, self.structure.leaves, strict=True):
            size = (leaf.stop - leaf.start) // leaf.parts
            parts = (array,) if leaf.parts == 1 else library.parts_of(array)
            rows += [library.reshape(part, (-1, size) if lead else (-1,)) for part in parts]
        return library.concatenate(rows, -1)


class FlatJacobian:
    """The derivative (b, n, n) that a user wrote for a function of such states, as one of rows."""

    def __init__(self, jacobian: Callable[[Any], Any], structure: Structure) -> None:
        self.jacobian = jacobian
        self.structure = structure

    def __call__(self, x: Array) -> Array:
        given = array_library(x)
        return self.jacobian(self.structure.restore(x, given.reshape, given.complex_of))


def name_of(function: Any) -> str:
    """What results call a function or a network."""
    return str(getattr(function, "__name__", type(function).__name__))


def library_of(array: Any) -> str:
    """The package that an array's type comes from, e.g. "torch" or "jaxlib"."""
    return type(array).__module__.partition(".")[0]


def _require(array: Any, leaf: Leaf, name: str, x: Array) -> None:
    """What comes back has the shape that went in, and the dtype."""
    shape = leaf.shape
    sizes, lead = tuple(array.shape), tuple(x.shape[:-1])
    fits = len(sizes) == len(shape) + len(lead) and sizes[len(lead) :] == shape
    if not fits or (lead and None not in (sizes[0], lead[0]) and sizes[0] != lead[0]):
        wanted = f"({', '.join([*('b' for _ in lead), *map(str, shape)])})"
        raise ShapeError(f"{name}: expected {wanted} back, got {sizes}" + (f" for b = {lead[0]}" if lead else ""))
    came, gone = dtype_name(array.dtype), dtype_name(x.dtype)
    if leaf.parts == 2:
        if COMPLEX.get(came) != real_dtype(x.dtype):
            wanted = next(name for name, real in COMPLEX.items() if real == real_dtype(x.dtype))
            raise PrecisionError(f"{name}: expected {wanted} back, got {came}")
        return
    # In a complex step what does not depend on the state may stay real.
    real = {"complex128": "float64", "complex64": "float32"}.get(gone)
    if came not in (gone, real):
        raise PrecisionError(f"{name}: expected {gone} back, got {came}")


def array_library(x: Array) -> ArrayLibrary:
    """The functions of the library that an array is of."""
    name = "torch" if hasattr(type(x), "__torch_function__") else library_of(x)
    if name in ("torch", "jax", "jaxlib", "tensorflow", "keras"):
        return library_named(name)
    if hasattr(x, "__array_namespace__"):
        library = x.__array_namespace__()
        return ArrayLibrary(library.reshape, lambda arrays, axis: library.concat(arrays, axis=axis), library.stack)
    raise MapError(f"state_example: cannot take apart arrays of type {type(x).__module__}.{type(x).__name__}")


def library_named(name: str) -> ArrayLibrary:
    """The functions of the library of a framework, from its adapter."""
    if name == "torch":
        from lyapmap.backends.torch.ops import LIBRARY

        return LIBRARY
    if name in ("jax", "jaxlib"):
        from lyapmap.backends.jax_map import LIBRARY as OF_JAX

        return OF_JAX
    from lyapmap.backends.keras.ops import library_named as of_keras

    return of_keras(name)
