"""What befalls clusters, for real: killed workers, a lost scheduler, slow workers, want of memory, changed files."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.core.errors import LyapmapError
from lyapmap.core.propagate import propagate, random_frame
from lyapmap.engine.cluster import cluster
from lyapmap.engine.crew import CrewError

pytest.importorskip("distributed")
pytestmark = pytest.mark.slow

WEIGHTS = np.random.default_rng(1).standard_normal((40, 40)) * 1.5 / np.sqrt(40)
START = np.random.default_rng(2).standard_normal((64, 40))
HENON = lm.systems.henon()
HENON_START = np.random.default_rng(0).uniform(-0.1, 0.1, (2000, 2))


def bits(result: Any) -> dict[str, bytes]:
    return {
        name: value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode()
        for name, value in vars(result).items()
        if name != "provenance"
    }


def spectrum(**options: Any) -> Any:
    return lm.lyapunov_spectrum(HENON, HENON_START, n_steps=60_000, transient=100, seed=3, **options)


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, bytes]:
    return bits(spectrum())


@pytest.fixture
def client() -> Iterator[Any]:
    with cluster(2) as connected:
        yield connected


def pids(client: Any) -> list[int]:
    return sorted(client.run(os.getpid).values())


def test_killed_workers_cost_time_and_nothing_else(client: Any, undisturbed: dict[str, bytes]) -> None:
    killed: list[int] = []
    last = [time.monotonic()]

    def kill(done: int, total: int) -> None:
        alive = pids(client) if time.monotonic() - last[0] > 1 and len(killed) < 3 else []
        if alive:
            killed.append(alive[0])
            os.kill(killed[-1], signal.SIGKILL)
            last[0] = time.monotonic()

    assert bits(spectrum(client=client, progress=kill)) == undisturbed
    assert killed


def test_a_lost_scheduler_is_told_of_and_the_journal_goes_on(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    import distributed

    start = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard"]
    file = tmp_path / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scheduler = subprocess.Popen([*start, "--scheduler-file", str(file)], **quiet)
    command = [sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "1", "--scheduler-file", str(file)]
    worker = subprocess.Popen([*command, "--nworkers", "2", "--no-dashboard"], **quiet)
    try:
        until = time.monotonic() + 60
        while not file.exists() and time.monotonic() < until:
            time.sleep(0.1)
        with distributed.Client(scheduler_file=str(file), set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
            reports = []

            def kill(done: int, total: int) -> None:
                reports.append(done)
                if done > 1000:
                    scheduler.kill()

            with pytest.raises(CrewError, match="the scheduler is gone; start it again, and the same call goes on"):
                spectrum(client=client, journal=tmp_path / "journal", progress=kill)
    finally:
        for process in (worker, scheduler):
            process.kill()
            process.wait()
    assert any((tmp_path / "journal").iterdir())
    reports.clear()
    resumed = spectrum(journal=tmp_path / "journal", progress=lambda done, total: reports.append(done))
    assert bits(resumed) == undisturbed
    assert reports[0] > 1000  # it did not begin anew


def slow_down() -> None:
    from lyapmap.engine import work

    quick = work.map_of

    def slow(parcel: Any) -> Any:
        time.sleep(0.3)
        return quick(parcel)

    work.map_of = slow  # type: ignore[assignment]


def test_a_slow_worker_changes_no_bit(client: Any, undisturbed: dict[str, bytes]) -> None:
    client.run(slow_down, workers=[next(iter(client.scheduler_info()["workers"]))])
    assert bits(spectrum(client=client)) == undisturbed


def large(x: np.ndarray) -> np.ndarray:
    """Takes 3 MB for each row, several times."""
    wide = np.repeat(x, 200_000, axis=1)
    return np.asarray(np.sin(3 * wide[:, [0, -1]]))


def little_memory() -> None:
    import resource

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 150_000_000, resource.RLIM_INFINITY))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the limit is set in the way of Linux")
def test_a_worker_without_memory_gets_smaller_parts(client: Any) -> None:
    large_map = lm.wrap(large, state_shape=2)
    x = np.random.default_rng(0).uniform(-1, 1, (60, 2))
    call = {"n_steps": 2, "seed": 1}
    lm.finite_time_exponents(large_map, x[:4], **call, client=client)  # workers load what they need
    client.run(little_memory)
    with pytest.warns(UserWarning, match="ran out of memory"):
        apart = lm.finite_time_exponents(large_map, x, **call, client=client)
    assert bits(apart) == bits(lm.finite_time_exponents(large_map, x, **call))


def test_a_model_file_that_changes_under_way_is_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    file = tmp_path / "network.pt"

    def call(stop: bool) -> Any:
        def report(done: int, total: int) -> None:
            if stop:
                raise KeyboardInterrupt

        model = lm.load_model(file, trust=True, state_shape=(4,))
        return lm.lyapunov_spectrum(
            model.map, np.zeros(4), n_steps=300, seed=1, journal=tmp_path / "j", progress=report
        )

    network = torch.nn.Linear(4, 4).eval()
    torch.save(network, file)
    with pytest.raises(KeyboardInterrupt):
        call(stop=True)
    with torch.no_grad():
        network.weight.mul_(1 + 1e-7)
    torch.save(network, file)
    with pytest.raises(LyapmapError, match="of another run"):
        call(stop=False)


def carried(content: bytes) -> bytes:
    """A spectrum of a map that came as bytes."""
    tangent_map, x = pickle.loads(content)
    frame = random_frame(tangent_map, len(x), 2, np.random.default_rng(0), tangent_map.ops.dtype)
    return propagate(tangent_map, tangent_map.ops.from_numpy(x), frame, n_steps=5).log_growth.tobytes()


@pytest.mark.parametrize("way", ["spawn", "fork"])
@pytest.mark.parametrize("library", ["pickle", "cloudpickle"])
def test_maps_travel_to_processes_however_these_are_started(way: str, library: str) -> None:
    if way not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {way}")
    dumps = pytest.importorskip(library).dumps
    maps = [(HENON, HENON_START[:5]), (lm.wrap(np.sin, state_shape=3), np.ones((5, 3)) / 2)]
    with multiprocessing.get_context(way).Pool(1) as pool:
        for tangent_map, x in maps:
            content = dumps((tangent_map, x))
            assert pool.apply(carried, (content,)) == carried(content)
