"""What `wrap` looks at before it trusts a function, a network or an object of a user's, whatever backend it is of."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.differences import CENTRAL_DIFFERENCES, Differences
from lyapmap.core.errors import MapError, ShapeError
from lyapmap.core.map import TangentMap, dimension
from lyapmap.core.points import Absent, Samples

NORMAL = (1.0, 0.1, 10.0, 1e-3)
"""Sizes of the normal draws at which `vouched` looks, beside numbers from 0 to 1 and from 1 to 2."""
AGREEMENT = {"float32": 0.02, "float64": 3e-3}
"""Relative error against differences up to which a derivative agrees."""
QUORUM = 3
"""States at which a derivative must be wrong before a map is refused."""
GIVEN = "jacobian given"
CORE = [0, len(NORMAL) + 2]
"""Numbers of the groups of states that no map can object to: those from 0 to 1, and about an example."""
CUT = "detach(), stop_gradient, rounding or a custom gradient cuts or replaces it"
NUMERIC = (CENTRAL_DIFFERENCES, "complex step", "dual numbers")
"""Derivatives that a backend has taken of images alone, and judged itself."""


class _Wrong(Exception):  # noqa: N818  # no error: the caller takes another way
    """A map has a derivative that is not what differences show."""


def vouched(made: TangentMap, *, example: Any = None, differences: bool = False, verify: bool = True) -> TangentMap:
    """Look at a map before it is trusted; `wrap` does.

    Parameters
    ----------
    made : TangentMap
        Of any backend. Optional members that are used: `other_derivative(reason)`, which turns to
        another exact way, for a reason in words, and tells whether there was one; `pull(x, u)`, the
        transposed Jacobian applied to cotangents (b, n), on which `jacobian` stands, with
        `jacobian_by_tangents()`, which makes it stand on `jvp`; `in_float64()`, the same map in double
        precision or None; `roundoff`, the coarsest precision in which it computes; `steps_inside`,
        whether it rounds or compares.
    example : (n,), optional
        A state from where the map will be used.
    differences : bool
        Take the derivative by differences, whatever the framework has.
    verify : bool
        Whether to look at all.

    Returns
    -------
    TangentMap
        The map itself, or one with a derivative by differences where its framework has none; its
        `derivative` says which.

    Raises
    ------
    MapError
        If two calls with the same states differ, rows depend on each other, the derivative is not
        what differences show, or the image moves in steps only.

    Notes
    -----
    States are normal draws of several sizes, and numbers from 0 to 1 and from 1 to 2: some faults show at
    some sizes only. Rows stand beside rows of other contents while shapes and places stay, so that
    rounding, which may depend on those, does not pass for dependence.

    A derivative is compared with central differences. One that seems wrong is looked at again, with
    more states and steps, and counts as wrong at a state only where differences of three steps and
    of both sides agree far better with each other than with it. Kinks, saturation, steep functions
    and rounding spoil that agreement, so that they never speak against a map.
    """
    if not verify:
        return Differences(made, "asked for") if differences else made
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        look = _Look(made, example)
        if look.sees_images:
            look.at_repetition()
            look.at_rows()
        if differences:
            return Differences(made, "asked for")
        if look.sees_images:
            if made.derivative.partition(" (")[0] in NUMERIC:
                look.at_steps(if_still=True)
            else:
                made = _with_derivative(look, made)
            look.at_repetition()
    return made


def _with_derivative(look: _Look, made: Any) -> TangentMap:
    """The map with the first of its ways to a derivative that differences confirm."""
    first: Exception | None = None
    failure: Exception
    refusal: _Wrong | None = None
    while True:
        way = made.derivative
        try:
            look.at_derivative()
            break
        except (Absent, _Wrong) as error:
            failure = error
            first = first or failure
            if isinstance(failure, _Wrong):
                refusal = refusal or failure
        if not made.other_derivative(f"{way} {_short(failure)}"):
            if refusal is not None:
                raise MapError(str(refusal)) from None
            look.at_steps()
            return Differences(made, str(first))
    look.at_jacobian()
    found: TangentMap = made
    return found


def _short(failure: Exception) -> str:
    return "is not what differences show" if isinstance(failure, _Wrong) else f"fails: {failure}"


class _Look:
    """What `vouched` sees of a map: images of states of its own choice, and their derivatives."""

    def __init__(self, made: Any, example: Any) -> None:
        self.map = made
        self.ops = made.ops
        self.n = dimension(made.state_shape)
        self.given = str(made.derivative) == GIVEN
        self.eps = float(np.finfo(self.ops.dtype).eps)
        self.roundoff = max(self.eps, made.roundoff)
        self.agreement = AGREEMENT["float64" if self.roundoff < 1e-10 else "float32"]
        self.example = None if example is None else np.asarray(example, np.float64).reshape(self.n)
        self.rng = np.random.default_rng(0)
        self.per_group = 4 if self.n <= 8 else 2 if self.n <= 128 else 1
        self.narrow = False
        self.x = self.draw()
        self.spare = self.rng.standard_normal(self.x.shape)
        self.beside = self.fill(1.0)
        y = self.images(self.beside, self.x)
        if y is None:  # some functions are not defined everywhere, and raise
            self.narrow = True
            self.x = self.draw()
            self.beside = self.fill(1.0)
            y = self.images(self.beside, self.x)
        self.y = np.full_like(self.x, np.nan) if y is None else y
        self.fine: NDArray[np.bool_] = np.asarray(np.isfinite(self.y).all(axis=1))
        self.sees_images = bool(self.fine.any())

    def draw(self) -> NDArray[np.float64]:
        """States of each kind, (A, n)."""
        shape, rng = (self.per_group, self.n), self.rng
        groups = [rng.uniform(0.05, 0.95, shape), rng.uniform(1, 2, shape)]
        groups += [size * rng.standard_normal(shape) for size in NORMAL]
        if self.narrow:
            groups = [rng.uniform(0.05, 0.95, shape) for _ in groups]
        if self.example is not None and np.abs(self.example).max() > 0:
            size = float(np.sqrt(np.mean(self.example**2)))
            groups.append(self.example + 0.01 * size * rng.standard_normal(shape))
        return self.rounded(np.concatenate(groups))

    def fill(self, size: float) -> NDArray[np.float64]:
        """As many states of one size, to stand beside others."""
        self.spare = np.roll(self.spare, 1, axis=1)[::-1]
        return self.rounded(0.5 + 0.4 * np.tanh(self.spare) if self.narrow else size * self.spare)

    def rounded(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """As the map's own precision holds them."""
        return x.astype(self.ops.dtype).astype(np.float64)

    def apply(self, x: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Images; None where the map raises an error."""
        try:
            y = np.array(self.ops.to_numpy(self.map.apply(self.ops.from_numpy(x))), np.float64)
        except Exception:  # anything may happen in a user's function far from where it was meant to be used
            return None
        return y if y.shape == x.shape else None

    def images(self, beside: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Images of states that stand in the middle of others."""
        half = len(beside) // 2
        y = self.apply(np.concatenate([beside[:half], x, beside[half:]]))
        return None if y is None else y[half : half + len(x)]

    def differing(self, y: NDArray[np.float64], wanted: NDArray[np.float64], tolerance: float) -> NDArray[np.bool_]:
        """Which of the rows that had an image now have another one."""
        size = np.abs(wanted).max(axis=1, initial=0)
        apart = np.abs(y - wanted).max(axis=1, initial=0)
        differ: NDArray[np.bool_] = ~(apart <= tolerance * size) & self.fine
        return differ

    def at_repetition(self) -> None:
        """The same states again: what remembers, counts or draws gives other images."""
        again = self.images(self.beside, self.x)
        if again is None or self.differing(again, self.y, max(1e3 * self.eps, 1e-9)).any():
            raise MapError(
                "function: two calls with the same states differ: it remembers, counts or draws random numbers; "
                "make what it remembers a part of the state (state_example), switch dropout and noise off "
                "(lyapmap.noisy adds noise that can be repeated)"
            )

    def at_rows(self) -> None:
        """The same states beside others, and in other places."""
        tolerance = max(1e4 * self.eps, 1e-6)
        size = np.sqrt(np.mean(self.x**2, axis=1))
        # Beside large states, and, since the states are of several sizes themselves, without any.
        for largest, others in ((np.inf, 1e3), (np.inf, 1e-2), (3.0, 0.3), (0.3, 0.03)):
            kept = size <= largest
            fill = self.fill(others)
            y = self.images(fill, np.where(kept[:, None], self.x, fill))
            if y is not None and (kept & self.differing(y, self.y, tolerance)).any():
                for _ in range(8):  # what counts would show the same
                    self.at_repetition()
                raise MapError(
                    "function: the image of a state depends on the others of its batch (batch statistics, a sum, "
                    "maximum or softmax over the batch, attention or a recurrent layer without batch_first); "
                    "write it for rows"
                )
        turned = self.apply(self.x[::-1])
        if turned is None:
            return
        differ = self.differing(turned[::-1], self.y, 1e-2)
        if differ.sum() <= self.fine.sum() / 2:
            return
        # Steep functions magnify the rounding, which may depend on the number of rows.
        near = self.images(self.beside, self.rounded(self.x * (1 + 4 * self.eps)))
        if near is not None and self.differing(near, self.y, 1e-4).sum() <= self.fine.sum() / 2:
            raise MapError(
                "function: the image of a state depends on its place in the batch, or on the number of states; "
                "write it for rows"
            )

    def at_derivative(self) -> None:
        """Raise `Absent` or `_Wrong` where the derivative is not what differences show."""
        wide = self.roundoff > 1e-10
        samples = Samples(self, self.x, (3e-2, 5e-3, 1e-3) if wide else (1e-3, 1e-5, 1e-6))
        still = bool((samples.tangents[samples.fine] == 0).all())
        # Without rounding or comparisons inside, it is a steep function that is saturated.
        if still and not self.given and self.map.steps_inside:
            self.at_steps()
        if not samples.doubtful().any():
            return
        steps = 10.0 ** -np.arange(0.5, 4.5, 0.5) if wide else 10.0 ** -np.arange(1.0, 9.0)
        wrong: list[NDArray[np.bool_]] = []
        zero: list[NDArray[np.bool_]] = []
        apart = [0.0]
        for _ in range(3):
            more = Samples(self, self.draw(), tuple(steps))
            found = more.wrong()
            wrong.append(found)
            zero.append((more.tangents == 0).all(axis=1))
            apart.extend(more.errors[found])
        rows, zeros = np.concatenate(wrong), np.concatenate(zero)
        groups: NDArray[np.int64] = np.sum([part.reshape(-1, self.per_group).sum(axis=1) for part in wrong], axis=0)
        if self.given and groups[[i for i in CORE if i < len(groups)]].sum() < max(2, 0.75 * self.per_group):
            return  # what a user wrote may hold where the map lives only
        if rows.sum() < QUORUM or (groups.max() < max(QUORUM, 1.5 * self.per_group) and rows.mean() < 0.3):
            return
        if zeros[rows].all() and zeros.mean() > 0.5:
            raise Absent("its tangents are zero where its image moves")
        way = str(self.map.derivative).partition(" (")[0]
        mend = "remove it, or wrap with derivative='differences'"
        raise _Wrong(
            f"function: its derivative ({way}) does not agree with differences (off by {min(max(apart), 1):.0%}): "
            + ("mend jacobian, or leave it out" if way == GIVEN else f"{CUT}; {mend}")
        )

    def at_steps(self, if_still: bool = False) -> None:
        """Refuse a map whose image moves in jumps only: halve the way between two states until a jump is alone.

        `if_still`: only where the image stands still under small changes at nearly all states.
        """
        if if_still:
            near = self.images(self.beside, self.rounded(self.x * (1 + self.eps**0.6)))
            if near is None or (near == self.y)[self.fine].mean() < 0.9:
                return
        y = np.where(self.fine[:, None], self.y, self.y[np.flatnonzero(self.fine)[0]])
        if self.is_constant():
            return
        a = self.x[self.fine]
        b, ya = np.roll(a, 1, axis=0), y[self.fine]
        yb = np.roll(ya, 1, axis=0)
        coordinate = np.abs(yb - ya).argmax(axis=1)
        rows = np.arange(len(a))
        moves = ya[rows, coordinate] != yb[rows, coordinate]
        halvings = int(-np.log2(self.eps))
        between = np.zeros(len(a), int)
        for turn in range(halvings + 2):
            middle = self.rounded((a + b) / 2)
            ym = self.images(np.zeros_like(self.x), np.concatenate([middle, self.x])[: len(self.x)])
            if ym is None or not np.isfinite(ym[: len(a)]).all():
                return
            ym = ym[: len(a)]
            low, mid, high = (values[rows, coordinate] for values in (ya, ym, yb))
            # A way of many small steps looks smooth from afar.
            if turn > 0.55 * halvings:
                between += moves & (((mid > low) & (mid < high)) | ((mid < low) & (mid > high)))
            first = np.abs(mid - low) >= np.abs(high - mid)
            b, yb = np.where(first[:, None], middle, b), np.where(first[:, None], ym, yb)
            a, ya = np.where(first[:, None], a, middle), np.where(first[:, None], ya, ym)
        if (between < 2).all():  # the sign of zero lies between the others, once
            raise MapError(
                "function: its image moves in jumps only (rounding, argmax, comparisons or whole numbers on the way), "
                "so its derivative is zero wherever there is one; leave the rounding out, or take verify=False"
            )

    def is_constant(self) -> bool:
        y = self.y[self.fine]
        return bool((y == y[0]).all())

    def at_jacobian(self) -> None:
        """Whether `jacobian` is what `jvp` is; else it is made of that."""
        u, v = self.rng.standard_normal((2, *self.x.shape))
        try:
            tangents = self.carried(self.x, v)[1]
            back_there = self.map.pull(self.ops.from_numpy(self.x), self.ops.from_numpy(u))
            if back_there is None:
                return
            pulled = np.array(self.ops.to_numpy(back_there))
            forth, back = (u * tangents).sum(axis=1), (pulled * v).sum(axis=1)
            size = np.linalg.norm(u, axis=1) * np.linalg.norm(tangents, axis=1)
            agrees = bool((np.abs(forth - back) <= 1e4 * self.eps * size)[self.fine].all())
        except Exception:  # nothing that a framework may complain about makes it right
            agrees = False
        if not agrees:
            self.map.jacobian_by_tangents()

    def carried(
        self, x: NDArray[np.float64], v: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Images and tangents in one direction at each state, (b, n) both."""
        y, t = self.map.jvp(self.ops.from_numpy(x), self.ops.from_numpy(v[:, :, None]))
        images, tangents = (np.array(self.ops.to_numpy(array), np.float64) for array in (y, t))
        if images.shape != x.shape or tangents.shape != (*x.shape, 1):
            raise ShapeError(f"map: jvp gave shapes {images.shape} and {tangents.shape} for states {x.shape}")
        return images, tangents[:, :, 0]
