"""What runs need: refused where memory is short, foretold by a trial; one mechanism for every analysis and backend."""

from __future__ import annotations

import pickle
import time
from typing import Any

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.core import demand
from lyapmap.core.demand import Demand, RoomError, estimate, held, in_bytes, of_points, planned

HENON = lm.systems.henon()
X = HENON.initial_states(4, 0)
MANY = HENON.initial_states(40, 0)
POINTS = np.random.default_rng(0).standard_normal((3000, 2))

CALLS: dict[str, Any] = {
    "trajectory": lambda: lm.trajectory(HENON, X, n_steps=1000),
    "spectrum": lambda: lm.lyapunov_spectrum(HENON, X, n_steps=1000, seed=0),
    "finite time": lambda: lm.finite_time_exponents(HENON, X, n_steps=10, n_windows=5, seed=0),
    "divergence": lambda: lm.divergence(HENON, X, n_steps=100, seed=0),
    "covariant vectors": lambda: lm.covariant_vectors(HENON, X, n_steps=100, seed=0),
    "alignment": lambda: lm.alignment(HENON, X, n_steps=100, seed=0),
    "expansion entropy": lambda: lm.expansion_entropy(HENON, (-2, 2), n_samples=100, n_steps=10, seed=0),
    "sweep": lambda: lm.sweep(lm.systems.logistic, "r", [3.5, 4.0], [0.3], n_steps=100, seed=0),
    "settling": lambda: lm.settling(HENON, X, n_steps=20),
    "burn-in": lambda: lm.burn_in(HENON, MANY, n_steps=8, seed=0),
    "periodic orbits": lambda: lm.periodic_orbits(HENON, X, period=2, n_guesses=5, seed=0),
    "0-1 test": lambda: lm.zero_one_test(POINTS[:, 0], n_frequencies=20, seed=0),
    "series": lambda: lm.from_series(POINTS[:, 0]),
    "correlation dimension": lambda: lm.correlation_dimension(POINTS, seed=0, throw=False),
    "local PCA": lambda: lm.intrinsic_dimension(POINTS),
    "radii": lambda: lm.manifold_metrics(POINTS, POINTS + 0.1, seed=0),
    "memorization": lambda: lm.memorization(POINTS[:1000], POINTS[1000:], seed=0),
    "Jacobians": lambda: lm.jacobian_spectrum(lm.wrap_function(lambda z: z**2, input_shape=2), POINTS[:9]),
}


