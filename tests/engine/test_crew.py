"""The crew: the same bits as in one process, however the work is divided and whatever befalls the workers."""

from __future__ import annotations

import pickle
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.core import propagate
from lyapmap.core.errors import LyapmapError
from lyapmap.engine import crew as module
from lyapmap.engine.cluster import cluster
from lyapmap.engine.crew import Crew, CrewError, crew_of
from lyapmap.engine.work import Parcel, map_of, rows_of

distributed = pytest.importorskip("distributed")

HENON = lm.systems.henon()
START = np.random.default_rng(0).uniform(-0.1, 0.1, (200, 2))
WEIGHTS = np.random.default_rng(1).standard_normal((24, 24)) * 1.5 / np.sqrt(24)
NETWORK_START = np.random.default_rng(2).standard_normal((6, 24))


def layer(x: np.ndarray) -> np.ndarray:
    return np.tanh(x @ WEIGHTS)


CALLS = {
    "spectrum": lambda **o: lm.lyapunov_spectrum(HENON, START, n_steps=500, transient=100, seed=3, **o),
    "finite time": lambda **o: lm.finite_time_exponents(HENON, START, n_steps=300, n_windows=2, seed=3, **o),
    "stretching": lambda **o: lm.finite_time_exponents(HENON, START, n_steps=10, measure="stretching", **o),
    "divergence": lambda **o: lm.divergence(HENON, START, transient=100, n_steps=50, direction="tangent", seed=3, **o),
    "covariant": lambda **o: lm.covariant_vectors(HENON, START, n_steps=50, seed=3, **o),
    "sweep": lambda **o: lm.sweep(lm.systems.logistic, "r", [3.2, 3.5, 3.9, 4.0], [0.3], n_steps=200, seed=3, **o),
}


