"""What a person sees of work under way, and how work that is asked to end hears of it.

A terminal shows something from the first second: a phase, such as the loading of a network, or the bar of a run. What
a map does within a step that takes long moves the bar too, and once a few steps are measured, the run says what the
whole of it will take.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from lyapmap.core.demand import in_time
from lyapmap.core.errors import Interrupted

if TYPE_CHECKING:
    from rich.progress import Progress

Report = Callable[[int, int], None]
"""Takes the steps done and the steps in all."""

SETTLED = 1.0
"""Seconds of work, after the first piece of it, from which the whole is foretold."""
WORTH_TELLING = 10.0
"""Seconds of a whole that is foretold in words; of a shorter one the bar says enough."""
REDRAWN = 0.1
"""Seconds between two looks at what is done within a step."""


class Steps:
    """The steps of a run, as its map takes them.

    Maps tell what they have done (`step_done`, `pass_done`), from whatever thread; where the run has been asked to
    end, the map leaves off there, in the middle of a step.

    Parameters
    ----------
    rows : int
        Trajectories that are carried together; 0 where what the run reports are no steps of a map.
    show : callable
        Called with steps, as a fraction, since the last report.
    """

    def __init__(self, rows: int = 0, show: Callable[[float], None] = lambda steps: None) -> None:
        self.rows, self.show = rows, show
        self.ending = False
        self._whole = 0.0
        self._within: dict[int, float] = {}
        self._drawn = 0.0
        self._lock = threading.Lock()

    def check(self) -> None:
        """Raise KeyboardInterrupt where the run has been asked to end."""
        if self.ending:
            raise KeyboardInterrupt

    def done(self, rows: float, *, whole: bool) -> None:
        """So many rows have gone through a whole step, or a part of them through a part of one."""
        self.check()
        if not self.rows:
            return
        with self._lock:
            thread = threading.get_ident()
            if whole:
                self._whole += rows
                self._within.pop(thread, None)
            else:
                self._within[thread] = self._within.get(thread, 0.0) + rows
            now = time.monotonic()
            if now - self._drawn < REDRAWN:
                return
            self._drawn = now
            steps = (self._whole + sum(self._within.values())) / self.rows
        self.show(steps)

    def restart(self) -> None:
        """What was done is in a report: count from there."""
        with self._lock:
            self._whole = 0.0
            self._within.clear()


_steps: ContextVar[Steps | None] = ContextVar("steps", default=None)


@contextmanager
def counted(steps: Steps) -> Iterator[None]:
    """A block in which maps tell these steps what they do."""
    token = _steps.set(steps)
    try:
        yield
    finally:
        _steps.reset(token)


def step_done(rows: int) -> None:
    """A map has carried so many rows through a step."""
    steps = _steps.get()
    if steps is not None:
        steps.done(rows, whole=True)


def pass_done(rows: float) -> None:
    """A map has done a part of a step: as much as so many rows take."""
    steps = _steps.get()
    if steps is not None:
        steps.done(rows, whole=False)


def leave_off_if_asked() -> None:
    """Raise KeyboardInterrupt where the run has been asked to end, between two layers of a network, say."""
    steps = _steps.get()
    if steps is not None:
        steps.check()


def ask_to_end() -> None:
    """Ask what other threads do for this run to leave off."""
    steps = _steps.get()
    if steps is not None:
        steps.ending = True


class Forecast:
    """Seconds to the end, from the pieces that are done.

    The first piece after the beginning loads, compiles and chooses; what comes after its end is measured.

    Examples
    --------
    >>> forecast = Forecast()
    >>> [forecast.seconds(done, 100, at) for done, at in ((0, 0.0), (1, 5.0), (2, 5.5), (3, 6.0))]
    [None, None, None, 48.5]
    """

    def __init__(self) -> None:
        self._begin: float | None = None
        self._first: tuple[float, float] | None = None

    def seconds(self, done: float, total: float, now: float) -> float | None:
        """Until all is done; None while nothing can be said."""
        if self._begin is None:
            self._begin = done
        elif self._first is None and done > self._begin:
            self._first = done, now
        elif self._first is not None:
            before, at = self._first
            if done > before and now - at >= SETTLED:
                return (total - done) * (now - at) / (done - before)
        return None


_shown: list[Progress] = []
"""What a terminal shows, the innermost last; rich draws one at a time."""


@contextmanager
def _displayed(display: Progress) -> Iterator[None]:
    if _shown:
        _shown[-1].stop()
    _shown.append(display)
    display.start()
    try:
        yield
    finally:
        display.stop()
        _shown.pop()
        if _shown:
            _shown[-1].start()


@contextmanager
def phase(label: str, show: bool = True) -> Iterator[None]:
    """A line on a terminal that says what takes time, and for how long it has, while no bar can tell how far it is.

    Ctrl-C in it is raised as `Interrupted`, which says in what.
    """
    try:
        with _spinning(label) if show and sys.stderr.isatty() else nullcontext():
            yield
    except Interrupted:
        raise
    except KeyboardInterrupt:
        raise Interrupted(None, f"interrupted while {label}") from None


@contextmanager
def _spinning(label: str) -> Iterator[None]:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    display = Progress(*columns, console=Console(stderr=True), transient=True)
    display.add_task(label, total=None)
    with _displayed(display):
        yield


def now_in_phase(label: str) -> None:
    """Say that the phase that is shown has come to something else."""
    if _shown and threading.current_thread() is threading.main_thread():
        display = _shown[-1]
        if len(display.tasks) == 1 and display.tasks[0].total is None:
            display.update(display.tasks[0].id, description=label)


class Bar:
    """Where a run stands, on a terminal.

    Parameters
    ----------
    label : str
    needs : callable
        What the run takes besides time, in words; asked when its time is foretold.
    clock : callable
        Seconds.
    """

    def __init__(self, label: str, needs: Callable[[], str] = str, clock: Callable[[], float] = time.monotonic) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns: Any = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self.display = Progress(*columns, console=Console(stderr=True), transient=True)
        self.task = self.display.add_task(label, total=None)
        self._label, self._needs, self._clock = label, needs, clock
        self._forecast = Forecast()
        self._told = False
        self._done, self._total = 0, 0

    def report(self, done: int, total: int) -> None:
        """So many steps are done."""
        self._done, self._total = done, total
        self._draw(float(done))

    def within(self, steps: float) -> None:
        """So many steps, as a fraction, beyond the last report."""
        if self._total:
            self._draw(min(self._done + steps, float(self._total)))

    def _draw(self, done: float) -> None:
        self.display.update(self.task, completed=done, total=self._total)
        if self._told:
            return
        seconds = self._forecast.seconds(done, self._total, self._clock())
        if seconds is not None:
            self._told = True
            if seconds >= WORTH_TELLING:
                words = ", ".join(filter(None, [f"about {in_time(seconds)} to go", self._needs()]))
                self.display.console.print(f"{self._label}: {words}", highlight=False, markup=False)


@contextmanager
def reporting(
    progress: bool | Report, label: str, steps: Steps | None = None, needs: Callable[[], str] = str
) -> Iterator[Report]:
    """A function to call with (steps done, steps in all): a bar on a terminal, the caller's own, or nothing."""
    if callable(progress):
        yield progress
    elif not progress or not sys.stderr.isatty():
        yield lambda done, total: None
    else:
        bar = Bar(label, needs)
        if steps is not None:
            steps.show = bar.within
        with _displayed(bar.display):
            yield bar.report
