"""Stages of the LSD study about dynamics: round trips and rotations in latent space, and rotation in image space.

In image space, x -> G(R E(x)) stands beside cycle generators.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.spectrum import lyapunov_spectrum
from lyapmap.analysis.latent_basis import LatentBasis, cycle_phases
from lyapmap.analysis.latent_triple import Floats
from lyapmap.analysis.manifold.transitions import transitions
from lyapmap.analysis.neighbors.graph import neighbor_graph
from lyapmap.analysis.orbits.periodic_orbits import PeriodicOrbits, periodic_orbits
from lyapmap.analysis.orbits.settling import Settling, settling
from lyapmap.analysis.orbits.trajectory import trajectory
from lyapmap.core.combinators import MapsInTurn
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import TangentMap
from lyapmap.core.points import channels_first, laid_out
from lyapmap.core.propagate import states_at, step_states
from lyapmap.models.latent_spectral.basis import basis_of
from lyapmap.models.latent_spectral.maps import image_rotation_map, image_shift_map, rotation_map, round_trip_map
from lyapmap.models.latent_spectral.subject import LsdSubject
from lyapmap.study.stages import LeftOut, Stage, Workspace
from lyapmap.study.study import SHOWN, basins
from lyapmap.study.subject import quality

_NAMES = {
    "round-trip": "round trip",
    "rotation": "rotation with round trips, step by step",
    "label-rotation": "rotation with round trips, label by label",
}
EXPONENTS = 10
"""As many of the largest exponents are measured in latent space, at most."""
LONGEST_CYCLE = 4
"""Turns after which a rotating latent vector may be back where it was, at most."""
ITERATIONS = 30
"""Newton steps; from settled states few are needed."""
TURN_GUESSES, TURN_ITERATIONS = 3, 10
"""The same for a whole turn, whose derivative is dear, and how many states it starts from."""


def round_trip(subject: LsdSubject, work: Workspace) -> dict[str, Any]:
    """z -> E(G(z)): where encoded images and random latent vectors end, exponents, and fixed points."""
    sizes, triple = work.sizes, subject.triple
    trip = round_trip_map(triple)
    images, labels = subject.test_sample(sizes.starts)
    encoded = triple.latents(images)
    random = np.random.default_rng(subject.seed).standard_normal(encoded.shape)
    starts = _in(trip, np.concatenate([encoded, random]))
    rest = settling(trip, starts, n_steps=sizes.settle_steps, progress=work.progress, throw=False)
    work.keep(rest, "round-trip-settling")
    ends = trip.ops.to_numpy(step_states(trip, trip.ops.from_numpy(starts), n_steps=sizes.settle_steps))
    kept = triple.labels_of_latents(ends[: len(encoded)]) == labels
    numbers: dict[str, Any] = {
        "starts": len(starts),
        "label_kept": float(kept.mean()),
        "label_kept_after_one": float((_labels_after(subject, trip, encoded, 1) == labels).mean()),
        "length": float(np.linalg.norm(ends, axis=1).mean() / math.sqrt(triple.latent)),
        **_rest(rest),
        **_exponents(subject, work, trip, starts, "round-trip"),
    }
    work.show(
        rest.plot(),
        "round-trip-settling",
        "Where repeated round trips come to rest",
        f"{len(encoded)} encoded test images and as many random latent vectors; {numbers['settled_share']:.1%} have "
        f"come to rest on {numbers['ends']} fixed points and cycles.",
    )
    guesses = np.concatenate([rest.points[rest.period == 1], ends, encoded])[: sizes.guesses]
    orbits = periodic_orbits(
        subject.precise(), _in(subject.precise(), guesses), n_guesses=len(guesses), max_iterations=ITERATIONS,
        seed=subject.seed, progress=work.progress, throw=False,
    )  # fmt: skip
    work.keep(orbits, "round-trip-fixed-points")
    return numbers | _fixed_points(subject, work, rest, orbits)


@dataclass(frozen=True)
class RotationCycle:
    """The stage that takes z -> E(G(R z)), all labels in turn: does the cycle close, contract or wander?

    Attributes
    ----------
    by_label : bool
        Whether each step goes all the way to the next label, else as the setting `rotation_steps` says.
    """

    by_label: bool

    def __call__(self, subject: LsdSubject, work: Workspace) -> dict[str, Any]:
        steps = 1 if self.by_label else work.sizes.rotation_steps
        return _rotation_cycle(subject, work, steps, "label-rotation" if self.by_label else "rotation")


def _rotation_cycle(subject: LsdSubject, work: Workspace, steps: int, key: str) -> dict[str, Any]:
    from lyapmap.models.latent_spectral.pictures import draw_turns

    sizes, triple, basis = work.sizes, subject.triple, basis_of(subject, work)
    turning = rotation_map(triple, basis, steps=steps)
    starts = _in(turning, triple.latents(subject.of_label(0, sizes.starts)))
    along = _turns(turning, starts, sizes.turns)
    targets = np.arange(sizes.turns * basis.categories) % basis.categories
    seen = _labels_along(subject, turning, starts, steps, len(targets))
    right = (seen == targets[:, None]).mean(axis=1).reshape(sizes.turns, -1).mean(axis=1)
    length = math.sqrt(triple.latent)
    back = np.linalg.norm(np.diff(along, axis=0), axis=2) / length
    apart = np.linalg.norm(along - along.mean(axis=1, keepdims=True), axis=2) / length
    plain = _plain_turns(basis, starts, sizes.turns)
    plain_back = np.linalg.norm(np.diff(plain, axis=0), axis=2) / length
    whole = turning.whole_turn()
    rest = settling(
        whole, _in(turning, along[-1]), n_steps=max(4, sizes.turns // 2), longest_period=LONGEST_CYCLE,
        progress=work.progress, throw=False,
    )  # fmt: skip
    work.keep(rest, f"{key}-settling")
    work.show(
        draw_turns(back, apart, plain_back, right),
        f"{key}-turns",
        f"Does the rotation through all labels close? {_words(steps)}",
        "Distance between a latent vector and itself one turn later, and between the latent vectors of different "
        "images, relative to sqrt(M); and the part of the steps whose image shows the label it should.",
    )
    numbers: dict[str, Any] = {
        "starts": len(starts),
        "turns": sizes.turns,
        "back_after_first_turn": float(np.median(back[0])),
        "back_after_last_turn": float(np.median(back[-1])),
        "apart_at_start": float(apart[0].mean()),
        "apart_at_end": float(apart[-1].mean()),
        "back_without_round_trip": float(np.median(plain_back[-1])),
        "labels_in_first_turn": float(right[0]),
        "labels_in_last_turn": float(right[-1]),
        "back": np.median(back, axis=1),
        "apart": apart.mean(axis=1),
        "labels": right,
        **_rest(rest),
        **_exponents(subject, work, turning, starts, key),
    }
    numbers["verdict"] = verdict(numbers)
    return numbers | _cycles(subject, work, basis, rest, steps, key)


def _words(steps: int) -> str:
    return f"{steps} steps from label to label" if steps > 1 else "One step from label to label"


def verdict(numbers: dict[str, Any]) -> str:
    """What became of the cycle, in words."""
    largest, error = numbers["largest"], numbers["largest_stderr"] or 0.0
    if numbers["settled_share"] > 0.5:
        single = numbers["ends"] == 1
        turns = max(int(period) for period in numbers["periods"])
        after = f"after {turns} turns" if turns > 1 else "in one turn"
        cycles = "one cycle that closes" if single else f"{numbers['ends']} cycles that close"
        return f"contracts to {cycles} {after}"
    if largest is not None and math.isfinite(largest) and abs(largest) > 3 * error:
        return "wanders chaotically" if largest > 0 else "contracts, and has not closed yet"
    return "wanders without parting neighbours"


def _fixed_points(subject: LsdSubject, work: Workspace, rest: Settling, orbits: PeriodicOrbits) -> dict[str, Any]:
    """Numbers and the picture of the fixed points of the round trip."""
    from lyapmap.study.page import draw_fixed_points

    points = orbits.orbits[:, 0]
    stable = np.array([name == "stable" for name in orbits.stability], bool)
    numbers: dict[str, Any] = {"fixed_points": len(points), "stable": int(stable.sum())}
    if not len(points):
        return numbers
    share, _, confirmed = basins(rest, points, orbits.multipliers)
    order = np.argsort(-share, kind="stable")[:SHOWN]
    images = subject.triple.images(points)
    distance, nearest = neighbor_graph(
        subject.train.images.reshape(len(subject.train), -1).astype(np.float64), 1,
        queries=images[order].reshape(len(order), -1).astype(np.float64),
    )  # fmt: skip
    numbers |= {
        "ends_confirmed": confirmed,
        "largest_multiplier": np.abs(orbits.multipliers[:, 0]),
        "fixed_point_labels": [subject.classes[label] for label in subject.triple.labels(images)],
        "fixed_point_shares": share,
    }
    work.show(
        draw_fixed_points(
            subject.shown(images[order]), subject.shown(subject.train.images[nearest[:, 0]]), share[order],
            np.abs(orbits.multipliers[order, 0]), distance[:, 0], total=len(points), unstable=int((~stable).sum()),
        ),
        "round-trip-fixed-points",
        "Fixed points of the round trip, decoded, and their nearest training images",
        "Images that encoding and decoding give back as they are. Under each: share of the starts that end there, and "
        "the modulus of the leading multiplier.",
    )  # fmt: skip
    return numbers


def _cycles(
    subject: LsdSubject, work: Workspace, basis: LatentBasis, rest: Settling, steps: int, key: str
) -> dict[str, Any]:
    """Cycles of whole turns by Newton's method, in float64 where the networks can be converted."""
    try:
        turning = rotation_map(subject.triple, basis, steps=steps, dtype="float64")
    except LyapmapError:
        return {}
    guesses = rest.points[rest.period == 1][:TURN_GUESSES]
    if not len(guesses):
        return {"closed_cycles": 0}
    cycles = periodic_orbits(
        turning.whole_turn(),
        _in(turning, guesses),
        n_guesses=len(guesses),
        max_iterations=TURN_ITERATIONS,
        seed=subject.seed,
        throw=False,
    )
    work.keep(cycles, f"{key}-cycles")
    return {
        "closed_cycles": len(cycles.orbits),
        "closed_cycles_stable": sum(name == "stable" for name in cycles.stability),
        "closed_cycles_multiplier": np.abs(cycles.multipliers[:, 0]) if len(cycles.orbits) else [],
    }


