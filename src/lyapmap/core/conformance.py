"""Whether a map keeps its contract: `check_map` asks at states that are given, `wrap` before it trusts a map.

Both ask the questions of `Look`, in the same order. `check_map` looks to the last digits, and reports all that it
sees. `vouched`, which `wrap` calls for every backend, does not know where a map will live: it draws states of several
sizes itself, and refuses only what no kink, saturation, steep function or rounding explains. This file is long because
the questions and their two strictnesses are one idea.
"""

from __future__ import annotations

import abc
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.differences import CENTRAL_DIFFERENCES, Absent, Differences, Samples
from lyapmap.core.errors import LyapmapError, MapError, ShapeError
from lyapmap.core.map import Map, TangentMap, as_states, dimension, is_tangent_map, unchecked
from lyapmap.core.progress import now_in_phase

REMEMBERS = (
    "two calls with the same states differ: it remembers, counts or draws random numbers; make what it remembers a "
    "part of the state (state_example), switch dropout and noise off (lyapmap.noisy adds noise that can be repeated)"
)
WRITES = "it changes the states it is given; let it work on a copy"
ROWS = "write it for any number of rows (or, in NumPy, for one state with vectorized=False)"
MIXES_ROWS = (
    "the image of a state depends on the others of its batch (batch statistics, a sum, maximum or softmax over the "
    f"batch, attention or a recurrent layer without batch_first); {ROWS}"
)
KNOWS_PLACES = f"the image of a state depends on its place in the batch, or on the number of states; {ROWS}"
KNOWS_NUMBERS = f"it works for some numbers of states only; {ROWS}"
OTHER_IMAGE = "the image that comes with the tangents is not that of apply"

DIRECTIONS = 3
JACOBIAN_LIMIT = 1024
"""Largest dimension for which the full Jacobian is made and compared."""
DIVERGENCE_LIMIT = 64
"""Largest dimension for which the growth of volumes is held against the divergence of a flow's field."""

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


@dataclass(frozen=True)
class Finding:
    """One thing that was checked.

    Attributes
    ----------
    name : str
        What was checked.
    ok : bool
    error : float
        Largest deviation, relative to the size of what was compared.
    tolerance : float
        Deviation up to which it passes.
    detail : str
        What the deviation means, and the mend.
    """

    name: str
    ok: bool
    error: float
    tolerance: float
    detail: str


@dataclass(frozen=True)
class ConformanceReport:
    """All findings of `check_map`; true where every one is ok."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return all(finding.ok for finding in self.findings)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        lines = []
        for f in self.findings:
            line = f"{'ok  ' if f.ok else 'FAIL'}  {f.name:<24} {f.error:.1e} (<= {f.tolerance:.0e})"
            lines.append(line if f.ok else f"{line}  {f.detail}")
        return "\n".join(lines)

    def raise_if_broken(self) -> None:
        """Raise `MapError` with the first finding that is not ok."""
        for f in self.findings:
            if not f.ok:
                raise MapError(f"map: {f.name} off by {f.error:.1e} (allowed {f.tolerance:.0e}): {f.detail}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `--json` prints them."""
        rows = [
            {"name": f.name, "ok": f.ok, "error": f.error if np.isfinite(f.error) else None}
            | {"tolerance": f.tolerance, "detail": "" if f.ok else f.detail}
            for f in self.findings
        ]
        return {"ok": self.ok, "findings": rows}


def check_map(candidate: Map, x: Any, *, seed: int = 0) -> ConformanceReport:
    """Check that a map keeps its contract at some states.

    Parameters
    ----------
    candidate : Map
        The map; one that depends on the step is checked at step 0.
    x : (b, n) or (b, *state_shape)
        States at which to look, at least 2 different ones, typical of where the map will be used.
    seed : int
        Of the directions tried.

    Returns
    -------
    ConformanceReport
        Finite values, repeatability, rows that do not depend on each other, the image from `jvp`
        equal to `apply`, `jvp` linear, against central differences, and against `jacobian` (up to
        n = 1024); of a flow (up to n = 64) volumes against the divergence of its field.

    Raises
    ------
    LyapmapError
        If fewer than two states are given, or they do not fit the map.

    Examples
    --------
    >>> class Square:
    ...     state_shape = (1,)
    ...     def apply(self, x): return x**2
    ...     def jacobian(self, x): return x[:, :, None]  # wrong by a factor of 2
    >>> report = check_map(Square(), np.array([[0.5], [0.7]]))
    >>> [f.name for f in report.findings if not f.ok]
    ['jvp against differences']
    """
    tangent_map = unchecked(candidate).at(0)
    states, single = as_states(x, tangent_map)
    if single or len(states) < 2:
        raise LyapmapError("x: expected at least 2 states, so that their independence can be checked, got 1")
    return ConformanceReport(tuple(GivenStates(tangent_map, states, np.random.default_rng(seed)).findings()))


