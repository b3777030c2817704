"""What is shown while work goes on, and how it leaves off."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import time
from contextvars import copy_context

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.analysis.exponents import tangent_run
from lyapmap.core.demand import in_time
from lyapmap.core.errors import Interrupted
from lyapmap.core.ops import NumpyOps
from lyapmap.core.progress import Bar, Forecast, Steps, counted, now_in_phase, pass_done, phase, step_done
from lyapmap.core.propagate import HANDED_OVER, side_by_side
from lyapmap.core.run import Run
from sample_maps import Henon


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal_in(monkeypatch):
    """Standard error as a terminal; within the test, since pytest sets its own before each."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    made = Terminal()
    monkeypatch.setattr(sys, "stderr", made)
    return made


def test_a_forecast_leaves_out_what_the_first_piece_loads():
    forecast = Forecast()
    seconds = [forecast.seconds(done, 400, at) for done, at in [(0, 3), (0.25, 7), (0.5, 7.5), (1.0, 8.5)]]
    # Seven seconds for the first quarter of a step; after it half a step a second.
    assert seconds[:3] == [None] * 3
    assert seconds[3] == pytest.approx(399 / 0.5)


@pytest.mark.parametrize(("seconds", "words"), [(9.96, "10 s"), (119, "119 s"), (337, "5.6 min"), (3600 * 30, "30 h")])
def test_times_are_said_in_two_or_three_digits(seconds, words):
    assert in_time(seconds) == words


def test_a_phase_is_shown_from_its_beginning_and_says_in_what_it_was_interrupted(monkeypatch):
    terminal = terminal_in(monkeypatch)

    def load() -> None:
        with phase("loading net.pt"):
            assert "loading net.pt" in terminal.getvalue()
            now_in_phase("checking [it]")
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match=r"^interrupted while loading net\.pt$"):
        load()
    with phase("quiet", show=False):
        pass
    assert "quiet" not in terminal.getvalue()


def test_a_bar_within_a_phase_takes_its_place(monkeypatch):
    terminal = terminal_in(monkeypatch)
    with phase("preparing"):
        run = Run("counting", progress=True)
        with run.steps() as report:
            report(1, 3)
        assert "counting" in terminal.getvalue()
    assert "\x1b[?25h" in terminal.getvalue()  # the cursor is back


def test_a_long_whole_is_foretold_once(monkeypatch):
    terminal = terminal_in(monkeypatch)
    bar = Bar("spectrum", lambda: "2 GB of memory", iter(np.arange(0.0, 1000.0, 2.0)).__next__)
    for step in range(5):
        bar.report(step, 100)
    assert terminal.getvalue().count("spectrum: about 3.3 min to go, 2 GB of memory") == 1


def test_steps_count_what_several_threads_do_within_a_step(monkeypatch):
    monkeypatch.setattr("lyapmap.core.progress.REDRAWN", 0.0)
    shown: list[float] = []
    steps = Steps(4, shown.append)
    with counted(steps):
        pass_done(1)
        other = threading.Thread(target=copy_context().run, args=(pass_done, 2))
        other.start()
        other.join()
        pass_done(0.5)
        step_done(2)  # which holds both parts that this thread has done
        pass_done(1)
    assert shown == [0.25, 0.75, 0.875, 1.0, 1.25]
    steps.restart()
    with counted(steps):
        step_done(4)
    assert shown[-1] == 1.0
    step_done(4)  # outside of a run nobody counts
    assert len(shown) == 6


class TwoThreads(NumpyOps):
    def threads(self) -> int:
        return 2


def test_ctrl_c_is_heard_in_the_middle_of_a_step_of_other_threads():
    begun, left = threading.Barrier(3), []

    def long_step() -> None:
        begun.wait()
        try:
            for _ in range(3000):
                pass_done(1)
                time.sleep(0.005)
        except KeyboardInterrupt:
            left.append(threading.current_thread())
            raise

    def press() -> None:
        begun.wait()
        os.kill(os.getpid(), signal.SIGINT)

    run = Run("long")
    presser = threading.Thread(target=press)
    presser.start()
    with pytest.raises(Interrupted, match=r"^interrupted, with nothing to keep yet$"), run.steps(keep=lambda: 0):
        side_by_side(TwoThreads("float64"), [long_step, long_step], HANDED_OVER)
    presser.join()
    assert left
    assert threading.main_thread() not in left


@pytest.mark.parametrize("stop_at", [0, 3])
def test_ctrl_c_in_the_transient_says_how_far_it_came(stop_at):
    def press(done: int, total: int) -> None:
        if done == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match=f"^interrupted after {stop_at} of 40 steps, with nothing to keep yet$"):
        lm.lyapunov_spectrum(Henon(), [0.1, 0.1], n_steps=20, transient=20, seed=0, progress=press)


def test_a_large_network_has_short_blocks_so_that_little_is_lost(monkeypatch):
    torch = pytest.importorskip("torch")
    weight = 2 * torch.randn(24, 24, generator=torch.Generator().manual_seed(0)) / 24**0.5
    tangent_map = lm.wrap(lambda x: torch.tanh(x @ weight), state_shape=24, compile=False)
    seen: list[int] = []

    def press(done: int, total: int) -> None:
        seen.append(done)
        if done >= 7:
            raise KeyboardInterrupt

    work = tangent_map.row_work * 2 * (3 + 1)  # of a step
    monkeypatch.setattr(tangent_run, "LONGEST", 3 * work)
    x = np.random.default_rng(0).normal(size=(2, 24))
    with pytest.raises(Interrupted) as stopped:
        lm.lyapunov_spectrum(tangent_map, x, n_steps=1280, transient=1, n_exponents=3, seed=0, progress=press)
    assert seen == [0, 1, 4, 10]  # one block of three steps, then two: in the place of ten and twenty
    assert stopped.value.result.n_steps == 9
