"""The study of the cycle model: every result of the paper, stage by stage.

T. Tanaka and Y. Yamaguti, "Cyclic image generation using chaotic dynamics".
"""

from __future__ import annotations

from typing import Any

from lyapmap.models.cycle import stages
from lyapmap.models.cycle.epochs import PAPER_LINES, development_stage, epoch_stages
from lyapmap.models.cycle.protocol import CycleProtocol
from lyapmap.models.cycle.subject import CycleSubject
from lyapmap.study.page import number, with_error
from lyapmap.study.stages import LeftOut, Record, Stage, Workspace
from lyapmap.study.study import Study

PAPER = {"largest": 0.340, "divergence": 0.352, "n_positive": 5, "kaplan_yorke": 14.5, "precision": 0.8, "recall": 0.3}
"""Of MNIST 0, 1, 2 after 1000 epochs at full width; precision is above and recall at n = 10 below."""

_MODEL, _IMAGES, _FEATURES = ("model", "data"), ("model", "data"), ("model", "data", "features")
_BUNDLE = ("ensemble", "transient", "bundle", "bundle_steps")
_AUGMENTED = ("fold", "noise", "augmented_images", "augmented_steps")

STAGES = (
    Stage("sequences", "Sequences of images (Fig. 2, 3)", stages.sequences, ("sequence_steps",), _IMAGES),
    Stage(
        "spectrum",
        "Lyapunov spectrum (Fig. 8)",
        stages.spectrum,
        ("trajectories", "transient", "steps", "exponents"),
        _MODEL,
    ),
    Stage(
        "divergence",
        "Divergence of neighbours (Fig. 9)",
        stages.direct_divergence,
        ("ensemble", "transient", "divergence_steps", "divergence_size", "divergence_last"),
        _MODEL,
        needs=("spectrum",),
    ),
    Stage(
        "histograms",
        "Histograms of five exponents (S4)",
        stages.histograms,
        ("histogram_trajectories", "histogram_steps", "transient"),
        _MODEL,
    ),
    Stage("bundle", "Trajectories side by side (S3)", stages.bundle, _BUNDLE, _IMAGES),
    Stage(
        "over-k",
        "Precision and recall over k (Fig. 6)",
        stages.over_k,
        ("metric_trajectories", "largest_k"),
        _FEATURES,
    ),
    Stage("over-steps", "Precision and recall over n (Fig. 7)", stages.over_steps, ("k", "metric_steps"), _FEATURES),
    Stage(
        "spaces",
        "Precision, recall, density and coverage in several feature spaces",
        stages.spaces,
        ("k", "space_steps", "space_images", "ensemble", "transient"),
        (*_IMAGES, "spaces"),
    ),
    Stage("augmented", "Precision and recall, augmented", stages.augmented, ("k", *_AUGMENTED), _FEATURES),
    Stage(
        "categories",
        "Categories along trajectories",
        stages.categories,
        ("category_trajectories", "category_steps"),
        (*_MODEL, "classifier"),
    ),
    Stage(
        "memorization",
        "Memorization",
        stages.memorized,
        ("ensemble", "transient", "memorization_samples"),
        _IMAGES,
    ),
    Stage(
        "dimension",
        "Dimensions of data and attractor",
        stages.dimension,
        ("ensemble", "transient", "dimension_points"),
        _IMAGES,
        needs=("spectrum",),
    ),
    Stage(
        "convergence",
        "Convergence of five exponents",
        stages.convergence,
        ("convergence_trajectories", "convergence_steps", "transient"),
        _MODEL,
    ),
    Stage("layout", "Layout of the training images", stages.layout, ("layout_points",), ("data",)),
    Stage(
        "embedding-trajectory",
        "One trajectory embedded (Fig. 4)",
        stages.one_trajectory,
        ("embedded_steps",),
        _IMAGES,
        needs=("layout",),
    ),
    Stage(
        "embedding-over-n",
        "States over n embedded (Fig. 5)",
        stages.over_time,
        ("ensemble", "at"),
        _IMAGES,
        needs=("layout",),
    ),
    Stage(
        "embedding-augmented",
        "Augmented states over n embedded",
        stages.augmented_over_time,
        ("at", *_AUGMENTED),
        _IMAGES,
        needs=("layout",),
    ),
    Stage(
        "embedding-bundle",
        "Trajectories side by side, embedded (S3)",
        stages.bundle_embedded,
        _BUNDLE,
        _IMAGES,
        needs=("layout",),
    ),
)