def as_tangent_map(candidate: Any) -> TangentMap:
    """The object itself if it is a `TangentMap`; else one made of it.

    An object with `ops` and `jvp` is taken as it is; a NumPy `Map` is completed and looked at as `wrap` does.

    Raises
    ------
    MapError
        If the object lacks members of `Map`, its rows depend on each other, or its `jacobian` is wrong.
    """
    completed = unchecked(candidate)
    # What differs from step to step is not the same map twice.
    return completed if is_tangent_map(candidate) or completed.depends_on_step else vouched(completed)


def vouched(made: TangentMap, *, example: Any = None, differences: bool = False, verify: bool = True) -> TangentMap:
    """Look at a map before it is trusted; `wrap` does.

    Parameters
    ----------
    made : TangentMap
        Of any backend. Besides `apply` and `jvp` these members are used: `other_derivative(reason)`, which turns to
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
    now_in_phase("checking that the map keeps its contract")
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        look = OwnStates(made, example)
        if look.sees_images:
            look.require(look.repeatable())
            look.require(look.rows_independent())
        else:
            look.require(look.any_number_of_rows())
        if differences:
            return Differences(made, "asked for")
        if look.sees_images:
            made = _with_derivative(look, made)
            look.require(look.repeatable())  # taking tangents may have changed what it remembers
    return made


def _with_derivative(look: OwnStates, made: TangentMap) -> TangentMap:
    """The map with the first of its ways to a derivative that differences confirm."""
    refusal: Finding | None = None
    first_failure = ""
    while not made.derivative.startswith(CENTRAL_DIFFERENCES):  # the backend has judged those itself
        way = made.derivative
        try:
            finding = look.derivative()
            if finding.ok:
                if not look.jacobian().ok:
                    made.jacobian_by_tangents()
                return made
            refusal = refusal or finding
            failure, reason = finding.detail, "is not what differences show"
        except Absent as error:
            failure, reason = str(error), f"fails: {error}"
        first_failure = first_failure or failure
        if not made.other_derivative(f"{way} {reason}"):
            if refusal is not None:
                look.require(refusal)
            look.require_no_jumps()
            return Differences(made, first_failure)
    look.require_no_jumps(if_still=True)
    return made


class Look(abc.ABC):
    """The questions that are asked of a map, at some states x.

    Attributes
    ----------
    x, y : (b, n)
        The states and their images.
    beside : (m, n)
        States that stand around them in a batch.
    fine : (b,) of bool
        Which of the states count: those whose image is finite.
    floor : float
        Least size of an image, as a part of the largest of all, by which a deviation of it is measured.
    repeats_within, rows_within : float
        Deviations that rounding explains: of the same batch, and of one in which other rows stand.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    beside: NDArray[np.float64]
    fine: NDArray[np.bool_]
    floor: float
    repeats_within: float
    rows_within: float

    def __init__(self, tangent_map: TangentMap, rng: np.random.Generator) -> None:
        self.map = tangent_map
        self.ops = tangent_map.ops
        self.n = dimension(tangent_map.state_shape)
        self.eps = float(np.finfo(self.ops.dtype).eps)
        self.rng = rng
        self.writes = False

    def host(self, array: Any) -> NDArray[np.float64]:
        """A copy in NumPy, which a map that writes into its arrays cannot reach."""
        copied: NDArray[np.float64] = np.array(self.ops.to_numpy(array), np.float64)
        return copied

    def array(self, host: NDArray[np.float64]) -> Any:
        """One of the map's own arrays."""
        return self.ops.from_numpy(host.copy())

    def mapped(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Images, (b, n)."""
        given = self.array(x)
        images = self.host(self.map.apply(given))
        self.writes |= not np.array_equal(self.host(given), x.astype(self.ops.dtype), equal_nan=True)
        return images

    def apply(self, x: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """The same; None where there are none."""
        return self.mapped(x)

    def images(self, beside: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Images of states that stand in the middle of others."""
        half = len(beside) // 2
        y = self.apply(np.concatenate([beside[:half], x, beside[half:]]))
        return None if y is None else y[half : half + len(x)]

    def deviations(self, y: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """How far each image is from what it was, (b,), relative to its size; infinity where there is none."""
        if y is None or y.shape != self.y.shape:
            return np.where(self.fine, np.inf, 0.0)
        sizes = np.abs(self.y).max(axis=1, initial=0)
        sizes = np.maximum(sizes, self.floor * max(float(sizes.max()), float(np.finfo(np.float32).tiny)))
        apart = np.abs(y - self.y).max(axis=1, initial=0)
        with np.errstate(all="ignore"):
            relative = np.where(apart == 0, 0.0, apart / sizes)
        return np.where(self.fine, np.where(np.isnan(relative), np.inf, relative), 0.0)

    def repeatable(self) -> Finding:
        """The same states again: what remembers, counts or draws gives other images."""
        error = float(self.deviations(self.images(self.beside, self.x)).max())
        if self.writes:
            return Finding("repeatable", False, np.inf, self.repeats_within, WRITES)
        return Finding("repeatable", error <= self.repeats_within, error, self.repeats_within, REMEMBERS)

    def rows_independent(self) -> Finding:
        """Some states in their places, and others in those of the rest."""
        error = 0.0
        for kept, beside, x in self.arrangements():
            y = self.images(beside, x)
            if y is not None:
                error = max(error, float(self.deviations(y)[kept].max(initial=0)))
        return Finding("rows independent", error <= self.rows_within, error, self.rows_within, MIXES_ROWS)

    @abc.abstractmethod
    def arrangements(self) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]]:
        """Batches in which some of the states (kept) stand where they did: what stands beside, and the states."""

    @abc.abstractmethod
    def derivative(self) -> Finding:
        """`jvp` beside differences."""

    @abc.abstractmethod
    def jacobian(self) -> Finding:
        """`jacobian` beside `jvp`."""


