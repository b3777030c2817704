"""The compiled twin of a NumPy function gives the states of the function itself, or there is none."""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.backends.numba.flow import CompiledFlow
from lyapmap.backends.numpy.compiled import CompiledRun
from lyapmap.core.map import TangentMap
from lyapmap.core.propagate import random_frame

A, B = 1.4, 0.3
WEIGHTS = np.array([[0.5, -1.2], [0.8, 0.3]])
PARAMETERS = {"a": 1.4, "table": [0.3, 0.1]}
KEPT = SimpleNamespace(a=1.4)


def henon(s):
    return np.stack([1 - A * s[:, 0] ** 2 + s[:, 1], B * s[:, 0]], axis=1)


def ikeda(s):
    t = 0.4 - 6 / (1 + s[:, 0] ** 2 + s[:, 1] ** 2)
    x, y = s[:, 0], s[:, 1]
    return np.stack([1 + 0.9 * (x * np.cos(t) - y * np.sin(t)), 0.9 * (x * np.sin(t) + y * np.cos(t))], axis=1)


def standard(s):
    y = np.empty_like(s)
    y[:, 1] = (s[:, 1] + 1.2 * np.sin(s[:, 0])) % (2 * np.pi)
    y[:, 0] = (s[:, 0] + y[:, 1]) % (2 * np.pi)
    return y


def tent(s):
    return np.where(s < 0.5, 1.9 * s, 1.9 * (1 - s))


def masked(s):
    return (s < 0.5) * 1.9 * s + (s >= 0.5) * (1.9 - 1.9 * s)


def in_place(s):
    y = s.copy()
    y *= 3.7
    y *= 1 - s
    y[:, 0] += 0.0
    return y


def powers(s):
    return np.abs(s) ** 1.7 * np.exp(-s) + np.maximum(s, 0.2) - np.clip(s, -1, 0.5) ** 3


def chosen(s):
    x, y = s
    if x > 0.5:
        return np.array([1.8 * (1 - x), 0.5 * y + 0.1])
    if x < 0:
        return [abs(x), y]
    return [1.8 * x, 0.5 * y + x * math.cos(y)]


def looped(s):
    y = np.zeros(3)
    for i in range(3):
        for j in range(2):
            y[i] += WEIGHTS[i % 2, j] * s[(i + j) % 3] * (1 - s[i])
    return y


def ring(s):
    return 0.8 * (1 - 1.9 * s**2) + 0.1 * (np.roll(s, 1, axis=1) + np.roll(s, -1, axis=1))


def closed_over(array, parts):
    def function(s):
        return np.sin(array[0] * s) * parts["gain"] + array[1] * KEPT.a * PARAMETERS["table"][1]

    return function


TABLE = [
    (henon, 2, True),
    (ikeda, 2, True),
    (standard, 2, True),
    (tent, 1, True),
    (masked, 1, True),
    (in_place, 2, True),
    (powers, 2, True),
    (chosen, 2, False),
    (looped, 3, False),
    (ring, 7, True),
    (closed_over(np.array([2.5, 0.7]), {"gain": 1.3}), 1, True),
]
IDS = [function.__name__ + str(n) for function, n, _ in TABLE]


def run_of(function, n, *, vectorized=True, k=None, b=3, **options):
    m = lm.wrap(function, state_shape=n, backend="numpy", compile=True, vectorized=vectorized, **options)
    x = np.random.default_rng(1).uniform(0.1, 0.4, (b, n))
    return m, m.for_run(x, k or n, 100), x


@pytest.mark.parametrize(("function", "n", "vectorized"), TABLE, ids=IDS)
def test_blocks_are_those_of_the_loop(function, n, vectorized):
    k = max(1, n - 1)
    m, run, x = run_of(function, n, vectorized=vectorized, k=k)
    assert isinstance(run, CompiledRun), m.provenance
    frame = random_frame(m, len(x), k, np.random.default_rng(0), "float64")
    ours, theirs = run.propagate(x, frame, 7, 3), TangentMap.propagate(m, x, frame, 7, 3)
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_allclose(ours[2], theirs[2], rtol=1e-8, atol=1e-9)
    images = x
    for _ in range(7):
        images = m.apply(images)
    np.testing.assert_array_equal(ours[0], images)