def _rest(rest: Settling) -> dict[str, Any]:
    return {
        "settled_share": float(rest.settled_share[-1]),
        "settled_interval": rest.settled_interval[-1],
        "median_settled_at": rest.median_settled_at,
        "ends": len(rest.points),
        "periods": rest.period,
        "unseen": rest.unseen,
    }


def _exponents(
    subject: LsdSubject, work: Workspace, tangent_map: TangentMap, starts: NDArray[Any], name: str
) -> dict[str, Any]:
    """Exponents in latent space, kept and drawn."""
    sizes = work.sizes
    spectrum = lyapunov_spectrum(
        tangent_map, starts[: sizes.trajectories], n_steps=sizes.steps, transient=sizes.transient,
        n_exponents=min(EXPONENTS, subject.triple.latent), seed=subject.seed, progress=work.progress, throw=False,
    )  # fmt: skip
    work.keep(spectrum, f"{name}-spectrum")
    work.show(
        spectrum.plot(),
        f"{name}-spectrum",
        f"Exponents of the {_NAMES[name]}",
        f"The {len(spectrum.exponents)} largest of {subject.triple.latent}.",
    )
    return {
        "largest": spectrum.exponents[0],
        "largest_stderr": spectrum.stderr[0],
        "exponents": spectrum.exponents,
        "exponents_stderr": spectrum.stderr,
        "attractor": spectrum.attractor,
        "status": str(spectrum.status),
    }