class GivenStates(Look):
    """What `check_map` sees: the states of its caller, to the last digits."""

    def __init__(self, tangent_map: TangentMap, x: Any, rng: np.random.Generator) -> None:
        super().__init__(tangent_map, rng)
        self.x = self.host(x)
        self.beside = self.x[:0]
        self.fine = np.ones(len(self.x), bool)
        self.floor = 1.0
        self.repeats_within, self.rows_within = 10 * self.eps, 1e4 * self.eps
        v = rng.standard_normal((len(self.x), self.n, DIRECTIONS))
        self.v: NDArray[np.float64] = v / np.linalg.norm(v, axis=1, keepdims=True)

    def findings(self) -> Iterator[Finding]:
        """One for each question; what comes later takes for granted that there are finite images and tangents."""
        self.y = self.mapped(self.x)
        finite = self._shaped("finite values of the shape", "apply", self.y, self.x.shape)
        yield finite
        if not finite.ok:
            return
        image, carried = self.map.jvp(self.array(self.x), self.array(self.v))
        self.tangents = self.host(carried)
        shaped = self._shaped("tangents of the shape", "jvp", self.tangents, self.v.shape)
        if not shaped.ok:
            yield shaped
            return
        yield self.repeatable()
        yield self.rows_independent()
        yield self._compared("image from jvp", self.host(image), self.y, 1e4 * self.eps, OTHER_IMAGE)
        yield self._linear()
        yield self.derivative()
        if self.n <= JACOBIAN_LIMIT:
            yield self.jacobian()
        if self.n <= DIVERGENCE_LIMIT and self.map.is_flow and self.map.log_abs_det_is_independent:
            yield self._divergence()

    def arrangements(self) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]]:
        # Rows keep their places, on which the noise of a noisy map depends.
        places = np.arange(len(self.x))
        for kept in (places == 0, places == places[-1]):
            x = self.x.copy()
            x[~kept] = 0.5 * x[~kept][::-1]
            yield kept, self.beside, x

    def rows_independent(self) -> Finding:
        finding = super().rows_independent()
        alone = self.mapped(self.x[:1])
        y = self.y.copy()
        y[:1] = alone if alone.shape == y[:1].shape else np.nan
        error = max(finding.error, float(self.deviations(y)[0]))
        return Finding(finding.name, error <= finding.tolerance, error, finding.tolerance, finding.detail)

    @staticmethod
    def _shaped(name: str, member: str, got: NDArray[np.float64], shape: tuple[int, ...]) -> Finding:
        if got.shape != shape:
            return Finding(name, False, np.inf, 0.0, f"{member} gave shape {got.shape}, expected {shape}")
        finite = bool(np.isfinite(got).all())
        return Finding(name, finite, 0.0 if finite else np.inf, 0.0, f"{member} gave NaN or infinity")

    @staticmethod
    def _compared(
        name: str, got: NDArray[np.float64], wanted: NDArray[np.float64], tolerance: float, detail: str
    ) -> Finding:
        if got.shape != wanted.shape:
            return Finding(name, False, np.inf, tolerance, f"shape {got.shape}, expected {wanted.shape}")
        scale = max(float(np.abs(wanted).max()), float(np.finfo(np.float32).tiny))
        difference = np.abs(got - wanted)
        error = float(difference.max()) / scale if np.isfinite(difference).all() else np.inf
        return Finding(name, error <= tolerance, error, tolerance, detail)

    def _linear(self) -> Finding:
        mixed = 2 * self.v[..., :1] - 0.5 * self.v[..., 1:2]
        got = self.host(self.map.jvp(self.array(self.x), self.array(mixed))[1])
        wanted = 2 * self.tangents[..., :1] - 0.5 * self.tangents[..., 1:2]
        return self._compared("jvp linear", got, wanted, 1e5 * self.eps, "jvp is not linear in the tangent")

    def derivative(self) -> Finding:
        scale = max(float(np.sqrt(np.mean(self.x**2))), 1e-3)
        best = np.full(DIRECTIONS, np.inf)
        # Kinks and curvature spoil large steps, rounding small ones: the best of three counts.
        for factor in (0.1, 1.0, 10.0):
            h = factor * scale * self.eps ** (1 / 3)
            for j in range(DIRECTIONS):
                step = h * self.v[..., j]
                ahead, behind = self.mapped(self.x + step), self.mapped(self.x - step)
                got = (ahead - behind) / (2 * h)
                size = max(float(np.linalg.norm(self.tangents[..., j])), float(np.linalg.norm(got)), 1e-30)
                best[j] = min(best[j], float(np.linalg.norm(got - self.tangents[..., j])) / size)
        error, tolerance = float(best.max()), 0.02 if self.eps > 1e-10 else 1e-5
        return Finding("jvp against differences", error <= tolerance, error, tolerance, "the derivative is wrong")

    def jacobian(self) -> Finding:
        name, tolerance = "jvp against jacobian", 1e5 * self.eps
        jacobians = self.host(self.map.jacobian(self.array(self.x)))
        shape = (len(self.x), self.n, self.n)
        if jacobians.shape != shape:
            return Finding(name, False, np.inf, tolerance, f"jacobian gave shape {jacobians.shape}, expected {shape}")
        return self._compared(name, jacobians @ self.v, self.tangents, tolerance, "jacobian and jvp disagree")

    def _divergence(self) -> Finding:
        jacobians = self.host(self.map.jacobian(self.array(self.x)))
        with np.errstate(divide="ignore"):
            volume = np.linalg.slogdet(jacobians)[1]
        integral = np.asarray(self.map.log_abs_det(self.array(self.x), 1))
        # Determinants feel rounding by as much as the directions differ in their growth.
        spread = float(np.linalg.cond(jacobians).max())
        allowed = 4 * self.map.log_abs_det_tolerance + 16 * self.n * self.eps * spread
        difference = np.abs(volume - integral)
        error = float(difference.max()) if np.isfinite(difference).all() else np.inf
        if allowed > 1:
            error = 0.0  # a volume that is rounding says nothing
        detail = "volumes do not grow as the divergence says: the steps are too long, or the derivative is wrong"
        return Finding("divergence of the field", error <= allowed, error, allowed, detail)


