"""How the seconds of a step grow with the number of exponents, the dimension, and trajectories.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/bench_scaling.py [--out docs/images/scaling.png]

Exponents: the cycle generator (64 / 128 channels), k = 1 to 128, in units of one forward pass of
a batch of 128. Dimension: the coupled map lattice, k = 16. Trajectories: Hénon's full spectrum in
one and in two threads. The fastest of repeats in which all cases take turns, so that
other work on the machine shows least.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch

mpl.use("Agg")

import lyapmap as lm
from lyapmap.backends.numba.map import NumbaMap
from lyapmap.core.propagate import propagate, random_frame
from lyapmap.models.cycle.network import CycleConfig, Generator
from lyapmap.report import style


def fastest(cases: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """Fewest seconds of each case, all taking turns, after one call that does not count."""
    seconds: list[list[float]] = [[] for _ in cases]
    for number in range(repeats + 1):
        for times, case in zip(seconds, cases, strict=True):
            begin = time.perf_counter()
            case()
            if number:
                times.append(time.perf_counter() - begin)
    return [min(times) for times in seconds]


def step_of(m: object, b: int, k: int, steps: int, qr_every: int = 1) -> Callable[[], object]:
    """A block of steps from the same states."""
    x = m.ops.from_numpy(states_of(m, b))  # type: ignore[attr-defined]
    frame = random_frame(m, b, k, np.random.default_rng(0), m.ops.dtype)  # type: ignore[arg-type,attr-defined]
    return lambda: propagate(m, x, frame, n_steps=steps, qr_every=qr_every)  # type: ignore[arg-type]


def states_of(m: object, b: int) -> np.ndarray:
    own = getattr(m, "initial_states", None)
    return own(b, 0) if own else np.random.default_rng(0).uniform(-1, 1, (b, 784))


def exponents(repeats: int) -> tuple[list[int], list[float], float]:
    """k, seconds per trajectory-step in forward passes, and the slope per exponent."""
    torch.manual_seed(0)
    generator = Generator(CycleConfig()).eval()
    m = lm.wrap(generator, state_shape=(1, 28, 28))
    images = torch.rand(128, 1, 28, 28) * 2 - 1

    def forward() -> None:
        with torch.no_grad():
            generator(images)

    ks, b = [1, 2, 4, 8, 16, 32, 64, 128], 4
    first, *steps = fastest([forward, *(step_of(m, b, k, 1) for k in ks)], repeats)
    cost = [seconds / b / (first / 128) for seconds in steps]
    return ks, cost, float(np.polyfit(ks, cost, 1)[0])


def dimensions(repeats: int) -> tuple[list[int], list[float]]:
    ns = [64, 128, 256, 512, 1024, 2048]
    maps = [lm.systems.create("coupled_map_lattice", n=n) for n in ns]
    return ns, [s / (4 * 32) for s in fastest([step_of(m, 4, 16, 32, 8) for m in maps], repeats)]


def trajectories(repeats: int) -> tuple[list[int], list[float], list[float]]:
    henon = lm.systems.henon()
    inner = henon.propagate.__self__  # type: ignore[union-attr]
    bs = [1, 8, 32, 128, 512, 2048, 8192]
    cases = []
    for threads in (1, 2):
        m = NumbaMap(inner.rule, state_shape=(2,), parameters=inner.parameters, threads=threads)
        for b in bs:
            frame = random_frame(m, b, 2, np.random.default_rng(0), "float64")
            x = henon.initial_states(b, 0)
            cases.append(lambda m=m, x=x, frame=frame: m.propagate(x, frame, 1000, 8))
    found = [1e9 * s / 1000 / b for s, b in zip(fastest(cases, repeats), bs * 2, strict=True)]
    return bs, found[: len(bs)], found[len(bs) :]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("scaling.png"))
    parser.add_argument("--repeats", type=int, default=9)
    given = parser.parse_args()
    figure, (left, middle, right) = style.panels(3)

    ks, cost, slope = exponents(given.repeats)
    print("k:", ks, "\nforward passes per step:", np.round(cost, 2).tolist(), f"\nslope {slope:.3f} per exponent")
    left.plot(ks, cost, "o-", color=style.BLUE, label=f"measured, slope {slope:.2f}")
    left.plot(ks, [1.3 * k for k in ks], "--", color=style.GREY, label="1.3 k")
    style.dress(left, title="Cycle generator, n = 784", x="exponents k", y="forward passes per step")

    ns, seconds = dimensions(given.repeats)
    print("n:", ns, "\nmicroseconds per trajectory-step:", np.round(1e6 * np.array(seconds), 2).tolist())
    middle.loglog(ns, 1e6 * np.array(seconds), "o-", color=style.BLUE, label="measured")
    middle.loglog(ns, 1e6 * seconds[0] * np.array(ns) / ns[0], "--", color=style.GREY, label="linear in n")
    style.dress(middle, title="Coupled map lattice, k = 16", x="dimension n", y="µs per trajectory and step")

    bs, one, two = trajectories(given.repeats)
    print("b:", bs, "\nns per trajectory-step, one thread:", np.round(one, 2).tolist())
    print("two threads:", np.round(two, 2).tolist(), f"ratio at {bs[-1]}: {one[-1] / two[-1]:.2f}")
    right.loglog(bs, one, "o-", color=style.BLUE, label="one thread")
    right.loglog(bs, two, "s-", color=style.VERMILLION, label="two threads")
    style.dress(right, title="Hénon, full spectrum", x="trajectories", y="ns per trajectory and step")
    for axes in (middle, right):
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")
        axes.xaxis.set_major_formatter("{x:g}")
    for axes in (left, middle, right):
        style.legend(axes)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    style.save_figure(figure, given.out)
    print(given.out)


if __name__ == "__main__":
    main()
