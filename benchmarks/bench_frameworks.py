"""Tangents of one cycle generator in torch and in TensorFlow, and the paper's own way beside them.

    OMP_NUM_THREADS=1 python benchmarks/bench_frameworks.py step       # k = 30 on 4 trajectories, with QR
    OMP_NUM_THREADS=1 python benchmarks/bench_frameworks.py dimension  # Kaplan-Yorke dimension of the shipped one

The same weights in both. All sides take turns in one process; medians of repeats. The paper's way
is `batch_jacobian` in a `tf.function` and `tf.linalg.qr` of all 784 columns, float32.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import lyapmap as lm
from lyapmap.backends.keras.start import keras, tensorflow

REPEATS = 9


def generators(width: int) -> tuple[Any, Any]:
    """The generator in torch and in Keras, channels first and last, with one set of weights."""
    keras()
    import torch

    from lyapmap.models.cycle.keras_checkpoint import to_keras
    from lyapmap.models.cycle.keras_network import build_generator
    from lyapmap.models.cycle.network import CycleConfig, Generator

    torch.manual_seed(0)
    config = CycleConfig(width=width)
    module = Generator(config).eval()
    return module, _with_weights(build_generator(config), module, to_keras)


def _with_weights(network: Any, module: Any, to_keras: Callable[[Any], Any]) -> Any:
    for variable, weight in zip(network.weights, module.state_dict().values(), strict=True):
        variable.assign(to_keras(weight.numpy()))
    return network


def paper_step(network: Any) -> Callable[[Any, Any], Any]:
    tf = tensorflow()

    @tf.function
    def step(x: Any, frame: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reshape(network(tf.reshape(x, (-1, 28, 28, 1)), training=False), (-1, 784))
        frame, r = tf.linalg.qr(tape.batch_jacobian(y, x) @ frame)
        return y, frame, tf.math.log(tf.abs(tf.linalg.diag_part(r)))

    return step


def step(width: int, b: int, k: int) -> None:
    """Seconds of one step of one trajectory in each way."""
    tf = tensorflow()
    module, network = generators(width)
    rng = np.random.default_rng(0)
    x0 = rng.uniform(-1, 1, (b, 784))
    q, _ = np.linalg.qr(rng.standard_normal((b, 784, k)))
    maps = {
        "torch": lm.wrap(module, state_shape=(1, 28, 28)),
        "TensorFlow": lm.wrap(network),
        "TensorFlow, XLA": lm.wrap(network, xla=True),
    }
    images = [m.ops.to_numpy(m.apply(m.ops.from_numpy(x0))) for m in maps.values()]
    print(f"width {width}: images of torch and TensorFlow differ by {np.abs(images[0] - images[1]).max():.1e}")

    def ours(m: Any) -> Callable[[], object]:
        x, frame = m.ops.from_numpy(x0), m.ops.from_numpy(q)
        return lambda: m.ops.log_abs_diagonal(m.ops.qr(m.jvp(x, frame)[1])[1])

    full = paper_step(network)
    one, whole = tf.constant(x0[:1], tf.float32), tf.eye(784)[None]
    ways: dict[str, Callable[[], object]] = {name: ours(m) for name, m in maps.items()}
    ways["the paper's way"] = lambda: full(one, whole)[2].numpy()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(-2, REPEATS):
        for name, way in ways.items():
            begin = time.perf_counter()
            way()
            if repeat >= 0:
                seconds[name].append((time.perf_counter() - begin) / (1 if name == "the paper's way" else b))
    torch_seconds = seconds["torch"]
    for name, times in seconds.items():
        ratio = statistics.median(t / o for t, o in zip(times, torch_seconds, strict=True))
        print(
            f"  {name:<18} {1e3 * statistics.median(times):7.1f} ms a trajectory-step, {ratio:5.2f} x torch", flush=True
        )


def dimension(steps: int, transient: int, trajectories: int) -> None:
    """`lyapunov_spectrum` with `n_exponents="auto"` of the shipped generator, from the same states."""
    keras()
    from lyapmap.models.cycle.config import CycleConfig
    from lyapmap.models.cycle.keras_checkpoint import to_keras
    from lyapmap.models.cycle.keras_network import build_generator

    model = lm.load_model("cycle-mnist-012")
    network = _with_weights(build_generator(CycleConfig(**model.config)), model.module, to_keras)
    x0 = np.asarray(model.sample_states[:trajectories])
    maps = {"torch": model.map, "TensorFlow": lm.wrap(network), "TensorFlow, XLA": lm.wrap(network, xla=True)}
    taken = {}
    for name, m in maps.items():
        begin = time.perf_counter()
        s = lm.lyapunov_spectrum(
            m,
            x0.reshape(trajectories, -1),
            n_steps=steps,
            transient=transient,
            n_exponents="auto",
            seed=0,
            throw=False,
        )
        taken[name] = time.perf_counter() - begin
        print(
            f"{name:<18} D = {s.kaplan_yorke:.2f} +- {s.kaplan_yorke_stderr:.2f} (k = {len(s.exponents)}), "
            f"{taken[name]:.1f} s, {taken[name] / taken['torch']:.2f} x torch",
            flush=True,
        )
    full = paper_step(network)
    tf = tensorflow()
    x, frame = tf.constant(x0[:1].reshape(1, 784), tf.float32), tf.eye(784)[None]
    x, frame, _ = full(x, frame)
    begin = time.perf_counter()
    for _ in range(5):
        x, frame, growth = full(x, frame)
        growth.numpy()
    one = (time.perf_counter() - begin) / 5
    print(
        f"the paper's way: {one:.2f} s a trajectory-step, {one * trajectories * (steps + transient):.0f} s for as much"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("step", "dimension"))
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--transient", type=int, default=30)
    parser.add_argument("--trajectories", type=int, default=4)
    parser.add_argument("-k", type=int, default=30)
    given = parser.parse_args()
    if given.what == "step":
        for channels in (32, 64):
            step(channels, given.trajectories, given.k)
    else:
        dimension(given.steps, given.transient, given.trajectories)
