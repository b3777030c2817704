"""Plans beside the runs that they foretell: CPU seconds of one thread, and memory.

    OMP_NUM_THREADS=1 python benchmarks/plan.py [OUT.json]

Each row is planned, then run, in one process of one thread; seconds are those of the processor (`time.process_time`),
which other processes on the machine disturb least. Memory is the growth of the peak resident size over the run.
Writes a table for docs/planning.md to the terminal and, if asked, the figures as JSON.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

import lyapmap as lm
from lyapmap.core import demand
from lyapmap.core.demand import planned

Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


def model(name: str, b: int) -> tuple[Any, Any]:
    loaded = lm.load_model(name)
    return loaded.map, loaded.sample_states[:b].reshape(b, -1)


def torch_net(n: int, **options: Any) -> Any:
    import torch

    torch.manual_seed(0)
    layer = torch.nn.Linear(n, n, bias=False)
    torch.nn.init.normal_(layer.weight, std=3 / n**0.5)
    return lm.wrap(torch.nn.Sequential(layer, torch.nn.Tanh()).eval(), state_shape=n, **options)


def numpy_net(n: int) -> Any:
    weights = np.random.default_rng(0).standard_normal((n, n)) * 3 / n**0.5
    return lm.wrap(lambda x: np.tanh(x @ weights), state_shape=n, compile=False)


def henon_in_numpy(s: Any) -> Any:
    return np.stack([1 - 1.4 * s[:, 0] ** 2 + s[:, 1], 0.3 * s[:, 0]], axis=1)


def points(n: int, d: int) -> Any:
    return np.random.default_rng(0).uniform(size=(n, d))


def cases() -> dict[str, Callable[[], Call]]:
    henon, lorenz, standard = lm.systems.henon(), lm.systems.lorenz(), lm.systems.standard()
    plain = lm.wrap(henon_in_numpy, state_shape=2, compile=False)
    return {
        "spectrum of henon, 64 x 3e7": lambda: (
            lm.lyapunov_spectrum,
            (henon, henon.initial_states(64, 0)),
            {"n_steps": 30_000_000, "seed": 0},
        ),
        "spectrum of lorenz, 8 x 600,000": lambda: (
            lm.lyapunov_spectrum,
            (lorenz, lorenz.initial_states(8, 0)),
            {"n_steps": 600_000, "seed": 0},
        ),
        "spectrum in NumPy, 32 x 20,000": lambda: (
            lm.lyapunov_spectrum,
            (plain, henon.initial_states(32, 0)),
            {"n_steps": 20_000, "seed": 0},
        ),
        "spectrum in NumPy, n = 200, k = 40": lambda: (
            lm.lyapunov_spectrum,
            (numpy_net(200), points(4, 200)),
            {"n_steps": 300, "n_exponents": 40, "seed": 0},
        ),
        "spectrum in torch, n = 100, k = 30, 5,000 steps": lambda: (
            lm.lyapunov_spectrum,
            (torch_net(100), points(8, 100)),
            {"n_steps": 5000, "n_exponents": 30, "seed": 0},
        ),
        "spectrum of cycle-mnist-012, 4 x 60": lambda: (
            lm.lyapunov_spectrum,
            model("cycle-mnist-012", 4),
            {"n_steps": 60, "transient": 20, "seed": 0},
        ),
        "spectrum of cycle-mnist-012, 16 x 40, k = 6": lambda: (
            lm.lyapunov_spectrum,
            model("cycle-mnist-012", 16),
            {"n_steps": 40, "n_exponents": 6, "seed": 0},
        ),
        "spectrum of cycle-digits-012, 8 x 300": lambda: (
            lm.lyapunov_spectrum,
            model("cycle-digits-012", 8),
            {"n_steps": 300, "transient": 50, "seed": 0},
        ),
        "trajectory of henon, 200 x 50,000": lambda: (
            lm.trajectory,
            (henon, henon.initial_states(200, 0)),
            {"n_steps": 50_000},
        ),
        "trajectory of cycle-mnist-012, 16 x 300": lambda: (
            lm.trajectory,
            model("cycle-mnist-012", 16),
            {"n_steps": 300},
        ),
        "finite time of standard, 200 x 200 x 60": lambda: (
            lm.finite_time_exponents,
            (standard, lm.grid([0, 0], [6.28, 6.28], (200, 200))),
            {"n_steps": 60, "measure": "stretching"},
        ),
        "finite time of henon, 100 x 3,000 x 50": lambda: (
            lm.finite_time_exponents,
            (henon, henon.initial_states(100, 0)),
            {"n_steps": 50, "n_windows": 3000, "seed": 0},
        ),
        "divergence of henon, 500 x 8,000": lambda: (
            lm.divergence,
            (henon, henon.initial_states(500, 0)),
            {"n_steps": 8000, "method": "rescaled", "seed": 0},
        ),
        "covariant vectors of henon, 8 x 20,000": lambda: (
            lm.covariant_vectors,
            (henon, henon.initial_states(8, 0)),
            {"n_steps": 20_000, "seed": 0},
        ),
        "alignment of standard, 2,500 x 1,000": lambda: (
            lm.alignment,
            (standard, lm.grid([0, 0], [6.28, 6.28], (50, 50))),
            {"n_steps": 1000, "seed": 0},
        ),
        "entropy of henon, 20,000 x 15": lambda: (
            lm.expansion_entropy,
            (henon, (-2, 2)),
            {"n_samples": 20_000, "n_steps": 15, "seed": 0},
        ),
        "sweep of logistic, 300 values": lambda: (
            lm.sweep,
            (lm.systems.logistic, "r", np.linspace(2.5, 4, 300), [0.3]),
            {"n_steps": 3000, "seed": 0},
        ),
        "correlation dimension, 60,000 x 3": lambda: (
            lm.correlation_dimension,
            (points(60_000, 3),),
            {"seed": 0, "throw": False},
        ),
        "intrinsic dimension, 20,000 x 20": lambda: (
            lm.intrinsic_dimension,
            (points(20_000, 20),),
            {"throw": False},
        ),
        "precision and recall, 8,000 x 64": lambda: (
            lm.manifold_metrics,
            (points(8000, 64), points(8000, 64) ** 1.1),
            {"seed": 0},
        ),
    }


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def plan_and_run(name: str, answers: Any) -> None:
    """Plan and run a case, in a process of its own, so that peaks of memory are its own."""
    demand.QUICK = -1.0  # nothing is run before it is timed
    function, arguments, options = cases()[name]()
    with planned(time.process_time) as plan:
        function(*arguments, **options)
    before, begin = peak(), time.process_time()
    function(*arguments, **options)
    taken = time.process_time() - begin
    answers.put((plan.seconds, taken, plan.bytes, peak() - before))


def main() -> None:
    rows = []
    wanted = sys.argv[2:]
    print("| run | planned, s | taken, s | ratio | planned | peak grew by |\n|---|---|---|---|---|---|")
    context = multiprocessing.get_context("spawn")
    for name in cases():
        if wanted and not any(part in name for part in wanted):
            continue
        answers = context.Queue()
        process = context.Process(target=plan_and_run, args=(name, answers))
        process.start()
        answer = None
        while answer is None and (process.is_alive() or not answers.empty()):
            with suppress(Exception):
                answer = answers.get(timeout=1)
        process.join()
        if answer is None:
            print(f"| {name} | failed | | | | |", flush=True)
            continue
        seconds, taken, nbytes, grew = answer
        megabytes = f"{nbytes / 1e6:.1f} MB | {grew / 1e6:.1f} MB"
        print(f"| {name} | {seconds:.2f} | {taken:.2f} | {seconds / taken:.2f} | {megabytes} |", flush=True)
        rows.append({"run": name, "planned": seconds, "taken": taken, "bytes": nbytes, "grew": grew})
    within = sum(0.8 <= row["planned"] / row["taken"] <= 1.25 for row in rows)
    print(f"\n{within} of {len(rows)} within 25 %")
    if sys.argv[1:] and sys.argv[1] != "-":
        Path(sys.argv[1]).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
