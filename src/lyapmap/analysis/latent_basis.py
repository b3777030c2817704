"""Averages of latent vectors by the label of their images, and an orthogonal basis made of them.

J. Q. Toledo-Marin, J. A. Glazier (2023), steps 4 to 6. One file, in the order of the paper: averages, Gram-Schmidt, the
basis with what it can do to latent vectors, and rotations in its planes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.latent_triple import Floats, LatentTriple, latent_of
from lyapmap.core.arguments import whole
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.results import Result, dims
from lyapmap.core.run import Report, Run
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
    means = [encoded.of(label, 0) if place == 0 else random.of(label, place - 1) for label, place in rows]
    return Averages(
        eta=np.array([mean for mean, _, _ in means]),
        label=np.array([label for label, _ in rows], np.int64),
        set_number=np.array([place + 1 for _, place in rows], np.int64),
        count=np.array([count for _, count, _ in means], np.int64),
        noise=np.array([noise for _, _, noise in means]),
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

    By Householder's QR decomposition, which loses no orthogonality, with the signs of Gram-Schmidt.

    Raises
    ------
    LyapmapError
        If a vector lies in the span of those before it.

    Examples
    --------
    >>> q, left = gram_schmidt(np.array([[2.0, 0.0], [1.0, 3.0]]))
    >>> (q.round(9) + 0.0).tolist(), left.round(9).tolist()
    ([[1.0, 0.0], [0.0, 1.0]], [2.0, 3.0])
    """
    q, r = np.linalg.qr(vectors.T)
    diagonal = np.diagonal(r)
    dependent = ~(np.abs(diagonal) > LOST * np.linalg.norm(vectors, axis=1))
    if dependent.any():
        raise LyapmapError(
            f"vectors: number {int(dependent.argmax())} is zero or lies in the span of those before it; draw them with "
            "another seed, or ask for fewer sets"
        )
    return q.T * np.sign(diagonal)[:, None], np.abs(diagonal)


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


RESOLVED = 2.0
"""Times its sampling error that a vector must keep of its length to stand for more than chance."""


STORED = ("eta", "label", "set_number", "count", "noise", "eta_label", "xi_label", "encoded_share", "random_share",
          "n_random")  # fmt: skip
"""What a checkpoint has to hold; xi follows from eta."""


