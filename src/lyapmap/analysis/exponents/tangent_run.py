"""One run of tangent frames along trajectories: carried block by block, watched, and counted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.attractor import FULL_UP_TO, RepeatWatch
from lyapmap.analysis.exponents.growth import GrowthStatistics
from lyapmap.analysis.exponents.kaplan_yorke import (
    NEEDS_MORE,
    UNCERTAIN,
    KaplanYorke,
    exponents_needed,
    half_as_many_again,
    kaplan_yorke_with_error,
)
from lyapmap.analysis.exponents.tangent_precision import PAIRED_STEPS, Tangents
from lyapmap.core.journal import Resumable
from lyapmap.core.map import TangentMap, time_per_step
from lyapmap.core.ops import Array
from lyapmap.core.propagate import Carried, log_abs_det, propagate, propagate_blocks, random_frame, step_states
from lyapmap.core.run import Report, unbroken

BLOCKS = 128
"""Blocks into which a run is cut, about: the resolution of its error statistics."""
DETERMINANT_STEPS = 8
"""Steps of each block along which determinants are taken, where the map does not do it itself."""
DEAR_EVERY = 4
"""Groups of blocks of which one has its determinants taken, where that is dear."""
ILL_CONDITIONED = 0.4
"""Power of the precision to which a frame may become ill-conditioned before it is orthonormalized."""
LONGEST_QR = 64
"""Most steps between re-orthonormalizations that are chosen by themselves."""
SMALL = 100_000
"""Values carried (steps x trajectories x tangent components), about, below which blocks are looked at together."""
SMALL_COMPILED = 32 * SMALL
"""The same of compiled code, which carries a value in about a nanosecond."""
LONGEST_COMPILED = 2**28
"""The same of the longest block of compiled code, which cannot be interrupted: about a second at most. It goes by
what is carried and by no clock, so that the numbers are the same wherever they are computed."""
LONGEST = 2**38
"""Floating-point operations of a longest block of other code, a few seconds' worth: Ctrl-C loses no more than that."""
TOGETHER = 16
"""Most blocks that are looked at together, so that progress shows."""
TRIAL = 16
"""Steps from which a trial judges how many exponents a run will carry."""
LATE_PERIOD = 16
"""Longest period that is looked for at the end of a run."""
AT_ONCE = {"resize", "reopen", "begin anew", "adapted"}
"""Stages within which no signal falls."""
Stage = tuple[Any, ...]
"""Its name and arguments."""


@dataclass(frozen=True)
class _Block:
    """What a block of steps brought: the end of it, and log|det J| (b,) over its first steps, if measured."""

    carried: Carried
    steps: int = 0
    determinants: NDArray[np.float64] | None = None
    beside: NDArray[np.float64] | None = None
    """Growth of all directions over the steps along which determinants were taken, (b,)."""


Seen = Callable[[int, int, NDArray[np.float64], NDArray[np.float64], int], None]
"""Takes steps done, steps in all, running estimates (k,) and standard errors (k,) so far, and steps averaged over."""


class Follower:
    """A progress function that sees the estimates of a spectrum as they converge.

    They are shown to people who watch a run; whether they can be relied on, only its result says.

    Parameters
    ----------
    see : callable
        Called at each look at the run with (steps done, steps in all, exponents, standard errors, steps averaged
        over).
    """

    def __init__(self, see: Seen) -> None:
        self.see = see

    def __call__(self, done: int, total: int) -> None:
        """Nothing to tell before there are estimates."""

    def beside(self, run: TangentRun, others: Report) -> Report:
        """What reports on a run, to others first."""
        per_time = 1 / time_per_step(run.map)

        def report(done: int, total: int) -> None:
            others(done, total)
            statistics = run.statistics
            if statistics.steps:
                mean, error = statistics.mean() * per_time, statistics.stderr() * per_time
                self.see(done, total, mean, error, statistics.steps)
            else:
                nothing = np.zeros(0)
                self.see(done, total, nothing, nothing, 0)

        return report


def further_steps(tangent_map: TangentMap, b: int, k: int, settings: dict[str, Any]) -> int:
    """What a run does beside its steps, in steps of k tangents: two precisions compared, a late repeat looked for."""
    compared = not Tangents(tangent_map, settings["tangent_dtype"], b, settings["n_steps"]).settled
    return 2 * PAIRED_STEPS * compared + LATE_PERIOD // (k + 1)