def _in(tangent_map: TangentMap, z: Any) -> NDArray[Any]:
    """Latent vectors in a map's precision."""
    converted: NDArray[Any] = np.asarray(z).astype(tangent_map.ops.dtype)
    return converted


def _labels_after(subject: LsdSubject, tangent_map: TangentMap, z: Floats, n_steps: int) -> NDArray[np.int64]:
    x = tangent_map.ops.from_numpy(_in(tangent_map, z))
    return subject.triple.labels_of_latents(tangent_map.ops.to_numpy(step_states(tangent_map, x, n_steps=n_steps)))


def _turns(turning: MapsInTurn, starts: NDArray[Any], turns: int) -> Floats:
    """Latent vectors (turns + 1, b, M) after whole turns."""
    at = range(0, (turns + 1) * turning.period, turning.period)
    return np.array([turning.ops.to_numpy(x).astype(np.float64) for x in _along(turning, starts, at)])


def _labels_along(
    subject: LsdSubject, turning: MapsInTurn, starts: NDArray[Any], steps: int, count: int
) -> NDArray[np.int64]:
    """Labels (count, b) of the images at every arrival at a label, the start among them."""
    arrivals = _along(turning, starts, range(0, count * steps, steps))
    return np.array([subject.triple.labels_of_latents(turning.ops.to_numpy(x)) for x in arrivals])


def _along(turning: MapsInTurn, starts: NDArray[Any], at: range) -> Iterator[Any]:
    return states_at(turning, turning.ops.from_numpy(starts), at)


def _plain_turns(basis: LatentBasis, starts: NDArray[Any], turns: int) -> Floats:
    """The same without round trips: the rotation alone, an isometry."""
    from lyapmap.analysis.latent_basis import cycle_phases

    whole = np.eye(basis.latent)
    for i, j, angle in cycle_phases(basis):
        whole = basis.rotation(i, j, angle) @ whole
    along = [basis.rescaled(starts.astype(np.float64))]
    for _ in range(turns):
        along.append(along[-1] @ whole.T)
    return np.array(along)


