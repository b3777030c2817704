"""Stages of the LSD study about the basis: its vectors, what it classifies, amplitudes, few components, rotations."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.latent_basis import LatentBasis, cycle_phases
from lyapmap.analysis.latent_triple import Floats, LatentTriple
from lyapmap.analysis.proportions import wilson
from lyapmap.models.latent_spectral.subject import LsdSubject
from lyapmap.study.stages import Workspace

LEVEL = 0.95
SAMPLE = 2000
"""Latent vectors of each kind whose values are counted (Fig. 3)."""
SHOWN_RANKS = 10
RANKS = (1, 2, 3)
"""Places of the true label for which amplitudes are shown apart (Fig. 6)."""


def basis_of(subject: LsdSubject, work: Workspace) -> LatentBasis:
    """The basis that the stage "basis" kept, with the networks at hand."""
    return LatentBasis.load(work.result_of("basis", "basis")).with_triple(subject.triple)


def basis(subject: LsdSubject, work: Workspace) -> dict[str, Any]:
    """Fig. 3 and 4: averages, quasi-eigenvectors, inner products, and the values of latent vectors."""
    from lyapmap.models.latent_spectral.pictures import draw_latents, draw_vectors

    built = subject.given
    if built is None:
        built = LatentBasis.build(
            subject.triple,
            data=subject.train,
            n_vectors=work.sizes.vectors,
            seed=subject.seed,
            progress=work.progress,
        )
    work.keep(built, "basis")
    triple = subject.triple
    kept = {}
    for name, letter, vectors, seen in (
        ("averages", "η", built.eta, built.eta_label),
        ("vectors", "ξ", built.xi, built.xi_label),
    ):
        kept[name] = int((seen == built.label).sum())
        work.show(
            draw_vectors(
                subject.shown(triple.images(vectors)), built.label, built.set_number, seen == built.label,
                subject.classes, letter,
            ),
            name,
            f"Images of {'the averages η' if name == 'averages' else 'the quasi-eigenvectors ξ'} (Fig. 4)",
            f"One row for each label, one column for each set; set 1 is that of encoded images. {kept[name]} of "
            f"{len(vectors)} are classified as their label (framed where not).",
        )  # fmt: skip
    resolved = int(built.resolved.sum())
    work.show(
        built.plot(),
        "inner-products",
        "Inner products (Fig. 4), and what is left of each average",
        f"What Gram-Schmidt leaves of an average says something where it is longer than the chance of the average: "
        f"{resolved} of {len(built.xi)} vectors. The other averages of a label repeat those before.",
    )
    rng = np.random.default_rng(subject.seed)
    images, _ = subject.test_sample(SAMPLE)
    encoded, drawn = triple.latents(images, rng), rng.standard_normal((SAMPLE, triple.latent))
    kinds = {"encoded": encoded, "random": drawn}
    labels = {name: triple.labels_of_latents(z) for name, z in kinds.items()}
    work.show(
        draw_latents(kinds, labels, subject.classes),
        "latents",
        "Values of latent vectors by label (Fig. 3)",
        "Densities over all components, beside that of the normal distribution.",
    )
    return {
        "given": subject.given is not None,
        "vectors": len(built.xi),
        "latent": built.latent,
        "orthogonality": built.orthogonality,
        "averages_with_their_label": kept["averages"],
        "vectors_with_their_label": kept["vectors"],
        "vectors_with_their_label_in_set_1": int(((built.xi_label == built.label) & (built.set_number == 1)).sum()),
        "resolved": resolved,
        "remainder": built.remainder,
        "noise": built.noise,
        "count": built.count,
        "encoded_share": built.encoded_share,
        "random_share": built.random_share,
        "encoded_mean": float(encoded.mean()),
        "encoded_deviation": float(encoded.std()),
        "length_of_mean_encoded": float(np.linalg.norm(encoded.mean(axis=0))),
    }


def classification(subject: LsdSubject, work: Workspace) -> dict[str, Any]:
    """Fig. 5: accuracies over draws of the encoder, and where the true label stands among the amplitudes."""
    from lyapmap.models.latent_spectral.pictures import draw_accuracy

    basis, triple, sizes = basis_of(subject, work), subject.triple, work.sizes
    images, labels = subject.test_sample(sizes.test_images)
    rng = np.random.default_rng(subject.seed)
    sure = float((triple.labels(images) == labels).mean())
    names = ("decoded", "lsd", "lsd_set_1", "lsd_signed")
    accuracy: dict[str, list[float]] = {name: [] for name in names}
    cumulative = np.zeros((2, len(basis.xi)))
    leading_in_first = []
    for trial in range(sizes.trials):
        z = triple.latents(images, rng)
        for name, value in zip(names, _accuracies(basis, z, triple.labels_of_latents(z), labels), strict=True):
            accuracy[name].append(value)
        leading_in_first.append(float((basis.set_number[basis.leading(z)] == 1).mean()))
        for row, sets in enumerate((None, 1)):
            ranks = basis.ranks(z, labels, sets=sets)
            cumulative[row] += np.bincount(ranks - 1, minlength=len(basis.xi)).cumsum() / len(ranks) / sizes.trials
        if callable(work.progress):
            work.progress(trial + 1, sizes.trials)
    mean = triple.latents(images)
    batch = np.arange(min(25, len(images)))
    work.show(
        draw_accuracy(
            labels[batch], basis.classify(mean[batch]), sure, accuracy["decoded"], accuracy["lsd"],
            cumulative[0], cumulative[1], subject.classes,
        ),
        "accuracy",
        "Classification by the largest amplitude (Fig. 5)",
        f"{len(images)} test images; accuracies of {sizes.trials} draws of the encoder. The classifier itself is right "
        f"in {sure:.1%}.",
    )  # fmt: skip
    numbers: dict[str, Any] = {"images": len(images), "trials": sizes.trials, "classifier": sure}
    numbers["classifier_interval"] = wilson(sure, len(images), LEVEL)
    for name, values in accuracy.items():
        numbers[name] = float(np.mean(values))
        numbers[f"{name}_deviation"] = float(np.std(values, ddof=1)) if len(values) > 1 else None
        numbers[f"{name}_interval"] = wilson(numbers[name], len(images), LEVEL)
    of_means = _accuracies(basis, mean, triple.labels_of_latents(mean), labels)
    numbers |= {f"{name}_of_means": value for name, value in zip(names, of_means, strict=True)}
    numbers["within"] = cumulative[0]
    numbers["within_set_1"] = cumulative[1]
    for n in (2, 3, 4):
        if n <= len(basis.xi):
            numbers[f"within_{n}"] = cumulative[0, n - 1]
            numbers[f"within_{n}_set_1"] = cumulative[1, n - 1]
    numbers["largest_in_set_1"] = float(np.mean(leading_in_first))
    return numbers


def _accuracies(
    basis: LatentBasis, z: Floats, decoded: NDArray[np.int64], labels: NDArray[np.int64]
) -> tuple[float, float, float, float]:
    """Of decoded images, of the largest |c|, of that in set 1, and of the largest c."""
    leading = basis.leading(z)
    right = basis.label[leading] == labels
    signed = basis.label[basis.decompose(z).argmax(axis=1)] == labels
    in_first = right & (basis.set_number[leading] == 1)
    return float((decoded == labels).mean()), float(right.mean()), float(in_first.mean()), float(signed.mean())


def amplitudes(subject: LsdSubject, work: Workspace) -> dict[str, Any]:
    """Fig. 6: sorted amplitudes where the true label stands first, second and third."""
    from lyapmap.models.latent_spectral.pictures import draw_amplitudes

    basis = basis_of(subject, work)
    images, labels = subject.test_sample(work.sizes.test_images)
    z = subject.triple.latents(images, np.random.default_rng(subject.seed))
    ranks = basis.ranks(z, labels)
    falling = basis.amplitudes(z)[:, :SHOWN_RANKS]
    groups = {rank: falling[ranks == rank] for rank in RANKS}
    work.show(
        draw_amplitudes(groups),
        "amplitudes",
        "Amplitudes by rank (Fig. 6)",
        "Relative to the largest, where the vector of the true label has the largest, the second and the third "
        "amplitude; below, the densities of the second to fourth.",
    )
    numbers: dict[str, Any] = {"images": len(images)}
    for rank, group in groups.items():
        numbers[f"share_{rank}"] = len(group) / len(images)
        numbers[f"mean_amplitudes_{rank}"] = group.mean(axis=0) if len(group) else []
    return numbers


def components(subject: LsdSubject, work: Workspace) -> dict[str, Any]:
    """Fig. 7: test images made of their largest components."""
    from lyapmap.models.latent_spectral.pictures import draw_columns

    basis, triple, sizes = basis_of(subject, work), subject.triple, work.sizes
    counts = [n for n in sizes.components if n < len(basis.xi)]
    images, labels = subject.test_sample(sizes.noisy_images)
    z = triple.latents(images)
    numbers: dict[str, Any] = {"images": len(images), "components": [*counts, len(basis.xi)]}
    columns = {"image": images}
    for rescale in (False, True):
        right, likeness = [], []
        for n in numbers["components"]:
            made = triple.images(basis.reconstruct(z, n, rescale=rescale))
            right.append(float((triple.labels(made) == labels).mean()))
            likeness.append(psnr(subject.shown(images), subject.shown(made)))
            if not rescale:
                columns[f"n = {n}"] = made
        end = "_rescaled" if rescale else ""
        numbers |= {f"right{end}": right, f"psnr{end}": likeness}
    order = ["image", f"n = {len(basis.xi)}", *(f"n = {n}" for n in counts)]
    work.show(
        draw_columns({name: subject.shown(columns[name][: sizes.rows]) for name in order}),
        "components",
        "Test images made of their largest components (Fig. 7)",
        "The image, all components of the encoded one, and the n largest.",
    )
    return numbers


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


def denoising(subject: LsdSubject, work: Workspace) -> dict[str, Any]:
    """Likeness to the clean image, and whether its label is kept, by kind and strength of noise."""
    from lyapmap.models.latent_spectral.pictures import draw_columns, draw_denoising

    basis, sizes = basis_of(subject, work), work.sizes
    images, labels = subject.test_sample(sizes.noisy_images)
    clean = subject.shown(images)
    rng = np.random.default_rng(subject.seed)
    counts = sorted({n for n in (*sizes.components, MORE_COMPONENTS) if n < len(basis.xi)} | {len(basis.xi)})
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
            for method, made in _methods(subject, basis, noisy, counts, components):
                row = table.setdefault(method, {"psnr": [], "right": [], "kept": []})
                seen = subject.triple.labels(subject.own(made))
                row["psnr"].append(psnr(clean, made))
                row["right"].append(float((seen == labels).mean()))
                row["kept"].append(float((seen == own).mean()))
                if strength == strengths[len(strengths) // 2]:
                    shown[method] = made[: sizes.rows]
        key = kind.replace(" ", "_")
        numbers[key] = {"strengths": strengths, **table}
        work.show(
            draw_denoising(kind, strengths, table, numbers["clean_right"]),
            f"denoising-{kind.replace(' ', '-')}",
            f"Denoising of {kind} noise",
            f"{len(images)} test images. LSD: decoded from the n largest components of the encoded noisy image; PCA: "
            f"n principal components of the training images; median over {MEDIAN} x {MEDIAN} pixels.",
        )
        picked = {"clean": clean[: sizes.rows]} | _picked(shown, counts)
        work.show(
            draw_columns(picked),
            f"denoised-{kind.replace(' ', '-')}",
            f"Denoised images, {kind} noise of {strengths[len(strengths) // 2]:g}",
            "The clean image, the noisy one, and what each method makes of it.",
        )
    return numbers


def _methods(
    subject: LsdSubject, basis: LatentBasis, noisy: NDArray[Any], counts: list[int], components: Any
) -> Iterator[tuple[str, NDArray[Any]]]:
    """What each method makes of noisy images, values in [-1, 1]."""
    from scipy.ndimage import median_filter

    yield "noisy", noisy
    z = subject.triple.latents(subject.own(noisy))
    yield "encode-decode", subject.shown(subject.triple.images(z))
    for n in counts:
        if n < basis.latent:  # all components are the encoded image again
            yield f"LSD {n}", subject.shown(subject.triple.images(basis.reconstruct(z, n)))
            yield f"LSD {n} rescaled", subject.shown(subject.triple.images(basis.reconstruct(z, n, rescale=True)))
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


STRIP_ROWS = 10
WAYS = {
    "rotation": "Each row an encoded image of the first label, turned by pi / (2 steps) at each step, in the plane of "
    "the vectors of neighbouring labels only.",
    "projection": "The same by Eq. 12, which keeps one direction: every row shows the same images, up to the sign of "
    "one coefficient.",
    "round trip": "Rotation, then decoding and encoding at each step, which pulls latent vectors back to those of "
    "images.",
    "round trip per label": "Decoding and encoding after each quarter turn only.",
}
_TITLES = {"rotation": "", "projection": " by Eq. 12", "round trip": " with a round trip at each step",
           "round trip per label": " with a round trip at each label"}  # fmt: skip


def rotation(subject: LsdSubject, work: Workspace) -> dict[str, Any]:
    """Encoded images of the first label, rotated through all labels and back, in four ways, and what is seen."""
    from lyapmap.models.latent_spectral.pictures import draw_rotation
    from lyapmap.report.images import save_film_strip

    basis, steps, triple = basis_of(subject, work), work.sizes.rotation_steps, subject.triple
    z = triple.latents(subject.of_label(0, work.sizes.rotated))
    targets = [*range(1, basis.categories), 0]
    numbers: dict[str, Any] = {
        "images": len(z),
        "steps": steps * basis.categories,
        "targets": [subject.classes[t] for t in targets],
    }
    for way, sentence in WAYS.items():
        path = rotated(triple, basis, z, steps, way)
        reached = [
            float((triple.labels_of_latents(path[steps * (i + 1)]) == target).mean())
            for i, target in enumerate(targets)
        ]
        spread = np.linalg.norm(path - path.mean(axis=1, keepdims=True), axis=2).mean(axis=1)
        key = way.replace(" ", "_")
        numbers[f"{key}_reached"] = reached
        numbers[f"{key}_mean_reached"] = float(np.mean(reached))
        numbers[f"{key}_spread"] = spread / math.sqrt(basis.latent)
        numbers[f"{key}_cosine_after_turn"] = float(_cosine(path[-1], path[0]).mean())
        some = path[:, :STRIP_ROWS]
        shown = subject.shown(triple.images(some.reshape(-1, basis.latent)))
        save_film_strip(
            work.picture_path(f"rotation-{key}", f"Rotation{_TITLES[way]} through the labels (Fig. 8)", sentence),
            shown.reshape(*some.shape[:2], *shown.shape[1:]).swapaxes(0, 1),
            columns=len(path),
            scale=1 if shown.shape[-1] >= 28 else None,
        )
    work.show(
        draw_rotation(
            {way: numbers[f"{way.replace(' ', '_')}_reached"] for way in WAYS},
            {way: numbers[f"{way.replace(' ', '_')}_spread"] for way in WAYS},
            numbers["targets"],
            steps,
        ),
        "labels-reached",
        "Labels reached, and how different the images stay",
        "Part of the images that show the label whose vector they were turned to; mean distance of the latent vectors "
        "from their mean, relative to sqrt(M).",
    )
    return numbers


def rotated(triple: LatentTriple, basis: LatentBasis, z: Floats, steps: int, way: str) -> Floats:
    """Latent vectors (phases + 1, b, M) along one turn round all labels; `way` is one of `WAYS`."""
    path = [z]
    for phase, (i, j, angle) in enumerate(cycle_phases(basis, steps=steps)):
        now = path[-1]
        if way == "projection":
            now = basis.rescaled(now @ basis.operator(i, j, angle, (phase % steps) * angle).T)
        else:
            now = basis.rotate(now, i, j, angle)
        if way == "round trip" or (way == "round trip per label" and (phase + 1) % steps == 0):
            now = triple.latents(triple.images(now))
        path.append(now)
    return np.array(path)


def _cosine(a: Floats, b: Floats) -> Floats:
    cosine: Floats = (a * b).sum(axis=-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))
    return cosine
