"""Stage of the LSD study that measures denoising, beside encoding alone, principal components and a median filter."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.latent_basis import LatentBasis
from lyapmap.models.latent_spectral.basis import basis_of
from lyapmap.models.latent_spectral.subject import LsdSubject
from lyapmap.study.stages import Bench

MEDIAN = 3
"""Pixels on a side of the median filter."""
PCA_IMAGES = 20_000
"""Training images that principal components are computed from, at most."""
MORE_COMPONENTS = 100
"""The largest number of components, where there are so many."""


def psnr(clean: NDArray[Any], other: NDArray[Any]) -> float:
    """Peak signal-to-noise ratio in dB of images with values in [-1, 1], from the mean squared error of all.

    >>> round(psnr(np.zeros(4), np.full(4, 0.2)), 3)
    20.0
    """
    error = float(((np.asarray(clean, np.float64) - other) ** 2).mean())
    return math.inf if error == 0 else 10 * math.log10(4 / error)


def with_noise(images: NDArray[Any], kind: str, strength: float, rng: np.random.Generator) -> NDArray[Any]:
    """Images with values in [-1, 1], noisy: "gaussian" of a standard deviation, or "salt and pepper" in a part."""
    if kind == "gaussian":
        noisy = np.clip(images + strength * rng.standard_normal(images.shape), -1, 1)
    else:
        u = rng.uniform(size=images.shape)
        noisy = np.where(u < strength / 2, -1.0, np.where(u < strength, 1.0, images))
    return noisy.astype(images.dtype)


def denoising(subject: LsdSubject, bench: Bench) -> dict[str, Any]:
    """Likeness to the clean image, and whether its label is kept, by kind and strength of noise."""
    from lyapmap.models.latent_spectral.pictures import draw_columns, draw_denoising

    found, sizes = basis_of(subject, bench), bench.sizes
    images, labels = subject.test_sample(sizes.noisy_images)
    clean = subject.shown(images)
    rng = np.random.default_rng(subject.seed)
    counts = sorted({n for n in (*sizes.components, MORE_COMPONENTS) if n < len(found.xi)} | {len(found.xi)})
    components = _principal(subject, counts[-1])
    numbers: dict[str, Any] = {
        "images": len(images),
        "components": counts,
        "clean_right": float((subject.triple.labels(images) == labels).mean()),
    }
    own = subject.triple.labels(images)
    for kind, strengths in (("gaussian", sizes.gaussian), ("salt and pepper", sizes.salt_pepper)):
        table: dict[str, dict[str, list[float]]] = {}
        shown: dict[str, NDArray[Any]] = {}
        for strength in strengths:
            noisy = with_noise(clean, kind, strength, rng)
            for method, made in _methods(subject, found, noisy, counts, components):
                row = table.setdefault(method, {"psnr": [], "right": [], "kept": []})
                seen = subject.triple.labels(subject.own(made))
                row["psnr"].append(psnr(clean, made))
                row["right"].append(float((seen == labels).mean()))
                row["kept"].append(float((seen == own).mean()))
                if strength == strengths[len(strengths) // 2]:
                    shown[method] = made[: sizes.rows]
        key = kind.replace(" ", "_")
        numbers[key] = {"strengths": strengths, **table}
        bench.show(
            draw_denoising(kind, strengths, table, numbers["clean_right"]),
            f"denoising-{kind.replace(' ', '-')}",
            f"Denoising of {kind} noise",
            f"{len(images)} test images. LSD: decoded from the n largest components of the encoded noisy image; PCA: "
            f"n principal components of the training images; median over {MEDIAN} x {MEDIAN} pixels.",
        )
        picked = {"clean": clean[: sizes.rows]} | _picked(shown, counts)
        bench.show(
            draw_columns(picked),
            f"denoised-{kind.replace(' ', '-')}",
            f"Denoised images, {kind} noise of {strengths[len(strengths) // 2]:g}",
            "The clean image, the noisy one, and what each method makes of it.",
        )
    return numbers


def _methods(
    subject: LsdSubject, found: LatentBasis, noisy: NDArray[Any], counts: list[int], components: Any
) -> Iterator[tuple[str, NDArray[Any]]]:
    """What each method makes of noisy images, values in [-1, 1]."""
    from scipy.ndimage import median_filter

    yield "noisy", noisy
    z = subject.triple.latents(subject.own(noisy))
    yield "encode-decode", subject.shown(subject.triple.images(z))
    for n in counts:
        if n < found.latent:  # all components are the encoded image again
            yield f"LSD {n}", subject.shown(subject.triple.images(found.reconstruct(z, n)))
            yield f"LSD {n} rescaled", subject.shown(subject.triple.images(found.reconstruct(z, n, rescale=True)))
    flat = noisy.reshape(len(noisy), -1)
    projected = components.transform(flat)
    for n in counts:
        if n <= len(components.components_):
            made = projected[:, :n] @ components.components_[:n] + components.mean_
            yield f"PCA {n}", np.clip(made, -1, 1).reshape(noisy.shape).astype(noisy.dtype)
    yield "median", median_filter(noisy, size=(1, 1, MEDIAN, MEDIAN), mode="nearest")


def _principal(subject: LsdSubject, count: int) -> Any:
    from sklearn.decomposition import PCA

    rows = subject.shown(subject.train.images).reshape(len(subject.train), -1)
    if len(rows) > PCA_IMAGES:
        rows = rows[np.sort(np.random.default_rng(subject.seed).choice(len(rows), PCA_IMAGES, replace=False))]
    return PCA(min(count, *rows.shape), random_state=subject.seed).fit(rows)


def _picked(shown: dict[str, NDArray[Any]], counts: list[int]) -> dict[str, NDArray[Any]]:
    few, many = f"{min(4, counts[-1])}", f"{min(10, counts[-1])}"
    names = ["noisy", "encode-decode", f"LSD {few}", f"LSD {many}", f"PCA {many}", f"PCA {counts[-1]}", "median"]
    return {name: shown[name] for name in dict.fromkeys(names) if name in shown}
