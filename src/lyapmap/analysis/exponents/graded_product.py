"""Products of many matrices whose singular values part by more than floating point can hold side by side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_Values = NDArray[np.float64]


class GradedProduct:
    """Products A_t ... A_1 of b n x n matrices, kept as Q diag(d) T.

    Q is orthogonal, the sizes d are held as logarithms, and the rows of T are about as long as
    one another, so that large singular values do not swamp small ones, down to exp(-700) of them.
    Multiplied out, a product loses those below 1e-16 of the largest (E. Y. Loh and J. E. Gubernatis
    1992; G. W. Stewart 1997).
    """

    def __init__(self, b: int, n: int) -> None:
        self.directions: _Values = np.broadcast_to(np.eye(n), (b, n, n)).copy()
        """Q: multiply these, then give the product to `times`."""
        self._log_sizes: _Values = np.zeros((b, n))
        self._rest: _Values = np.broadcast_to(np.eye(n), (b, n, n)).copy()

    def times(self, stretched: _Values) -> None:
        """Take in A Q for the next factor A."""
        with np.errstate(divide="ignore"):
            lengths = np.log(np.linalg.norm(stretched, axis=1)) + self._log_sizes
        # Longest column first, as in a pivoted QR decomposition: the diagonal of R then descends.
        order = np.argsort(-lengths, axis=1, kind="stable")
        sizes = np.take_along_axis(self._log_sizes, order, axis=1)
        q, r = np.linalg.qr(np.take_along_axis(stretched, order[:, None, :], axis=2))
        rest = np.take_along_axis(self._rest, order[:, :, None], axis=1)
        with np.errstate(divide="ignore"):
            diagonal = np.log(np.abs(np.diagonal(r, axis1=1, axis2=2)))
        new = diagonal + sizes
        # Rows of R diag(sizes) over their own new size; a row of zeros has size -inf and stays zero.
        upper = np.triu(r)
        there = (upper != 0) & ~np.isneginf(new)[:, :, None] & ~np.isneginf(sizes)[:, None, :]
        exponent = np.where(there, sizes[:, None, :], 0.0) - np.where(there, new[:, :, None], 0.0)
        scaled = np.where(there, upper, 0.0) * np.exp(exponent)
        self.directions = q
        self._log_sizes = new
        self._rest = scaled @ rest

    def log_singular_values(self) -> _Values:
        """Logarithms of the singular values (b, n), largest first; -inf where they are zero."""
        sizes = self._log_sizes
        top = sizes.max(axis=1, keepdims=True)
        safe = np.where(np.isneginf(top), 0.0, top)
        # The transposed T^T diag(d) has columns of falling length. Its triangle is graded from the upper left.
        columns = np.swapaxes(self._rest, 1, 2)
        order = np.argsort(-sizes, axis=1, kind="stable")
        columns = np.take_along_axis(columns, order[:, None, :], axis=2)
        relative = np.take_along_axis(sizes, order, axis=1) - safe
        r = np.linalg.qr(columns)[1] * np.exp(relative)[:, None, :]
        # One more turn brings the triangle close to diagonal, in which the SVD loses little.
        r = np.linalg.qr(np.swapaxes(np.triu(r), 1, 2))[1]
        with np.errstate(divide="ignore"):
            logs: _Values = np.log(np.linalg.svd(np.triu(r), compute_uv=False)) + safe
        return np.where(np.isneginf(top), -np.inf, logs)