@dataclass(frozen=True, kw_only=True)
class LatentBasis(Result):
    """Quasi-eigenvectors of latent space; `build` makes them.

    K vectors of M components: those of set 1 for all labels first, then set 2, and so on.

    Attributes
    ----------
    eta : (K, M)
        Mean latent vectors of one label each (Eq. 3).
    xi : (K, M)
        The same, made orthogonal in their order; each of norm sqrt(M) (Eq. 4-8).
    label, set_number : (K,)
        Which label and set each belongs to; sets are counted from 1, and set 1 is that of encoded images.
    count : (K,)
        Latent vectors that each mean is taken over.
    remainder : (K,)
        Length of eta without its projections on those before.
    noise : (K,)
        Length of the standard error of eta. A remainder that is no longer says nothing about the label.
    eta_label, xi_label : (K,)
        Labels that the classifier gives their images; -1 where they are not known.
    encoded_share, random_share : (L,)
        Part of the encoded images, and of images of random latent vectors, that get each label.
    n_random : int
        Random latent vectors that were drawn.
    orthogonality : float
        Largest |<xi_i|xi_j>| / M of two different vectors.
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.pictures.draw_latent_basis"
    _triple: ClassVar[LatentTriple | None] = None

    eta: Floats = dims("vector", "component")
    xi: Floats = dims("vector", "component")
    label: NDArray[np.int64] = dims("vector")
    set_number: NDArray[np.int64] = dims("vector")
    count: NDArray[np.int64] = dims("vector")
    remainder: Floats = dims("vector")
    noise: Floats = dims("vector")
    eta_label: NDArray[np.int64] = dims("vector")
    xi_label: NDArray[np.int64] = dims("vector")
    encoded_share: Floats = dims("category")
    random_share: Floats = dims("category")
    n_random: int
    orthogonality: float

    @classmethod
    def build(
        cls,
        generator: Any,
        encoder: Any = None,
        classifier: Any = None,
        data: Any = None,
        *,
        n_sets: int | None = None,
        n_vectors: int = 5000,
        seed: int | None = None,
        progress: bool | Report = False,
    ) -> Self:
        """Average latent vectors by label, and make the averages orthogonal.

        Parameters
        ----------
        generator, encoder, classifier : torch modules, Keras models or functions
            As `LatentTriple.of` takes them; or one `LatentTriple` alone, in the place of the generator.
        data : (N, ...) or image set
            Images for set 1; they are encoded with the encoder's noise and labelled by the classifier after decoding.
        n_sets : int, optional
            Averages of each label; M / L by default, so that the basis spans latent space. If L does not divide
            M, the last set holds the first labels only.
        n_vectors : int
            V, latent vectors in each average. Set 1 takes fewer where there are fewer images.
        seed : int, optional
            Of everything that is random. Without it drawn from the operating system and recorded.
        progress : bool or callable
            Show a bar on a terminal, or call a function with (latent vectors done, latent vectors in all).

        Returns
        -------
        LatentBasis
            With the triple at hand, for `denoise`.

        Raises
        ------
        LyapmapError, ShapeError
            If a label (nearly) never comes up, the networks do not fit together, or give what is not finite.
        Interrupted
            On Ctrl-C.

        References
        ----------
        J. Q. Toledo-Marin, J. A. Glazier, "Latent spectral decomposition", PLoS ONE 18 (2023) e0287736,
        steps 4 to 6.

        Examples
        --------
        Images that are their own latent vectors, labelled by the larger of two values:

        >>> import lyapmap as lm
        >>> same = lambda values: values
        >>> triple = lm.LatentTriple.of(same, same, lambda x: x[:, :2], latent=4, categories=2)
        >>> images = 1 + np.random.default_rng(1).standard_normal((2000, 4))
        >>> basis = lm.LatentBasis.build(triple, data=images, n_vectors=500, seed=0)
        >>> basis.label.tolist(), basis.orthogonality < 1e-10
        ([0, 1, 0, 1], True)
        >>> basis.classify([[3.0, 0.0, 0.1, 0.1], [0.0, 3.0, 0.1, 0.1]]).tolist()
        [0, 1]
        """
        triple, images = prepared(generator, encoder, classifier, data)
        sizes = set_sizes(triple.latent, triple.categories, n_sets)
        n_vectors = whole("n_vectors", n_vectors, 2)
        run = Run("latent basis", seed=seed, progress=progress)
        with run.steps() as report:
            means = averages(triple, images, n_vectors, sizes, run.rng, report)
        xi, remainder = quasi_eigenvectors(means.eta)
        basis = cls(
            **run.ending(),
            settings={"n_sets": len(sizes), "n_vectors": n_vectors, "n_images": len(images)},
            xi=xi,
            remainder=remainder,
            eta_label=triple.labels_of_latents(means.eta),
            xi_label=triple.labels_of_latents(xi),
            orthogonality=_orthogonality(xi),
            **vars(means),
        )
        return basis.with_triple(triple)

    @property
    def latent(self) -> int:
        """M, the dimension of latent space."""
        return int(self.eta.shape[1])

    @property
    def categories(self) -> int:
        """L, the number of labels."""
        return len(self.encoded_share)

    @property
    def resolved(self) -> NDArray[np.bool_]:
        """For each vector whether what is left of it is more than the chance of the average, (K,)."""
        return np.asarray(self.remainder > RESOLVED * self.noise)

    @property
    def triple(self) -> LatentTriple:
        """The networks of `build`, or those given to `with_triple`."""
        if self._triple is None:
            raise LyapmapError("basis: was loaded without networks; basis.with_triple(...) takes them")
        return self._triple

    def with_triple(self, triple: LatentTriple) -> Self:
        """The same basis, with networks at hand for `denoise`."""
        if (triple.latent, triple.categories) != (self.latent, self.categories):
            raise ShapeError(
                f"triple: expected {self.latent} latent dimensions and {self.categories} categories, got "
                f"{triple.latent} and {triple.categories}"
            )
        made = replace(self)
        object.__setattr__(made, "_triple", triple)
        return made

    def index(self, label: int, set_number: int = 1) -> int:
        """Number of the vector of a label in a set."""
        places = np.flatnonzero((self.label == label) & (self.set_number == set_number))
        if not len(places):
            raise LyapmapError(f"label: there is no vector of label {label} in set {set_number}")
        return int(places[0])

    def decompose(self, z: Any) -> Floats:
        """Coefficients c_k = <xi_k|z> / M (Eq. 10), (b, M) -> (b, K) or (M,) -> (K,)."""
        return np.asarray(self._latents(z) @ self.xi.T / self.latent)

    def reconstruct(self, z: Any, n: int | None = None, *, rescale: bool = False) -> Floats:
        """Latent vectors of their n largest components; all by default.

        Parameters
        ----------
        z : (b, M) or (M,)
            Latent vectors.
        n : int, optional
            How many components, those with the largest coefficients; all by default.
        rescale : bool
            Give the sum the length sqrt(M) of a typical random latent vector.
        """
        c = self.decompose(z)
        if n is not None:
            n = whole("n", n, 1)
            if n > len(self.xi):
                raise LyapmapError(f"n: expected at most {len(self.xi)} components, got {n}")
            order = np.argsort(-np.abs(c), axis=-1, kind="stable")
            c = np.array(c)
            np.put_along_axis(c, order[..., n:], 0.0, axis=-1)
        z_n: Floats = c @ self.xi
        return self.rescaled(z_n) if rescale else z_n

    def denoise(self, images: Any, n: int = 4, *, rescale: bool = False) -> NDArray[Any]:
        """Images of the n largest components of the encoded ones (the encoder's means), in the same shape.

        Parameters
        ----------
        images : (b, ...), or one image in the shape that the generator gives
            Images to encode.
        n : int
            Components kept, the largest.
        rescale : bool
            See `reconstruct`.
        """
        given = as_numpy(images)
        single = given.shape == self.triple.images(self.xi[:1]).shape[1:]
        z = self.triple.latents(given[None] if single else given)
        made = self.triple.images(self.reconstruct(z, n, rescale=rescale))
        return np.asarray(made[0] if single else made)

    def leading(self, z: Any) -> NDArray[np.int64]:
        """Number of the vector with the largest |c|, (b, M) -> (b,)."""
        largest: NDArray[np.int64] = np.abs(self.decompose(z)).argmax(axis=-1)
        return largest

    def amplitudes(self, z: Any) -> Floats:
        """|c| in falling order, relative to the largest, (b, M) -> (b, K)."""
        falling = -np.sort(-np.abs(self.decompose(z)), axis=-1)
        largest = falling[..., :1]
        return np.asarray(np.divide(falling, largest, out=np.full_like(falling, np.nan), where=largest > 0))

    def classify(self, z: Any) -> NDArray[np.int64]:
        """Label of the vector with the largest |c|, (b, M) -> (b,)."""
        labels: NDArray[np.int64] = self.label[self.leading(z)]
        return labels

    def ranks(self, z: Any, labels: Any, *, sets: int | None = None) -> NDArray[np.int64]:
        """Place of each true label among the vectors in the order of falling |c|, from 1.

        Parameters
        ----------
        z : (b, M)
            Latent vectors.
        labels : (b,)
            True label of each.
        sets : int, optional
            Look for vectors of the label among the first so many sets only; in all by default.

        Returns
        -------
        (b,)
        """
        c = np.atleast_2d(self.decompose(z))
        wanted = np.atleast_1d(as_numpy(labels)).astype(np.int64)
        if wanted.shape != (len(c),):
            raise ShapeError(f"labels: expected one for each of {len(c)} latent vectors, got {wanted.shape}")
        missing = np.setdiff1d(wanted, self.label)
        if len(missing):
            raise LyapmapError(f"labels: there is no vector of label {missing[0]}")
        order = np.argsort(-np.abs(c), axis=1, kind="stable")
        fits = self.label[order] == wanted[:, None]
        if sets is not None:
            fits &= self.set_number[order] <= whole("sets", sets, 1)
        return np.asarray(fits.argmax(axis=1) + 1)

    def rescaled(self, z: Floats) -> Floats:
        """Latent vectors given the length sqrt(M)."""
        length = np.linalg.norm(z, axis=-1, keepdims=True)
        if not (length > 0).all():
            raise LyapmapError("z: a vector of length 0 cannot be given another length")
        return np.asarray(z * (math.sqrt(self.latent) / length))

    def rotate(self, z: Any, i: int, j: int, angle: float, *, rescale: bool = True) -> Floats:
        """Turn latent vectors in the plane of xi_i and xi_j by an angle, from xi_i towards xi_j.

        Parameters
        ----------
        z : (b, M) or (M,)
            Latent vectors.
        i, j : int
            Numbers of vectors, see `index`.
        angle : float
            In radians.
        rescale : bool
            Give the result the length sqrt(M), as Algorithm 1 does after every step.

        Notes
        -----
        Eq. 12 (`operator` with an angle) is this rotation after a projection on one direction of the plane: it
        takes every latent vector to the same ray, so that only the sign of a coefficient is left of the image.
        A rotation keeps what is outside the plane, and with it the style of the image.
        """
        turned_ = turned(self._latents(z), *self._pair(i, j), angle)
        return self.rescaled(turned_) if rescale else turned_

    def rotation(self, i: int, j: int, angle: float) -> Floats:
        """The matrix (M, M) of `rotate` without rescaling: z -> R z."""
        return np.ascontiguousarray(self.rotate(np.eye(self.latent), i, j, angle, rescale=False).T)

    def operator(self, i: int, j: int, angle: float | None = None, start: float = 0.0) -> Floats:
        """Outer products as matrices (M, M), z -> B z.

        Without an angle |xi_j><xi_i| / <xi_i|xi_i> (Eq. 11), which takes xi_i to xi_j and all that is orthogonal
        to 0. With one, Eq. 12: it takes the direction at `start` in their plane to that at `start + angle`.
        """
        first, second = self._pair(i, j)
        if angle is None:
            return np.outer(second, first) / self.latent
        return projector(first, second, angle, start)

    def as_arrays(self) -> dict[str, NDArray[Any]]:
        """What a checkpoint has to hold, `STORED`."""
        return {name: np.asarray(getattr(self, name)) for name in STORED}

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, Any],
        *,
        settings: Mapping[str, Any] | None = None,
        triple: LatentTriple | None = None,
    ) -> Self:
        """The basis of which `as_arrays` gave the arrays, as NumPy arrays or tensors."""
        missing = [name for name in STORED if name not in arrays]
        if missing:
            raise LyapmapError(f"arrays: expected those of a latent basis, and {missing[0]} is missing")
        read = {name: as_numpy(arrays[name]) for name in STORED}
        given: dict[str, Any] = {
            name: array.astype(np.float64 if array.dtype.kind == "f" else np.int64) for name, array in read.items()
        }
        given["n_random"] = int(given["n_random"])
        xi, remainder = quasi_eigenvectors(given["eta"])
        basis = cls(
            **Run("latent basis").ending(),
            settings=dict(settings or {}),
            xi=xi,
            remainder=remainder,
            orthogonality=_orthogonality(xi),
            **given,
        )
        return basis if triple is None else basis.with_triple(triple)

    def _latents(self, z: Any) -> Floats:
        given = as_numpy(z)
        if given.ndim not in (1, 2) or given.shape[-1] != self.latent:
            raise ShapeError(f"z: expected latent vectors (b, {self.latent}), got {given.shape}")
        if given.dtype.kind not in "fiu" or not np.isfinite(given).all():
            raise LyapmapError("z: expected finite real numbers")
        return given.astype(np.float64)

    def _pair(self, i: int, j: int) -> tuple[Floats, Floats]:
        i, j = whole("i", i, 0), whole("j", j, 0)
        if i == j or max(i, j) >= len(self.xi):
            raise LyapmapError(f"i, j: expected two different vectors of {len(self.xi)}, got {i} and {j}")
        return self.xi[i], self.xi[j]


def _orthogonality(xi: Floats) -> float:
    products = xi @ xi.T / xi.shape[1]
    return float(np.abs(products - np.diag(np.diag(products))).max())


def turned(z: Floats, first: Floats, second: Floats, angle: float) -> Floats:
    """Latent vectors (..., M) turned in the plane of two orthogonal vectors (M,) of the same norm.

    >>> turned(np.array([1.0, 0.0, 5.0]), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), math.pi / 2).round(9).tolist()
    [0.0, 1.0, 5.0]
    """
    norm = first @ first
    a, b = (np.asarray(z @ vector / norm)[..., None] for vector in (first, second))
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.asarray(z + ((cosine - 1) * a - sine * b) * first + (sine * a + (cosine - 1) * b) * second)


def projector(first: Floats, second: Floats, angle: float, start: float) -> Floats:
    """The matrix (M, M) of Eq. 12: the direction at `start` to that at `start + angle`, all else to 0."""
    target = math.cos(start + angle) * first + math.sin(start + angle) * second
    return np.asarray(np.outer(target, math.cos(start) * first + math.sin(start) * second) / (first @ first))


def cycle_planes(basis: LatentBasis, labels: Sequence[int] | None = None) -> list[tuple[int, int]]:
    """Planes (i, j) of the rotations from label to label, and from the last back to the first, in set 1."""
    order = list(range(basis.categories)) if labels is None else [whole("labels", label, 0) for label in labels]
    if len(order) < 2 or len(set(order)) < len(order):
        raise LyapmapError(f"labels: expected two or more different ones, got {order}")
    places = [basis.index(label) for label in order]
    return list(zip(places, [*places[1:], places[0]], strict=True))


def cycle_phases(
    basis: LatentBasis, labels: Sequence[int] | None = None, steps: int = 1
) -> list[tuple[int, int, float]]:
    """(i, j, angle) of every step of one turn round the labels: each quarter turn in so many equal steps."""
    angle = math.pi / 2 / whole("steps", steps, 1)
    return [(i, j, angle) for i, j in cycle_planes(basis, labels) for _ in range(steps)]


def shift(basis: LatentBasis, labels: Sequence[int] | None = None) -> Floats:
    """The matrix (M, M) that takes the vector of each label in set 1 to that of the next, and leaves the others.

    The sum of the operators of Eq. 11 over the cycle, with the identity on what is orthogonal to it: a rotation of
    all labels at once that needs no clock.
    """
    matrix: Floats = np.eye(basis.latent)
    for i, j in cycle_planes(basis, labels):
        matrix += np.outer(basis.xi[j] - basis.xi[i], basis.xi[i]) / basis.latent
    return matrix
