"""What a run needs, known before it starts: memory by the arrays that it holds, seconds by a few of its own steps.

An analysis states its `Demand` where it makes its `Run`. The run refuses what does not fit into memory; and where only
a plan is wanted (`planned`), it measures a few steps of itself, notes what all of them would take, and ends there.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lyapmap.core.errors import LyapmapError

if TYPE_CHECKING:
    from lyapmap.core.map import TangentMap

Clock = Callable[[], float]
Advance = Callable[[int], Any]
"""Does so many steps more."""

ENOUGH = 0.25
"""Seconds that a measurement takes at least: a thousand times what a clock, and what else goes on, is wrong by."""
REPEATS = 3
"""Measurements of which the shortest counts: what others do on the machine only ever makes them longer."""
FEW_ROWS = 4
"""Rows that are measured first; more where they are quick."""
QUICK = 3.0
"""Seconds of a part of a command that a plan does rather than foretells, so that the parts after it can be seen."""
PASSING = 4
"""Arrays of the size of the tangents that are alive while a step passes through a map of which nothing is known."""


class RoomError(LyapmapError, MemoryError):
    """A run would need more memory than there is.

    Attributes
    ----------
    needed, free : int
        Bytes.
    """

    def __init__(self, message: str, needed: int, free: int) -> None:
        super().__init__(message)
        self.needed, self.free = needed, free

    def __reduce__(self) -> tuple[type, tuple[str, int, int]]:
        return type(self), (str(self), self.needed, self.free)


@dataclass(frozen=True)
class Held:
    """Arrays that a run holds from its beginning to its end.

    Attributes
    ----------
    what : str
        In words.
    itemsize : float
        Bytes of one value, times the number of such arrays.
    sizes : mapping of str to int
        Lengths of the axes, by the arguments that set them; names that begin with _ are nobody's argument.
    """

    what: str
    itemsize: float
    sizes: Mapping[str, int]

    @property
    def nbytes(self) -> float:
        return self.itemsize * math.prod(map(float, self.sizes.values()))


def held(what: str, itemsize: float, **sizes: int) -> Held:
    """Arrays of a run, as `Held`.

    >>> held("states", 8, trajectories=1000, _n=2).nbytes
    16000.0
    """
    return Held(what, itemsize, sizes)


def of_states(
    tangent_map: TangentMap, b: int, k: int = 0, *, copies: float = 4, rows: str = "trajectories"
) -> list[Held]:
    """What every run over b trajectories holds: states, with k tangents each, and what is alive within a step.

    `copies` are the arrays of states, and of tangents, that are held at once: those given, current, next, watched;
    `rows` is the name of the argument that sets b.
    """
    n, size = math.prod(tangent_map.state_shape), 4 if tangent_map.ops.dtype == "float32" else 8
    arrays = [Held("states", copies * size, {rows: b, "_n": n})]
    if k:
        arrays.append(Held("tangents", copies * size, {rows: b, "_n": n, "n_exponents": k}))
        arrays.append(Held("factors", 3 * size, {rows: b, "n_exponents": k, "_k": k}))
    at_once = min(b * (1 + k), tangent_map.rows_at_once) if tangent_map.row_bytes else b * (1 + k)
    # A map that says nothing of itself makes arrays like its states; compiled code makes none.
    row = tangent_map.row_bytes or (0 if tangent_map.compiled else PASSING * n * size)
    within = rows if at_once == b * (1 + k) else "_rows"
    return [*arrays, Held("a step", row * at_once / max(1, b), {within: b})]


def of_points(arrays: Sequence[Held], points: int, trial: Callable[[slice], Any]) -> Demand:
    """The demand of a method on points, whose time grows with their pairs too.

    `trial` does the whole of it on some of them, which it is given as a slice: every so many, so that they lie as far
    apart, and as far in time, as all do.
    """

    def begin(size: int) -> Advance:
        every = max(1, points // size)
        return lambda steps: trial(slice(0, every * size, every))

    return Demand(arrays, rows=points, begin=begin, growth="pairs")


@dataclass(frozen=True)
class Demand:
    """What a run needs.

    Attributes
    ----------
    arrays : sequence of Held
    rows, steps : int
        Of all the work: trajectories and steps; or points, and one step.
    begin : callable, optional
        Starts a trial of the very run over so many rows; what it returns does so many steps. None where only its
        progress will show how long it takes.
    growth : "rows" or "pairs"
        Whether the time grows with the rows, or also with their pairs.
    touched : float
        Bytes of memory that are taken from the system for the first time, which takes time too.
    """

    arrays: Sequence[Held] = ()
    rows: int = 1
    steps: int = 1
    begin: Callable[[int], Advance] | None = None
    growth: str = "rows"
    touched: float = 0.0

    @property
    def nbytes(self) -> int:
        """Bytes that the run holds at once, beside what the program holds already."""
        return math.ceil(sum(array.nbytes for array in self.arrays))

    def in_words(self, rows_at_once: int = sys.maxsize) -> str:
        """Memory, and how the tangents of a step are divided where a map takes no more than so many at once.

        >>> Demand([held("tangents", 4, trajectories=4, _n=3072, n_exponents=16)], rows=4).in_words(32)
        '786 kB of memory, 64 tangents a step in passes of 32'
        """
        words = f"{in_bytes(self.nbytes)} of memory"
        k = max((array.sizes.get("n_exponents", 0) for array in self.arrays), default=0)
        if self.rows * k > rows_at_once:
            words += f", {self.rows * k:,} tangents a step in passes of {rows_at_once}"
        return words

    def admit(self, label: str, *, device: str = "cpu") -> None:
        """Raise `RoomError` where it does not fit into the memory that is free."""
        free = free_bytes(device)
        if self.nbytes > free:
            largest = max(self.arrays, key=lambda array: array.nbytes)
            shape = " x ".join(f"{size:,}" for size in largest.sizes.values() if size != 1)
            words = f"{label}: needs {in_bytes(self.nbytes)} of memory ({largest.what}: {shape} values)"
            where = "" if device == "cpu" else f" on {device}"
            raise RoomError(f"{words}, {in_bytes(free)} are free{where}; {self.remedy(free)}", self.nbytes, int(free))

    def remedy(self, free: float) -> str:
        """What would fit, in words: the largest value of each argument, the others as they are.

        >>> Demand([held("states", 8, trajectories=10, n_steps=1000)]).remedy(8000)
        'trajectories=1 or n_steps=100 would fit'
        """
        names = dict.fromkeys(name for array in self.arrays for name in array.sizes if not name.startswith("_"))
        fits = []
        for name in names:
            own = [array for array in self.arrays if name in array.sizes]
            rest = sum(array.nbytes for array in self.arrays if name not in array.sizes)
            value = max(array.sizes[name] for array in own)
            most = math.floor(value * (free - rest) / sum(array.nbytes for array in own))
            if most >= 1:
                digits = max(0, len(str(most)) - 3)
                fits.append(f"{name}={most // 10**digits * 10**digits}")
        return f"{' or '.join(fits)} would fit" if fits else "a smaller state, float32 or a larger machine would do"


def require_room(label: str, *arrays: Held) -> None:
    """Refuse arrays that do not fit into memory, before they are made."""
    Demand(arrays).admit(label)


WITH_ITS_RUN = 8
"""Times the memory of initial states that a run over them holds, about."""


def require_room_of_states(label: str, b: int, n: int, rows: str = "trajectories") -> None:
    """Refuse b initial states of n values with which no run would fit into memory."""
    require_room(label, Held("states", WITH_ITS_RUN * 8, {rows: b, "_n": n}))


def in_bytes(count: float) -> str:
    """A number of bytes in words.

    >>> in_bytes(2.5e9), in_bytes(1200)
    ('2.5 GB', '1.2 kB')
    """
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if abs(count) < 1000 or unit == "TB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if count >= 100 or unit == "bytes" else f"{count:.2g} {unit}"


def in_time(seconds: float) -> str:
    """Seconds in words.

    >>> in_time(0.034), in_time(75), in_time(9000)
    ('0.034 s', '75 s', '2.5 h')
    """
    for size, unit in ((86400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.{1 if seconds < 10 * size else 0}f} {unit}"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"


LIMIT = "LYAPMAP_MEMORY"
"""Variable of the environment: bytes that lyapmap may take, where that is less than what is free."""


def free_bytes(device: str = "cpu") -> float:
    """Bytes that can be taken now: what the system, the group of processes and the limits of this one leave."""
    given = os.environ.get(LIMIT)
    most = math.inf
    if given is not None:
        try:
            most = float(given)
        except ValueError:
            raise LyapmapError(f"{LIMIT}: expected a number of bytes, got {given!r}") from None
    if device.startswith("cuda"):
        torch = sys.modules.get("torch")
        return min(most, float(torch.cuda.mem_get_info(device)[0]) if torch is not None else math.inf)
    return min(most, _of_system(), _of_group(), _of_process())


def _of_system() -> float:
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return 1024.0 * int(line.split()[1])
    with suppress(OSError, ValueError, AttributeError):  # all there is, where nobody says what is free
        return float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES")
    return math.inf


def _of_group() -> float:
    """What a container, or a job of a batch system, may take yet; files that it only read count as free."""
    for folder, most, now in (
        ("/sys/fs/cgroup", "memory.max", "memory.current"),
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        with suppress(OSError, ValueError):
            limit = float(Path(folder, most).read_text(encoding="ascii"))
            used = float(Path(folder, now).read_text(encoding="ascii"))
            lines = Path(folder, "memory.stat").read_text(encoding="ascii").splitlines()
            return limit - used + float(dict(line.split() for line in lines).get("inactive_file", 0))
    return math.inf


def _of_process() -> float:
    """What `ulimit -v` leaves."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            return float(limit - pages * resource.getpagesize())
    return math.inf


