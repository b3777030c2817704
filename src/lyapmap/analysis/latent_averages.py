"""Averages of latent vectors by the label of their images, and an orthogonal basis made of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.progress import Report
from lyapmap.core.arguments import whole
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.latent import Floats, LatentTriple, latent_of
from lyapmap.core.structure import as_numpy

PILOT = 2000
"""Random latent vectors after which it is asked whether every label turns up."""
RAREST = 0.005
"""Part of the random images that a label must make up for averages to be worth waiting for."""
LEAST = 10
"""Latent vectors of a label that an average is made of at least, where fewer are not asked for."""
LOST = 1e-9
"""Part of a vector's length that must be left when those before are taken out, lest rounding be all that is left."""


@dataclass(frozen=True)
class Averages:
    """Mean latent vectors, those of the first set for all labels first.

    Attributes
    ----------
    eta : (K, M)
    label, set_number : (K,)
    count : (K,)
        Latent vectors in each.
    noise : (K,)
        Length of the standard error of each.
    encoded_share, random_share : (L,)
        How often each label came up.
    n_random : int
        Random latent vectors drawn.
    """

    eta: Floats
    label: NDArray[np.int64]
    set_number: NDArray[np.int64]
    count: NDArray[np.int64]
    noise: Floats
    encoded_share: Floats
    random_share: Floats
    n_random: int


class Sums:
    """Running sums of latent vectors, by label and set; a set is filled before the next begins."""

    def __init__(self, latent: int, categories: int, sets: NDArray[np.int64], size: int) -> None:
        self.size, self.sets = size, sets
        self.count = np.zeros((categories, max(int(sets.max()), 1)), np.int64)
        self.total = np.zeros((*self.count.shape, latent))
        self.squares = np.zeros_like(self.total)
        self.seen = np.zeros(categories, np.int64)

    def add(self, z: Floats, labels: NDArray[np.int64]) -> None:
        """Take latent vectors (b, M) in, in their order, as far as their labels still need some."""
        for label in np.unique(labels):
            mine = z[labels == label]
            self.seen[label] += len(mine)
            for place in range(int(self.sets[label])):
                room = self.size - int(self.count[label, place])
                part, mine = mine[:room], mine[room:]
                self.count[label, place] += len(part)
                self.total[label, place] += part.sum(axis=0)
                self.squares[label, place] += (part**2).sum(axis=0)
                if not len(mine):
                    break

    @property
    def done(self) -> int:
        return int(self.count.sum())

    @property
    def wanted(self) -> int:
        return self.size * int(self.sets.sum())

    def of(self, label: int, place: int) -> tuple[Floats, int, float]:
        """Mean, number, and length of the standard error of the mean."""
        count = int(self.count[label, place])
        mean = self.total[label, place] / count
        variance = np.maximum(self.squares[label, place] / count - mean**2, 0) * count / max(count - 1, 1)
        return mean, count, float(np.sqrt(variance.sum() / count))


def prepared(generator: Any, encoder: Any, classifier: Any, data: Any) -> tuple[LatentTriple, NDArray[Any]]:
    """The triple of three networks, or the one given in the place of the first, and images as an array."""
    if data is None:
        raise LyapmapError("data: expected images to encode, got none")
    images = as_numpy(getattr(data, "images", data))
    if images.ndim < 2 or not len(images):
        raise ShapeError(f"data: expected images (N, ...), got {images.shape}")
    if images.dtype.kind not in "fiu" or not np.isfinite(images).all():
        raise LyapmapError("data: holds values that are not finite real numbers")
    if not isinstance(generator, LatentTriple):
        return LatentTriple.of(generator, encoder, classifier, latent=latent_of(encoder, images)), images
    if encoder is not None or classifier is not None:
        raise LyapmapError("generator: is a triple already; give the images as data=...")
    return generator, images


