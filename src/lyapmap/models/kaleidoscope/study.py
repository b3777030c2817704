"""The study of a kaleidoscopic network: its samples, and the dynamics behind them, stage by stage.

H. Shrivastava, "Generative Kaleidoscopic Networks" (2024), Sect. 3 and Fig. 7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lyapmap.models.kaleidoscope import stages
from lyapmap.models.kaleidoscope.subject import KaleidoscopeSubject
from lyapmap.study.page import number, with_limits
from lyapmap.study.stages import Record, Stage
from lyapmap.study.study import Study


def about(subject: KaleidoscopeSubject) -> dict[str, Any]:
    """Plain facts of a study: the model, the data."""
    origin = subject.map.provenance
    return {
        "model": subject.name,
        "sha256": str(origin.get("sha256", "")),
        "epoch": (subject.model.training.get("best") or {}).get("epoch", subject.model.training.get("epoch")),
        "config": ", ".join(f"{key} {value}" for key, value in subject.model.config.items()),
        "data": subject.train.name,
        "images": f"{len(subject.train)} training, {len(subject.test)} test",
        "features": subject.features_name,
        "against": [other.name for other in subject.against],
        "seed": subject.seed,
    }


def summary(records: Mapping[str, Record]) -> list[tuple[str, str]]:
    """Rows of (what, value), the first with the headings; a dash where there is no number."""
    numbers = {name: record.numbers for name, record in records.items()}
    seen, rest = numbers.get("samples", {}), numbers.get("burn-in", {})
    points, noise = numbers.get("fixed-points", {}), numbers.get("exponents", {})
    kept, quality = numbers.get("memorization", {}), numbers.get("manifold", {})
    rows = [
        ("what", "value"),
        ("confidence of the classifier, without noise", number(seen.get("last_confidence"), 3)),
        ("confidence, with noise", number(seen.get("last_confidence_noisy"), 3)),
        ("confidence for held-out images", number(seen.get("real_confidence"), 3)),
        ("trajectories at rest in the end", with_limits(rest.get("settled_share"), rest.get("settled_interval"), 3)),
        ("half of them at rest by step", number(rest.get("median_settled_at"), 0)),
    ]
    if rest.get("restless"):
        error = number(rest["restless_stderr"], 4)
        rows.append(
            (f"largest exponent of the {rest['restless']} others", f"{number(rest['restless_largest'], 4)} ± {error}")
        )
    for short, words in (("pixels", "in pixels"), ("features", "in features"), ("noisy", "in pixels, with noise")):
        if f"burn_in_{short}" in rest:
            limits = rest[f"burn_in_{short}_interval"]
            rows.append((f"burn-in {words}, steps", with_limits(rest[f"burn_in_{short}"], limits, 0)))
    rows += [
        ("different ends of trajectories", number(rest.get("ends"), 0)),
        ("chance of a new end from a further start", number(rest.get("unseen"), 3)),
        ("ends in all, at least", number(rest.get("ends_estimated"), 0)),
        ("fixed points found with Newton's method", number(points.get("fixed_points"), 0)),
        ("of these unstable", number(points.get("unstable"), 0)),
        ("leaves its basin from uniform noise of deviation", number(noise.get("uniform_wanders_from"), 3)),
        ("from normal noise of deviation", number(noise.get("normal_wanders_from"), 3)),
        ("largest exponent positive from uniform noise", number(noise.get("uniform_positive_from"), 3)),
        ("from normal noise", number(noise.get("normal_positive_from"), 3)),
        *_exponent(noise),
        *_dwells(numbers.get("categories", {})),
        *_dimensions(numbers.get("dimension", {})),
        ("samples nearer than 5 % of held-out images", with_limits(kept.get("closer"), kept.get("closer_interval"), 3)),
        ("samples equal to a training image", number(kept.get("copies"), 0)),
    ]
    for metric in ("precision", "recall", "density", "coverage"):
        value = with_limits(quality.get(f"last_{metric}"), quality.get(f"last_{metric}_interval"), 3)
        reference = number(quality.get(f"reference_{metric}"), 3)
        rows.append((f"{metric} (training images: {reference})", value))
    return rows


def side_by_side(records: Mapping[str, Record]) -> list[Sequence[str]]:
    """One column for each network; the heading alone where there is one network."""
    networks = records["variants"].numbers if "variants" in records else {}
    rows: list[Sequence[str]] = [("what", *map(str, networks.get("name", [])))]
    if not networks:
        return rows
    for name, words, decimals in (
        ("architecture", "architecture", None),
        ("depth", "depth", 0),
        ("width", "width", 0),
        ("weights", "weights", 0),
        ("training_loss", "training loss", 5),
        ("settled_share", "at rest in the end", 3),
        ("median_settled_at", "half of them at rest by step", 0),
        ("ends", "different ends", 0),
        ("burn_in", "burn-in, steps", 0),
        ("largest_exponent", "largest exponent", 3),
        ("attractor", "attractor", None),
        ("confidence", "confidence", 3),
        ("precision", "precision", 3),
        ("recall", "recall", 3),
        ("coverage", "coverage", 3),
    ):
        values = networks[name]
        rows.append((words, *(str(v) if decimals is None else number(v, decimals) for v in values)))
    return rows


def _exponent(noise: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not noise:
        return []
    value, error = noise["uniform_exponent"][0], noise["uniform_stderr"][0]
    name = f"largest exponent at noise {noise['levels'][0]:g}"
    return [(name, number(value, 4) + (f" ± {error:.4f}" if error is not None else ""))]


def _dwells(categories: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for level, stays in zip(categories.get("levels", []), categories.get("stays", []), strict=True):
        rows.append((f"category stays in the next step, noise {level:g}", number(stays, 4)))
    return rows


def _dimensions(dimensions: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for key, value in dimensions.items():
        name, _, method = key.partition(": ")
        if method == "gride":
            error, count = dimensions.get(f"{key} stderr"), dimensions.get(f"{name}: points")
            text = number(value, 1) + (f" ± {error:.1f}" if error is not None else "")
            rows.append((f"dimension (Gride) of {name}, {count} points", text))
    return rows


_SAMPLES = ("samples", "at", "noise")
_START = ("samples", "sample_steps")

STAGES = (
    Stage("samples", "Samples and their confidence", stages.samples, _SAMPLES, ("model", "data", "classifier")),
    Stage(
        "burn-in",
        "Settling and burn-in",
        stages.burn_in,
        ("samples", "noise", "settle_steps", "burn_in_samples", "burn_in_steps", "burn_in_every"),
        ("model", "features"),
    ),
    Stage(
        "fixed-points",
        "Fixed points and basins",
        stages.fixed_points,
        ("guesses",),
        ("model", "data"),
        needs=("burn-in",),
    ),
    Stage(
        "exponents",
        "Largest exponent and wandering against noise",
        stages.exponents,
        (
            *_START,
            "noise_levels",
            "exponent_trajectories",
            "exponent_transient",
            "exponent_steps",
            "wander_steps",
            "quench_steps",
        ),
        ("model",),
    ),
    Stage(
        "categories",
        "Categories under noise",
        stages.categories,
        (*_START, "category_levels", "category_trajectories", "category_steps"),
        ("model", "classifier"),
    ),
    Stage(
        "dimension",
        "Dimension of samples and data",
        stages.dimension,
        (*_START, "dimension_points", "dimension_noise", "exponent_transient"),
        ("model", "data"),
        needs=("burn-in",),
    ),
    Stage(
        "memorization",
        "Memorization",
        stages.memorization,
        (*_START, "noise", "real"),
        ("model", "data"),
    ),
    Stage(
        "manifold",
        "Precision and recall over n",
        stages.manifold,
        (*_SAMPLES, "real", "k"),
        ("model", "data", "features"),
    ),
)

STUDY = Study(
    stages=lambda subject, _: [*STAGES, *stages.model_stages(subject)],
    title=lambda subject: f"Kaleidoscopic network: {subject.name} on {subject.train.name}",
    about=about,
    tables=lambda _, records: [
        ("What was found", summary(records)),
        ("Networks side by side", side_by_side(records)),
    ],
    names=(*(stage.name for stage in STAGES), "model", "depth", "variants"),
    families=("against",),
)
kaleidoscope_study = STUDY.run
