"""Cross-checks of a spectrum: what must agree, by how much it does, in standard errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

AGREES = 4.0
"""Standard errors within which two numbers agree; the worst of many stays below."""
FAILS = 10.0
"""Standard errors beyond which a run says of itself that it cannot be trusted."""


@dataclass(frozen=True)
class Check:
    """One number held against what it must be.

    Attributes
    ----------
    name : str
    measured, expected : float
    stderr : float
        Standard error of their difference; the rounding to be expected where both are exact.
    words : str
        What is compared.
    """

    name: str
    measured: float
    expected: float
    stderr: float
    words: str

    @property
    def residual(self) -> float:
        """Difference in standard errors."""
        difference = self.measured - self.expected
        if difference == 0:
            return 0.0
        return float(difference / self.stderr) if self.stderr > 0 else float(np.copysign(np.inf, difference))

    @property
    def passed(self) -> bool:
        """Whether the difference is no larger than chance or rounding makes it."""
        return abs(self.residual) <= AGREES

    def __str__(self) -> str:
        verdict = "ok  " if self.passed else "FAIL"
        return f"{verdict} {self.name:<16} {self.residual:+8.2f}  {self.words}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values; `check_of` makes the object again."""
        return {name: getattr(self, name) for name in ("name", "measured", "expected", "stderr", "words")}


def worst(name: str, measured: Any, expected: Any, stderr: Any, words: str) -> Check | None:
    """The check of several numbers that agree least; None where none can be compared.

    {i} in `words` stands for the number, counted from 1, of the one that is shown.
    """
    measured, expected, stderr = (np.atleast_1d(np.asarray(v, float)) for v in (measured, expected, stderr))
    measured, expected, stderr = np.broadcast_arrays(measured, expected, stderr)
    usable = np.isfinite(measured) & np.isfinite(expected) & np.isfinite(stderr)
    if not usable.any():
        return None
    difference = np.abs(measured - expected)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(difference == 0, 0.0, difference / stderr)
    i = int(np.argmax(np.where(usable, ratio, -1.0)))
    return Check(name, float(measured[i]), float(expected[i]), float(stderr[i]), words.format(i=i + 1))


def rounding(dtype: str, n: int, size: float) -> float:
    """What rounding may do to a sum of n exponents, per step."""
    return float(16 * np.finfo(dtype).eps * n * max(1.0, size))


def homogeneity(per_trajectory: NDArray[np.float64], within: NDArray[np.float64]) -> Check | None:
    """Do trajectories differ by more than their variation in time explains? Chi square of the largest exponent."""
    values, errors = per_trajectory[:, 0], within[:, 0]
    freedom = len(values) - 1
    usable = np.isfinite(errors).all() and (errors > 0).all() and np.isfinite(values).all()
    if freedom < 2 or not usable:
        return None
    reduced = float(((values - values.mean()) ** 2).sum() / (errors**2).mean() / freedom)
    # The cube root of chi square is nearly normal (E. Wilson, M. Hilferty 1931).
    spread = float(np.sqrt(2 / (9 * freedom)))
    words = "spread of the largest exponent over trajectories against its variation in time"
    return Check("trajectories", reduced ** (1 / 3), 1 - 2 / (9 * freedom), spread, words)