@pytest.mark.parametrize(
    ("function", "n", "vectorized"), [TABLE[0], TABLE[1], TABLE[9]], ids=["lanes", "loops", "rows"]
)
def test_a_row_is_the_same_for_any_number_of_rows(function, n, vectorized):
    m, run, x = run_of(function, n, vectorized=vectorized, b=5)
    frame = random_frame(m, 5, n, np.random.default_rng(0), "float64")
    whole = run.propagate_blocks(x, frame, 2, 6, 2)
    for i in range(5):
        alone = run.propagate_blocks(x[i : i + 1], frame[i : i + 1], 2, 6, 2)
        for ours, theirs in zip(alone, whole, strict=True):
            np.testing.assert_array_equal(np.array(ours)[:, 0], np.array(theirs)[:, i])


def test_determinants_and_escapes():
    m, run, x = run_of(henon, 2)
    np.testing.assert_allclose(run.log_abs_det(x, 5), m.log_abs_det(x, 5), rtol=1e-12)
    x[1] = 4.0
    frame = random_frame(m, 3, 2, np.random.default_rng(0), "float64")
    y, _, growth = run.propagate(x, frame, 60, 1)
    assert np.isfinite(y).all(axis=1).tolist() == [True, False, True]
    assert np.isfinite(growth).all(axis=1).tolist() == [True, False, True]
    result = lm.lyapunov_spectrum(m, [[0.1, 0.1], [4.0, 4.0]], n_steps=200, throw=False)
    assert result.status == "escaped"


def test_the_spectrum_is_that_of_the_function():
    m = lm.wrap(henon, state_shape=2, compile=True)
    plain = lm.wrap(henon, state_shape=2, compile=False)
    ours, theirs = (lm.lyapunov_spectrum(each, [0.1, 0.1], n_steps=2000, transient=50, seed=0) for each in (m, plain))
    np.testing.assert_allclose(ours.exponents, theirs.exponents, rtol=1e-9)
    assert ours.provenance["compiled"].startswith("numba")
    assert "compiled" not in theirs.provenance
    assert ours.provenance["derivative"] == theirs.provenance["derivative"] == "complex step"


def test_short_runs_are_left_alone_and_long_ones_are_not():
    m = lm.wrap(henon, state_shape=2)
    x = np.array([[0.1, 0.1]])
    assert m.for_run(x, 2, 1000) is m
    assert isinstance(m.for_run(x, 2, 10**6), CompiledRun)
    assert lm.wrap(henon, state_shape=2, compile=False).for_run(x, 2, 10**9).propagate.__self__ is not None
    assert not isinstance(lm.wrap(henon, state_shape=2, compile=False).for_run(x, 2, 10**9), CompiledRun)
    single = lm.wrap(lambda s: s * np.float32(0.5), state_shape=2, dtype="float32", compile=True)
    assert single.for_run(x.astype(np.float32), 2, 10**9) is single


def test_a_parameter_that_changes_is_that_of_now(monkeypatch):
    m, run, x = run_of(henon, 2)
    frame = random_frame(m, 3, 2, np.random.default_rng(0), "float64")
    before = run.propagate(x, frame, 5)[0]
    monkeypatch.setitem(globals(), "A", 1.2)
    after = m.for_run(x, 2, 100)
    assert isinstance(after, CompiledRun)
    np.testing.assert_array_equal(after.propagate(x, frame, 5)[0], TangentMap.propagate(m, x, frame, 5)[0])
    assert (after.propagate(x, frame, 5)[0] != before).any()


def test_arrays_dicts_and_helpers_that_change_are_those_of_now():
    array, parts = np.array([2.5, 0.7]), {"gain": 1.3, "turn": np.sin}

    def function(s):
        return parts["turn"](array[0] * s) * parts["gain"] + array[1]

    m, run, x = run_of(function, 2)
    frame = random_frame(m, 3, 2, np.random.default_rng(0), "float64")
    for change in (
        lambda: array.__setitem__(0, 1.5),
        lambda: parts.update(gain=0.9),
        lambda: parts.update(turn=np.cos),
    ):
        change()
        run = m.for_run(x, 2, 100)
        assert isinstance(run, CompiledRun)
        np.testing.assert_array_equal(run.propagate(x, frame, 5)[0], TangentMap.propagate(m, x, frame, 5)[0])