class TangentRun(Resumable):
    """States, frames and statistics of one run, and the stages that are left of it.

    Parameters
    ----------
    tangent_map : TangentMap
    x : (b, n)
    k : int
        Exponents to begin with.
    rng : numpy.random.Generator
    settings : dict
    auto : bool
        Whether as many exponents are carried as turn out to be needed.
    """

    KEPT = (
        *("rng", "stages", "_left", "_group", "step", "planned", "qr_every", "_looks", "_spread", "_size"),
        *("escaped", "escaped_at", "overflowed", "statistics", "look", "watch", "tangents"),
        *("determinants", "beside_determinants"),
    )
    CARRIED = ("x", "frame")

    def __init__(
        self,
        tangent_map: TangentMap,
        x: Array,
        k: int,
        rng: np.random.Generator,
        settings: dict[str, Any],
        *,
        auto: bool = False,
    ) -> None:
        self.map = tangent_map
        self.ops = tangent_map.ops
        self.n = tangent_map.n_tangents
        self.b = int(x.shape[0])
        self.x0 = x
        self.x = x
        self.rng = rng
        self.report: Report = lambda done, total: None
        self.n_steps: int = settings["n_steps"]
        self.transient_steps: int = settings["transient"]
        self.chooses_qr = settings["qr_every"] == "auto"
        self.qr_every: int = 1 if self.chooses_qr else settings["qr_every"]
        self.tolerance: float | None = settings["tolerance"]
        self.bounds: tuple[float, float] | None = settings["bounds"]
        self.frame_dtype: str = settings["frame_dtype"]
        self.tangents = Tangents(tangent_map, settings["tangent_dtype"], self.b, self.n_steps)
        self.frame = tangent_map.tangent_frame(x, random_frame(tangent_map, self.b, k, rng, self.frame_dtype))
        self.step = 0
        self.planned = self.n_steps + self.transient_steps
        self.autonomous = not tangent_map.depends_on_step
        self.statistics = GrowthStatistics(self.b, k)
        self.watch = RepeatWatch(tangent_map, x, k)
        self.determinants = GrowthStatistics(self.b, 1)
        self.beside_determinants = np.zeros(self.b)
        """Growth of all directions over the steps along which determinants were taken, (b,)."""
        self._looks = 0
        self._spread = 0.0
        self._size = 0.0
        self.escaped = np.zeros(self.b, bool)
        self.escaped_at = -1
        self.overflowed = False
        self.look = GrowthStatistics(self.b, k)
        self._left: int | None = None
        self._group = 1
        # The second half of the transient tells how many exponents will be needed.
        first = self.transient_steps // 2 if auto else self.transient_steps
        self.stages: list[Stage] = [
            ("advance", first, ""),
            *([("adapt", self.transient_steps - first)] if auto else []),
            ("compare",),
            ("advance", self.n_steps, "statistics"),
            *([("more",)] if auto else []),
            ("late repeat",),
        ]

    @property
    def k(self) -> int:
        return int(self.frame.shape[2])

    def trial(self, auto: bool, b: int) -> Callable[[int], None]:
        """A function that does so many steps more of a run over b trajectories, in its blocks, to be timed."""
        length = max(self.n_steps // BLOCKS, 1)
        self.tangents = Tangents(self.map, self.tangents.asked, b, self.n_steps)
        self.stages = [*([("adapt", TRIAL)] if auto and self.transient_steps else []), ("compare",)]
        self.carry_out()

        def advance(steps: int) -> None:
            if self.lost() is not None:  # goes on from the start, whatever comes of it
                self.x, self.escaped, self.overflowed = self.x0, np.zeros(self.b, bool), False
            self._left = None
            self._spread = self._size = 0.0  # of shorter blocks than those of the run, where rates differ more
            self._advance(steps, "statistics", length)

        return advance

    def carry_out(self) -> None:
        """All stages that are left; each says by which others it is followed at once."""
        stages: dict[str, Callable[..., list[Stage]]] = {
            "advance": self._advance,
            "adapt": self._adapt,
            "adapted": self._adapted,
            "compare": self._compare_tangents,
            "more": self._more,
            "resize": self._resize,
            "reopen": self._reopen,
            "begin anew": self._begin_anew,
            "late repeat": self._look_for_late_repeat,
        }
        self.report(self.step, self.planned)
        while self.stages:
            name, *arguments = self.stages[0]
            # One that is cut short begins again; what would be another thing the second time is done in one go.
            with unbroken() if name in AT_ONCE else nullcontext():
                following = stages[name](*arguments)
                with unbroken():
                    self.stages[:1] = following
                    self._left = None

    def _compare_tangents(self) -> list[Stage]:
        """Settle the precision of tangents, where that is left to be found out; steps for it count as transient."""
        if self.lost() is None:
            settled = self.tangents.settle(self.x, self.frame, frame_dtype=self.frame_dtype, first_step=self.step)
            with unbroken():
                self.tangents.take(settled)
                self.x, self.frame = settled.x, settled.frame
                self.step += settled.steps
                self.planned += settled.steps
        return []

    def _more(self) -> list[Stage]:
        """Average again with more exponents, where too few were carried."""
        if self.k == self.n or not self._wants_more():
            return []
        align = max(self.transient_steps // 2, self.n_steps // 4)
        return [
            ("resize", min(self.n, half_as_many_again(self.k)), align + self.n_steps),
            ("reopen",),
            ("advance", align, ""),
            ("compare",),
            ("begin anew",),
            ("advance", self.n_steps, "statistics"),
            ("more",),
        ]

    def _reopen(self) -> list[Stage]:
        self.tangents.reopen()
        return []

    def _begin_anew(self) -> list[Stage]:
        self.statistics = GrowthStatistics(self.b, self.k)
        return []

    def _wants_more(self) -> bool:
        """Whether more exponents would bring a certificate; without error bars none would."""
        if self.lost() is not None or np.isposinf(self.statistics.stderr()).any():
            return False
        return self.dimension().verdict in (NEEDS_MORE, UNCERTAIN)

    def _look_for_late_repeat(self) -> list[Stage]:
        """Notice orbits that died within the last block, which the watch could not see repeat."""
        if not self.autonomous or self.lost() is not None:
            return []
        y = self.x
        for period in range(1, LATE_PERIOD + 1):
            y = step_states(self.map, y, n_steps=1)
            late = self.ops.rows_equal(y, self.x) & ~self.watch.repeats
            if late.any():
                around = propagate(self.map, self.x, self.frame, n_steps=period, frame_dtype=self.frame_dtype)
                self.watch.repeats |= late
                self.watch.growth = np.where(late, around.log_growth.max(axis=1) / period, self.watch.growth)
        return []

    def _adapt(self, steps: int) -> list[Stage]:
        """Carry as many exponents as a look at the growth says will be needed."""
        if steps <= 0 or self.lost() is not None:
            return []
        self.look = GrowthStatistics(self.b, self.k)
        return [("advance", steps, "look"), ("adapted", steps)]

    def _adapted(self, steps: int) -> list[Stage]:
        look = self.look
        needed = exponents_needed(look.mean(), look.covariance(), look.steps / self.n_steps, self.n)
        enough = needed <= self.k
        return [("resize", needed, 0 if enough else steps), *([] if enough else [("adapt", steps)])]

    def _resize(self, k: int, more_steps: int) -> list[Stage]:
        """Keep the first k directions of every frame, or add random ones."""
        self.planned += more_steps
        if k > self.k:
            extra = random_frame(self.map, self.b, k - self.k, self.rng, self.frame_dtype)
            extra = self.map.tangent_frame(self.x, extra)
            self.frame, _ = self.ops.qr(self.ops.concatenate([self.frame, extra], 2))
        else:
            self.frame = self.ops.copy(self.frame[:, :, :k])
        self.watch = RepeatWatch(self.map, self.x, k)
        if self.statistics.steps == 0:
            self.statistics = GrowthStatistics(self.b, k)
        return []

    def _advance(self, n_steps: int, counted: str, block: int = 0) -> list[Stage]:
        """Carry everything forward, block by block (of so many steps, if given), until done, converged or lost."""
        statistics = {"": None, "look": self.look, "statistics": self.statistics}[counted]
        every = 1 if self.chooses_qr else self.qr_every
        length = -(-(block or max(n_steps // BLOCKS, 1)) // every) * every
        if self.map.compiled:  # within which Python takes no signal
            length = min(length, max(every, LONGEST_COMPILED // (self.b * self.n * (self.k + 1)) // every * every))
        elif self.map.row_work:
            most = int(LONGEST / (self.map.row_work * self.b * (self.k + 1)))
            length = min(length, max(every, most // every * every))
        if self._left is None:
            self._left, self._group = n_steps, 1
        # Where a block is done in no time, looking at it is what takes time: more and more together.
        values = length * self.b * self.n * (self.k + 1)
        most = (SMALL_COMPILED if self.map.compiled else SMALL) // values if self.tolerance is None else 1
        while self._left > 0 and self.lost() is None:
            length = min(length, self._left)
            together = max(1, min(self._group, most, self._left // length))
            blocks = self._blocks(length, together, statistics)
            good = self._look(blocks, length)
            with unbroken():
                if good:
                    self._take(blocks[:good], length, statistics)
                self._left -= length * good
                self._group = min(2 * self._group, TOGETHER)
                ended = self.lost() is not None or (statistics is not None and self._converged(statistics))
                self._left = 0 if ended else self._left
            if not ended:
                self.report(self.step, self.planned)
        return []

    def _blocks(self, length: int, count: int, statistics: GrowthStatistics | None) -> list[_Block]:
        """Carry states and frames over blocks of steps, from where the run stands."""
        measured = statistics is not None and self._wants_determinants()
        in_blocks = self.autonomous and self.map.log_abs_det_in_blocks
        if measured and self.map.log_abs_det_is_independent and not self.map.log_abs_det_in_blocks:
            measured = self._looks % DEAR_EVERY == 0
        if measured and not in_blocks:
            blocks: list[_Block] = []
            x, frame = self.x, self.frame
            for i in range(count):
                blocks.append(self._beside_determinants(x, frame, length, i * length))
                x, frame = blocks[-1].carried.x, blocks[-1].carried.frame
            return blocks
        carried = self._carried_blocks(count, length)
        if self.qr_every > 1 and np.array([block_end.log_growth for block_end in carried]).min() == -np.inf:
            # A tangent that left the range of floating point looks like one that the map kills: look again.
            self.qr_every = 1
            carried = self._carried_blocks(count, length)
        if not measured:
            return [_Block(block_end) for block_end in carried]
        # Determinants of all blocks in one go, each from the states where it began.
        begins = self.ops.concatenate([self.x, *(block_end.x for block_end in carried[:-1])], 0)
        logs = log_abs_det(self.map, begins, n_steps=length).reshape(count, self.b)
        with np.errstate(invalid="ignore"):
            pairs = zip(carried, logs, strict=True)
            return [_Block(block_end, length, log, block_end.log_growth.sum(axis=1)) for block_end, log in pairs]

    def _carried_blocks(self, count: int, length: int) -> list[Carried]:
        return propagate_blocks(
            self.tangents.carrier(self.k, self.n),
            self.x,
            self.frame,
            n_blocks=count,
            n_steps=length,
            qr_every=self.qr_every,
            frame_dtype=self.frame_dtype,
            first_step=self.step,
        )

    def _take(self, blocks: list[_Block], length: int, statistics: GrowthStatistics | None) -> None:
        """Stand where blocks have led, and count what they brought."""
        growths = np.array([block.carried.log_growth for block in blocks])
        self.step += length * len(blocks)
        self.x, self.frame = blocks[-1].carried.x, blocks[-1].carried.frame
        self._looks += statistics is not None
        if self.autonomous:
            for block, growth in zip(blocks, growths, strict=True):
                self.watch.see(block.carried.x, growth, length)
        if self.chooses_qr:
            self._choose_qr(growths / length)
        if statistics is not None:
            statistics.extend(growths, length)
        if blocks[0].determinants is not None:
            determinants = np.array([block.determinants for block in blocks])
            self.determinants.extend(determinants[:, :, None], blocks[0].steps)
            self.beside_determinants += np.array([block.beside for block in blocks]).sum(axis=0)

    def _carried(self, x: Array, frame: Array, n_steps: int, done: int) -> Carried:
        return propagate(
            self.tangents.carrier(self.k, self.n),
            x,
            frame,
            n_steps=n_steps,
            qr_every=self.qr_every,
            frame_dtype=self.frame_dtype,
            first_step=self.step + done,
        )

    def _wants_determinants(self) -> bool:
        return self.k == self.n <= FULL_UP_TO and self.map.mean_log_abs_det is None

    def _beside_determinants(self, x: Array, frame: Array, n_steps: int, done: int) -> _Block:
        """A block, with log|det J| taken along its first steps beside the growth over the same steps."""
        stretch = min(n_steps, DETERMINANT_STEPS)
        first = self._carried(x, frame, stretch, done)
        if not self.ops.all_finite(first.x).all():
            return _Block(first)
        determinants = log_abs_det(self.map, x, n_steps=stretch, first_step=self.step + done)
        with np.errstate(invalid="ignore"):
            beside = first.log_growth.sum(axis=1)
        if stretch < n_steps:
            rest = self._carried(first.x, first.frame, n_steps - stretch, done + stretch)
            first = Carried(rest.x, rest.frame, first.log_growth + rest.log_growth)
        return _Block(first, stretch, determinants, beside)

    def _choose_qr(self, rates: NDArray[np.float64]) -> None:
        """Re-orthonormalize as seldom as the growth (m, b, k) per step seen so far allows.

        Between two decompositions the frame becomes ill-conditioned, so far that rounding stays
        well below what the exponents are known to; vectors must not leave the range of floating
        point.
        """
        size = float(np.abs(rates).max())
        if not np.isfinite(size):
            self.qr_every = 1
            return
        by_direction = np.moveaxis(rates, -1, 0).copy()  # the largest of a few is found faster so
        self._spread = max(self._spread, float((by_direction.max(axis=0) - by_direction.min(axis=0)).max()))
        self._size = max(self._size, size)
        roundoff = self.tangents.roundoff(
            self.k, self.n, min(self.ops.dtype, self.frame_dtype)
        )  # "float32" < "float64"
        precision = -np.log(roundoff)
        most = precision / max(self._spread / ILL_CONDITIONED, self._size, 1e-9)
        # Frames that are not aligned yet grow alike: trust what is seen by and by.
        self.qr_every = int(np.clip(most, 1, min(2 * self.qr_every, LONGEST_QR)))

    def _look(self, blocks: list[_Block], length: int) -> int:
        """How many blocks from the first on are in order; why no more is noted."""
        m = len(blocks)
        x = blocks[0].carried.x if m == 1 else self.ops.concatenate([block.carried.x for block in blocks], 0)
        out = ~self.ops.all_finite(x)
        if self.bounds is not None:
            host = self.ops.to_numpy(x)
            out |= ((host < self.bounds[0]) | (host > self.bounds[1])).any(axis=1)
        growths = np.array([block.carried.log_growth for block in blocks])
        if growths.max() < np.inf and not out.any():
            return m
        odd = np.isnan(growths) | np.isposinf(growths)
        rows = out.reshape(m, self.b)
        good = int(np.argmax(rows.any(axis=1) | odd.any(axis=(1, 2))))
        if rows[good].any():
            self.escaped, self.escaped_at = rows[good], self.step + (good + 1) * length
        else:
            self.overflowed = True
        return good

    def lost(self) -> str | None:
        """Why it makes no sense to go on; None if it does."""
        if self.escaped.any():
            many = f"{int(self.escaped.sum())} of {self.b} trajectories" if self.b > 1 else "the state"
            where = "left the bounds or is not finite" if self.bounds else "is not finite"
            return f"{many} {where} after step {self.escaped_at}"
        if self.overflowed:
            return f"tangents overflowed within {self.qr_every} steps of step {self.step}; lower qr_every"
        return None

    def _converged(self, statistics: GrowthStatistics) -> bool:
        if self.tolerance is None:
            return False
        error = statistics.stderr()[np.argmax(statistics.mean())] / time_per_step(self.map)
        return bool(error <= self.tolerance)

    def dimension(self) -> KaplanYorke:
        """Kaplan-Yorke dimension of what was gathered so far."""
        mean, covariance = self.statistics.mean(), self.statistics.covariance()
        order = np.argsort(-mean, kind="stable")
        complete = self.k == self.n
        return kaplan_yorke_with_error(mean[order], covariance[np.ix_(order, order)], complete=complete)
