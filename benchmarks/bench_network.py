"""Tangents of the cycle generator against its forward pass, and the dimension against the paper's way.

    python benchmarks/bench_network.py speed        # k = 16, 8 trajectories, 64/128 channels
    python benchmarks/bench_network.py dimension    # Kaplan-Yorke dimension of the shipped generator, both ways
    python benchmarks/bench_network.py cost         # one step of both ways, for both widths
    python benchmarks/bench_network.py random-tanh  # random tanh networks, N = 784, against published figures

Run with OMP_NUM_THREADS=1 for figures of one core. Medians of repeats; both sides of a ratio alternate.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

import lyapmap as lm
from lyapmap.analysis.exponents.growth import GrowthStatistics
from lyapmap.analysis.exponents.kaplan_yorke import kaplan_yorke_with_error
from lyapmap.models.cycle.network import CycleConfig, Generator

REPEATS = 11


def alternating(*functions: Callable[[], object], repeats: int = REPEATS) -> list[list[float]]:
    """Seconds of each function, called in turn, after one call that does not count."""
    seconds: list[list[float]] = [[] for _ in functions]
    for function in functions:
        function()
    for _ in range(repeats):
        for times, function in zip(seconds, functions, strict=True):
            begin = time.perf_counter()
            function()
            times.append(time.perf_counter() - begin)
    return seconds


def speed() -> None:
    """One step with k = 16 directions on 8 trajectories against 16 x 8 = 128 forward passes."""
    b, k = 8, 16
    for width in (32, 64):
        torch.manual_seed(0)
        generator = Generator(CycleConfig(width=width)).eval()
        tangent_map = lm.wrap(generator, state_shape=(1, 28, 28))
        x = torch.rand(b, 784) * 2 - 1
        frame, _ = torch.linalg.qr(torch.randn(b, 784, k))
        images = torch.rand(b * k, 1, 28, 28) * 2 - 1

        def forward(net: torch.nn.Module = generator, batch: torch.Tensor = images) -> None:
            with torch.no_grad():
                net(batch)

        def step(m=tangent_map, x: torch.Tensor = x, frame: torch.Tensor = frame) -> None:  # type: ignore[no-untyped-def]
            m.ops.qr(m.jvp(x, frame)[1])

        plain, ours = alternating(forward, step)
        ratio = statistics.median(a / f for a, f in zip(ours, plain, strict=True))
        print(
            f"width {width}: 128 forward passes {1e3 * statistics.median(plain):.0f} ms, "
            f"step with QR {1e3 * statistics.median(ours):.0f} ms, ratio {ratio:.2f}"
        )


def dimension(steps: int, transient: int, trajectories: int) -> None:
    """Same states, steps and transient: auto against full Jacobian and full QR at every step."""
    model = lm.load_model("cycle-mnist-012")
    x0 = model.sample_states[:trajectories]
    begin = time.perf_counter()
    ours = lm.lyapunov_spectrum(
        model.map, x0, n_steps=steps, transient=transient, n_exponents="auto", seed=0, throw=False
    )
    seconds = time.perf_counter() - begin
    k = len(ours.exponents)
    print(f"auto (k = {k}): D = {ours.kaplan_yorke:.2f} +- {ours.kaplan_yorke_stderr:.2f}, {seconds:.1f} s", flush=True)
    jacobian = _fastest_jacobian(model.module, torch.from_numpy(x0[:1]).flatten(1))
    begin = time.perf_counter()
    statistics_ = GrowthStatistics(trajectories, 784)
    x = torch.from_numpy(x0).flatten(1)
    frames = [torch.eye(784) for _ in range(trajectories)]
    shape = (1, 28, 28)
    with torch.no_grad():
        for step in range(transient + steps):
            growth = np.empty((trajectories, 784))
            for t in range(trajectories):
                frames[t], r = torch.linalg.qr(jacobian(x[t : t + 1]) @ frames[t])
                growth[t] = torch.diagonal(r).double().abs().log().numpy()
            x = model.module(x.unflatten(1, shape)).flatten(1)
            if step >= transient:
                statistics_.add(growth, 1)
    full = time.perf_counter() - begin
    order = np.argsort(-statistics_.mean(), kind="stable")
    mean, cov = statistics_.mean()[order], statistics_.covariance()[np.ix_(order, order)]
    theirs = kaplan_yorke_with_error(mean, np.nan_to_num(cov), complete=True)
    print(f"full Jacobian and QR: D = {theirs.dimension:.2f} +- {theirs.stderr:.2f}, {full:.1f} s")
    apart = abs(ours.kaplan_yorke - theirs.dimension) / np.hypot(ours.kaplan_yorke_stderr, theirs.stderr)
    print(f"ratio of seconds {full / seconds:.1f}; dimensions differ by {apart:.1f} standard errors")
    print("largest exponents, auto:", np.round(ours.exponents[:5], 3), " full:", np.round(mean[:5], 3))


def cost(k: int = 30, b: int = 4) -> None:
    """Seconds of one step of one trajectory: k directions, against the full Jacobian with its QR."""
    for width in (32, 64):
        torch.manual_seed(0)
        generator = Generator(CycleConfig(width=width)).eval()
        tangent_map = lm.wrap(generator, state_shape=(1, 28, 28))
        x = torch.rand(b, 784) * 2 - 1
        frame, _ = torch.linalg.qr(torch.randn(b, 784, k))
        jacobian = _fastest_jacobian(generator, x[:1])
        whole, _ = torch.linalg.qr(torch.randn(784, 784))

        def ours(m=tangent_map, x: torch.Tensor = x, frame: torch.Tensor = frame) -> None:  # type: ignore[no-untyped-def]
            m.ops.qr(m.jvp(x, frame)[1])

        def full(jacobian=jacobian, x: torch.Tensor = x, q: torch.Tensor = whole) -> None:  # type: ignore[no-untyped-def]
            torch.linalg.qr(jacobian(x[:1]) @ q)

        fast, slow = alternating(ours, full, repeats=5)
        ratio = statistics.median(f * b / o for o, f in zip(fast, slow, strict=True))
        print(
            f"width {width}: {1e3 * statistics.median(fast) / b:.0f} ms a trajectory-step with k = {k}, "
            f"{1e3 * statistics.median(slow):.0f} ms with the full Jacobian, ratio {ratio:.1f}"
        )


def _fastest_jacobian(module: torch.nn.Module, x: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """The Jacobian (784, 784) of one state, in reverse or forward mode, whichever is faster here."""
    from torch.func import jacfwd, jacrev

    module = module.requires_grad_(False)
    ours = lm.wrap(module, state_shape=(1, 28, 28))

    def one(flat: torch.Tensor) -> torch.Tensor:
        return module(flat.view(1, 1, 28, 28)).flatten()

    ways = {
        "reverse mode": jacrev(one),
        "reverse mode in chunks": jacrev(one, chunk_size=128),
        "forward mode": jacfwd(one),
        "this package's jacobian": lambda flat: ours.jacobian(flat[None])[0],
    }
    seconds = alternating(*[lambda f=f: f(x[0]) for f in ways.values()], repeats=3)
    medians = dict(zip(ways, map(statistics.median, seconds), strict=True))
    print("seconds of one Jacobian:", {name: round(value, 3) for name, value in medians.items()}, flush=True)
    best = ways[min(medians, key=lambda name: medians[name])]
    return lambda states: best(states[0])


def random_tanh(n: int, draws: int) -> None:
    """Largest exponent, mean of all and dimension per N of x' = J tanh(x), g = 1.5."""
    rows = []
    for seed in range(draws):
        network = lm.systems.random_tanh_network(n=n, g=1.5, seed=seed, framework="torch", dtype="float64")
        begin = time.perf_counter()
        s = lm.lyapunov_spectrum(
            network,
            network.initial_states(1, seed),
            n_steps=250,
            transient=200,
            n_exponents="all",
            seed=seed,
            throw=False,
        )
        rows.append((s.exponents[0], np.nanmean(s.exponents), s.kaplan_yorke / n, s.entropy / n))
        print(f"draw {seed}: {np.round(rows[-1], 5)}  {time.perf_counter() - begin:.0f} s  {s.status}", flush=True)
    means, errors = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1) / np.sqrt(draws)
    published = (0.06495, -0.71530, 0.16511, 0.002773)
    for name, m, e, p in zip(
        ("largest", "mean", "dimension / N", "entropy / N"), means, errors, published, strict=True
    ):
        print(f"{name}: {m:.5f} +- {e:.5f} (published for N = 4096: {p})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "dimension", "cost", "random-tanh"))
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--transient", type=int, default=100)
    parser.add_argument("--trajectories", type=int, default=2)
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("-n", type=int, default=784)
    given = parser.parse_args()
    if given.what == "speed":
        speed()
    elif given.what == "dimension":
        dimension(given.steps, given.transient, given.trajectories)
    elif given.what == "cost":
        cost()
    else:
        random_tanh(given.n, given.draws)
