"""The ritual around an analysis: seed, progress, Ctrl-C, provenance, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.errors import Interrupted, LyapmapError, RunError
from lyapmap.core.results import Cause, Result, Status, Verdict, dims
from lyapmap.core.run import Run
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


def test_other_errors_pass() -> None:
    with pytest.raises(ZeroDivisionError), Run("e").steps(keep=lambda: True):
        _ = 1 / 0
