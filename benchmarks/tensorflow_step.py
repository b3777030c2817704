"""The paper's way to a spectrum in TensorFlow, to compare with: one step for every line read from standard input.

The cycle generator as a Keras model in float32, its full Jacobian by `batch_jacobian` within a
`tf.function`, and `tf.linalg.qr` of the Jacobian times the frame at every step. Prints "ready",
then the seconds of each step. One thread. Started by `bench_full_spectrum.py`.

    python benchmarks/tensorflow_step.py [WIDTH]
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
from tensorflow.keras import layers


def generator(width: int) -> Any:
    """The network of `lyapmap.models.cycle.Generator` for 28 x 28 grey images, channels last."""

    def stage(y: Any) -> Any:
        return layers.LeakyReLU(negative_slope=0.3)(layers.LayerNormalization(axis=[1, 2], epsilon=1e-3)(y))

    def transpose(channels: int, kernel: int, stride: int) -> Any:
        return layers.Conv2DTranspose(channels, kernel, strides=stride, padding="same", use_bias=False)

    def pre_activated(y: Any) -> Any:
        y = layers.Activation("relu")(layers.LayerNormalization(axis=-1, epsilon=1e-3)(y))
        return layers.Conv2D(2 * width, 3, padding="same")(y)

    x = tf.keras.Input((28, 28, 1))
    y = stage(layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False)(x))
    y = stage(layers.Conv2D(2 * width, 3, strides=2, padding="same", use_bias=False)(y))
    y = layers.Add()([y, pre_activated(pre_activated(y))])
    y = stage(transpose(2 * width, 3, 1)(y))
    y = stage(transpose(width, 5, 2)(y))
    return tf.keras.Model(x, layers.Activation("tanh")(transpose(1, 5, 2)(y)))


def main() -> None:
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.random.set_seed(0)
    network = generator(int(sys.argv[1]) if len(sys.argv) > 1 else 64)

    @tf.function
    def step(x: Any, frame: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reshape(network(tf.reshape(x, (1, 28, 28, 1)), training=False), (1, 784))
        jacobian = tape.batch_jacobian(y, x)[0]
        frame, r = tf.linalg.qr(jacobian @ frame)
        return y, frame, tf.math.log(tf.abs(tf.linalg.diag_part(r)))

    x, frame = tf.random.uniform((1, 784), -1, 1), tf.eye(784)
    for _ in range(2):
        x, frame, _ = step(x, frame)
    print("ready", tf.__version__, flush=True)
    for _ in sys.stdin:
        begin = time.perf_counter()
        x, frame, growth = step(x, frame)
        growth.numpy()
        print(time.perf_counter() - begin, flush=True)


if __name__ == "__main__":
    main()
