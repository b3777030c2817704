"""Whole blocks of steps of JAX maps in one compiled loop: states, tangents, QR decompositions and sums of logarithms.

XLA keeps a loop of few values in registers as long as nothing in it calls a library: QR decompositions of few
columns and determinants of few rows are therefore written out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray

WRITTEN_OUT = 4
"""Most columns of a QR decomposition, and most rows of a determinant, that are written out."""
SHORTEST_BATCH = 16
"""Rows to which a batch of determinants is filled up, times powers of four: each number of rows is compiled anew."""

States = jax.Array
Carry = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array, "Passed | None"]]
"""One step of states (b, n) and tangents (b, n, k), and what else came of it, if anything ever does."""


class Product(NamedTuple):
    """A product mantissa * 2 ** exponent that leaves no range.

    Logarithms are taken of it afterwards: the bits of those that XLA makes depend on how many there are.
    """

    mantissa: jax.Array
    exponent: jax.Array

    @classmethod
    def unit(cls, shape: tuple[int, ...], dtype: Any) -> Product:
        return cls(jnp.ones(shape, dtype), jnp.zeros(shape, jnp.int32))

    def times(self, factor: jax.Array) -> Product:
        mantissa, exponent = jnp.frexp(factor)
        return self.product(Product(mantissa.astype(factor.dtype), exponent.astype(jnp.int32)))

    def product(self, other: Product) -> Product:
        mantissa, shift = jnp.frexp(self.mantissa * other.mantissa)
        return Product(mantissa.astype(self.mantissa.dtype), self.exponent + other.exponent + shift.astype(jnp.int32))

    def log(self) -> NDArray[np.float64]:
        """On the host."""
        with np.errstate(divide="ignore", invalid="ignore"):
            logs: NDArray[np.float64] = np.log(np.asarray(self.mantissa).astype(np.float64))
        return logs + np.asarray(self.exponent) * np.log(2.0)


class Passed(NamedTuple):
    """What a step brings besides images and tangents.

    Attributes
    ----------
    growth : Product
        What tangents (b, k) were divided by within the step.
    stuck : (b,) bool
        Whether the step could not be finished.
    """

    growth: Product
    stuck: jax.Array


def qr(a: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Orthonormal frames (b, n, k) and |diag R| (b, k), by Householder's reflections as in LAPACK's GEQRF."""
    _, n, k = a.shape
    if not 0 < k <= min(n, WRITTEN_OUT):
        q, r = jnp.linalg.qr(a)
        return q, jnp.abs(jnp.diagonal(r, axis1=1, axis2=2))
    columns = [a[:, :, j] for j in range(k)]
    reflections: list[tuple[jax.Array, jax.Array]] = []
    sizes = []
    for j in range(k):
        column = columns[j]
        head, tail = column[:, j], column[:, j + 1 :]
        # Scaled, so that squares neither overflow nor vanish.
        largest = jnp.max(jnp.abs(column[:, j:]), axis=1)
        scale = jnp.where(largest > 0, largest, 1)
        rest = jnp.sum((tail / scale[:, None]) ** 2, axis=1)
        scaled = head / scale
        length = jnp.sqrt(scaled * scaled + rest)
        beta = jnp.where(scaled >= 0, -length, length)
        still = rest == 0  # nothing is to be reflected, also where the whole column is zero
        weight = jnp.where(still, 0, (beta - scaled) / jnp.where(still, 1, beta))
        below = (tail / scale[:, None]) / jnp.where(still, 1, scaled - beta)[:, None]
        vector = jnp.concatenate([jnp.zeros_like(column[:, :j]), jnp.ones_like(column[:, :1]), below], axis=1)
        reflections.append((vector, weight))
        sizes.append(jnp.abs(jnp.where(still, head, beta * scale)))
        for i in range(j + 1, k):
            columns[i] = _reflected(columns[i], vector, weight)
    frame = []
    for j in range(k):
        column = jnp.zeros_like(columns[0]).at[:, j].set(1)
        for vector, weight in reversed(reflections[: j + 1]):
            column = _reflected(column, vector, weight)
        frame.append(column)
    return jnp.stack(frame, axis=2), jnp.stack(sizes, axis=1)


def _reflected(column: jax.Array, vector: jax.Array, weight: jax.Array) -> jax.Array:
    along = weight * jnp.sum(vector * column, axis=1)
    return column - along[:, None] * vector


def times_determinant(product: Product, matrices: jax.Array) -> Product:
    """The product with |det| (b,) of matrices (b, n, n)."""
    n = matrices.shape[1]
    if n > WRITTEN_OUT:
        _, r = jnp.linalg.qr(matrices)
        for i in range(n):
            product = product.times(jnp.abs(r[:, i, i]))
        return product
    # Scaled, so that products neither overflow nor vanish.
    largest = jnp.max(jnp.abs(matrices), axis=(1, 2))
    scaled = matrices / jnp.where(largest > 0, largest, 1)[:, None, None]
    determinant = _determinant([[scaled[:, i, j] for j in range(n)] for i in range(n)])
    product = product.times(jnp.abs(determinant))
    for _ in range(n):
        product = product.times(largest)
    return product


