"""Sizes of the adversarial networks: DCGAN, and the recurrent GRAN with its published configurations."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from lyapmap.core.errors import LyapmapError

RANGES = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}
"""Smallest and largest value that each kind of output can take."""
KERNEL_SIZES = (3, 4, 5)
NOISES = ("one", "fresh")
WEIGHTS = ("tied", "separate")
SMALLEST_MAP = 4
"""Pixels to which `usual_kernels` halves an image at most."""


@dataclass(frozen=True)
class DcganConfig:
    """Sizes of a DCGAN.

    Parameters
    ----------
    image_size : int
        Height and width in pixels, 8 to 128.
    channels : int
        1 (grey) or 3 (colour).
    kernels : tuple of int
        Channels of the generator's layers from the smallest map up, without the image; each layer
        doubles the size, so that the first map has image_size / 2**len(kernels) pixels. The
        discriminator has the same the other way round.
    kernel_size : int
        3, 4 or 5 pixels.
    latent : int
        Values of the noise z.
    output : "tanh" or "sigmoid"
        What bounds the image, to [-1, 1] or [0, 1].
    spectral_norm : bool
        Divide the discriminator's weights by their largest singular values (T. Miyato et al. 2018), in the
        place of its batch norm.
    stem: int = 0
        Channels of a further map of the generator, ahead of `kernels`: the dense layer leads to it, and a convolution
        of 5 x 5 from it to the first of `kernels`, at the same size. 0 for none.
    """

    image_size: int = 32
    channels: int = 3
    kernels: tuple[int, ...] = (256, 128, 64)
    kernel_size: int = 5
    latent: int = 100
    output: str = "tanh"
    spectral_norm: bool = False
    stem: int = 0

    def __post_init__(self) -> None:
        if not 8 <= self.image_size <= 128:
            raise LyapmapError(f"image_size: expected 8 to 128 pixels, got {self.image_size}")
        if self.channels not in (1, 3):
            raise LyapmapError(f"channels: expected 1 or 3, got {self.channels}")
        kernels = tuple(int(k) for k in self.kernels)
        object.__setattr__(self, "kernels", kernels)  # checkpoints in JSON give a list
        if not kernels or min(kernels) < 1:
            raise LyapmapError(f"kernels: expected at least one number of channels, all positive, got {kernels}")
        if self.image_size % 2 ** len(kernels) or self.smallest < 2:
            raise LyapmapError(
                f"kernels: {len(kernels)} layers halve {self.image_size} pixels {len(kernels)} times, "
                "which must leave a whole number of at least 2"
            )
        if self.kernel_size not in KERNEL_SIZES:
            raise LyapmapError(f"kernel_size: expected one of {KERNEL_SIZES}, got {self.kernel_size}")
        if self.latent < 1:
            raise LyapmapError(f"latent: expected at least 1, got {self.latent}")
        if self.output not in RANGES:
            raise LyapmapError(f"output: expected one of {', '.join(RANGES)}, got {self.output!r}")
        if self.stem < 0:
            raise LyapmapError(f"stem: expected at least 0 channels, got {self.stem}")

    @property
    def smallest(self) -> int:
        """Pixels of the first map of the generator."""
        return self.image_size // 2 ** len(self.kernels)

    @property
    def state_shape(self) -> tuple[int, int, int]:
        """Shape of one image, (channels, height, width)."""
        return (self.channels, self.image_size, self.image_size)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Shape of the noise of one image."""
        return (self.latent,)

    @property
    def value_range(self) -> tuple[float, float]:
        """Smallest and largest value of an image."""
        return RANGES[self.output]

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, as a checkpoint keeps them."""
        fields = asdict(self) | {"kernels": list(self.kernels)}
        if not self.stem:  # left out: checkpoints of networks that have none need not know of it
            del fields["stem"]
        return fields


@dataclass(frozen=True)
class GranConfig(DcganConfig):
    """Sizes of a GRAN: those of a `DcganConfig`, and how it draws.

    Parameters
    ----------
    steps : int
        Updates of the canvas, T in the paper.
    hidden : int
        Values of the code of the noise and of that of the last update.
    noise : "one" or "fresh"
        The same z at each step, or a new one.
    weights : "tied" or "separate"
        The same networks at each step, or others. (Running means of batch norm are always kept for each
        step: the first update starts from an empty code, and its activations are unlike the later ones.)
    """

    image_size: int = 28
    channels: int = 1
    kernels: tuple[int, ...] = (80, 40)
    latent: int = 60
    steps: int = 3
    hidden: int = 100
    noise: str = "one"
    weights: str = "tied"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("steps", "hidden"):
            if getattr(self, name) < 1:
                raise LyapmapError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.noise not in NOISES:
            raise LyapmapError(f"noise: expected one of {', '.join(NOISES)}, got {self.noise!r}")
        if self.weights not in WEIGHTS:
            raise LyapmapError(f"weights: expected one of {', '.join(WEIGHTS)}, got {self.weights!r}")

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return (self.latent,) if self.noise == "one" else (self.steps, self.latent)


def usual_kernels(image_size: int, width: int) -> tuple[int, ...]:
    """Channels that double while an image is halved down to 4 pixels or an odd number.

    >>> usual_kernels(28, 40), usual_kernels(64, 64), usual_kernels(8, 16)
    ((80, 40), (512, 256, 128, 64), (16,))
    """
    halvings, size = 0, image_size
    while size % 2 == 0 and size // 2 >= SMALLEST_MAP:
        size //= 2
        halvings += 1
    if not halvings:
        raise LyapmapError(f"image_size: expected an even number of at least 8, got {image_size}")
    return tuple(width * 2**i for i in reversed(range(halvings)))


PRESETS = {
    "mnist": GranConfig(28, 1, (80, 40), latent=60),
    "cifar10": GranConfig(32, 3, (1024, 512, 216), latent=100),
    "lsun": GranConfig(64, 3, (1024, 512, 216, 128), latent=100),
}
"""Table 5 of D. J. Im et al. (2016): channels, filters of 5 x 5, values of z. It leaves the size of codes open."""


def preset(name: str, **changes: Any) -> GranConfig:
    """A published configuration, with changes.

    >>> preset("cifar10", steps=5).kernels
    (1024, 512, 216)
    """
    if name not in PRESETS:
        raise LyapmapError(f"preset: expected one of {', '.join(PRESETS)}, got {name!r}")
    return replace(PRESETS[name], **changes)