def stages_of(subject: CycleSubject, protocol: CycleProtocol) -> list[Stage]:
    """All stages, those of the epochs that the model's run kept among them."""
    epochs = [] if subject.run is None else epoch_stages(subject.run, "", protocol.epochs)
    if len(epochs) < 2:
        return [*STAGES, Stage("development", "Development along training", _no_epochs)]
    return [*STAGES, *epochs, development_stage(epochs, PAPER_LINES)]


def beside_the_paper(records: dict[str, Record]) -> list[tuple[str, str, str]]:
    """Rows of (what, paper, here), the first with the headings; a dash where there is no number."""
    numbers = {name: record.numbers for name, record in records.items()}
    spectrum, parting = numbers.get("spectrum", {}), numbers.get("divergence", {})
    over_n, over_k = numbers.get("over-steps", {}), numbers.get("over-k", {})
    cycle = numbers.get("categories", {})
    return [
        ("what", "paper", "here"),
        ("largest exponent", "0.340", with_error(spectrum, "largest", 3)),
        (
            "by divergence",
            "0.352",
            with_error(parting, "exponent", 3, "stderr"),
        ),
        ("positive exponents", "5", _cell(spectrum, "n_positive", 0)),
        ("Kaplan-Yorke dimension", "14.5", with_error(spectrum, "kaplan_yorke", 1)),
        (
            f"precision, smallest for n ≥ 1, k = {over_n.get('k', 7)}",
            "> 0.8",
            _cell(over_n, "least_precision_after", 3),
        ),
        ("precision at n = 10", "> 0.8", _cell(over_n, "precision_at_10", 3)),
        ("recall at n = 10", "< 0.3", _cell(over_n, "recall_at_10", 3)),
        ("recall at n = 1", "", _cell(over_n, "recall_at_1", 3)),
        ("precision of trajectories, same k", "", _at_k(over_k, over_n.get("k", 7), "precision")),
        ("recall of trajectories, same k", "", _at_k(over_k, over_n.get("k", 7), "recall")),
        ("features, k", "VGG16, 7", f"{over_n['features']}, {over_n['k']}" if over_n else "-"),
        ("category accuracy", "", _cell(cycle, "accuracy", 4)),
    ]


def _about(subject: CycleSubject) -> dict[str, Any]:
    origin = subject.map.provenance
    return {
        "model": subject.name,
        "sha256": str(origin.get("sha256", "")),
        "epoch": subject.model.training.get("epoch"),
        "config": ", ".join(f"{key} {value}" for key, value in subject.model.config.items()),
        "data": subject.train.name,
        "classes": list(subject.classes),
        "images": f"{len(subject.train)} training, {len(subject.test)} test",
        "features": subject.features_name,
        "seed": subject.seed,
    }


def _no_epochs(_: CycleSubject, work: Workspace) -> dict[str, Any]:
    raise LeftOut("the model lies in no folder of a training run that kept several epochs (train with --keep-every)")


def _cell(numbers: dict[str, Any], name: str, decimals: int) -> str:
    return number(numbers.get(name), decimals)


def _at_k(numbers: dict[str, Any], k: int, name: str) -> str:
    if k not in numbers.get("k", []):
        return "-"
    place = numbers["k"].index(k)
    return f"{numbers[name][place]:.3f} ± {numbers[f'{name}_deviation'][place]:.3f}"


STUDY = Study(
    stages=stages_of,
    title=lambda subject: (
        f"Cyclic image generation: {subject.name} on {subject.train.name}, "
        f"classes {', '.join(map(str, subject.classes))}"
    ),
    about=_about,
    tables=lambda _, records: [
        ("Beside the paper (MNIST 0, 1, 2; full width, 1000 epochs)", beside_the_paper(records))
    ],
    names=(*(stage.name for stage in STAGES), "development"),
    families=("epoch",),
)
cycle_study = STUDY.run