def _determinant(entries: list[list[jax.Array]]) -> jax.Array:
    if len(entries) == 1:
        return entries[0][0]
    total: Any = 0
    for j, first in enumerate(entries[0]):
        minor = [[value for column, value in enumerate(row) if column != j] for row in entries[1:]]
        total = total + (-1) ** j * first * _determinant(minor)
    return total


TOGETHER = 16
"""Blocks that compiled code does in one call; where fewer are wanted, the others are left out."""
MOST_TOGETHER = 2**14
"""Values up to which blocks are done together: where there are more, calls take no time beside them."""


def compiled_blocks(carry: Carry) -> Callable[..., tuple[Any, ...]]:
    """Blocks: (x, frame, n_blocks, n_steps, qr_every, together) -> states, frames, growth (m, b, k), stuck (b,).

    States and frames are tuples of `together` arrays, of which the first n_blocks count; growth is a `Product`. All
    ends early where a row is stuck.
    """

    @partial(jax.jit, static_argnums=5)
    def blocks(
        x: jax.Array, frame: jax.Array, n_blocks: Any, n_steps: Any, qr_every: Any, together: int
    ) -> tuple[Any, ...]:
        b, _, k = frame.shape
        zero = jnp.zeros((), jnp.asarray(n_steps).dtype)

        def step(_: Any, now: tuple[Any, ...]) -> tuple[Any, ...]:
            x, frame, growth, stuck = now
            x, frame, passed = carry(x, frame)
            if passed is None:
                return x, frame, growth, stuck
            return x, frame, growth.product(passed.growth), stuck | passed.stuck

        def group(now: tuple[Any, ...]) -> tuple[Any, ...]:
            done, now = now[0], now[1:]
            count = jnp.minimum(qr_every, n_steps - done)
            x, frame, growth, stuck = lax.fori_loop(0, count, step, now)
            frame, sizes = qr(frame)
            return done + count, x, frame, growth.times(sizes), stuck

        def block(x: Any, frame: Any, stuck: Any) -> tuple[Any, ...]:
            start = (zero, x, frame, Product.unit((b, k), x.dtype), stuck)
            return lax.while_loop(lambda now: (now[0] < n_steps) & ~now[-1].any(), group, start)[1:]

        nobody = jnp.zeros(b, bool)
        if together == 1:
            x, frame, growth, stuck = block(x, frame, nobody)
            return (x,), (frame,), Product(growth.mantissa[None], growth.exponent[None]), stuck

        def carry_block(i: Any, now: tuple[Any, ...]) -> tuple[Any, ...]:
            x, frame, stuck, *kept = now
            x, frame, growth, stuck = block(x, frame, stuck)
            ends = (x, frame, *growth)
            return x, frame, stuck, *(array.at[i].set(value) for array, value in zip(kept, ends, strict=True))

        kept = [
            jnp.zeros((together, *array.shape), array.dtype) for array in (x, frame, *Product.unit((b, k), x.dtype))
        ]
        _, _, stuck, states, frames, *growth = lax.fori_loop(0, n_blocks, carry_block, (x, frame, nobody, *kept))
        return tuple(states), tuple(frames), Product(*growth), stuck

    return blocks


def compiled_along(step: Callable[[jax.Array, Any], tuple[jax.Array, Any]], start: Callable[[jax.Array], Any]) -> Any:
    """What gathers along orbits: (x, n_steps), with `step(x, gathered)` and what there is in the beginning."""

    @jax.jit
    def along(x: jax.Array, n_steps: Any) -> Any:
        return lax.fori_loop(0, n_steps, lambda _, now: step(*now), (x, start(x)))[1]

    return along


class Sum(NamedTuple):
    """A sum, and what rounding has added to it (W. Kahan 1965), so that float32 does for long ones."""

    total: jax.Array
    excess: jax.Array

    @classmethod
    def zero(cls, x: jax.Array) -> Sum:
        return cls(jnp.zeros(len(x), x.dtype), jnp.zeros(len(x), x.dtype))

    def plus(self, more: jax.Array) -> Sum:
        wanted = more - self.excess
        reached = self.total + wanted
        # Infinity less itself is nothing to be made up for.
        return Sum(reached, jnp.where(jnp.isfinite(reached), (reached - self.total) - wanted, 0))

    def value(self) -> NDArray[np.float64]:
        """On the host."""
        total, excess = (np.asarray(part).astype(np.float64) for part in self)
        return total - excess


def filled_up(x: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Rows repeated until there are as many as code is compiled for."""
    b, size = len(x), SHORTEST_BATCH
    while size < b:
        size *= 4
    return np.concatenate([x, np.broadcast_to(x[-1], (size - b, x.shape[1]))])


def largest_batch(most: int) -> int:
    """The largest number of rows of `filled_up` that is at most this, which is no less than the smallest."""
    size = SHORTEST_BATCH
    while 4 * size <= most:
        size *= 4
    return size
