"""Generators, encoders and classifiers without training: principal components of 8 x 8 digits, and random weights."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lyapmap import data
from lyapmap.analysis.latent_basis import LatentBasis
from lyapmap.analysis.latent_triple import LatentTriple
from lyapmap.models.latent_spectral.network import (
    EncoderConfig,
    LatentSpectral,
    Lsd,
    PooledConfig,
    described,
    gan_config,
)

LATENT = 12


class Linear(nn.Module):
    """x -> (x - before) W + after in a shape; with log sigma where it is an encoder."""

    def __init__(self, weight, before, after, shape, log_sigma=None):
        super().__init__()
        for name, values in (("weight", weight), ("before", before), ("after", after)):
            self.register_parameter(name, nn.Parameter(torch.tensor(values, dtype=torch.float32)))
        self.shape, self.log_sigma = shape, log_sigma
        self.eval()

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        y = ((x.flatten(1) - self.before) @ self.weight + self.after).unflatten(1, self.shape)
        return y if self.log_sigma is None else (y, torch.full_like(y, self.log_sigma))


@cache
def networks(categories: int = 10) -> tuple[nn.Module, nn.Module, nn.Module]:
    """G maps LATENT whitened principal components to images, E is its inverse, C the nearest class mean."""
    digits = data.load("digits", classes=range(categories))
    x = digits.states.astype(np.float64)
    mean = x.mean(axis=0)
    _, s, vt = np.linalg.svd(x - mean, full_matrices=False)
    v, spread = vt[:LATENT].T, s[:LATENT] / np.sqrt(len(x))
    # Decoded means of classes, in the metric of the latent space.
    z = (x - mean) @ v / spread
    centres = np.array([z[digits.labels == c].mean(axis=0) for c in range(categories)])
    score = (v / spread) @ centres.T
    offset = -0.5 * (centres**2).sum(axis=1)
    # The means of encodings do not vanish, so that all averages are independent.
    shifted = 0.4
    return (
        Linear((v * spread).T, np.full(LATENT, shifted), mean, (1, 8, 8)),
        Linear(v / spread, mean, np.full(LATENT, shifted), (LATENT,), log_sigma=-1.5),
        Linear(score, mean, offset, (categories,)),
    )


@cache
def triple(categories: int = 10) -> LatentTriple:
    return LatentTriple.of(*networks(categories), latent=LATENT, categories=categories)


def saved_lsd(folder: Path) -> Path:
    """Networks with random weights, and a basis made by hand."""
    sizes = {"image_size": 8, "channels": 1}
    torch.manual_seed(0)
    module = LatentSpectral(
        {
            "generator": described("dcgan", gan_config(8, 1, latent=4, width=0.05)),
            "encoder": EncoderConfig(width=3, latent=4, **sizes).to_dict(),
            "classifier": described("lsd-classifier", PooledConfig(2, width=2, **sizes)),
        }
    ).eval()
    label, ones = np.array([0, 1, 0, 1]), np.ones(4, np.int64)
    arrays = {"eta": np.eye(4) + 0.1, "label": label, "set_number": np.array([1, 1, 2, 2]), "count": ones}
    arrays |= {"noise": 0.1 * ones, "eta_label": label, "xi_label": label, "n_random": np.array(0)}
    basis = LatentBasis.from_arrays(arrays | {"encoded_share": np.full(2, 0.5), "random_share": np.full(2, 0.5)})
    images = data.load("digits", classes=(0, 1)).images[:4]
    training = {"settings": {"classes": [0, 1], "data": "digits"}}
    whole = Lsd("tiny", module, (0, 1), images, None, training).with_basis(basis)
    return whole.save(folder / "lsd.pt")