def printing(s):
    print(len(s), end="")  # noqa: T201
    return 3.9 * s * (1 - s)


class Counting:
    def __init__(self):
        self.calls = 0

    def __call__(self, s):
        self.calls += 1
        return 3.9 * s * (1 - s)


def remembering():
    seen = []

    def function(s):
        seen.append(len(s))
        return 3.9 * s * (1 - s)

    return function


def filling():
    store = np.zeros(2)

    def function(s):
        store[:] = s[0]
        return 3.9 * s * (1 - s)

    return function


def counting():
    calls = 0

    def function(s):
        nonlocal calls
        calls += 1
        return 3.9 * s * (1 - s)

    return function


def complaining(s):
    if (s > 1e6).any():
        raise ValueError("too large")
    return 0.9 * s


def timed(s):
    time.perf_counter()
    return 3.9 * s * (1 - s)


def drawn(s):
    random.random()
    return 3.9 * s * (1 - s)


def drawn_by_numpy(s):
    np.random.default_rng(0).normal()
    return 3.9 * s * (1 - s)


def rounded(s):
    return 3.9 * s * (1 - s) + 0 * s.astype(int)


def sorted_rows(s):
    return np.sort(0.9 * s, axis=1)


def assigned_by_mask(s):
    y = 1.9 * s
    y[s > 0.5] = 1.9 - y[s > 0.5]
    return y


def through_floats(s):
    return np.array([[3.9 * float(v) * (1 - float(v)) for v in row] for row in s])


def by_products(s):
    return np.tanh(s @ WEIGHTS)


HOSTILE = [
    printing, Counting(), remembering(), filling(), counting(), complaining, timed, drawn, drawn_by_numpy, rounded,
    sorted_rows, assigned_by_mask, through_floats,
]  # fmt: skip


@pytest.mark.parametrize("function", HOSTILE, ids=lambda f: getattr(f, "__name__", type(f).__name__))
def test_what_does_more_than_compute_is_left_to_python(function, capsys):
    m, run, x = run_of(function, 2, verify=False)
    assert run is m
    assert m.provenance["compiled"].startswith("no: ")
    frame = random_frame(m, 3, 2, np.random.default_rng(0), "float64")
    np.testing.assert_array_equal(run.propagate(x, frame, 4)[0], TangentMap.propagate(m, x, frame, 4)[0])


def test_nothing_of_the_look_is_left_behind():
    seen = []

    def function(s):
        seen.append(s)
        return 0.9 * s

    _, _, _ = run_of(function, 2, verify=False)
    assert all(type(s) is np.ndarray and s.dtype != object for s in seen if not hasattr(s, "tangent"))


def test_products_of_matrices_that_round_otherwise_are_left_to_numpy():
    m, run, x = run_of(by_products, 2)
    frame = random_frame(m, 3, 2, np.random.default_rng(0), "float64")
    np.testing.assert_array_equal(run.propagate(x, frame, 20)[0], TangentMap.propagate(m, x, frame, 20)[0])


def test_a_jacobian_that_is_given_must_be_that_of_the_function():
    def halved(s):
        return -A * s[:, :, None] * np.eye(1)

    m = lm.wrap(lambda s: 1 - A * s**2, state_shape=1, jacobian=halved, compile=True, verify=False)
    assert m.for_run(np.full((1, 1), 0.3), 1, 10) is m
    assert "derivative" in m.provenance["compiled"]


def lorenz(s):
    x, y, z = s.T
    return np.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], axis=1)


def lorenz96(s):
    return (np.roll(s, -1, 1) - np.roll(s, 2, 1)) * np.roll(s, 1, 1) - s + 8