@pytest.mark.parametrize("label", CALLS)
def test_every_analysis_is_refused_before_it_starts_where_memory_is_short(
    label: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(demand.LIMIT, "100")
    refusal = rf"^{label}: needs .* of memory \(.*\), 100 bytes are free; .* would"
    with pytest.raises(RoomError, match=refusal) as caught:
        CALLS[label]()
    assert "\n" not in str(caught.value)
    assert caught.value.needed > caught.value.free == 100


def test_what_is_suggested_fits_and_ten_percent_more_does_not() -> None:
    arrays = lambda b, steps: [held("states", 8, trajectories=b, _n=2), held("all", 8, trajectories=b, n_steps=steps)]  # noqa: E731
    words = Demand(arrays(1000, 1000)).remedy(1e6)
    assert words == "trajectories=124 or n_steps=123 would fit"
    for b, steps in ((124, 1000), (1000, 123)):
        assert Demand(arrays(b, steps)).nbytes <= 1e6 < Demand(arrays(b * 11 // 10, steps * 11 // 10)).nbytes


def test_refusals_survive_the_way_between_processes_and_are_memory_errors() -> None:
    error = pickle.loads(pickle.dumps(RoomError("x: needs 2 GB", 2, 1)))
    assert isinstance(error, MemoryError)
    assert isinstance(error, lm.LyapmapError)
    assert (str(error), error.needed, error.free) == ("x: needs 2 GB", 2, 1)


def test_a_limit_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(demand.LIMIT, "4GB")
    with pytest.raises(lm.LyapmapError, match="LYAPMAP_MEMORY: expected a number of bytes, got '4GB'"):
        lm.trajectory(HENON, X, n_steps=1)


def test_free_memory_is_that_of_this_machine() -> None:
    assert 1e7 < demand.free_bytes() < 1e15


class Ticks:
    """A clock that only work moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("rows", "steps"), [(1, 10), (3, 10**6), (64, 10**5), (10**5, 30)])
def test_a_fixed_cost_and_a_cost_of_rows_are_told_apart(rows: int, steps: int) -> None:
    clock = Ticks()

    def begin(some: int) -> Any:
        def advance(count: int) -> None:
            clock.now += count * (2e-3 + 1e-4 * some)

        return advance

    foretold = estimate("ticks", Demand(rows=rows, steps=steps, begin=begin), clock=clock)
    assert foretold.seconds == pytest.approx(steps * (2e-3 + 1e-4 * rows), rel=0.1)


@pytest.mark.parametrize("power", [1, 2])
def test_the_cost_of_pairs_is_extrapolated(power: int) -> None:
    clock = Ticks()

    def trial(some: slice) -> None:
        clock.now += 1e-5 * len(range(*some.indices(100_000))) ** power

    foretold = estimate("ticks", of_points([], 100_000, trial), clock=clock)
    assert foretold.seconds == pytest.approx(1e-5 * 1e5**power, rel=0.1)


def test_a_plan_does_what_is_quick_and_foretells_what_is_not() -> None:
    with planned() as plan:
        orbit = lm.trajectory(HENON, X, n_steps=50)
        lm.lyapunov_spectrum(HENON, orbit.states[:, -1], n_steps=10**11, seed=0)
        raise AssertionError("nobody comes here")
    assert [part.part for part in plan.parts] == ["trajectory", "spectrum"]
    assert plan.seconds > 100
    assert plan.fits
    assert not plan.complete
    assert demand.planning() is None


def test_what_does_not_fit_is_in_the_plan_and_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(demand.LIMIT, "1e6")
    with planned() as plan:
        lm.trajectory(HENON, X, n_steps=10**9)
    assert not plan.fits
    assert plan.to_dict()["parts"][0]["seconds"] is None
    assert plan.bytes == pytest.approx(9 * 4 * 2 * 1e9, rel=0.5)


def test_a_run_that_says_nothing_of_itself_is_foretold_by_its_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    from lyapmap.core.run import Run

    clock = Ticks()
    with planned(clock) as plan:
        run = Run("silent")
        with run.steps() as report:
            for step in range(1000):
                clock.now += 1.0
                report(step + 1, 1000)
    assert plan.seconds == pytest.approx(1000)


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_numpy_maps_take_states_in_parts_that_stay_within_the_limit_and_give_the_same(rows: int) -> None:
    most = []

    def step(x: np.ndarray) -> np.ndarray:
        most.append(len(x))
        return np.stack([1 - 1.4 * x[:, 0] ** 2 + x[:, 1], 0.3 * x[:, 0]], axis=1)

    whole = lm.wrap(step, state_shape=2, compile=False)
    parts = lm.wrap(step, state_shape=2, compile=False, memory_limit=int(whole.row_bytes * rows * 3) + 1)
    x, v = HENON.initial_states(50, 0), np.random.default_rng(0).standard_normal((50, 2, 2))
    most.clear()
    image, tangents = parts.jvp(x, v)
    assert max(most) <= max(2, 3 * rows)
    assert np.array_equal(image, whole.jvp(x, v)[0])
    assert np.array_equal(tangents, whole.jvp(x, v)[1])
    assert np.array_equal(parts.apply(x), whole.apply(x))
    with pytest.raises(lm.LyapmapError, match="memory_limit: expected at least 1, got 0"):
        lm.wrap(step, state_shape=2, memory_limit=0)


def test_bytes_in_words() -> None:
    words = [in_bytes(count) for count in (12, 4096, 1.5e6, 2e9, 3e15)]
    assert words == ["12 bytes", "4.1 kB", "1.5 MB", "2 GB", "3000 TB"]


def test_the_estimate_of_a_real_run_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    # Generous, as machines are shared; benchmarks/plan.py holds the figures.
    with planned(time.process_time) as plan:
        lm.trajectory(HENON, X, n_steps=6000)
    begin = time.process_time()
    lm.trajectory(HENON, X, n_steps=6000)
    taken = time.process_time() - begin
    assert 0.2 * taken < plan.seconds < 5 * taken
