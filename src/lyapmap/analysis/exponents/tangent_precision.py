"""In which precision the layers of a network carry tangents, and whether that shows.

States and orthonormalization stay as they are. A precision that is lower than theirs makes noise: a
tangent's image is off by a fraction of the largest growth, which hides exponents that lie far below
(the floor), and is random in all others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import LyapmapError
from lyapmap.core.journal import Resumable
from lyapmap.core.map import TangentMap
from lyapmap.core.ops import Array
from lyapmap.core.propagate import divided, propagate

TANGENT_DTYPES = ("auto", "float64", "float32", "bfloat16", "float16")

ROUNDOFF = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}

PAIRED_STEPS = 24
"""Steps along which two precisions are compared, on the same states."""
WORTH_WHILE = 1e11
"""Floating-point operations of a run above which it pays to compare precisions first."""
NOISE_MARGIN = 4.0
"""Noise, in units of its size, that a growth must exceed: its mean logarithm is then off by 3 % at most."""
BIAS = 0.25
"""Part of the error of an exponent that a lower precision may shift it by."""
CERTAIN = 3.0
"""Standard errors of a mean difference beyond which it is there."""


@dataclass(frozen=True)
class Comparison:
    """Growth in two precisions, on the same states.

    Attributes
    ----------
    noise : float
        What the lower one adds to a tangent's image in one step, relative to the largest growth.
    floor : float
        Growth per step below which noise hides an exponent, where frames are orthonormalized at every step.
    shift, shift_error : (k,)
        Mean difference of the growth per step, of the first i directions together, and its standard error.
    error : (k,)
        Standard error that the same sums will have at the end of the run, as foretold.
    least : float
        Growth per step of the last direction.
    """

    noise: float
    floor: float
    shift: NDArray[np.float64]
    shift_error: NDArray[np.float64]
    error: NDArray[np.float64]
    least: float

    def objection(self, dtype: str) -> str:
        """Why the lower precision is not used; empty where nothing speaks against it."""
        if not np.isfinite(self.shift).all():
            return f"tangents are not finite in {dtype}"
        if self.least < self.floor:
            return f"an exponent of {self.least:.3g} per step lies under the floor of {dtype}, {self.floor:.3g}"
        beyond = np.abs(self.shift) - CERTAIN * self.shift_error > BIAS * self.error
        if beyond.any():
            i = int(np.argmax(beyond))
            return (
                f"{dtype} shifts the sum of {i + 1} exponents by {self.shift[i]:.2g} ± {self.shift_error[i]:.1g} "
                f"per step, more than {BIAS:g} of its error"
            )
        return ""

    def described(self) -> dict[str, Any]:
        """Plain values, as a result's provenance records them."""
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.abs(self.shift) / self.error
        return {
            "paired_steps": PAIRED_STEPS,
            "noise": float(f"{self.noise:.3g}"),
            "largest_shift_in_errors": float(f"{np.nanmax(share):.3g}") if np.isfinite(share).any() else None,
            "shift_of_largest": float(f"{self.shift[0]:.3g}"),
            "its_error": float(f"{self.shift_error[0]:.3g}"),
        }


