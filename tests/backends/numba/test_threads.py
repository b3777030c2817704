"""Batches in several threads: the same bits as in one, and nothing left waiting."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from itertools import pairwise

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lyapmap import systems
from lyapmap.backends.numba import threads
from lyapmap.backends.numba.lane_kernels import LANES
from lyapmap.backends.numba.map import NumbaMap, wrap_numba
from lyapmap.backends.numba.threads import in_parts
from lyapmap.core.propagate import random_frame


def with_threads(name, count, **parameters):
    inner = systems.create(name, **parameters).inner
    inner = getattr(inner, "_substep", inner)
    return NumbaMap(inner.rule, state_shape=inner.state_shape, parameters=inner.parameters, threads=count)


@pytest.fixture
def parts(monkeypatch):
    """First and last rows of what was handed to threads; parts are worth while however small."""
    monkeypatch.setattr(threads, "WORTH_WHILE", 1)
    seen = set()
    submit = threads.ThreadPoolExecutor.submit

    def watched(pool, work, *args):
        seen.add(args)
        return submit(pool, work, *args)

    monkeypatch.setattr(threads.ThreadPoolExecutor, "submit", watched)
    return seen


@given(st.integers(1, 400), st.sampled_from([1, 8, 32]), st.integers(1, 5), st.sampled_from([1.0, 1e4, 1e7]))
def test_every_row_is_done_once_and_units_stay_whole(rows, unit, count, row_work):
    done = np.zeros(rows, int)
    begun = []
    lock = threading.Lock()

    def work(first, last):
        with lock:
            begun.append(first)
            done[first:last] += 1

    in_parts(work, rows, unit=unit, row_work=row_work, threads=count)
    assert (done == 1).all()
    assert all(first % unit == 0 for first in begun)


@pytest.mark.parametrize(
    ("name", "b", "k", "parameters"),
    [
        ("henon", 5 * LANES + 7, 2, {}),
        ("folded_towel", 3 * LANES, 3, {}),
        ("coupled_map_lattice", 5, 9, {"n": 16}),
        ("lorenz", 2 * LANES + 1, 1, {}),
    ],
)
def test_the_number_of_threads_changes_no_bit(name, b, k, parameters, parts):
    alone = with_threads(name, 1, **parameters)
    x = systems.create(name, **parameters).initial_states(b, 0)
    frame = random_frame(alone, b, k, np.random.default_rng(0), "float64")
    wanted = alone.propagate(x, frame, 60, 2)
    assert not parts
    for count in (2, 3, 7):
        several = with_threads(name, count, **parameters)
        for ours, theirs in zip(several.propagate(x, frame, 60, 2), wanted, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert len(parts) > 1


def test_determinants_too(parts):
    x = systems.ikeda().initial_states(100, 0)
    wanted = with_threads("ikeda", 1).log_abs_det(x, 50)
    np.testing.assert_array_equal(with_threads("ikeda", 3).log_abs_det(x, 50), wanted)
    assert len(parts) > 1


def test_little_work_stays_in_one_thread(monkeypatch):
    def refused(count):
        raise AssertionError(f"{count} threads asked for")

    monkeypatch.setattr(threads, "_pool", refused)
    m = with_threads("henon", 8)
    x = systems.henon().initial_states(128, 0)
    m.propagate(x, random_frame(m, 128, 2, np.random.default_rng(0), "float64"), 20)


def test_a_users_function_stays_in_one_thread(parts):
    m = wrap_numba(numba.njit(lambda x: 0.5 * x), state_shape=(2,))
    m.propagate(np.ones((500, 2)), np.tile(np.eye(2), (500, 1, 1)), 50)
    assert not parts


def test_an_error_in_a_thread_is_raised(monkeypatch):
    monkeypatch.setattr(threads, "WORTH_WHILE", 1)

    def work(first, last):
        if first:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        in_parts(work, 10, unit=1, row_work=1e9, threads=2)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_has_threads_of_its_own():
    code = """
import os, sys
from lyapmap.backends.numba.threads import in_parts
def go(): in_parts(lambda first, last: None, 64, unit=1, row_work=1e9, threads=2)
go()
child = os.fork()
if child == 0:
    go()
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=60, check=False).returncode == 0


def test_the_environment_says_how_many():
    code = "from lyapmap.backends.numba.map import _default_threads as d; print(d())"
    for wanted in ("1", "3"):
        environment = os.environ | {"NUMBA_NUM_THREADS": wanted}
        command = [sys.executable, "-c", code]
        printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        assert printed.strip() == wanted


def test_a_map_travels_to_another_process():
    m = with_threads("henon", 2)
    x = np.array([[0.1, 0.2]])
    wanted = m.apply(x)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(m)).apply(x), wanted)


def test_parts_have_work_enough(parts, monkeypatch):
    monkeypatch.setattr(threads, "WORTH_WHILE", 1000)
    in_parts(lambda first, last: None, 100, unit=1, row_work=100, threads=4)
    edges = [*sorted(first for first, _ in parts), 100]
    assert len(edges) > 2
    assert min(b - a for a, b in pairwise(edges)) >= 5
