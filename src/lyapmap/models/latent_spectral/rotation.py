"""Stage of the LSD study that rotates encoded images from label to label (Fig. 8)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lyapmap.analysis.latent_basis import LatentBasis, cycle_phases
from lyapmap.core.latent import Floats, LatentTriple
from lyapmap.models.latent_spectral.basis import basis_of
from lyapmap.models.latent_spectral.subject import LsdSubject
from lyapmap.study.stages import Bench

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


def rotation(subject: LsdSubject, bench: Bench) -> dict[str, Any]:
    """Encoded images of the first label, rotated through all labels and back, in four ways, and what is seen."""
    from lyapmap.models.latent_spectral.pictures import draw_rotation
    from lyapmap.report.images import save_film_strip

    found, steps, triple = basis_of(subject, bench), bench.sizes.rotation_steps, subject.triple
    z = triple.latents(subject.of_label(0, bench.sizes.rotated))
    targets = [*range(1, found.categories), 0]
    numbers: dict[str, Any] = {
        "images": len(z),
        "steps": steps * found.categories,
        "targets": [subject.classes[t] for t in targets],
    }
    for way, sentence in WAYS.items():
        path = rotated(triple, found, z, steps, way)
        reached = [
            float((triple.labels_of_latents(path[steps * (i + 1)]) == target).mean())
            for i, target in enumerate(targets)
        ]
        spread = np.linalg.norm(path - path.mean(axis=1, keepdims=True), axis=2).mean(axis=1)
        key = way.replace(" ", "_")
        numbers[f"{key}_reached"] = reached
        numbers[f"{key}_mean_reached"] = float(np.mean(reached))
        numbers[f"{key}_spread"] = spread / math.sqrt(found.latent)
        numbers[f"{key}_cosine_after_turn"] = float(_cosine(path[-1], path[0]).mean())
        some = path[:, :STRIP_ROWS]
        shown = subject.shown(triple.images(some.reshape(-1, found.latent)))
        save_film_strip(
            bench.picture_path(f"rotation-{key}", f"Rotation{_TITLES[way]} through the labels (Fig. 8)", sentence),
            shown.reshape(*some.shape[:2], *shown.shape[1:]).swapaxes(0, 1),
            columns=len(path),
            scale=1 if shown.shape[-1] >= 28 else None,
        )
    bench.show(
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
    found: Floats = (a * b).sum(axis=-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))
    return found
