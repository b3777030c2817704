"""The cycle model: images of category i become images of category i + 1, over and over.

T. Tanaka and Y. Yamaguti, "Cyclic image generation using chaotic dynamics". Two generators
that undo each other (G forward, F back) and one discriminator for each category; iterating G
is the dynamical system whose exponents this project measures.

Padding follows TensorFlow's "same" rule, in which the authors' networks were trained, so that
weights can be carried over.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lyapmap.models.cycle.config import LEAKY_SLOPE, NORM_EPSILON, CycleConfig, halvings
from lyapmap.training.distributed import Dropout


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after `size` pixels so that ceil(size / stride) come out."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's "same" padding: ceil(size / stride) pixels come out."""

    def __init__(self, c_in: int, c_out: int, kernel: int, size: int, *, stride: int = 1, bias: bool = False) -> None:
        before, after = _same_padding(size, kernel, stride)
        symmetric = before == after
        super().__init__(c_in, c_out, kernel, stride=stride, padding=before if symmetric else 0, bias=bias)
        self.margins = None if symmetric else (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if self.margins is None else F.pad(x, self.margins))


class SameConvTranspose2d(nn.ConvTranspose2d):
    """The transpose of a `SameConv2d` that maps `size_out` pixels to `size_in`."""

    def __init__(self, c_in: int, c_out: int, kernel: int, size_out: int, *, stride: int = 1) -> None:
        before, after = _same_padding(size_out, kernel, stride)
        super().__init__(c_in, c_out, kernel, stride=stride, padding=before, bias=False)
        self.size_out = size_out
        self.surplus = after - before

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        y = super().forward(x)
        return y if self.surplus == 0 else y[..., : self.size_out, : self.size_out]


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:  # (b, c, h, w)
        y = F.layer_norm(x.movedim(1, -1), self.weight.shape, self.weight, self.bias, NORM_EPSILON)
        return y.movedim(-1, 1)