def noise_of(whole: TangentMap, low: TangentMap, x: Array, frame: Array) -> float:
    """What the lower precision adds to a tangent's image, relative to the largest growth: root of the mean square.

    The direction in which it is largest counts.
    """
    ops = whole.ops
    rows = divided(int(x.shape[0]), whole.row_work)[0]  # as many as are carried together
    x, given = x[rows], ops.cast(frame[rows], ops.dtype)
    exact, off = (ops.to_numpy(version.jvp(x, given)[1]).astype(np.float64) for version in (whole, low))
    growth = np.linalg.norm(exact, axis=1).max(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        errors = np.linalg.norm(off - exact, axis=1) / growth[:, None]
    return float(np.sqrt((errors**2).mean(axis=0)).max())


def floor_under(noise: float, largest: float, qr_every: int) -> float:
    """Growth per step under which noise hides an exponent."""
    return largest + math.log(NOISE_MARGIN * max(noise, 1e-300)) / qr_every


def compare(
    whole: TangentMap, low: TangentMap, x: Array, frame: Array, *, frame_dtype: str, n_steps: int, first_step: int
) -> tuple[Comparison, Array, Array]:
    """Carry the same frames in both precisions along the same states, step by step.

    Returns
    -------
    Comparison
    states, frames
        Where the higher precision has led.
    """
    noise = noise_of(whole, low, x, frame)
    exact, off = [], []
    now, beside = (x, frame), (x, frame)
    for step in range(PAIRED_STEPS):
        carried = propagate(whole, *now, n_steps=1, frame_dtype=frame_dtype, first_step=first_step + step)
        other = propagate(low, *beside, n_steps=1, frame_dtype=frame_dtype, first_step=first_step + step)
        # The same states to the last bit, be they rounded alike or not.
        now, beside = (carried.x, carried.frame), (carried.x, other.frame)
        exact.append(carried.log_growth)
        off.append(other.log_growth)
    growth, other_growth = np.array(exact), np.array(off)  # (steps, b, k)
    with np.errstate(invalid="ignore"):
        sums, difference = np.cumsum(growth, axis=2), np.cumsum(other_growth - growth, axis=2)
    many = growth.shape[0] * growth.shape[1]
    mean = growth.mean(axis=(0, 1))
    return (
        Comparison(
            noise,
            floor_under(noise, float(mean.max()), 1),
            difference.mean(axis=(0, 1)),
            _error(difference),
            _error(sums) * math.sqrt(many / (n_steps * growth.shape[1])),
            float(mean.min()),
        ),
        *now,
    )


def _error(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard error of the mean over steps and trajectories (steps, b, k), from halves of a dozen steps each."""
    blocks = samples.reshape(-1, 4, *samples.shape[1:]).mean(axis=1)  # neighbours in time go together
    flat = blocks.reshape(-1, samples.shape[2])
    error: NDArray[np.float64] = flat.std(axis=0, ddof=1) / math.sqrt(len(flat))
    return error


@dataclass(frozen=True)
class Settled:
    """Where states and frames stand after their precision was looked for, and what was found.

    Attributes
    ----------
    x, frame : Array
    steps : int
        That it took.
    compared : Comparison or None
    noise : float
        Of the lower precision, where nothing was compared.
    """

    x: Array
    frame: Array
    steps: int = 0
    compared: Comparison | None = None
    noise: float = 0.0


class Tangents(Resumable):
    """The precision of one run's tangents: as asked for, or found out by a comparison.

    Attributes
    ----------
    asked : str
    settled : bool
        Whether it is known.
    dtype : str
        What is used, once that is settled.
    noise : float
        What a lower precision adds to a tangent's image, relative to the largest growth; 0.0 without one.
    comparison : dict
        What the comparison found.
    """

    KEPT = ("settled", "dtype", "noise", "comparison", "_low_dtype")

    def __init__(self, tangent_map: TangentMap, asked: str, b: int, n_steps: int) -> None:
        self._whole, self.asked, self._n_steps = tangent_map, requested(asked, tangent_map), n_steps
        self.dtype, self.noise = tangent_map.ops.dtype, 0.0
        self.comparison: dict[str, Any] = {}
        self._low, self._low_dtype = tangent_map, self.dtype
        if asked not in ("auto", self.dtype):
            self._low, self._low_dtype = tangent_map.with_tangents(asked), asked
        elif asked == "auto" and not tangent_map.depends_on_step:
            low = tangent_map.low_tangent_dtype
            if low is not None and tangent_map.row_work * b * n_steps * 16 >= WORTH_WHILE:
                self._low, self._low_dtype = tangent_map.with_tangents(low), low
        self.settled = self._low is tangent_map

    def restore(self, state: Mapping[str, Any]) -> None:
        """Stand where another stood, with the map that it used."""
        super().restore(state)
        if self._low_dtype == self._whole.ops.dtype:
            self._low = self._whole

    @property
    def low(self) -> bool:
        """Whether a lower precision than that of the states is used, or is to be compared yet."""
        return self._low is not self._whole

    def carrier(self, k: int, n: int) -> TangentMap:
        """The map that carries k of n directions."""
        if self.settled or self.asked != "auto":
            return self._low
        # Until it is known, few directions may align roughly; many reach far down.
        return self._low if 4 * k <= n else self._whole

    def roundoff(self, k: int, n: int, dtype: str) -> float:
        """One rounding of what is carried."""
        low = ROUNDOFF[self._low_dtype] if self.carrier(k, n) is not self._whole else 0.0
        return max(low, float(np.finfo(dtype).eps))

    def settle(self, x: Array, frame: Array, *, frame_dtype: str, first_step: int) -> Settled:
        """Compare where that is asked for. Nothing is changed before what comes of it is taken in."""
        if self.settled:
            return Settled(x, frame)
        if self.asked != "auto":
            return Settled(x, frame, noise=noise_of(self._whole, self._low, x, frame))
        compared, x, frame = compare(
            self._whole, self._low, x, frame, frame_dtype=frame_dtype, n_steps=self._n_steps, first_step=first_step
        )
        return Settled(x, frame, PAIRED_STEPS, compared)

    def take(self, settled: Settled) -> None:
        """Use the precision that was settled on."""
        if self.settled:
            return
        self.settled = True
        compared = settled.compared
        if compared is None:
            self.dtype, self.noise = self._low_dtype, settled.noise
            return
        objection = compared.objection(self._low_dtype)
        self.comparison = compared.described() | ({"objection": objection} if objection else {})
        if objection:
            self._low, self._low_dtype = self._whole, self.dtype
        else:
            self.dtype, self.noise = self._low_dtype, compared.noise

    def reopen(self) -> None:
        """Compare again: there are more directions now."""
        self.settled = not self.low

    def described(self) -> dict[str, Any]:
        """What results record."""
        return {"tangent_dtype": self.dtype} | ({"tangent_comparison": self.comparison} if self.comparison else {})


def requested(tangent_dtype: str, tangent_map: TangentMap) -> str:
    """A name that is known, and not finer than the map's own.

    Raises
    ------
    LyapmapError
    """
    if tangent_dtype not in TANGENT_DTYPES:
        raise LyapmapError(f"tangent_dtype: expected one of {', '.join(TANGENT_DTYPES)}, got {tangent_dtype!r}")
    if tangent_dtype == "float64" != tangent_map.ops.dtype:
        raise LyapmapError(f"tangent_dtype: the map computes in {tangent_map.ops.dtype}; wrap it with dtype='float64'")
    return tangent_dtype