@dataclass(frozen=True)
class Estimate:
    """What a part of a run would take.

    Attributes
    ----------
    part : str
    seconds : float
        NaN where nothing is known of it.
    bytes : int
        Held at once, beside what the program holds already.
    rows, steps : int
        Of all the work.
    measured_rows, measured_steps : int
        Of the trial.
    """

    part: str
    seconds: float
    bytes: int
    rows: int = 1
    steps: int = 1
    measured_rows: int = 0
    measured_steps: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, None for unknown seconds."""
        return vars(self) | {"seconds": None if math.isnan(self.seconds) else self.seconds}


def estimate(part: str, demand: Demand, *, clock: Clock = time.perf_counter) -> Estimate:
    """Seconds and bytes that a run will take, from a trial of about a second.

    Parameters
    ----------
    part : str
        What it is called.
    demand : Demand
    clock : callable
        Seconds: those of the wall by default, or `time.process_time`, which a busy machine does not disturb.

    Examples
    --------
    >>> def begin(rows):
    ...     return lambda steps: time.sleep(1e-3 * rows * steps)
    >>> foretold = estimate("sleep", Demand(rows=4, steps=2000, begin=begin))
    >>> 7 < foretold.seconds < 12
    True
    """
    if demand.begin is None:
        return Estimate(part, math.nan, demand.nbytes, demand.rows, demand.steps)
    token = _plan.set(None)  # the trial's own runs are no parts
    try:
        with _unwarned():
            seconds, rows, steps = (_by_pairs if demand.growth == "pairs" else _by_rows)(demand, clock)
            seconds += _seconds_of_memory(demand.touched, clock)
    finally:
        _plan.reset(token)
    return Estimate(part, seconds, demand.nbytes, demand.rows, demand.steps, rows, steps)


SOME = 2**25
"""Bytes of memory by which it is measured how long the system takes to hand it out."""


def _seconds_of_memory(touched: float, clock: Clock) -> float:
    if touched < SOME:
        return 0.0
    import mmap

    begin = clock()
    with mmap.mmap(-1, SOME) as memory:
        for page in range(0, SOME, mmap.PAGESIZE):
            memory[page] = 1
        taken = clock() - begin
    return taken * touched / SOME


@contextmanager
def _unwarned() -> Iterator[None]:
    """NumPy's warnings of a trial, whose states may go anywhere, are nobody's."""
    from lyapmap.core.ops import quiet

    with quiet():
        yield


def _by_rows(demand: Demand, clock: Clock) -> tuple[float, int, int]:
    """Seconds of all rows and steps: a fixed cost of each step, and one of each row of it."""
    assert demand.begin is not None
    few = min(demand.rows, FEW_ROWS)
    each, steps = _seconds_of_step(demand.begin(few), demand.steps, clock)
    if few == demand.rows:
        return each * demand.steps, few, steps
    many = min(demand.rows, max(2 * few, int(few * ENOUGH / each) if each > 0 else demand.rows))
    each_of_many, steps = _seconds_of_step(demand.begin(many), demand.steps, clock)
    if each * few / many > 0.7 * each_of_many or many == demand.rows:
        return each_of_many * demand.rows / many * demand.steps, many, steps
    slope = max((each_of_many - each) / (many - few), 0.5 * each_of_many / many)
    return (each_of_many + slope * (demand.rows - many)) * demand.steps, many, steps


def _seconds_of_step(advance: Advance, most: int, clock: Clock) -> tuple[float, int]:
    """Seconds of one step, the shortest of some measurements, and how many steps each took."""
    advance(1)
    steps, taken = 1, _timed(advance, 1, clock)
    while taken < ENOUGH / 2 and steps < most:
        steps = min(most, 2 * steps if taken <= 0 else max(2 * steps, int(steps * min(ENOUGH / taken, 16))))
        taken = _timed(advance, steps, clock)
    repeats = REPEATS - 1 if taken < 4 * ENOUGH else 0
    return min([taken, *(_timed(advance, steps, clock) for _ in range(repeats))]) / steps, steps


def _timed(advance: Advance, steps: int, clock: Clock) -> float:
    begin = clock()
    advance(steps)
    return clock() - begin


def _by_pairs(demand: Demand, clock: Clock) -> tuple[float, int, int]:
    """Seconds of a method on points, from a line and a parabola through those of some of them."""
    import numpy as np

    assert demand.begin is not None
    sizes, times = [], []
    size = min(demand.rows, 500)
    demand.begin(size)(1)  # loads and compiles what the method needs
    while True:
        advance = demand.begin(size)
        taken = min(_timed(advance, 1, clock) for _ in range(2))
        sizes.append(size)
        times.append(taken)
        if size == demand.rows:
            return taken, size, 1
        if taken > 2 * ENOUGH:
            break
        size = min(demand.rows, 2 * size)
    x, y = np.array(sizes[-4:], float), np.array(times[-4:])
    # Relative errors count alike: the largest size stands nearest to what is asked for.
    columns = np.stack([x, x**2], axis=1) / y[:, None]
    line, parabola = np.linalg.lstsq(columns, np.ones(len(y)), rcond=None)[0]
    if parabola < 0 or line < 0:  # noise: the other one alone
        kept = columns[:, 0 if parabola < 0 else 1]
        alone = kept.sum() / (kept @ kept)
        line, parabola = (alone, 0.0) if parabola < 0 else (0.0, alone)
    seconds = line * demand.rows + parabola * float(demand.rows) ** 2
    return float(seconds), size, 1


@dataclass
class Plan:
    """Parts of a command or a call, as they were met.

    Attributes
    ----------
    clock : callable
    parts : list of Estimate
    free : float
        Bytes when it began.
    complete : bool
        Whether no part can follow that was not met.
    folder : str
        In the place of one that the call would write to.
    """

    clock: Clock = time.perf_counter
    parts: list[Estimate] = field(default_factory=list)
    free: float = math.inf
    complete: bool = False
    folder: str = ""

    @property
    def seconds(self) -> float:
        """Of all parts; those of which nothing is known count as none."""
        return sum(part.seconds for part in self.parts if part.seconds == part.seconds)

    @property
    def bytes(self) -> int:
        """Of the largest part."""
        return max((part.bytes for part in self.parts), default=0)

    @property
    def fits(self) -> bool:
        """Whether there is so much memory."""
        return self.bytes <= self.free

    def __str__(self) -> str:
        lines = [f"{part.part}: {in_time(part.seconds)}, {in_bytes(part.bytes)}" for part in self.parts]
        return "\n".join([*lines, f"in all: {in_time(self.seconds)}, {in_bytes(self.bytes)} at once"])

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "seconds": self.seconds,
            "bytes": self.bytes,
            "free_bytes": None if math.isinf(self.free) else int(self.free),
            "fits": self.fits,
            "complete": self.complete,
            "parts": [part.to_dict() for part in self.parts],
        }


class Planned(BaseException):
    """A part of a plan was met that takes long; nobody needs to see what comes after it."""


_plan: ContextVar[Plan | None] = ContextVar("plan", default=None)
_begun: ContextVar[float] = ContextVar("begun", default=0.0)


def planning() -> Plan | None:
    """The plan that is being made; None in a run that is meant."""
    return _plan.get()


@contextmanager
def planned(clock: Clock = time.perf_counter) -> Iterator[Plan]:
    """A block whose runs are foretold: what is quick is done, and what is not ends the block.

    Examples
    --------
    >>> import lyapmap as lm
    >>> with planned() as plan:
    ...     s = lm.lyapunov_spectrum(lm.systems.henon(), [0.1, 0.1], n_steps=10**11, seed=0)
    >>> [part.part for part in plan.parts], plan.seconds > 10
    (['spectrum'], True)
    """
    plan = Plan(clock, free=free_bytes())
    token = _plan.set(plan)
    try:
        yield plan
        plan.complete = True
    except Planned:
        pass
    finally:
        _plan.reset(token)


@contextmanager
def within_run(demand: Demand | None) -> Iterator[None]:
    """The work of a run: what it calls is no part of a plan where the run itself is one."""
    plan = _plan.get()
    if plan is None:
        yield
        return
    foretold = demand is not None and demand.begin is not None
    token = _plan.set(None if foretold else plan)
    before = _begun.set(plan.clock())
    try:
        yield
    finally:
        _begun.reset(before)
        _plan.reset(token)


def plan(function: Callable[..., Any], *arguments: Any, **options: Any) -> Plan:
    """What a call would take: seconds and bytes, without doing it.

    Parameters
    ----------
    function : callable
        An analysis, or any function that calls some.
    *arguments, **options
        As it would be given them.

    Returns
    -------
    Plan
        Parts that take no more than a few seconds are done, the first that takes longer is foretold by a trial of about
        a second; `complete` says whether something may come after it.

    Raises
    ------
    LyapmapError
        Whatever the call refuses; not where memory is short, which `fits` tells.

    Examples
    --------
    >>> import lyapmap as lm
    >>> plan = lm.plan(lm.trajectory, lm.systems.henon(), [0.1, 0.1], n_steps=10**11)
    >>> plan.fits, plan.bytes > 10**12
    (False, True)
    """
    with planned() as made:
        function(*arguments, **options)
    return made


def foretell(label: str, demand: Demand | None, done: int, total: int) -> None:
    """Note in the plan a run that said nothing of itself, once its progress shows how long it takes."""
    plan = _plan.get()
    if plan is None or done <= 0:
        return
    taken = plan.clock() - _begun.get()
    if taken > QUICK:
        nbytes = 0 if demand is None else demand.nbytes
        plan.parts.append(Estimate(label, taken * total / done, nbytes, 1, total, 1, done))
        raise Planned


def meet(label: str, demand: Demand | None, device: str = "cpu") -> None:
    """What a run does with its demand when it begins: refuse what does not fit, or note it in the plan."""
    plan = _plan.get()
    if demand is None:
        return
    if plan is None:
        demand.admit(label, device=device)
        return
    plan.free = min(plan.free, free_bytes(device))
    if demand.nbytes > plan.free:
        plan.parts.append(Estimate(label, math.nan, demand.nbytes, demand.rows, demand.steps))
        raise Planned
    if demand.begin is None:  # its progress will show
        return
    plan.parts.append(estimate(label, demand, clock=plan.clock))
    if not plan.parts[-1].seconds <= QUICK:
        raise Planned