@pytest.mark.parametrize(("field", "n", "k"), [(lorenz, 3, 3), (lorenz96, 5, 2)], ids=["lanes", "rows"])
def test_flows_with_equal_steps_have_the_states_of_the_loop(field, n, k):
    m = lm.flow(field, 0.05, state_shape=n, method="rk4", steps=5, compile=True)
    x = np.array([[1.0, 2.0, 20.0, 3.0, 1.0], [-3.0, -2.0, 15.0, 0.0, 2.0]])[:, :n]
    run = m.for_run(x, k, 100)
    assert isinstance(run, CompiledFlow)
    frame = random_frame(m, 2, k, np.random.default_rng(0), "float64")
    ours, theirs = run.propagate(x, frame, 6, 2), m.propagate(x, frame, 6, 2)
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_allclose(ours[2], theirs[2], atol=1e-11)
    np.testing.assert_allclose(run.log_abs_det(x, 6), m.log_abs_det(x, 6), rtol=1e-6)
    assert run.log_abs_det_tolerance > 0
    result = lm.lyapunov_spectrum(m, x, n_steps=100, transient=100, seed=0, throw=False)
    assert result.provenance["compiled"].startswith("numba")
    assert result.provenance["derivative"] == m.derivative


@pytest.mark.parametrize("method", ["auto", "dopri5"])
def test_flows_whose_steps_follow_the_states_agree_to_their_tolerance(method):
    m = lm.flow(lorenz, 0.3, state_shape=3, method=method, compile=True)
    x = np.array([[1.0, 2.0, 20.0]])
    run = m.for_run(x, 3, 10)
    assert isinstance(run, CompiledFlow)
    frame = random_frame(m, 1, 3, np.random.default_rng(0), "float64")
    ours, theirs = run.propagate(x, frame, 2), m.propagate(x, frame, 2)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-6)
    np.testing.assert_allclose(ours[2], theirs[2], atol=1e-5)


def forced(t, y):
    return [y[1], y[0] - y[0] ** 3 - 0.3 * y[1] + 0.5 * np.cos(1.2 * t)]


@pytest.mark.parametrize("options", [{}, {"tau": 2 * np.pi / 1.2, "period": 2 * np.pi / 1.2}], ids=["clock", "strobe"])
def test_a_forced_field_is_compiled_too(options):
    options = {"tau": 0.5, "state_shape": 2, "method": "rk4", "steps": 50} | options
    ours, theirs = (lm.flow(forced, compile=compiled, **options) for compiled in (True, False))
    run = ours.for_run(np.array([[1.0, 0.0]]), 2, 20)
    assert run is not ours
    assert run.provenance["compiled"].startswith("numba")
    np.testing.assert_array_equal(run.at(3).apply(np.ones((1, 2))), theirs.at(3).apply(np.ones((1, 2))))
    spectra = [
        lm.lyapunov_spectrum(m, [1.0, 0.0], n_steps=40, transient=5, seed=0, throw=False) for m in (ours, theirs)
    ]
    np.testing.assert_allclose(spectra[0].exponents, spectra[1].exponents, atol=1e-9)


def test_a_field_of_the_time_that_does_not_depend_on_it():
    m = lm.flow(lambda t, y: [y[1], -y[0] - 0.1 * y[1]], 0.5, state_shape=2, method="rk4", steps=5, compile=True)
    x = np.array([[1.0, 0.5]])
    run = m.for_run(x, 2, 10)
    assert isinstance(run, CompiledFlow)
    frame = np.eye(2)[None]
    np.testing.assert_array_equal(run.propagate(x, frame, 4)[0], m.propagate(x, frame, 4)[0])


KEPT_CODE = """
import numpy as np
import lyapmap as lm
m = lm.wrap(lambda s: np.sin(GAIN * s) + np.hypot(s, 0.5), state_shape=1, compile=True, verify=False)
run = m.for_run(np.full((1, 1), 0.3), 1, 10)
y = run.propagate(np.full((1, 1), 0.3), np.ones((1, 1, 1)), 20)[0]
x = np.full((1, 1), 0.3)
for _ in range(20):
    x = m.apply(x)
assert (x == y).all()
from lyapmap.backends.numba.compile import compiled
print(sum(compiled(run._twin.rule, "propagate", 1, 1, 2).stats.cache_hits.values()))
"""


def test_code_is_kept_for_other_processes_and_other_parameters(tmp_path):
    """NumPy's loops lie at other addresses there."""
    hits = [
        subprocess.run(
            [sys.executable, "-c", KEPT_CODE.replace("GAIN", gain)],
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for gain in ("2.5", "2.7")
    ]
    assert hits == ["0", "1"]
