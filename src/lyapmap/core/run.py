"""The ritual of a run in one place: clock, seed, progress, Ctrl-C, maps that raise, provenance, and how it ended.

An analysis makes a `Run`, does its work in a block that Ctrl-C may end, and hands over what it found:

    run = Run("cycles", tangent_map, seed=seed, progress=progress)
    with run.steps(keep=lambda: cycles) as report:
        for i, guess in enumerate(guesses):
            cycles.append(newton(guess, run.rng))
            report(i + 1, len(guesses))
    return run.finish(Cycles(**run.ending(verdict, done=f"{i} guesses"), settings=settings, orbits=cycles), throw)

Python raises KeyboardInterrupt between any two instructions of the main thread. One that falls into a destructor or a
callback of a library in C is printed and forgotten, and one that falls between two arrays that belong together leaves
them apart. So a run watches its signals, asks at each step whether one was forgotten, and holds them back where it
takes in what it must keep.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from lyapmap.core.arguments import seeded
from lyapmap.core.demand import Demand, foretell, meet, within_run
from lyapmap.core.errors import Interrupted, LyapmapError, RunError
from lyapmap.core.journal import Journal, Resumable, identity
from lyapmap.core.map import TangentMap, dimension
from lyapmap.core.progress import Report as Report
from lyapmap.core.progress import Steps, counted
from lyapmap.core.progress import reporting as reporting
from lyapmap.core.propagate import Crew, carried_by
from lyapmap.core.results import Cause, Result, Status, Verdict, provenance

R = TypeVar("R", bound=Result)
UNSEEDED: Any = object()
"""The seed of a run in which nothing is random."""


SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Watch:
    """The signals of one run.

    Attributes
    ----------
    signalled : int or None
        The signal that asked the run to end.
    """

    def __init__(self) -> None:
        self.signalled: int | None = None
        self.held = 0
        self.before: dict[int, Any] = {}

    def handle(self, number: int, frame: Any) -> None:
        """Take a signal: do as before, or later where signals are held back."""
        if self.held:
            self.signalled = number
            return
        try:
            self.before[number](number, frame)
        except KeyboardInterrupt:
            self.signalled = number
            raise

    def check(self) -> None:
        """Raise KeyboardInterrupt if one was raised before and got lost, or waits."""
        number, self.signalled = self.signalled, None
        if number is not None:
            self.handle(number, None)


_watches: list[Watch] = []


@contextmanager
def watched() -> Iterator[Watch]:
    """A block whose signals are watched.

    Only those that have a handler in Python, such as the one that makes KeyboardInterrupt of Ctrl-C, and only in the
    main thread, to which signals go.
    """
    watch = Watch()
    if threading.current_thread() is not threading.main_thread():
        yield watch
        return
    for number in SIGNALS:
        handler = signal.getsignal(number)
        if callable(handler):
            watch.before[number] = handler
            signal.signal(number, watch.handle)
    _watches.append(watch)
    try:
        yield watch
    finally:
        _watches.remove(watch)
        for watched_signal, handler in watch.before.items():
            signal.signal(watched_signal, handler)


@contextmanager
def unbroken() -> Iterator[None]:
    """A block that belongs together: signals wait for its end.

    Examples
    --------
    >>> import os
    >>> done = []
    >>> try:
    ...     with watched(), unbroken():
    ...         os.kill(os.getpid(), signal.SIGINT)
    ...         done.append("all of it")
    ... except KeyboardInterrupt:
    ...     print(done)
    ['all of it']
    """
    if not _watches or threading.current_thread() is not threading.main_thread():
        yield
        return
    watch = _watches[-1]
    watch.held += 1
    try:
        yield
    finally:
        watch.held -= 1
    if not watch.held:
        watch.check()


class Run:
    """One run of an analysis, from the checked arguments to the result.

    Parameters
    ----------
    label : str
        What the progress bar says.
    tangent_map : TangentMap, optional
        The map whose provenance the result carries; None where the analysis starts from data.
    seed : int, optional
        None draws one from the operating system, which is recorded; without the argument nothing is random.
    progress : bool or callable
        As the caller gave it.
    journal : path, optional
        Folder in which the run writes where it stands, and from which it goes on.
    start, settings : Array, mapping
        Initial states and what else makes the run the one it is, for its journal.
    crew : Crew, optional
        Who computes its rows.
    demand : Demand, optional
        What it needs; what does not fit into memory is refused here, before anything is made.

    Attributes
    ----------
    seed : int or None
        The seed that stands for the run.
    rng : numpy.random.Generator
        Its generator.
    interrupted : bool
        Whether Ctrl-C ended the work, with something to keep.
    raised : Exception or None
        What a map raised in the middle of the work, with something to keep.
    details : dict
        Plain values that the provenance records besides.
    demand : Demand or None
    """

    rng: Any

    def __init__(
        self,
        label: str,
        tangent_map: TangentMap | None = None,
        *,
        seed: Any = UNSEEDED,
        progress: bool | Report = False,
        journal: str | Path | None = None,
        start: Any = None,
        settings: Mapping[str, Any] = {},
        crew: Crew | None = None,
        demand: Demand | None = None,
    ) -> None:
        self.label, self.tangent_map, self.progress = label, tangent_map, progress
        self.crew = crew
        self.demand: Demand | None = None
        if demand is not None:
            self.needs(demand)
        self.seed: Any = None
        self.interrupted = False
        self.raised: Exception | None = None
        self.details: dict[str, Any] = {}
        self._begin = time.perf_counter()
        self._before = 0.0  # seconds of processes that worked on it before
        self.journal: Journal | None = None
        if journal is not None:
            given = None if seed is UNSEEDED or seed is None else seeded(seed)[0]
            self.journal = Journal(journal, identity(label, tangent_map, start, settings, given))
            if self.journal.state is not None and seed is None:
                seed = self.journal.state["seed"]  # the one that was drawn
        if seed is not UNSEEDED:
            self.seed, self.rng = seeded(seed)

    def needs(self, demand: Demand) -> None:
        """Say what the work will need, where that is known only now; what does not fit into memory is refused.

        Raises
        ------
        RoomError
        """
        self.demand = demand
        meet(self.label, demand, "cpu" if self.tangent_map is None else self.tangent_map.ops.device)

    @contextmanager
    def steps(
        self, keep: Callable[[], Any] | None = None, *, work: Resumable | None = None, rows: int = 0
    ) -> Iterator[Report]:
        """A block of work that Ctrl-C ends, or a map that raises; what it yields reports progress.

        Parameters
        ----------
        keep : callable, optional
            Asked then whether there is something to keep. If so the block is left, and `finish` raises
            `Interrupted` or `RunError` with the result. Otherwise `Interrupted`, or what the map raised, is raised
            at once, with nothing.
        work : Resumable, optional
            What the block carries, which stands where the journal says when the block begins. It must be whole
            whenever progress is reported, and change only within `unbroken`.
        rows : int
            Trajectories that are carried together, where what is reported are steps of the map: a step that takes
            long then moves the bar from within.

        Notes
        -----
        An error of lyapmap's own passes: a map that breaks its contract leaves nothing that could be vouched for.

        Examples
        --------
        >>> run, done = Run("counting"), []
        >>> with run.steps(keep=lambda: done) as report:
        ...     done.append(1)
        ...     raise KeyboardInterrupt
        >>> run.interrupted
        True
        """
        of = self.tangent_map
        journal = self.journal if work is not None else None

        def standing() -> dict[str, Any]:
            assert work is not None
            return {"seed": self.seed, "seconds": self.seconds, "work": work.state()}

        if journal is not None and work is not None and journal.state is not None:
            self._before = float(journal.state["seconds"])
            work.restore(journal.state["work"])
            journal.state = None
        # A function between spaces has no states of its own.
        session = of.ops.session(dimension(of.state_shape)) if isinstance(of, TangentMap) else nullcontext()
        steps, reached = Steps(rows), ""
        try:
            bar = reporting(self.progress, self.label, steps, self._needs)
            with (
                watched() as signals,
                bar as report,
                session,
                counted(steps),
                within_run(self.demand),
                carried_by(self.crew),
            ):

                def watched_report(done: int, total: int) -> None:
                    nonlocal reached
                    reached = f" after {done} of {total}{' steps' if rows else ''}"
                    steps.restart()
                    report(done, total)
                    signals.check()
                    if journal is not None:
                        journal.consider(standing)
                    foretell(self.label, self.demand, done, total)

                try:
                    yield watched_report
                except BaseException:  # interrupted or failed: what is whole stays
                    if journal is not None:
                        with unbroken():
                            journal.write(standing())
                    raise
                if journal is not None:
                    with unbroken():
                        journal.end(standing())
                    if journal.fault:
                        self.details["journal"] = f"not written ({journal.fault})"
                signals.check()
        except KeyboardInterrupt:
            if keep is None or not keep():
                kept = f"{journal.path} keeps where it stands" if journal else "with nothing to keep yet"
                raise Interrupted(None, f"interrupted{reached}, {kept}") from None
            self.interrupted = True
        except Exception as error:
            if isinstance(error, LyapmapError) or keep is None or not keep():
                raise
            self.raised = error

    def _needs(self) -> str:
        """What the run takes besides time, in words."""
        if self.demand is None:
            return ""
        of = self.tangent_map
        return self.demand.in_words(of.rows_at_once) if isinstance(of, TangentMap) else self.demand.in_words()

    @property
    def seconds(self) -> float:
        """Of work on it, those before it was cut short included."""
        return self._before + time.perf_counter() - self._begin

    def provenance(self) -> dict[str, Any]:
        """Where the numbers come from, up to now."""
        return provenance(self.tangent_map, seed=self.seed, seconds=self.seconds) | self.details

    def ending(self, verdict: Verdict = Verdict(), *, done: str = "") -> dict[str, Any]:
        """The fields that every result shares: status, message, cause and provenance.

        Parameters
        ----------
        verdict : Verdict
            How the analysis ended. Ctrl-C comes before whatever it says, but for orbits that escaped or collapsed.
        done : str
            How much was done by the time of Ctrl-C, such as "20 of 50 steps".
        """
        stands = verdict.status in (Status.ESCAPED, Status.COLLAPSED) or verdict.cause is Cause.INTERRUPTED
        if self.raised is not None:
            words = " ".join(f"{type(self.raised).__name__}: {self.raised}".split()).rstrip(": ")
            verdict = Verdict(Status.NOT_CONVERGED, f"the map raised {words} after {done}", Cause.RAISED)
        elif self.interrupted and not stands:
            verdict = Verdict(Status.NOT_CONVERGED, f"interrupted after {done}", Cause.INTERRUPTED)
        return {**verdict._asdict(), "provenance": self.provenance()}

    def finish(self, result: R, throw: bool) -> R:
        """The result; after Ctrl-C `Interrupted` with it, and `RunError` with it if it failed and `throw`."""
        if self.interrupted:
            raise Interrupted(result)
        if self.raised is None:
            return result.checked(throw)
        try:
            return result.checked(throw)
        except RunError as error:
            raise error from self.raised
