"""Does an object keep the map contract? Every map of every backend must pass this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import LyapmapError, MapError
from lyapmap.core.map import Map, TangentMap, as_states, as_tangent_map, dimension

DIRECTIONS = 3
JACOBIAN_LIMIT = 1024
"""Largest dimension for which the full Jacobian is made and compared."""


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
        n = 1024).

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
    tangent_map = as_tangent_map(candidate)
    if hasattr(tangent_map, "at"):
        tangent_map = tangent_map.at(0)
    states, single = as_states(x, tangent_map)
    if single or len(states) < 2:
        raise LyapmapError("x: expected at least 2 states, so that their independence can be checked, got 1")
    return ConformanceReport(tuple(_Checks(tangent_map, states, np.random.default_rng(seed)).findings()))


class _Checks:
    def __init__(self, tangent_map: TangentMap, x: Any, rng: np.random.Generator) -> None:
        self.map = tangent_map
        self.ops = tangent_map.ops
        self.x = x
        self.n = dimension(tangent_map.state_shape)
        self.eps = float(np.finfo(self.ops.dtype).eps)
        self.rng = rng
        self.v = self._directions()
        self.y = self._host(tangent_map.apply(x))
        # Some maps write into what they were given; the states must be what they were.
        self.x_before = self._host(x).copy()

    def findings(self) -> list[Finding]:
        finite = bool(np.isfinite(self.y).all())
        shape_ok = self.y.shape == (len(self.x_before), self.n)
        first = Finding(
            "finite values of the shape",
            finite and shape_ok,
            0.0 if finite and shape_ok else np.inf,
            0.0,
            f"apply gave shape {self.y.shape} for {self.x_before.shape}"
            if not shape_ok
            else "apply gave NaN or infinity",
        )
        if not first.ok:
            return [first]
        image, tangents = self.map.jvp(self.x, self.ops.from_numpy(self.v))
        checks = [
            first,
            self._repeatable(),
            self._rows_independent(),
            self._finding(
                "image from jvp", self._host(image), self.y, 1e4 * self.eps, "jvp and apply disagree on the image"
            ),
            self._linear(self._host(tangents)),
            self._differences(self._host(tangents)),
        ]
        if self.n <= JACOBIAN_LIMIT:
            checks.append(self._jacobian(self._host(tangents)))
        return checks

    def _host(self, array: Any) -> NDArray[np.float64]:
        host: NDArray[np.float64] = self.ops.to_numpy(array).astype(np.float64)
        return host

    def _directions(self) -> NDArray[np.float64]:
        v = self.rng.standard_normal((len(self.x), self.n, DIRECTIONS))
        unit: NDArray[np.float64] = v / np.linalg.norm(v, axis=1, keepdims=True)
        return unit

    @staticmethod
    def _finding(
        name: str, got: NDArray[np.float64], wanted: NDArray[np.float64], tolerance: float, detail: str
    ) -> Finding:
        scale = max(float(np.abs(wanted).max()), float(np.finfo(np.float32).tiny))
        difference = np.abs(got - wanted)
        error = float(difference.max()) / scale if np.isfinite(difference).all() else np.inf
        return Finding(name, error <= tolerance, error, tolerance, detail)

    def _repeatable(self) -> Finding:
        again = self._host(self.map.apply(self.x))
        changed = np.abs(self._host(self.x) - self.x_before).max() > 0
        detail = (
            "apply changes the states it is given"
            if changed
            else ("two calls with the same states differ: switch noise and dropout off, or use lyapmap.noisy")
        )
        found = self._finding("repeatable", again, self.y, 10 * self.eps, detail)
        return found if not changed else Finding(found.name, False, np.inf, found.tolerance, detail)

    def _rows_independent(self) -> Finding:
        others = self.x_before.copy()
        others[1:] = others[1:][::-1] * 0.5
        moved = self._host(self.map.apply(self.ops.from_numpy(others)))
        alone = self._host(self.map.apply(self.ops.from_numpy(self.x_before[:1])))
        detail = (
            "the image of a state depends on the rest of the batch: batch norm in training mode, "
            "or a function that is not written for rows"
        )
        pair, want = np.concatenate([moved[:1], alone]), np.concatenate([self.y[:1], self.y[:1]])
        return self._finding("rows independent", pair, want, 1e4 * self.eps, detail)

    def _linear(self, tangents: NDArray[np.float64]) -> Finding:
        mixed = self.ops.from_numpy(2 * self.v[..., :1] - 0.5 * self.v[..., 1:2])
        got = self._host(self.map.jvp(self.x, mixed)[1])
        wanted = 2 * tangents[..., :1] - 0.5 * tangents[..., 1:2]
        return self._finding("jvp linear", got, wanted, 1e5 * self.eps, "jvp is not linear in the tangent")

    def _differences(self, tangents: NDArray[np.float64]) -> Finding:
        scale = max(float(np.sqrt(np.mean(self.x_before**2))), 1e-3)
        best = np.full(DIRECTIONS, np.inf)
        # Kinks and curvature spoil large steps, rounding small ones: the best of three counts.
        for factor in (0.1, 1.0, 10.0):
            h = factor * scale * self.eps ** (1 / 3)
            for j in range(DIRECTIONS):
                ahead = self._host(self.map.apply(self.ops.from_numpy(self.x_before + h * self.v[..., j])))
                behind = self._host(self.map.apply(self.ops.from_numpy(self.x_before - h * self.v[..., j])))
                got = (ahead - behind) / (2 * h)
                size = max(float(np.linalg.norm(tangents[..., j])), float(np.linalg.norm(got)), 1e-30)
                best[j] = min(best[j], float(np.linalg.norm(got - tangents[..., j])) / size)
        error, tolerance = float(best.max()), 0.02 if self.eps > 1e-10 else 1e-5
        return Finding("jvp against differences", error <= tolerance, error, tolerance, "the derivative is wrong")

    def _jacobian(self, tangents: NDArray[np.float64]) -> Finding:
        got = self._host(self.map.jacobian(self.x)) @ self.v
        return self._finding("jvp against jacobian", got, tangents, 1e5 * self.eps, "jacobian and jvp disagree")
