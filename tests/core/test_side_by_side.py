"""Trajectories carried side by side: the same bits for any number of threads, and the user's threads left alone."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.core import propagate as workers
from lyapmap.core.ops import NumpyOps
from lyapmap.core.propagate import propagate, random_frame

torch = pytest.importorskip("torch")


@pytest.fixture
def threads():
    """Sets how many threads torch may use, and puts them back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 3)


class Network(torch.nn.Module):
    def __init__(self, n: int = 24) -> None:
        super().__init__()
        draws = torch.Generator().manual_seed(0)
        self.weight = torch.nn.Parameter(2 * torch.randn(n, n, generator=draws) / n**0.5)
        self.seen: set[str] = set()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.add(threading.current_thread().name)
        return torch.tanh(x @ self.weight)


def carried(tangent_map, n_steps=6, b=7):
    x = tangent_map.ops.from_numpy(np.random.default_rng(0).uniform(-1, 1, (b, 24)))
    frame = random_frame(tangent_map, b, 3, np.random.default_rng(1), "float32")
    return propagate(tangent_map, x, frame, n_steps=n_steps, qr_every=2)


def test_rows_are_divided_by_their_work_alone():
    assert workers.divided(5, 0.0) == [slice(0, 5)]
    assert workers.divided(3, 2 * workers.PART_WORK) == [slice(0, 1), slice(1, 2), slice(2, 3)]
    parts = workers.divided(1000, workers.PART_WORK / 9.5)
    assert [part.stop - part.start for part in parts[:-1]] == [10] * 99
    assert (parts[0].start, parts[-1].stop) == (0, 1000)


def test_every_bit_is_the_same_for_any_number_of_threads(threads, two_cores, monkeypatch):
    monkeypatch.setattr(workers, "PART_WORK", 3000.0)
    monkeypatch.setattr(workers, "HANDED_OVER", 0.0)
    found = {}
    for count in (1, 2, 3):
        threads(count)
        network = Network().eval()
        tangent_map = lm.wrap(network, state_shape=24, verify=False)
        tangent_map._function.seen = seen = set()
        found[count] = carried(tangent_map)
        assert {name.startswith("lyapmap") for name in seen} == {count > 1}
        assert torch.get_num_threads() == count
    for count in (2, 3):
        for name in ("x", "frame", "log_growth"):
            np.testing.assert_array_equal(getattr(found[count], name), getattr(found[1], name))


def test_a_map_that_cannot_be_called_twice_at_a_time_is_not(threads, two_cores, monkeypatch):
    monkeypatch.setattr(workers, "PART_WORK", 3000.0)
    monkeypatch.setattr(workers, "HANDED_OVER", 0.0)
    meeting = threading.Barrier(2)

    class Scratch(Network):
        def forward(self, x):
            self.kept = x
            if threading.current_thread().name.startswith("lyapmap"):
                try:
                    meeting.wait(0.05)  # another one, if there is any, has put its own there meanwhile
                except threading.BrokenBarrierError:
                    meeting.reset()
            return torch.tanh(self.kept[: len(x)] @ self.weight)

    threads(1)
    alone = carried(lm.wrap(Scratch().eval(), state_shape=24, verify=False), n_steps=2, b=6)
    threads(2)
    together = carried(lm.wrap(Scratch().eval(), state_shape=24, verify=False), n_steps=2, b=6)
    np.testing.assert_array_equal(together.x, alone.x)
    np.testing.assert_array_equal(together.log_growth, alone.log_growth)


def test_errors_and_results_keep_their_order(two_cores):
    class Ops(NumpyOps):
        def threads(self):
            return 2

    assert workers.side_by_side(Ops(), [lambda i=i: i for i in range(5)], 1e9) == list(range(5))
    with pytest.raises(ZeroDivisionError):
        workers.side_by_side(Ops(), [lambda: 1, lambda: 1 // 0], 1e9)


def test_new_threads_of_the_user_have_all_of_torch_s_threads(threads, two_cores):
    threads(2)
    tangent_map = lm.wrap(Network().eval(), state_shape=24)
    workers.side_by_side(tangent_map.ops, [torch.get_num_threads] * 2, 1e9)
    seen = []
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert seen == [2]
    assert workers.side_by_side(tangent_map.ops, [torch.get_num_threads] * 2, 1e9) == [1, 1]


def test_wrapping_a_network_loads_no_compiler():
    code = (
        "import sys, torch, lyapmap as lm; from lyapmap.backends.torch.map import TorchMap;"
        "m = lm.wrap(torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Tanh()).eval(), state_shape=3);"
        "lm.lyapunov_spectrum(m, [0.1, 0.2, 0.3], n_steps=5, throw=False);"
        "unwanted = ('torch._dynamo', 'sympy', 'torch._decomp.decompositions_for_jvp');"
        "print([name for name in unwanted if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