class OwnStates(Look):
    """What `vouched` sees: images of states of its own choice, and their derivatives."""

    def __init__(self, made: TangentMap, example: Any) -> None:
        super().__init__(made, np.random.default_rng(0))
        self.given = str(made.derivative) == GIVEN
        self.roundoff = max(self.eps, made.roundoff)
        self.agreement = AGREEMENT["float64" if self.roundoff < 1e-10 else "float32"]
        self.floor = 0.0  # states, and so images, are of several sizes
        # Threads may add in another order, and other rows may send a product through another kernel.
        self.repeats_within, self.rows_within = max(1e3 * self.eps, 1e-9), max(1e4 * self.eps, 1e-6)
        self.example = None if example is None else np.asarray(example, np.float64).reshape(self.n)
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
        self.fine = np.asarray(np.isfinite(self.y).all(axis=1))
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
            y = self.mapped(x)
        except Exception:  # anything may happen in a user's function far from where it was meant to be used
            return None
        return y if y.shape == x.shape else None

    @staticmethod
    def require(finding: Finding) -> None:
        """Refuse a map that failed."""
        if not finding.ok:
            raise MapError(f"function: {finding.detail}")

    def arrangements(self) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]]:
        size = np.sqrt(np.mean(self.x**2, axis=1))
        # Beside large states, and, since the states are of several sizes themselves, without any.
        for largest, others in ((np.inf, 1e3), (np.inf, 1e-2), (3.0, 0.3), (0.3, 0.03)):
            kept = size <= largest
            fill = self.fill(others)
            yield kept, fill, np.where(kept[:, None], self.x, fill)

    def rows_independent(self) -> Finding:
        finding = super().rows_independent()
        if not finding.ok:
            for _ in range(8):  # what counts would show the same
                again = self.repeatable()
                if not again.ok:
                    return again
            return finding
        # `squeeze`, or a shape that is written out, shows with one row, as a run of one trajectory has it.
        first = int(np.flatnonzero(self.fine)[0])
        if self.apply(self.x[first : first + 1]) is None:
            return Finding(finding.name, False, np.inf, finding.tolerance, KNOWS_NUMBERS)
        return self._places() or finding

    def any_number_of_rows(self) -> Finding:
        """Whether states that are taken in one number are taken in others; where they are taken in none, it passes."""
        name = "rows independent"
        for b in (1, 2, 3, 4):
            numbers = [self.apply(np.tile(self.x[:b], (copies, 1))) is not None for copies in (1, 2, 2 * len(self.x))]
            if any(numbers) and not all(numbers):
                return Finding(name, False, np.inf, self.rows_within, KNOWS_NUMBERS)
        return Finding(name, True, 0.0, self.rows_within, "")

    def _places(self) -> Finding | None:
        turned = self.apply(self.x[::-1])
        if turned is None:
            return None
        deviations = self.deviations(turned[::-1])
        half = self.fine.sum() / 2
        if (deviations > 1e-2).sum() <= half:
            return None
        # Steep functions magnify the rounding, which may depend on the number of rows.
        near = self.images(self.beside, self.rounded(self.x * (1 + 4 * self.eps)))
        if near is None or (self.deviations(near) > 1e-4).sum() > half:
            return None
        return Finding("rows independent", False, float(deviations.max()), 1e-2, KNOWS_PLACES)

    def derivative(self) -> Finding:
        """Whether the derivative is what differences show; raises `Absent` where there is none."""
        name = "jvp against differences"
        wide = self.roundoff > 1e-10
        samples = Samples(self, self.x, (3e-2, 5e-3, 1e-3) if wide else (1e-3, 1e-5, 1e-6))
        still = bool((samples.tangents[samples.fine] == 0).all())
        # Without rounding or comparisons inside, it is a steep function that is saturated.
        if still and not self.given and self.map.steps_inside:
            self.require_no_jumps()
        fits = Finding(name, True, float(samples.errors[samples.fine].max(initial=0)), self.agreement, "")
        if not samples.doubtful().any():
            return fits
        steps = 10.0 ** -np.arange(0.5, 4.5, 0.5) if wide else 10.0 ** -np.arange(1.0, 9.0)
        wrong: list[NDArray[np.bool_]] = []
        zero: list[NDArray[np.bool_]] = []
        apart = [0.0]
        for _ in range(3):
            more = Samples(self, self.draw(), tuple(steps))
            wrong.append(more.wrong())
            zero.append((more.tangents == 0).all(axis=1))
            apart.extend(more.errors[wrong[-1]])
        rows, zeros = np.concatenate(wrong), np.concatenate(zero)
        groups: NDArray[np.int64] = np.sum([part.reshape(-1, self.per_group).sum(axis=1) for part in wrong], axis=0)
        if self.given and groups[[i for i in CORE if i < len(groups)]].sum() < max(2, 0.75 * self.per_group):
            return fits  # what a user wrote may hold where the map lives only
        # Single states may sit at a kink: half of one kind of them must be wrong, or three in ten of all.
        if rows.sum() < QUORUM or (groups.max() < max(QUORUM, 1.5 * self.per_group) and rows.mean() < 0.3):
            return fits
        # Nothing but zeros: the framework has lost the state on the way, nobody has replaced a gradient.
        if zeros[rows].all() and zeros.mean() > 0.5:
            raise Absent("its tangents are zero where its image moves")
        way = str(self.map.derivative).partition(" (")[0]
        mend = "remove it, or wrap with derivative='differences'"
        error = min(max(apart), 1.0)
        detail = f"its derivative ({way}) does not agree with differences (off by {error:.0%}): "
        detail += "mend jacobian, or leave it out" if way == GIVEN else f"{CUT}; {mend}"
        return Finding(name, False, error, self.agreement, detail)

    def require_no_jumps(self, if_still: bool = False) -> None:
        """Refuse a map whose image moves in jumps only: halve the way between two states until a jump is alone.

        `if_still`: only where the image stands still under small changes at nearly all states.
        """
        if if_still:
            near = self.images(self.beside, self.rounded(self.x * (1 + self.eps**0.6)))
            if near is None or (near == self.y)[self.fine].mean() < 0.9:
                return
        y = np.where(self.fine[:, None], self.y, self.y[np.flatnonzero(self.fine)[0]])
        if (y == y[0]).all():  # a constant
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
            # A staircase of many small steps looks smooth from afar: only the last halvings count.
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

    def jacobian(self) -> Finding:
        """Whether the cotangents on which `jacobian` stands are those that belong to `jvp`."""
        name, tolerance = "jvp against jacobian", 1e4 * self.eps
        u, v = self.rng.standard_normal((2, *self.x.shape))
        try:
            tangents = self.carried(self.x, v)[1]
            pulled = self.map.pull(self.ops.from_numpy(self.x), self.ops.from_numpy(u))
            if pulled is None:
                return Finding(name, True, 0.0, tolerance, "")
            forth, back = (u * tangents).sum(axis=1), (self.host(pulled) * v).sum(axis=1)
            size = np.linalg.norm(u, axis=1) * np.linalg.norm(tangents, axis=1)
            agrees = bool((np.abs(forth - back) <= tolerance * size)[self.fine].all())
        except Exception:  # nothing that a framework may complain about makes it right
            agrees = False
        return Finding(name, agrees, 0.0 if agrees else np.inf, tolerance, "jacobian and jvp disagree")

    def carried(
        self, x: NDArray[np.float64], v: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Images and tangents in one direction at each state, (b, n) both."""
        y, t = self.map.jvp(self.ops.from_numpy(x), self.ops.from_numpy(v[:, :, None]))
        images, tangents = self.host(y), self.host(t)
        if images.shape != x.shape or tangents.shape != (*x.shape, 1):
            raise ShapeError(f"map: jvp gave shapes {images.shape} and {tangents.shape} for states {x.shape}")
        return images, tangents[:, :, 0]
