"""Stages of the LSD study that set rotation in image space, x -> G(R E(x)), beside cycle generators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.spectrum import lyapunov_spectrum
from lyapmap.analysis.latent_basis import cycle_phases
from lyapmap.analysis.manifold.transitions import transitions
from lyapmap.analysis.orbits.trajectory import trajectory
from lyapmap.core.map import TangentMap
from lyapmap.core.points import channels_first, laid_out
from lyapmap.core.propagate import step_states
from lyapmap.models.latent_spectral.basis import basis_of
from lyapmap.models.latent_spectral.maps import image_rotation_map, image_shift_map
from lyapmap.models.latent_spectral.subject import LsdSubject
from lyapmap.study.stages import Bench, LeftOut, Stage

SIZES = ("trajectories", "image_transient", "image_steps", "category_steps", "category_trajectories", "real", "k",
         "rows")  # fmt: skip
METRICS = ("precision", "recall", "density", "coverage")
STRIP_STEPS = 16

Images = NDArray[Any]
"""(b, channels, height, width) with values in [-1, 1]."""


@dataclass(frozen=True)
class Cyclic:
    """A generator whose states are images, and how they are read.

    Attributes
    ----------
    name : str
    map : TangentMap
        Its step 0 takes images of the first class of the cycle to the second.
    states : callable
        Images to rows (b, n).
    images : callable
        Rows to images.
    """

    name: str
    map: TangentMap
    states: Callable[[Images], NDArray[Any]]
    images: Callable[[NDArray[Any]], Images]


def image_stages(subject: LsdSubject) -> list[Stage]:
    """Stages of the rotation, with and without the encoder's noise, of the shift, of each model beside it; a table."""
    uses = ("model", "data", "features", "classifier", "against")
    stages = [
        Stage("image-rotation", "Rotation in image space", _rotation, SIZES, uses, ("basis",)),
        Stage("image-rotation-noisy", "The same with the encoder's noise", _noisy_rotation, SIZES, uses, ("basis",)),
        Stage("image-shift", "All labels shifted at once, in image space", _shift, SIZES, uses, ("basis",)),
    ]
    for i, model in enumerate(subject.against):
        stages.append(Stage(f"against-{i + 1}", f"Measures of {model.name}", _Against(i), SIZES, uses))
    names = tuple(stage.name for stage in stages)
    return [*stages, Stage("side-by-side", "Generators side by side", _Beside(names), needs=names)]


def _rotation(subject: LsdSubject, bench: Bench) -> dict[str, Any]:
    basis = basis_of(subject, bench)
    return measure(
        subject,
        bench,
        _own("LSD rotation", image_rotation_map(subject.triple, basis, labels=_places(subject)), subject),
    )


def _shift(subject: LsdSubject, bench: Bench) -> dict[str, Any]:
    basis = basis_of(subject, bench)
    return measure(
        subject, bench, _own("LSD shift", image_shift_map(subject.triple, basis, labels=_places(subject)), subject)
    )


def _places(subject: LsdSubject) -> list[int]:
    return [subject.classes.index(c) for c in subject.cycle]


def _own(name: str, tangent_map: TangentMap, subject: LsdSubject) -> Cyclic:
    """A map of the triple's own images."""

    def states(images: Images) -> NDArray[Any]:
        return subject.own(images).reshape(len(images), -1).astype(tangent_map.ops.dtype)

    def images(rows: NDArray[Any]) -> Images:
        return subject.shown(rows.reshape(-1, *subject.state_shape))

    return Cyclic(name, tangent_map, states, images)


def _noisy_rotation(subject: LsdSubject, bench: Bench) -> dict[str, Any]:
    """Latent vectors drawn by the encoder at every step: a random map, whose exponents are not asked for."""
    basis, rng, sizes = basis_of(subject, bench), np.random.default_rng(subject.seed), bench.sizes
    phases = cycle_phases(basis, _places(subject))

    def step(images: NDArray[Any], at: int) -> NDArray[Any]:
        z = subject.triple.latents(images, rng)
        return subject.triple.images(basis.rotate(z, *phases[at % len(phases)]))

    images = subject.test.of_class(subject.cycle[0])[: sizes.category_trajectories]
    seen = [subject.categories(subject.shown(images))]
    for at in range(sizes.category_steps):
        images = step(images, at)
        seen.append(subject.categories(subject.shown(images)))

    def end(given: Images, first: int) -> Images:
        now = subject.own(given)
        for at in range(sizes.image_transient):
            now = step(now, first + at)
        return subject.shown(now)

    return {
        "name": "LSD rotation, encoder's noise",
        **_accuracy(subject, np.stack(seen, axis=1)),
        **_quality(subject, bench, end),
    }