def averages(
    triple: LatentTriple, images: NDArray[Any], n_vectors: int, sizes: list[int], rng: np.random.Generator,
    report: Report,
) -> Averages:  # fmt: skip
    """Mean latent vectors of `sizes[i]` labels in set i + 1: set 1 by encoding images, the others at random.

    Raises
    ------
    LyapmapError
        If a label hardly ever comes up.
    """
    m, categories = triple.latent, triple.categories
    per_label = np.array([sum(size > label for size in sizes[1:]) for label in range(categories)])
    total = n_vectors * sum(sizes)
    encoded = Sums(m, categories, np.ones(categories, np.int64), n_vectors)
    for start in range(0, len(images), triple.batch):
        z = triple.latents(images[start : start + triple.batch], rng)
        encoded.add(z, triple.labels_of_latents(z))
        report(encoded.done, total)
    _require_labels(encoded, min(LEAST, n_vectors))
    random = Sums(m, categories, per_label, n_vectors)
    drawn, checked = 0, False
    while random.done < random.wanted:
        z = rng.standard_normal((triple.batch, m))
        random.add(z, triple.labels_of_latents(z))
        drawn += len(z)
        if drawn >= PILOT and not checked:
            checked = True
            _require_shares(random.seen, drawn)
        report(encoded.done + random.done, total)
    rows = [(label, place) for place, size in enumerate(sizes) for label in range(size)]
    found = [encoded.of(label, 0) if place == 0 else random.of(label, place - 1) for label, place in rows]
    return Averages(
        eta=np.array([mean for mean, _, _ in found]),
        label=np.array([label for label, _ in rows], np.int64),
        set_number=np.array([place + 1 for _, place in rows], np.int64),
        count=np.array([count for _, count, _ in found], np.int64),
        noise=np.array([noise for _, _, noise in found]),
        encoded_share=encoded.seen / encoded.seen.sum(),
        random_share=random.seen / drawn if drawn else np.full(categories, np.nan),
        n_random=drawn,
    )


def _require_labels(encoded: Sums, least: int) -> None:
    label = int(encoded.seen.argmin())
    if encoded.seen[label] < least:
        raise LyapmapError(
            f"data: of {int(encoded.seen.sum())} images, encoded and decoded, {int(encoded.seen[label])} get label "
            f"{label}, expected at least {least}; the encoder, the generator or the classifier misses it"
        )


def _require_shares(seen: NDArray[np.int64], drawn: int) -> None:
    label = int(seen.argmin())
    if seen[label] < RAREST * drawn:
        raise LyapmapError(
            f"generator: {int(seen[label])} of {drawn} random latent vectors give an image of label {label}, expected "
            f"at least {RAREST:.1%}; it has lost that mode, or the classifier does not know its images"
        )


def gram_schmidt(vectors: Floats) -> tuple[Floats, Floats]:
    """Orthonormal vectors (k, m) in the order of those given (k, m), and the lengths (k,) left of them.

    The modified Gram-Schmidt process, gone through twice.

    Raises
    ------
    LyapmapError
        If a vector lies in the span of those before it.

    References
    ----------
    L. Giraud, J. Langou, M. Rozloznik, Comput. Math. Appl. 50 (2005) 1069 (twice is enough).

    Examples
    --------
    >>> q, left = gram_schmidt(np.array([[2.0, 0.0], [1.0, 3.0]]))
    >>> q.tolist(), left.tolist()
    ([[1.0, 0.0], [0.0, 1.0]], [2.0, 3.0])
    """
    basis, left = np.zeros_like(vectors), np.zeros(len(vectors))
    for k, vector in enumerate(vectors):
        rest = np.array(vector)
        for _ in range(2):
            for q in basis[:k]:
                rest -= (q @ rest) * q
        left[k] = np.linalg.norm(rest)
        if not left[k] > LOST * np.linalg.norm(vector):
            raise LyapmapError(
                f"vectors: number {k} is zero or lies in the span of those before it; draw them with another seed, or "
                "ask for fewer sets"
            )
        basis[k] = rest / left[k]
    return basis, left


def quasi_eigenvectors(eta: Floats) -> tuple[Floats, Floats]:
    """Vectors xi (K, M) of norm sqrt(M) that follow from averages (K, M), and the lengths left of these."""
    if eta.ndim != 2 or not 0 < len(eta) <= eta.shape[1]:
        raise ShapeError(f"eta: expected at most M averages (K, M), got {eta.shape}")
    basis, left = gram_schmidt(eta)
    return basis * math.sqrt(eta.shape[1]), left


def set_sizes(latent: int, categories: int, n_sets: int | None) -> list[int]:
    """How many labels each set holds; so many sets that they span latent space by default.

    >>> set_sizes(8, 3, None)
    [3, 3, 2]
    """
    most = -(-latent // categories)
    count = most if n_sets is None else whole("n_sets", n_sets, 1)
    if count > most:
        raise LyapmapError(
            f"n_sets: {count} sets of {categories} labels are more vectors than the {latent} dimensions hold, expected "
            f"at most {most}"
        )
    return [min(categories, latent - i * categories) for i in range(count)]
