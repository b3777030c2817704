"""The cycle model's generator in Keras 3, for any of its backends: the same sizes and weights as in `cycle`.

Images are channels last, (b, h, w, c). Layers that Keras does not have are registered, so that
`.keras` files load in safe mode once this module is imported. Requires keras >= 3.6.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers, ops

from lyapmap.models.cycle.config import LEAKY_SLOPE, NORM_EPSILON, CycleConfig, halvings


@keras.saving.register_keras_serializable(package="lyapmap")
class FeatureNorm(layers.Layer):
    """Layer norm over some axes, with a gain and a bias for each place on them.

    Keras's own, made of `ops.mean`, computes in float32 on the torch backend whatever its dtype.

    Parameters
    ----------
    axes : sequence of int
        (1, 2) for the pixels of each channel, (3,) for the channels of each pixel.
    epsilon : float
        Added to the variance.
    """

    def __init__(self, axes: Any, epsilon: float = NORM_EPSILON, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axes, self.epsilon = tuple(int(axis) for axis in axes), float(epsilon)

    def build(self, input_shape: Any) -> None:
        sizes = tuple(int(input_shape[axis]) for axis in self.axes)
        self.gamma = self.add_weight(name="gamma", shape=sizes, initializer="ones")
        self.beta = self.add_weight(name="beta", shape=sizes, initializer="zeros")

    def call(self, x: Any) -> Any:
        spread = [n if axis in self.axes else 1 for axis, n in enumerate(x.shape)]
        gamma, beta = (ops.reshape(weight, spread) for weight in (self.gamma, self.beta))
        count = math.prod(spread)
        centred = x - ops.sum(x, axis=self.axes, keepdims=True) / count
        variance = ops.sum(ops.square(centred), axis=self.axes, keepdims=True) / count
        return centred * ops.rsqrt(variance + self.epsilon) * gamma + beta

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"axes": list(self.axes), "epsilon": self.epsilon}


@keras.saving.register_keras_serializable(package="lyapmap")
class LeakyReLU(layers.Layer):
    """x where it is positive, else slope times x, in the layer's own precision.

    TensorFlow keeps the slope of its own operation in float32: 0.3 becomes 0.30000001.
    """

    def __init__(self, slope: float = LEAKY_SLOPE, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.slope = float(slope)

    def call(self, x: Any) -> Any:
        if self.compute_dtype == "float32":
            return ops.leaky_relu(x, self.slope)
        return ops.relu(x) - self.slope * ops.relu(-x)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"slope": self.slope}


@keras.saving.register_keras_serializable(package="lyapmap")
class ResidualBlock(layers.Layer):
    """Pre-activation residual block (He et al. 2016): norm, ReLU, conv, twice, added to the input."""

    def __init__(self, channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.channels = int(channels)
        # A layer's dtype policy is not handed down to the layers that it is made of.
        dtype = self.dtype_policy
        self.norm1 = FeatureNorm((3,), dtype=dtype, name="norm1")
        self.conv1 = layers.Conv2D(self.channels, 3, padding="same", dtype=dtype, name="conv1")
        self.norm2 = FeatureNorm((3,), dtype=dtype, name="norm2")
        self.conv2 = layers.Conv2D(self.channels, 3, padding="same", dtype=dtype, name="conv2")

    def build(self, input_shape: Any) -> None:
        for layer in (self.norm1, self.conv1, self.norm2, self.conv2):
            layer.build(input_shape)

    def call(self, x: Any) -> Any:  # (b, h, w, c)
        y = self.conv1(ops.relu(self.norm1(x)))
        return x + self.conv2(ops.relu(self.norm2(y)))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"channels": self.channels}


def build_generator(config: CycleConfig, *, dtype: str = "float32", name: str = "generator") -> keras.Model:
    """The generator of a cycle model, (b, h, w, c) -> (b, h, w, c), values in [-1, 1].

    Two strided convolutions down, one residual block, three transposed convolutions up, padded by
    TensorFlow's "same" rule. `model.weights` come in the order of the torch generator's
    `state_dict`.

    Parameters
    ----------
    config : CycleConfig
    dtype : "float32" or "float64"
    name : str

    Returns
    -------
    keras.Model

    Examples
    --------
    >>> build_generator(CycleConfig(image_size=8, width=4)).output_shape
    (None, 8, 8, 1)
    """
    c, w = config.channels, config.width
    size, half, _ = halvings(config.image_size, 2)

    def finished(x: Any, prefix: str) -> Any:
        x = FeatureNorm((1, 2), dtype=dtype, name=f"{prefix}_norm")(x)
        return LeakyReLU(dtype=dtype, name=f"{prefix}_relu")(x)

    def down(filters: int, name: str) -> layers.Layer:
        return layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False, dtype=dtype, name=name)

    def up(filters: int, kernel: int, strides: int, name: str) -> layers.Layer:
        return layers.Conv2DTranspose(
            filters, kernel, strides=strides, padding="same", use_bias=False, dtype=dtype, name=name
        )

    def doubled(x: Any, conv: layers.Layer, wanted: int) -> Any:
        """Twice the pixels, or one less where an odd number was halved."""
        x = conv(x)
        # The transpose of a convolution that saw an odd number of pixels begins one pixel later.
        return layers.Cropping2D(((1, 0), (1, 0)), dtype=dtype, name=f"{conv.name}_crop")(x) if wanted % 2 else x

    images = layers.Input((size, size, c), dtype=dtype, name="images")
    x = finished(down(w, "down1_conv")(images), "down1")  # (b, h/2, w/2, width)
    x = finished(down(2 * w, "down2_conv")(x), "down2")  # (b, h/4, w/4, 2 width)
    x = ResidualBlock(2 * w, dtype=dtype, name="residual")(x)
    x = layers.Dropout(config.dropout, dtype=dtype, name="dropout")(x)
    x = finished(up(2 * w, 3, 1, "up1_conv")(x), "up1")
    x = finished(doubled(x, up(w, 5, 2, "up2_conv"), half), "up2")  # (b, h/2, w/2, width)
    x = doubled(x, up(c, 5, 2, "up3"), size)
    x = layers.Activation("tanh", dtype=dtype, name="tanh")(x)
    return keras.Model(images, x, name=name)
