"""The study of adversarial networks: what each is worth, and who wins, stage by stage.

D. J. Im, C. D. Kim, H. Jiang, R. Memisevic, "Generating images with recurrent adversarial networks" (2016),
Table 2, with what the paper does not measure beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lyapmap.study.page import mean_and_deviation
from lyapmap.study.stages import DONE, Record, Stage
from lyapmap.study.study import Study

if TYPE_CHECKING:
    from lyapmap.models.gan.protocol import GanProtocol
    from lyapmap.models.gan.stages import GanSubject


PAPER = {
    ("mnist", "GRAN1", "GRAN3"): "0.79, 1.75, GRAN3",
    ("mnist", "GRAN1", "GRAN5"): "0.95, 1.19, GRAN5",
    ("cifar10", "GRAN1", "GRAN3"): "1.28, 1.001, GRAN3",
    ("cifar10", "GRAN1", "GRAN5"): "1.29, 1.011, GRAN5",
    ("cifar10", "GRAN3", "GRAN5"): "1.00, 2.289, GRAN5",
}
"""Table 2 of the paper by data and kinds: r_test, r_sample, winner."""
ROWS = (
    ("quality", "precision", "precision", 3),
    ("quality", "recall", "recall", 3),
    ("quality", "density", "density", 3),
    ("quality", "coverage", "coverage", 3),
    ("quality", "variance", "variance, parts of the data's", 3),
    ("quality", "categories", "categories in effect", 2),
    ("quality", "confidence", "confidence of the classifier", 3),
    ("quality", "closer", "as near to training images as the nearest 5 % of test images", 3),
    ("shape", "dimension", "local dimension (variances above the threshold)", 1),
    ("shape", "participation", "participation of singular values", 1),
    ("shape", "twonn_generated", "intrinsic dimension of samples (TwoNN)", 1),
    ("shape", "twonn_data", "intrinsic dimension of the data (TwoNN)", 1),
    ("canvas", "exponent_one", "largest exponent of the canvas, one noise", 3),
    ("canvas", "exponent_fresh", "largest exponent of the canvas, fresh noise", 3),
)
"""Rows of the table of kinds: group of stages, number, words, decimals."""


def stages_of(subject: GanSubject, _: GanProtocol) -> list[Stage]:
    """Three stages for each model, their battles, and what they come to."""
    from lyapmap.models.gan.stages import Canvas, Quality, Shape, battles, verdict

    stages: list[Stage] = []
    for name in subject.gans:
        model = f"gan:{name}"
        stages += [
            Stage(
                f"quality-{name}",
                f"Samples of {name}",
                Quality(name),
                ("samples", "real", "k"),
                (model, "data", "features", "classifier"),
            ),
            Stage(
                f"shape-{name}",
                f"Jacobian and dimension of {name}",
                Shape(name),
                ("jacobians", "threshold", "dimension_points"),
                (model, "data"),
            ),
            Stage(
                f"canvas-{name}",
                f"The canvas of {name}",
                Canvas(name),
                (
                    *("samples", "real", "k", "canvas_trajectories", "canvas_transient"),
                    *("canvas_exponent_steps", "canvas_steps", "canvas_more"),
                ),
                (model, "data", "features"),
            ),
        ]
    everyone = tuple(f"gan:{name}" for name in subject.gans)
    return [
        *stages,
        Stage("battles", "Battles", battles, ("real", "battle_samples", "tolerance"), (*everyone, "data")),
        Stage(
            "verdict",
            "Kinds, and what winning means",
            verdict,
            needs=("battles", *(f"quality-{name}" for name in subject.gans)),
        ),
    ]


def _trained(subject: GanSubject, name: str) -> str:
    gan = subject.gans[name]
    settings = gan.training.get("settings", {})
    words = [subject.kinds[name]]
    if gan.training.get("epoch"):
        words.append(f"{gan.training['epoch']} epochs of {settings.get('images', '?')} images")
    words += [f"{key} {settings[key]}" for key in ("loss", "seed") if key in settings]
    return ", ".join(words)


def table_of_kinds(kinds: Mapping[str, str], records: Mapping[str, Record]) -> list[tuple[str, ...]]:
    """Rows of (what, mean and deviation over the models of each kind), the first with headings."""
    order = list(dict.fromkeys(kinds.values()))
    groups = {kind: [name for name, own in kinds.items() if own == kind] for kind in order}
    rows: list[tuple[str, ...]] = [
        ("what", *(f"{kind} ({len(names)})" if len(names) > 1 else kind for kind, names in groups.items()))
    ]
    for group, key, words, decimals in ROWS:
        cells = []
        for names in groups.values():
            values = [_number(records, f"{group}-{name}", key) for name in names]
            mean, deviation, count = mean_and_deviation(values)
            cell = "-" if count == 0 else f"{mean:.{decimals}f}"
            cells.append(cell + (f" ± {deviation:.{decimals}f}" if count > 1 else ""))
        if any(cell != "-" for cell in cells):
            rows.append((words, *cells))
    return rows


def table_of_battles(data: str, records: Mapping[str, Record]) -> list[tuple[str, ...]]:
    """Rows of (battle, both ratios, wins, the paper's), the first with headings."""
    rows: list[tuple[str, ...]] = [
        ("battle", "r_test", "r_sample", "won : tied : lost by the first", "paper: r_test, r_sample, winner")
    ]
    for pair in _numbers(records, "verdict").get("pairs", []):
        rows.append(
            (
                f"{pair['first']} against {pair['second']}",
                _ratio(pair, "r_test"),
                _ratio(pair, "r_sample"),
                f"{pair['won']} : {pair['tied']} : {pair['lost']}",
                PAPER.get((data, pair["first"], pair["second"]), "-"),
            )
        )
    return rows


def _ratio(pair: Mapping[str, Any], name: str) -> str:
    if pair[name] is None:
        return "-"
    words = f"{pair[name]:.3g}"
    low, high = pair[f"{name}_range"]
    return words if pair["battles"] == 1 else f"{words} ({low:.3g} to {high:.3g})"


def _numbers(records: Mapping[str, Record], stage: str) -> dict[str, Any]:
    record = records.get(stage)
    return record.numbers if record is not None and record.status == DONE else {}


def _number(records: Mapping[str, Record], stage: str, key: str) -> float | None:
    value = _numbers(records, stage).get(key)
    return None if value is None else float(value)


def _about(subject: GanSubject) -> dict[str, Any]:
    return {
        "models": {name: _trained(subject, name) for name in subject.gans},
        "data": subject.train.name,
        "features": subject.features_name,
        "seed": subject.seed,
    }


STUDY = Study(
    stages=stages_of,
    title=lambda subject: f"Adversarial networks on {subject.train.name}",
    about=_about,
    tables=lambda subject, records: [
        ("By kind of model", table_of_kinds(subject.kinds, records)),
        ("Battles of kinds", table_of_battles(subject.train.name, records)),
    ],
    names=("quality", "shape", "canvas", "battles", "verdict"),
    families=("quality", "shape", "canvas"),
)
gan_study = STUDY.run
