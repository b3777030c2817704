"""A small convolutional classifier, whose last hidden layer serves as features of images.

Precision and recall compare images by features rather than pixels. For photographs those of a
network trained on ImageNet are customary; for small images of digits or clothes a network that
learned to tell just them apart is nearer to the matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from lyapmap.core.errors import LyapmapError
from lyapmap.training.image_config import ImageConfig


@dataclass(frozen=True)
class ClassifierConfig(ImageConfig):
    """Sizes of a classifier.

    Parameters
    ----------
    categories : int
        Number of categories, at least 2.
    image_size : int
        Height and width in pixels, 8 to 128.
    channels : int
        1 (grey) or 3 (colour).
    width : int
        Channels of the first stage; the second has twice, the others four times as many.
    features : int
        Units of the hidden layer that `Classifier.features` gives.
    dropout : float
        Probability with which a feature is dropped while training, in [0, 1).
    """

    categories: int = 10
    image_size: int = 28
    channels: int = 1
    width: int = 16
    features: int = 64
    dropout: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.features < 1:
            raise LyapmapError(f"features: expected at least 1, got {self.features}")


class Stage(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:  # (b, c_in, h, w) -> (b, c_out, h, w)
        return F.relu(self.norm(self.conv(x)))


class Classifier(nn.Module):
    """Image to logits of the categories, (b, c, h, w) -> (b, categories); values in [-1, 1].

    Examples
    --------
    >>> import torch
    >>> net = Classifier(ClassifierConfig(image_size=8, width=4, features=5)).eval()
    >>> net(torch.zeros(2, 1, 8, 8)).shape, net.features(torch.zeros(2, 1, 8, 8)).shape
    (torch.Size([2, 10]), torch.Size([2, 5]))
    """

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        w = config.width
        self.stage1 = Stage(config.channels, w)
        self.stage2 = Stage(w, 2 * w)
        self.stage3 = Stage(2 * w, 4 * w)
        self.stage4 = Stage(4 * w, 4 * w)
        eighth = config.image_size // 2 // 2 // 2
        self.hidden = nn.Linear(4 * w * eighth * eighth, config.features)
        self.dropout = nn.Dropout(config.dropout)
        self.last = nn.Linear(config.features, config.categories)

    def features(self, x: Tensor) -> Tensor:
        """Activations of the hidden layer, (b, c, h, w) -> (b, features)."""
        x = F.max_pool2d(self.stage1(x), 2)  # (b, w, h/2, w/2)
        x = F.max_pool2d(self.stage2(x), 2)  # (b, 2w, h/4, w/4)
        x = F.max_pool2d(self.stage4(self.stage3(x)), 2)  # (b, 4w, h/8, w/8)
        return F.relu(self.hidden(x.flatten(1)))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.dropout(self.features(x)))
