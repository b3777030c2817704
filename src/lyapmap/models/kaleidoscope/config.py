"""Sizes of a kaleidoscopic network."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from lyapmap.core.errors import LyapmapError

RANGES = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}
"""Smallest and largest value that each kind of output can take."""
ARCHITECTURES = ("mlp", "conv", "unet")


@dataclass(frozen=True)
class KaleidoscopeConfig:
    """Sizes of a kaleidoscopic network.

    Parameters
    ----------
    state_shape : tuple of int
        Shape of one state, e.g. (1,) for numbers or (1, 28, 28) for images.
    depth : int
        Hidden layers; 10 in the paper for images.
    width : int
        Units of each; 500 in the paper for MNIST.
    output : "tanh" or "sigmoid"
        What bounds the output, to [-1, 1] or [0, 1].
    architecture : "mlp", "conv" or "unet"
        A perceptron, the paper's; or a convolutional autoencoder or U-Net for images whose height and
        width are multiples of 4, with `width` channels at full size and `depth` convolutions at a
        quarter of it.
    """

    state_shape: tuple[int, ...]
    depth: int = 10
    width: int = 500
    output: str = "tanh"
    architecture: str = "mlp"

    def __post_init__(self) -> None:
        shape = tuple(int(size) for size in self.state_shape)
        if not shape or min(shape) < 1:
            raise LyapmapError(f"state_shape: expected sizes of at least 1, got {self.state_shape}")
        object.__setattr__(self, "state_shape", shape)  # checkpoints in JSON give a list
        for name in ("depth", "width"):
            if getattr(self, name) < 1:
                raise LyapmapError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.output not in RANGES:
            raise LyapmapError(f"output: expected one of {', '.join(RANGES)}, got {self.output!r}")
        if self.architecture not in ARCHITECTURES:
            raise LyapmapError(f"architecture: expected one of {', '.join(ARCHITECTURES)}, got {self.architecture!r}")

    @property
    def value_range(self) -> tuple[float, float]:
        """Smallest and largest value of a state."""
        return RANGES[self.output]

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, as a checkpoint keeps them."""
        return asdict(self) | {"state_shape": list(self.state_shape)}