def bits(result: Any) -> dict[str, bytes]:
    return {
        name: value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode()
        for name, value in vars(result).items()
        if name != "provenance"
    }


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Two workers within this process: what is sent is packed all the same, and they start at once."""
    quiet = {"processes": False, "dashboard_address": "127.0.0.1:0", "silence_logs": 50}
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, **quiet) as local,
        distributed.Client(local, set_as_default=False) as connected,
    ):
        yield connected


@pytest.fixture
def everything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WORTH_SENDING", 2e-4)


@pytest.mark.usefixtures("everything_is_sent")
@pytest.mark.parametrize("name", CALLS)
def test_the_bits_are_those_of_one_process(client: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []
    submit = type(client).submit

    def counted(self: Any, *arguments: Any, **options: Any) -> Any:
        sent.append(arguments[0])
        return submit(self, *arguments, **options)

    monkeypatch.setattr(type(client), "submit", counted)
    together = CALLS[name](throw=False, client=client)
    assert len(sent) > 2
    assert bits(together) == bits(CALLS[name](throw=False))


@pytest.mark.usefixtures("everything_is_sent")
@pytest.mark.parametrize("messages", [1, 3, 32])
def test_the_bits_do_not_depend_on_how_rows_are_divided(
    client: Any, messages: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = CALLS["spectrum"]()
    monkeypatch.setattr(Crew, "size", lambda self: messages)
    assert bits(CALLS["spectrum"](client=client)) == bits(whole)


@pytest.mark.usefixtures("everything_is_sent")
def test_products_that_round_otherwise_for_other_rows_stay_together(client: Any) -> None:
    crew = Crew(client)

    def uneven(x: np.ndarray) -> np.ndarray:
        return np.cos(3 * x) * (1 + 1e-15 * (len(x) % 5))

    for function in (layer, uneven):
        tangent_map = lm.wrap(function, state_shape=24)
        options = {"n_steps": 100, "n_exponents": 3, "seed": 3, "throw": False}
        apart = lm.lyapunov_spectrum(tangent_map, NETWORK_START, **options, client=crew)
        assert bits(apart) == bits(lm.lyapunov_spectrum(tangent_map, NETWORK_START, **options))


@pytest.mark.usefixtures("everything_is_sent")
def test_networks_of_torch_keep_their_inner_batches(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(propagate, "PART_WORK", 1e4)
    network = torch.nn.Linear(24, 24, bias=False).eval()
    with torch.no_grad():
        network.weight.copy_(torch.from_numpy(WEIGHTS.astype(np.float32)))
    tangent_map = lm.wrap(network, state_shape=24)
    x = np.random.default_rng(6).standard_normal((40, 24)).astype(np.float32)
    options = {"n_steps": 10, "transient": 3, "n_exponents": 2, "seed": 3, "throw": False}
    assert 1 < len(propagate.divided(40, tangent_map.row_work)) < 40
    assert bits(lm.lyapunov_spectrum(tangent_map, x, **options, client=client)) == bits(
        lm.lyapunov_spectrum(tangent_map, x, **options)
    )


@pytest.mark.usefixtures("everything_is_sent")
def test_a_trajectory_that_escapes_is_told_of_as_in_one_process(client: Any) -> None:
    start = START.copy()
    start[150] = 5.0
    call = {"n_steps": 300, "seed": 1, "throw": False}
    apart = lm.lyapunov_spectrum(HENON, start, **call, client=client)
    assert apart.status == "escaped"
    assert "1 of 200 trajectories" in apart.message
    assert bits(apart) == bits(lm.lyapunov_spectrum(HENON, start, **call))
    windows = lm.finite_time_exponents(HENON, start, n_steps=300, seed=1, throw=False, client=client)
    assert np.isnan(windows.exponents[150]).all()
    assert np.isfinite(np.delete(windows.exponents, 150, axis=0)).all()


@pytest.mark.usefixtures("everything_is_sent")
def test_what_a_crew_began_goes_on_without_it(client: Any, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done > 200:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CALLS["spectrum"](client=client, journal=tmp_path, progress=stop)
    reports: list[int] = []
    resumed = CALLS["spectrum"](journal=tmp_path, progress=lambda done, total: reports.append(done))
    assert reports[0] > 200
    assert bits(resumed) == bits(CALLS["spectrum"]())


def stingy(parcel: Parcel, task: Any, arrays: Any, sizes: list[int], options: Any) -> Any:
    """A worker that has memory for 64 rows."""
    if sum(sizes) > 64:
        raise MemoryError
    return rows_of(parcel, task, arrays, sizes, options)


@pytest.mark.usefixtures("everything_is_sent")
def test_work_that_is_too_large_for_a_worker_is_halved_and_that_is_told_once(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "rows_of", stingy)
    with pytest.warns(UserWarning, match="ran out of memory: its work is sent again in smaller parts") as caught:
        halved = CALLS["spectrum"](client=client)
    assert len(caught) == 1
    assert bits(halved) == bits(CALLS["spectrum"]())


def hopeless(*_: Any) -> Any:
    raise MemoryError


@pytest.mark.usefixtures("everything_is_sent")
def test_work_that_no_worker_can_do_ends_in_one_line(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "rows_of", hopeless)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(CrewError, match="4 workers died of the same work, or had no memory for it"):
            CALLS["spectrum"](client=client)


def raises(x: np.ndarray) -> np.ndarray:
    if (np.abs(x) > 1.5).any():
        raise RuntimeError("a valve is stuck")
    return 1.01 * x


@pytest.mark.usefixtures("everything_is_sent")
def test_what_a_map_raises_on_a_worker_is_what_it_raises_here(client: Any) -> None:
    tangent_map = lm.wrap(raises, state_shape=2)
    x = np.full((8, 2), 1.4)
    with pytest.raises(LyapmapError, match="a valve is stuck"):
        lm.lyapunov_spectrum(tangent_map, x, n_steps=100, seed=1, client=client)


def test_small_work_stays_where_it_is(client: Any) -> None:
    crew = Crew(client)
    lm.lyapunov_spectrum(HENON, START, n_steps=50, seed=1, client=crew)
    paces = next(iter(crew._pace.values()))
    assert crew.rows(next(iter(crew._pace)), map_of, (START,), {}, 0) is None
    assert paces["rows_carried"] > 0


def test_clients_and_maps_that_will_not_do_are_refused(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LyapmapError, match=r"client: expected a distributed\.Client, got str"):
        CALLS["spectrum"](client="tcp://127.0.0.1:8786")
    assert crew_of(None) is None
    lock = threading.Lock()

    def locked(x: np.ndarray) -> np.ndarray:
        with lock:
            return np.sin(x)

    with pytest.raises(LyapmapError, match="cannot be sent to other processes") as caught:
        lm.lyapunov_spectrum(lm.wrap(locked, state_shape=2), START, n_steps=50, client=client)
    assert "\n" not in str(caught.value)
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(LyapmapError, match=r"lyapmap\[distributed\]"):
        crew_of(object())
    with pytest.raises(LyapmapError, match=r"workers needs distributed.*lyapmap\[distributed\]"), cluster(2):
        pass


def test_what_did_not_arrive_as_it_was_sent_is_not_opened() -> None:
    parcel = Parcel.of(HENON)
    np.testing.assert_array_equal(parcel.open().apply(START), HENON.apply(START))
    with pytest.raises(LyapmapError, match="did not arrive"):
        parcel._replace(content=parcel.content + b"x").open()


@pytest.mark.parametrize("name", ["spectrum", "sweep"])
def test_results_and_their_errors_can_be_pickled(name: str) -> None:
    result = CALLS[name](throw=False)
    assert bits(pickle.loads(pickle.dumps(result))) == bits(result)