class ResidualBlock(nn.Module):
    """Pre-activation residual block (He et al. 2016): norm, ReLU, conv, twice, added to the input."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(channels)
        self.conv1 = SameConv2d(channels, channels, 3, size, bias=True)
        self.norm2 = ChannelNorm(channels)
        self.conv2 = SameConv2d(channels, channels, 3, size, bias=True)

    def forward(self, x: Tensor) -> Tensor:  # (b, c, h, w)
        y = self.conv1(F.relu(self.norm1(x)))
        return x + self.conv2(F.relu(self.norm2(y)))


class Stage(nn.Module):
    """A convolution, layer norm over the pixels of each channel, leaky ReLU, dropout."""

    def __init__(self, conv: nn.Module, size: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.LayerNorm((size, size), eps=NORM_EPSILON)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        # In mixed precision too the norm is one of float32: its gradient takes half the time then.
        y = self.conv(x)
        y = self.norm(y.float() if y.dtype == torch.bfloat16 else y)
        return self.dropout(F.leaky_relu(y, LEAKY_SLOPE))


def _glorot(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Generator(nn.Module):
    """Image to image, (b, c, h, w) -> (b, c, h, w), values in [-1, 1].

    Two strided convolutions down, one residual block, three transposed convolutions up. In
    evaluation mode it is deterministic and treats the rows of a batch apart, as a map must.

    Examples
    --------
    >>> import torch
    >>> g = Generator(CycleConfig(image_size=8, width=4)).eval()
    >>> g(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 1, 8, 8])
    """

    def __init__(self, config: CycleConfig) -> None:
        super().__init__()
        self.config = config
        c, w = config.channels, config.width
        full, half, quarter = halvings(config.image_size, 2)
        self.down1 = Stage(SameConv2d(c, w, 3, full, stride=2), half)
        self.down2 = Stage(SameConv2d(w, 2 * w, 3, half, stride=2), quarter)
        self.residual = ResidualBlock(2 * w, quarter)
        self.dropout = Dropout(config.dropout)
        self.up1 = Stage(SameConvTranspose2d(2 * w, 2 * w, 3, quarter), quarter)
        self.up2 = Stage(SameConvTranspose2d(2 * w, w, 5, half, stride=2), half)
        self.up3 = SameConvTranspose2d(w, c, 5, full, stride=2)
        self.apply(_glorot)

    def forward(self, x: Tensor) -> Tensor:  # (b, c, h, w)
        x = self.down2(self.down1(x))  # (b, 2w, h/4, w/4)
        x = self.dropout(self.residual(x))
        x = self.up2(self.up1(x))  # (b, w, h/2, w/2)
        return torch.tanh(self.up3(x))


class Discriminator(nn.Module):
    """Image to the logit that it is a real one of its category, (b, c, h, w) -> (b,)."""

    def __init__(self, config: CycleConfig) -> None:
        super().__init__()
        c, w, p = config.channels, config.width, config.dropout
        full, half, quarter = halvings(config.image_size, 2)
        self.stages = nn.Sequential(
            Stage(SameConv2d(c, w, 3, full, stride=2), half, p),
            Stage(SameConv2d(w, 2 * w, 3, half, stride=2), quarter, p),
            Stage(SameConv2d(2 * w, 2 * w, 3, quarter), quarter, p),
        )
        self.last = SameConv2d(2 * w, 2 * w, 5, quarter, stride=2, bias=True)
        self.dense = nn.Linear(2 * w, 1)
        self.apply(_glorot)

    def forward(self, x: Tensor) -> Tensor:  # (b, c, h, w)
        features = torch.tanh(self.last(self.stages(x))).mean((2, 3))  # (b, 2w)
        return self.dense(features).squeeze(1)


def _real(logits: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))


def _fake(logits: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.zeros_like(logits))


class CycleModel(nn.Module):
    """G, F and the discriminators of every category, with the losses that train them.

    Categories are numbered 0 to n - 1 on a ring. A batch has shape (n, b, c, h, w): b images of
    each. G takes category i to i + 1, F takes it to i - 1 (modulo n).
    """

    def __init__(self, config: CycleConfig) -> None:
        super().__init__()
        self.config = config
        self.G = Generator(config)
        self.F = Generator(config)
        self.D = nn.ModuleList(Discriminator(config) for _ in range(config.categories))

    def transform(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """G and F of every image, each filed under the category that it should now belong to."""
        return self.advance(batch), _each(self.F, batch).roll(-1, dims=0)

    def advance(self, batch: Tensor) -> Tensor:
        """G of every image, filed under its category: (n, b, c, h, w) to the same."""
        return _each(self.G, batch).roll(1, dims=0)

    def adversarial_loss(self, images: Tensor) -> Tensor:
        """How far the discriminators are from taking images (n, b, c, h, w) for real, summed over categories."""
        return torch.stack([_real(d(x)) for d, x in zip(self.D, images, strict=True)]).sum()

    def cycle_loss(self, batch: Tensor, by_g: Tensor) -> Tensor:
        """Mean absolute error of F(G(x)) against x, summed over categories; `by_g` is what `advance` gave."""
        back = _each(self.F, by_g).roll(-1, dims=0)  # under the category of x
        return self.config.categories * (back - batch).abs().mean()

    def generator_losses(
        self, batch: Tensor, *, cycle_weight: float = 10.0
    ) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """What G and F minimise (paper, Eq. 7 to 9), and the images they made.

        The last term of the paper's Eq. 7 names the discriminator of X where that of Z is meant
        (F takes X to Z); built here as meant.

        Returns
        -------
        losses : dict of scalars
            "G" and "F" (adversarial), "cycle" (mean absolute error, summed over 2 n terms),
            and "total" = G + F + cycle_weight * cycle.
        by_g, by_f : (n, b, c, h, w)
            Generated images by category, with their graph.
        """
        by_g, by_f = self.transform(batch)
        adversarial_g, adversarial_f = self.adversarial_loss(by_g), self.adversarial_loss(by_f)
        n = self.config.categories
        forth = _each(self.G, by_f).roll(1, dims=0)
        cycle = self.cycle_loss(batch, by_g) + n * (forth - batch).abs().mean()
        total = adversarial_g + adversarial_f + cycle_weight * cycle
        return {"G": adversarial_g, "F": adversarial_f, "cycle": cycle, "total": total}, by_g, by_f

    def discriminator_losses(self, batch: Tensor, by_g: Tensor, by_f: Tensor, later: Sequence[Tensor] = ()) -> Tensor:
        """Loss of each discriminator, (n,): real + (fake by G + fake by F) / 2.

        Images of `later` steps of G, any number in each, share the weight of those of the first.
        """
        losses = []
        for i, d in enumerate(self.D):
            judged = [batch[i], *(step[i].detach() for step in (by_g, by_f, *later))]
            real, of_g, of_f, *others = d(torch.cat(judged)).split([len(images) for images in judged])
            losses.append(_real(real) + 0.5 * (_fake(torch.cat([of_g, *others])) + _fake(of_f)))
        return torch.stack(losses)


def _each(network: nn.Module, batch: Tensor) -> Tensor:
    """The network on every image of (n, b, c, h, w), all categories in one pass."""
    return network(batch.flatten(0, 1)).unflatten(0, batch.shape[:2])