@dataclass(frozen=True)
class _Against:
    number: int

    def __call__(self, subject: LsdSubject, bench: Bench) -> dict[str, Any]:
        model = subject.against[self.number]
        shape = tuple(model.map.state_shape)

        def states(images: Images) -> NDArray[Any]:
            return laid_out(images, shape).reshape(len(images), -1).astype(model.map.ops.dtype)

        def images(rows: NDArray[Any]) -> Images:
            return channels_first(rows.reshape(-1, *shape))

        return measure(subject, bench, Cyclic(model.name, model.map, states, images))


def measure(subject: LsdSubject, bench: Bench, generator: Cyclic) -> dict[str, Any]:
    """Categories, exponents, dimension, precision and recall of a cyclic generator."""
    from lyapmap.report.images import save_film_strip

    sizes, name = bench.sizes, generator.name
    first = generator.states(subject.shown(subject.test.of_class(subject.cycle[0])))
    spectrum = lyapunov_spectrum(
        generator.map, first[: sizes.trajectories], n_steps=sizes.image_steps, transient=sizes.image_transient,
        n_exponents="auto", seed=subject.seed, progress=bench.progress, throw=False,
    )  # fmt: skip
    key = name.replace(" ", "-").replace("/", "-").lower()
    bench.keep(spectrum, f"spectrum-{key}")
    orbit = trajectory(
        generator.map, first[: sizes.category_trajectories], n_steps=sizes.category_steps, progress=bench.progress
    ).states
    seen = np.stack([subject.categories(generator.images(rows)) for rows in orbit.swapaxes(0, 1)], axis=1)
    strip = orbit[: sizes.rows, : STRIP_STEPS + 1]
    save_film_strip(
        bench.picture_path(f"images-{key}", f"Images of {name}", "Each row a trajectory from a test image."),
        np.stack([generator.images(rows) for rows in strip]),
        columns=strip.shape[1],
    )

    def end(images: Images, phase: int) -> Images:
        x = generator.map.ops.from_numpy(generator.states(images))
        x = step_states(generator.map, x, n_steps=sizes.image_transient, first_step=phase)
        return generator.images(generator.map.ops.to_numpy(x))

    return {
        "name": name,
        "largest": spectrum.exponents[0],
        "largest_stderr": spectrum.stderr[0],
        "exponents": spectrum.exponents,
        "n_positive": spectrum.n_positive,
        "kaplan_yorke": spectrum.kaplan_yorke,
        "kaplan_yorke_stderr": spectrum.kaplan_yorke_stderr,
        "attractor": spectrum.attractor,
        "status": str(spectrum.status),
        **_accuracy(subject, seen),
        **_quality(subject, bench, end),
    }


def _accuracy(subject: LsdSubject, seen: NDArray[np.int64]) -> dict[str, Any]:
    """How often classes (b, steps + 1) follow each other in the order of the cycle, and stand where they should."""
    found = transitions(seen, order=subject.cycle, throw=False)
    wanted = np.array([subject.cycle[at % len(subject.cycle)] for at in range(seen.shape[1])])
    return {
        "accuracy": found.accuracy,
        "accuracy_interval": found.accuracy_interval,
        "in_place": float((seen == wanted)[:, 1:].mean()),
        "judge": subject.judge_name,
    }


def _quality(subject: LsdSubject, bench: Bench, end: Callable[[Images, int], Images]) -> dict[str, Any]:
    """Precision and recall of images from starts of all classes, each at its own phase, after the transient."""
    sizes, classes = bench.sizes, subject.cycle
    side = subject.side(classes, sizes.k, sizes.real)
    each = -(-sizes.real // len(classes))
    made = [end(subject.shown(subject.test.of_class(c)[:each]), phase) for phase, c in enumerate(classes)]
    found = side.compare(np.concatenate(made), seed=subject.seed, progress=bench.progress, throw=False)
    numbers: dict[str, Any] = {"k": int(found.k[0]), "samples": sum(len(part) for part in made)}
    for metric in METRICS:
        numbers[metric] = float(getattr(found, metric)[0])
        numbers[f"{metric}_interval"] = getattr(found, f"{metric}_interval")[0]
    return numbers


@dataclass(frozen=True)
class _Beside:
    """Reads what the stages of the generators found."""

    names: tuple[str, ...]

    def __call__(self, _: LsdSubject, bench: Bench) -> dict[str, Any]:
        found = [one for one in (bench.numbers(name) for name in self.names) if one]
        if len(found) < 2:
            raise LeftOut("fewer than two generators could be measured")
        keys = dict.fromkeys(key for one in found for key in one)
        return {key: [one.get(key) for one in found] for key in keys if not key.startswith("exponents")}