SIZES = ("trajectories", "image_transient", "image_steps", "category_steps", "category_trajectories", "real", "k",
         "rows")  # fmt: skip
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


def _rotation(subject: LsdSubject, work: Workspace) -> dict[str, Any]:
    basis = basis_of(subject, work)
    return measure(
        subject,
        work,
        _own("LSD rotation", image_rotation_map(subject.triple, basis, labels=_places(subject)), subject),
    )


def _shift(subject: LsdSubject, work: Workspace) -> dict[str, Any]:
    basis = basis_of(subject, work)
    return measure(
        subject, work, _own("LSD shift", image_shift_map(subject.triple, basis, labels=_places(subject)), subject)
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


def _noisy_rotation(subject: LsdSubject, work: Workspace) -> dict[str, Any]:
    """Latent vectors drawn by the encoder at every step: a random map, whose exponents are not asked for."""
    basis, rng, sizes = basis_of(subject, work), np.random.default_rng(subject.seed), work.sizes
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
        **_quality(subject, work, end),
    }


@dataclass(frozen=True)
class _Against:
    number: int

    def __call__(self, subject: LsdSubject, work: Workspace) -> dict[str, Any]:
        model = subject.against[self.number]
        shape = tuple(model.map.state_shape)

        def states(images: Images) -> NDArray[Any]:
            return laid_out(images, shape).reshape(len(images), -1).astype(model.map.ops.dtype)

        def images(rows: NDArray[Any]) -> Images:
            return channels_first(rows.reshape(-1, *shape))

        return measure(subject, work, Cyclic(model.name, model.map, states, images))


def measure(subject: LsdSubject, work: Workspace, generator: Cyclic) -> dict[str, Any]:
    """Categories, exponents, dimension, precision and recall of a cyclic generator."""
    from lyapmap.report.images import save_film_strip

    sizes, name = work.sizes, generator.name
    first = generator.states(subject.shown(subject.test.of_class(subject.cycle[0])))
    spectrum = lyapunov_spectrum(
        generator.map, first[: sizes.trajectories], n_steps=sizes.image_steps, transient=sizes.image_transient,
        n_exponents="auto", seed=subject.seed, progress=work.progress, throw=False,
    )  # fmt: skip
    key = name.replace(" ", "-").replace("/", "-").lower()
    work.keep(spectrum, f"spectrum-{key}")
    orbit = trajectory(
        generator.map, first[: sizes.category_trajectories], n_steps=sizes.category_steps, progress=work.progress
    ).states
    seen = np.stack([subject.categories(generator.images(rows)) for rows in orbit.swapaxes(0, 1)], axis=1)
    strip = orbit[: sizes.rows, : STRIP_STEPS + 1]
    save_film_strip(
        work.picture_path(f"images-{key}", f"Images of {name}", "Each row a trajectory from a test image."),
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
        **_quality(subject, work, end),
    }


def _accuracy(subject: LsdSubject, seen: NDArray[np.int64]) -> dict[str, Any]:
    """How often classes (b, steps + 1) follow each other in the order of the cycle, and stand where they should."""
    followed = transitions(seen, order=subject.cycle, throw=False)
    wanted = np.array([subject.cycle[at % len(subject.cycle)] for at in range(seen.shape[1])])
    return {
        "accuracy": followed.accuracy,
        "accuracy_interval": followed.accuracy_interval,
        "in_place": float((seen == wanted)[:, 1:].mean()),
        "judge": subject.judge_name,
    }


def _quality(subject: LsdSubject, work: Workspace, end: Callable[[Images, int], Images]) -> dict[str, Any]:
    """Precision and recall of images from starts of all classes, each at its own phase, after the transient."""
    sizes, classes = work.sizes, subject.cycle
    side = subject.side(sizes.k, sizes.real)
    each = -(-sizes.real // len(classes))
    made = [end(subject.shown(subject.test.of_class(c)[:each]), phase) for phase, c in enumerate(classes)]
    metrics = side.compare(np.concatenate(made), seed=subject.seed, progress=work.progress, throw=False)
    return {"k": int(metrics.k[0]), "samples": sum(len(part) for part in made), **quality(metrics)}


@dataclass(frozen=True)
class _Beside:
    """Reads what the stages of the generators found."""

    names: tuple[str, ...]

    def __call__(self, _: LsdSubject, work: Workspace) -> dict[str, Any]:
        measured = [numbers for numbers in (work.numbers(name) for name in self.names) if numbers]
        if len(measured) < 2:
            raise LeftOut("fewer than two generators could be measured")
        keys = dict.fromkeys(key for numbers in measured for key in numbers)
        return {key: [numbers.get(key) for numbers in measured] for key in keys if not key.startswith("exponents")}
