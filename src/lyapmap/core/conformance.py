"""Does an object keep the map contract, to the last digits, at states that are given? Every map of every backend must.

What `wrap` looks at before it trusts a user's function, at states of its own choice, is `lyapmap.core.vouching`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import LyapmapError, MapError
from lyapmap.core.map import Map, TangentMap, as_states, dimension, unchecked

DIRECTIONS = 3
JACOBIAN_LIMIT = 1024
"""Largest dimension for which the full Jacobian is made and compared."""


DIVERGENCE_LIMIT = 64
"""Largest dimension for which the growth of volumes is held against the divergence of a flow's field."""


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
    tangent_map = unchecked(candidate)
    tangent_map = tangent_map.at(0)
    states, single = as_states(x, tangent_map)
    if single or len(states) < 2:
        raise LyapmapError("x: expected at least 2 states, so that their independence can be checked, got 1")
    return ConformanceReport(tuple(_Checks(tangent_map, states, np.random.default_rng(seed)).findings()))


class _Checks:
    def __init__(self, tangent_map: TangentMap, x: Any, rng: np.random.Generator) -> None:
        self.map = tangent_map
        self.ops = tangent_map.ops
        self.n = dimension(tangent_map.state_shape)
        self.eps = float(np.finfo(self.ops.dtype).eps)
        self.rng = rng
        self.x = self._host(x)
        self.v = self._directions()

    def findings(self) -> list[Finding]:
        given = self._array(self.x)
        self.y = self._host(self.map.apply(given))
        self.written = bool((self._host(given) != self.x).any())
        first = self._shaped("finite values of the shape", "apply", self.y, self.x.shape)
        if not first.ok:
            return [first]
        image, carried = self.map.jvp(self._array(self.x), self._array(self.v))
        tangents = self._host(carried)
        shaped = self._shaped("tangents of the shape", "jvp", tangents, self.v.shape)
        if not shaped.ok:
            return [first, shaped]
        checks = [
            first,
            self._repeatable(),
            self._rows_independent(),
            self._finding(
                "image from jvp", self._host(image), self.y, 1e4 * self.eps, "jvp and apply disagree on the image"
            ),
            self._linear(tangents),
            self._differences(tangents),
        ]
        if self.n <= JACOBIAN_LIMIT:
            checks.append(self._jacobian(tangents))
        if self.n <= DIVERGENCE_LIMIT and self.map.is_flow and self.map.log_abs_det_is_independent:
            checks.append(self._divergence())
        return checks

    def _host(self, array: Any) -> NDArray[np.float64]:
        # A copy, so that a map that writes into its arrays cannot reach it.
        host: NDArray[np.float64] = np.array(self.ops.to_numpy(array), np.float64)
        return host

    def _array(self, host: NDArray[np.float64]) -> Any:
        return self.ops.from_numpy(host.copy())

    def _apply(self, host: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._host(self.map.apply(self._array(host)))

    def _directions(self) -> NDArray[np.float64]:
        v = self.rng.standard_normal((len(self.x), self.n, DIRECTIONS))
        unit: NDArray[np.float64] = v / np.linalg.norm(v, axis=1, keepdims=True)
        return unit

    @staticmethod
    def _shaped(name: str, member: str, got: NDArray[np.float64], shape: tuple[int, ...]) -> Finding:
        if got.shape != shape:
            return Finding(name, False, np.inf, 0.0, f"{member} gave shape {got.shape}, expected {shape}")
        finite = bool(np.isfinite(got).all())
        return Finding(name, finite, 0.0 if finite else np.inf, 0.0, f"{member} gave NaN or infinity")

    @staticmethod
    def _finding(
        name: str, got: NDArray[np.float64], wanted: NDArray[np.float64], tolerance: float, detail: str
    ) -> Finding:
        if got.shape != wanted.shape:
            return Finding(name, False, np.inf, tolerance, f"shape {got.shape}, expected {wanted.shape}")
        scale = max(float(np.abs(wanted).max()), float(np.finfo(np.float32).tiny))
        difference = np.abs(got - wanted)
        error = float(difference.max()) / scale if np.isfinite(difference).all() else np.inf
        return Finding(name, error <= tolerance, error, tolerance, detail)

    def _repeatable(self) -> Finding:
        detail = "two calls with the same states differ: switch noise and dropout off, or use lyapmap.noisy"
        found = self._finding("repeatable", self._apply(self.x), self.y, 10 * self.eps, detail)
        if not self.written:
            return found
        return Finding(found.name, False, np.inf, found.tolerance, "apply changes the states it is given")

    def _rows_independent(self) -> Finding:
        # Rows keep their places, on which the noise of a noisy map depends.
        after, before = self.x.copy(), self.x.copy()
        after[1:] = after[1:][::-1] * 0.5
        before[:-1] = before[:-1][::-1] * 0.5
        got = [self._apply(after)[:1], self._apply(self.x[:1]), self._apply(before)[-1:]]
        wanted = [self.y[:1], self.y[:1], self.y[-1:]]
        detail = (
            "the image of a state depends on the rest of the batch: batch norm in training mode, "
            "or a function that is not written for rows"
        )
        name = "rows independent"
        return self._finding(name, np.concatenate(got), np.concatenate(wanted), 1e4 * self.eps, detail)

    def _linear(self, tangents: NDArray[np.float64]) -> Finding:
        mixed = 2 * self.v[..., :1] - 0.5 * self.v[..., 1:2]
        got = self._host(self.map.jvp(self._array(self.x), self._array(mixed))[1])
        wanted = 2 * tangents[..., :1] - 0.5 * tangents[..., 1:2]
        return self._finding("jvp linear", got, wanted, 1e5 * self.eps, "jvp is not linear in the tangent")

    def _differences(self, tangents: NDArray[np.float64]) -> Finding:
        scale = max(float(np.sqrt(np.mean(self.x**2))), 1e-3)
        best = np.full(DIRECTIONS, np.inf)
        # Kinks and curvature spoil large steps, rounding small ones: the best of three counts.
        for factor in (0.1, 1.0, 10.0):
            h = factor * scale * self.eps ** (1 / 3)
            for j in range(DIRECTIONS):
                step = h * self.v[..., j]
                got = (self._apply(self.x + step) - self._apply(self.x - step)) / (2 * h)
                size = max(float(np.linalg.norm(tangents[..., j])), float(np.linalg.norm(got)), 1e-30)
                best[j] = min(best[j], float(np.linalg.norm(got - tangents[..., j])) / size)
        error, tolerance = float(best.max()), 0.02 if self.eps > 1e-10 else 1e-5
        return Finding("jvp against differences", error <= tolerance, error, tolerance, "the derivative is wrong")

    def _jacobian(self, tangents: NDArray[np.float64]) -> Finding:
        name, tolerance = "jvp against jacobian", 1e5 * self.eps
        jacobians = self._host(self.map.jacobian(self._array(self.x)))
        shape = (len(self.x), self.n, self.n)
        if jacobians.shape != shape:
            return Finding(name, False, np.inf, tolerance, f"jacobian gave shape {jacobians.shape}, expected {shape}")
        return self._finding(name, jacobians @ self.v, tangents, tolerance, "jacobian and jvp disagree")

    def _divergence(self) -> Finding:
        jacobians = self._host(self.map.jacobian(self._array(self.x)))
        with np.errstate(divide="ignore"):
            volume = np.linalg.slogdet(jacobians)[1]
        integral = np.asarray(self.map.log_abs_det(self._array(self.x), 1))
        # Determinants feel rounding by as much as the directions differ in their growth.
        spread = float(np.linalg.cond(jacobians).max())
        allowed = 4 * self.map.log_abs_det_tolerance + 16 * self.n * self.eps * spread
        difference = np.abs(volume - integral)
        error = float(difference.max()) if np.isfinite(difference).all() else np.inf
        if allowed > 1:
            error = 0.0  # a volume that is rounding says nothing
        detail = "volumes do not grow as the divergence says: the steps are too long, or the derivative is wrong"
        return Finding("divergence of the field", error <= allowed, error, allowed, detail)
