"""The study of latent spectral decomposition: every figure of the paper, denoising measured, and its dynamics.

J. Q. Toledo-Marin, J. A. Glazier, "Using deep LSD to build operators in GANs latent space with meaning in real space",
PLoS ONE 18 (2023) e0287736.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lyapmap.models.latent_spectral import basis as bases
from lyapmap.models.latent_spectral import dynamics
from lyapmap.models.latent_spectral.basis import denoising, rotation
from lyapmap.models.latent_spectral.dynamics import image_stages
from lyapmap.models.latent_spectral.subject import LsdSubject
from lyapmap.study.page import NONE, number, with_error, with_limits
from lyapmap.study.stages import Record, Stage
from lyapmap.study.study import Study

Rows = list[Sequence[str]]


def about(subject: LsdSubject) -> dict[str, Any]:
    """Plain facts of a study: the networks, the data."""
    return {
        "model": subject.name,
        "sha256": subject.sha256,
        "latent": subject.triple.latent,
        "data": subject.train.name,
        "classes": list(subject.classes),
        "images": f"{len(subject.train)} training, {len(subject.test)} test",
        "features": subject.features_name,
        "judge": subject.judge_name,
        "cycle": list(subject.cycle),
        "against": [other.name for other in subject.against],
        "seed": subject.seed,
    }


def summary(records: Mapping[str, Record]) -> Rows:
    """Rows of (what, paper, here), the first with the headings; a dash where there is no number."""
    numbers = {name: record.numbers for name, record in records.items()}
    basis, right = numbers.get("basis", {}), numbers.get("classification", {})
    turned, trip = numbers.get("rotation", {}), numbers.get("round-trip", {})
    cycle, by_label = numbers.get("rotation-cycle", {}), numbers.get("label-rotation-cycle", {})
    return [
        ("what", "paper (MNIST)", "here"),
        ("vectors whose image is classified as their label", "about 20 of 100", _of(basis, "vectors_with_their_label")),
        ("averages that are", "100 of 100", _of(basis, "averages_with_their_label")),
        ("vectors longer than chance", "", _of(basis, "resolved")),
        ("accuracy of the classifier", "0.989", _cell(right, "classifier", 4)),
        ("of encoded and decoded images", "about 0.94", with_error(right, "decoded", 4, "decoded_deviation")),
        ("of the largest amplitude", "about 0.92", with_error(right, "lsd", 4, "lsd_deviation")),
        ("where only vectors of set 1 count", "", with_error(right, "lsd_set_1", 4, "lsd_set_1_deviation")),
        ("of the largest coefficient, with its sign", "", with_error(right, "lsd_signed", 4, "lsd_signed_deviation")),
        ("of the largest amplitude, encoder's mean", "", _cell(right, "lsd_of_means", 4)),
        ("largest amplitude in set 1", "0.99", _cell(right, "largest_in_set_1", 4)),
        ("label among the two largest", "0.97", _cell(right, "within_2", 4)),
        ("label among the four largest", "0.989", _cell(right, "within_4", 4)),
        ("the same, vectors of set 1 only", "", _cell(right, "within_4_set_1", 4)),
        ("labels reached by rotation", "", _cell(turned, "rotation_mean_reached", 3)),
        ("by Eq. 12", "", _cell(turned, "projection_mean_reached", 3)),
        ("with a round trip at each step", "", _cell(turned, "round_trip_mean_reached", 3)),
        ("with a round trip at each label", "", _cell(turned, "round_trip_per_label_mean_reached", 3)),
        ("round trip: largest exponent", "", with_error(trip, "largest", 4)),
        ("round trip: at rest in the end", "", _limits(trip, "settled_share")),
        ("round trip: ends", "", _cell(trip, "ends", 0)),
        ("round trip: fixed points by Newton's method", "", _cell(trip, "fixed_points", 0)),
        ("round trip: label kept at the end", "", _cell(trip, "label_kept", 3)),
        *_turning("in steps", cycle),
        *_turning("label by label", by_label),
    ]


def _turning(how: str, numbers: Mapping[str, Any]) -> Rows:
    name = f"rotation with round trips, {how}"
    return [
        (f"{name}: largest exponent per step", "", with_error(numbers, "largest", 4)),
        (f"{name}: distance after one turn, at first", "", _cell(numbers, "back_after_first_turn", 3)),
        (f"{name}: the same in the end", "", _cell(numbers, "back_after_last_turn", 5)),
        (f"{name}: the same without round trips", "", _cell(numbers, "back_without_round_trip", 3)),
        (f"{name}: labels right in the last turn", "", _cell(numbers, "labels_in_last_turn", 3)),
        (f"{name}: the cycle", "", str(numbers.get("verdict", NONE))),
    ]


def denoising_tables(records: Mapping[str, Record]) -> list[tuple[str, Rows]]:
    """One table for each kind of noise: likeness in dB and the part classified right, one column for each strength."""
    numbers = records["denoising"].numbers if "denoising" in records else {}
    tables = []
    for key in ("gaussian", "salt_and_pepper"):
        if key not in numbers:
            continue
        table = dict(numbers[key])
        strengths = table.pop("strengths")
        rows: Rows = [("method", *(f"{strength:g}" for strength in strengths))]
        for method, row in table.items():
            cells = (f"{number(p, 1)} dB, {r:.3f}" for p, r in zip(row["psnr"], row["right"], strict=True))
            rows.append((method, *cells))
        tables.append((f"Denoising, {key.replace('_', ' ')}: PSNR and part classified right", rows))
    return tables


def side_by_side(records: Mapping[str, Record]) -> Rows:
    """One column for each cyclic generator; the heading alone where there is nothing."""
    numbers = records["side-by-side"].numbers if "side-by-side" in records else {}
    rows: Rows = [("what", *map(str, numbers.get("name", [])))]
    for key, words, decimals in (
        ("accuracy", "category accuracy", 4),
        ("in_place", "images of the class that is due", 4),
        ("largest", "largest exponent per step", 4),
        ("n_positive", "positive exponents", 0),
        ("kaplan_yorke", "Kaplan-Yorke dimension", 1),
        ("attractor", "attractor", None),
        ("precision", "precision", 3),
        ("recall", "recall", 3),
        ("density", "density", 3),
        ("coverage", "coverage", 3),
    ):
        if key in numbers:
            cells = (str(v or NONE) if decimals is None else number(v, decimals) for v in numbers[key])
            rows.append((words, *cells))
    return rows


def _of(numbers: Mapping[str, Any], name: str) -> str:
    return f"{numbers[name]} of {numbers['vectors']}" if name in numbers else NONE


def _cell(numbers: Mapping[str, Any], name: str, decimals: int) -> str:
    return number(numbers.get(name), decimals)


def _limits(numbers: Mapping[str, Any], name: str) -> str:
    return with_limits(numbers.get(name), numbers.get("settled_interval"), 3)


_USES = ("model", "data")
_EXPONENTS = ("trajectories", "transient", "steps")

STAGES = (
    Stage("basis", "Averages and quasi-eigenvectors (Fig. 3, 4)", bases.basis, ("vectors",), _USES),
    Stage(
        "classification",
        "Classification by the largest amplitude (Fig. 5)",
        bases.classification,
        ("trials", "test_images"),
        _USES,
        ("basis",),
    ),
    Stage("amplitudes", "Amplitudes by rank (Fig. 6)", bases.amplitudes, ("test_images",), _USES, ("basis",)),
    Stage(
        "components",
        "Images of few components (Fig. 7)",
        bases.components,
        ("components", "noisy_images", "rows"),
        _USES,
        ("basis",),
    ),
    Stage(
        "denoising",
        "Denoising measured",
        denoising,
        ("components", "gaussian", "salt_pepper", "noisy_images", "rows"),
        _USES,
        ("basis",),
    ),
    Stage(
        "rotation", "Rotation through the labels (Fig. 8)", rotation, ("rotation_steps", "rotated"), _USES, ("basis",)
    ),
    Stage(
        "round-trip",
        "The round trip as a map",
        dynamics.round_trip,
        ("starts", "settle_steps", "guesses", *_EXPONENTS),
        _USES,
    ),
    Stage(
        "rotation-cycle",
        "Rotation with round trips as a map",
        dynamics.RotationCycle(by_label=False),
        ("rotation_steps", "starts", "turns", *_EXPONENTS),
        _USES,
        ("basis",),
    ),
    Stage(
        "label-rotation-cycle",
        "The same, one step from label to label",
        dynamics.RotationCycle(by_label=True),
        ("starts", "turns", *_EXPONENTS),
        _USES,
        ("basis",),
    ),
)

STUDY = Study(
    stages=lambda subject, _: [*STAGES, *image_stages(subject)],
    title=lambda subject: f"Latent spectral decomposition: {subject.name} on {subject.train.name}",
    about=about,
    tables=lambda _, records: [
        ("Beside the paper", summary(records)),
        ("Cyclic generators side by side", side_by_side(records)),
        *denoising_tables(records),
    ],
    names=(
        *(stage.name for stage in STAGES),
        *("image-rotation", "image-rotation-noisy", "image-shift", "side-by-side"),
    ),
    families=("against",),
)
lsd_study = STUDY.run
