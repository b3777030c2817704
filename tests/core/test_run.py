"""The ritual around an analysis: seed, progress, Ctrl-C, provenance, and how it ends."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from dataclasses import dataclass

import numpy as np
import pytest

from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.errors import Interrupted, LyapmapError, MapError, RunError
from lyapmap.core.results import Cause, Result, Status, Verdict, dims
from lyapmap.core.run import Run, unbroken
from sample_maps import Henon


@dataclass(frozen=True, kw_only=True)
class Count(Result):
    """So many steps."""

    steps: np.ndarray = dims("step")


def count(stop_at: int | None = None, verdict: Verdict = Verdict(), *, throw: bool = True, **options: object) -> Count:
    run, done = Run("counting", **options), []  # type: ignore[arg-type]
    with run.steps(keep=lambda: done) as report:
        for step in range(5):
            if step == stop_at:
                raise KeyboardInterrupt
            done.append(step)
            report(step + 1, 5)
    return run.finish(Count(**run.ending(verdict, done=f"{len(done)} of 5 steps"), steps=np.array(done)), throw)


def test_a_run_reports_its_steps_and_says_where_it_comes_from() -> None:
    seen: list[tuple[int, int]] = []
    result = count(progress=lambda done, total: seen.append((done, total)), tangent_map=as_tangent_map(Henon()), seed=3)
    assert seen == [(i, 5) for i in range(1, 6)]
    assert (result.status, result.provenance["seed"], result.provenance["dtype"]) == (Status.OK, 3, "float64")
    assert result.provenance["seconds"] >= 0


def test_ctrl_c_keeps_what_was_done() -> None:
    with pytest.raises(Interrupted) as stopped:
        count(2)
    result = stopped.value.result
    assert (result.status, result.cause) == (Status.NOT_CONVERGED, Cause.INTERRUPTED)
    assert result.message == "interrupted after 2 of 5 steps"
    assert result.steps.tolist() == [0, 1]


def test_ctrl_c_with_nothing_done_has_no_result() -> None:
    with pytest.raises(Interrupted) as stopped:
        count(0)
    assert stopped.value.result is None


def test_an_escape_stands_beside_ctrl_c() -> None:
    with pytest.raises(Interrupted) as stopped:
        count(2, Verdict(Status.ESCAPED, "gone"))
    assert (stopped.value.result.status, stopped.value.result.message) == (Status.ESCAPED, "gone")


def test_a_failure_is_raised_with_its_result_or_returned() -> None:
    failed = Verdict(Status.NOT_CONVERGED, "too short", Cause.TOO_SHORT)
    with pytest.raises(RunError, match="not_converged: too short; raise n_steps") as raised:
        count(verdict=failed)
    assert isinstance(raised.value.result, Count)
    assert count(verdict=failed, throw=False).cause is Cause.TOO_SHORT


def test_seeds() -> None:
    drawn = Run("a", seed=None)
    again = Run("b", seed=drawn.seed)
    assert drawn.rng.random() == again.rng.random()
    assert Run("c").seed is None
    with pytest.raises(LyapmapError, match="seed: expected at least 0"):
        Run("d", seed=-1)


def test_a_map_that_raises_leaves_what_came_before() -> None:
    def halfway(keep: bool) -> Count:
        run, done = Run("e"), [0, 1]
        with run.steps(keep=lambda: done if keep else None):
            _ = 1 / 0
        return run.finish(Count(**run.ending(done="2 of 5 steps"), steps=np.array(done)), True)

    with pytest.raises(RunError, match="the map raised ZeroDivisionError: division by zero after 2 of 5 steps") as stop:
        halfway(True)
    assert isinstance(stop.value.__cause__, ZeroDivisionError)
    assert (stop.value.result.cause, stop.value.result.steps.tolist()) == (Cause.RAISED, [0, 1])
    with pytest.raises(ZeroDivisionError):
        halfway(False)


def test_errors_of_ours_pass() -> None:
    with pytest.raises(MapError), Run("e").steps(keep=lambda: True):
        raise MapError("map: its rows depend on each other")


def test_ctrl_c_that_python_swallows_ends_the_run_at_the_next_step() -> None:
    class Swallows:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    run, done = Run("f"), []
    with warnings.catch_warnings(), run.steps(keep=lambda: done) as report:
        warnings.simplefilter("ignore")
        hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
        try:
            _ = [Swallows()].pop() and 1
            for step in range(5):
                done.append(step)
                report(step + 1, 5)
        finally:
            sys.unraisablehook = hook
    assert run.interrupted
    assert done == [0]


def test_ctrl_c_waits_for_what_belongs_together() -> None:
    run, pairs = Run("g"), []
    with run.steps(keep=lambda: pairs):
        with unbroken():
            os.kill(os.getpid(), signal.SIGINT)
            pairs.append(1)
            pairs.append(2)
        pairs.append(3)
    assert run.interrupted
    assert pairs == [1, 2]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
