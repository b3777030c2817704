"""Trainings by several settings and seeds side by side: what their last epochs give on images not seen before.

Nothing is chosen here: the last epoch counts, whatever it gives. Each network goes through stages of the cycle study
in a folder of its own below `runs`, and meets the test images there for the first time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lyapmap.core.errors import LyapmapError
from lyapmap.files.zoo import load_model
from lyapmap.models.cycle.epochs import settings_of
from lyapmap.models.cycle.protocol import CycleProtocol
from lyapmap.models.cycle.stages import METRICS
from lyapmap.models.cycle.study import STAGES, STUDY
from lyapmap.models.cycle.subject import CycleSubject, kept_epochs
from lyapmap.study.page import mean_and_deviation, number
from lyapmap.study.stages import DONE, OnStage, Record, Stage, Workspace
from lyapmap.study.study import Findings, Study, Tables

MEASURED = ("spectrum", "spaces", "categories", "memorization", "dimension")
"""Stages of the cycle study that every network goes through."""
LAST_EPOCHS = 10
"""Over so many epochs at the end the exponent must hold."""
HELD = ("epoch_trajectories", "epoch_transient", "epoch_steps")
"""Sizes of that measurement."""
SPACE_ROWS = ("precision", "recall", "coverage")
"""Of the feature spaces beside the study's own."""


@dataclass(frozen=True)
class TrialStage:
    """Measures the last epoch of one training."""

    run: str
    folder: Path
    protocol: CycleProtocol

    def __call__(self, subject: CycleSubject, work: Workspace) -> dict[str, Any]:
        epochs = kept_epochs(self.folder)
        last = max(epochs)
        own = subject.of(epochs[last])
        measured = STUDY.run(
            own,
            work.folder / "runs" / self.run,
            protocol=self.protocol,
            only=MEASURED,
            progress=bool(work.progress),
        )
        without = [f"{name}: {record.message}" for name, record in measured.records.items() if record.status != DONE]
        numbers = {name: record.numbers for name, record in measured.records.items()}
        settings = own.model.training.get("settings", {})
        return {
            "run": self.run,
            "kind": kind_of(self.folder),
            "seed": settings.get("seed"),
            "epoch": last,
            "without": without,
            **held_exponents(epochs, subject, self.protocol),
            **flat(numbers),
        }


def held_exponents(epochs: Mapping[int, Path], subject: CycleSubject, protocol: CycleProtocol) -> dict[str, Any]:
    """The largest exponent of each of the last kept epochs, from the sample states of the training."""
    from lyapmap.training.exponents import Measurement

    measurement = Measurement(
        n_exponents=1,
        n_trajectories=protocol.epoch_trajectories,
        transient=protocol.epoch_transient,
        n_steps=protocol.epoch_steps,
        seed=subject.seed,
    )
    numbers: dict[str, list[Any]] = {"held_epochs": [], "held": [], "held_stderr": []}
    for epoch in sorted(epochs)[-LAST_EPOCHS:]:
        model = load_model(epochs[epoch], device=subject.map.ops.device)
        seen = measurement.of(model.map, model.sample_states)
        numbers["held_epochs"].append(epoch)
        numbers["held"].append(seen["exponents"][0])
        numbers["held_stderr"].append(seen["stderr"][0])
    known = [value for value in numbers["held"] if value is not None]
    return numbers | {"held_least": min(known, default=None), "held_most": max(known, default=None)}


def flat(numbers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What the stages of one network found, by single names; what a stage did not find is left out."""
    spectrum, order = numbers.get("spectrum", {}), numbers.get("categories", {})
    copies, dimension = numbers.get("memorization", {}), numbers.get("dimension", {})
    kept: dict[str, Any] = {
        name: spectrum.get(name)
        for name in ("largest", "largest_stderr", "n_positive", "kaplan_yorke", "kaplan_yorke_stderr", "attractor")
    }
    kept |= {"order": order.get("accuracy"), "order_interval": order.get("accuracy_interval")}
    kept |= {name: copies.get(name) for name in ("copies", "closer", "preference", "samples")}
    kept["distance"], kept["reference_distance"] = (
        copies.get("median_distance"),
        copies.get("median_reference_distance"),
    )
    kept |= {name: dimension.get(name) for name in ("data_gride", "attractor_gride", "data_twonn", "attractor_twonn")}
    compared = numbers.get("spaces", {})
    kept["spaces"] = list(compared.get("spaces", {}))
    for space, values in compared.get("spaces", {}).items():
        for metric in METRICS:
            kept |= {f"{space} {metric} {at}": value for at, value in zip(compared["at"], values[metric], strict=True)}
            kept[f"{space} {metric} reference"] = values[f"reference_{metric}"]
    return {name: value for name, value in kept.items() if value is not None}


def kind_of(folder: Path) -> str:
    """The name of the recipe whose settings a run has, or in words what they are, and the width of its network."""
    from lyapmap.models.cycle.recipe import RECIPES, CycleSettings

    last = load_model(list(kept_epochs(folder).values())[-1])
    settings, width = last.training.get("settings", {}), f"width {last.config['width']}"
    own = {key: value for key, value in settings.items() if key not in ("data", "classes", "seed")}
    for name, recipe in RECIPES.items():
        if recipe.to_dict() == own:
            return f"{name}, {width}"
    usual = CycleSettings().to_dict()
    others = {key: value for key, value in own.items() if key not in ("wishes", "start") and value != usual.get(key)}
    words = (f"{key.replace('_', ' ')} {value:g}" for key, value in others.items())
    return ", ".join([settings_of(folder), *words, width])


def cycle_trials(
    runs: Mapping[str, Path],
    subject: CycleSubject,
    folder: str | Path,
    *,
    protocol: CycleProtocol,
    progress: bool = False,
    on_stage: OnStage | None = None,
) -> Findings:
    """Measure the last epoch of several trainings on the test images, or go on where an earlier call stopped.

    Parameters
    ----------
    runs : mapping of str to Path
        Folders of training runs, see `lyapmap.models.cycle.epochs.runs_by_name`. The first kind of settings among
        them is compared with each of the others.
    subject : CycleSubject
        Whose data, features and classifier are used.
    folder : path
        Receives everything; the study of each network lies below `runs`.
    protocol : CycleProtocol
    progress, on_stage
        As of `cycle_study`.

    Returns
    -------
    Findings
        Tables of mean and deviation of each kind with differences by seed, of every run, and of the other
        feature spaces.

    Raises
    ------
    KeyboardInterrupt
        On Ctrl-C, which costs the stage at hand only.
    """
    measured = (stage.settings for stage in STAGES if stage.name in MEASURED)
    sizes = tuple(sorted({*HELD, *(name for settings in measured for name in settings)}))
    trials = [
        Stage(
            f"trial-{name}",
            f"Training {name}",
            TrialStage(name, path, protocol),
            sizes,
            (
                *(f"file:{kept}" for kept in list(kept_epochs(path).values())[-LAST_EPOCHS:]),
                "data",
                "classifier",
                "spaces",
            ),
        )
        for name, path in runs.items()
    ]
    comparison = Stage("comparison", "Side by side", _comparison, needs=tuple(stage.name for stage in trials))
    study = Study(
        stages=lambda *_: [*trials, comparison],
        title=lambda _: (
            f"{len(runs)} trainings on {subject.train.name}, classes {', '.join(map(str, subject.classes))}: "
            "the last epoch of each on the test images"
        ),
        about=lambda _: {
            "runs": {name: kind_of(path) for name, path in runs.items()},
            "data": subject.train.name,
            "classes": list(subject.classes),
            "features": ", ".join(subject.spaces),
            "seed": subject.seed,
        },
        tables=lambda _, records: tables(trial_numbers(records)),
        settings=lambda values: {name: values[name] for name in sizes},
    )
    return study.run(subject, folder, protocol=protocol, progress=progress, on_stage=on_stage)


def trial_numbers(records: Mapping[str, Record]) -> list[dict[str, Any]]:
    """Numbers of the trainings that could be measured."""
    return [record.numbers for name, record in records.items() if name.startswith("trial-") and record.status == DONE]


def tables(trials: Sequence[Mapping[str, Any]]) -> Tables:
    """Kinds side by side, every training, and the other feature spaces."""
    if not trials:
        return [("Nothing is measured", [("what",)])]
    spaces = list(trials[0]["spaces"])
    rows = rows_of(trials)
    made: Tables = [
        ("Mean and standard deviation over seeds, and differences by seed", _by_kind(trials, rows)),
        ("Every training", [("what", *(trial["run"] for trial in trials)), *_each(trials, rows)]),
    ]
    for space in spaces[1:]:
        own = [(f"{space} {metric} {at}", f"{metric}, {_at(at)}", 3) for metric in SPACE_ROWS for at in _steps(trials)]
        made.append((f"The same in the features of {space}", _by_kind(trials, own)))
    return made


def rows_of(trials: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, int]]:
    """Key, words and decimals of what is told of every training."""
    rows = [
        ("largest", "largest exponent", 3),
        ("largest_stderr", "its standard error", 3),
        ("held_least", f"least of the last {LAST_EPOCHS} epochs", 3),
        ("held_most", f"largest of the last {LAST_EPOCHS} epochs", 3),
        ("n_positive", "positive exponents", 1),
        ("kaplan_yorke", "Kaplan-Yorke dimension", 1),
        ("attractor_gride", "dimension of the attractor (Gride)", 1),
        ("order", "order of the categories", 3),
    ]
    spaces = trials[0]["spaces"]
    if spaces:
        rows += [
            (f"{spaces[0]} {metric} {at}", f"{metric}, {_at(at)}", 3) for metric in METRICS for at in _steps(trials)
        ]
    return [
        *rows,
        ("copies", "copies of training images", 0),
        ("closer", "nearer to training images than 1 % of the test images", 3),
        ("preference", "chance to lie nearer to training images than a test image does", 3),
    ]


def _steps(trials: Sequence[Mapping[str, Any]]) -> list[str]:
    """After which steps the images were compared, in order."""
    space = trials[0]["spaces"][0]
    return [key.split()[-1] for key in trials[0] if key.startswith(f"{space} recall ")]


def _at(step: str) -> str:
    return {"attractor": "on the attractor", "reference": "training images instead"}.get(step, f"n = {step}")


def _by_kind(trials: Sequence[Mapping[str, Any]], rows: Sequence[tuple[str, str, int]]) -> list[tuple[str, ...]]:
    kinds = list(dict.fromkeys(trial["kind"] for trial in trials))
    first, others = kinds[0], kinds[1:]
    table: list[tuple[str, ...]] = [("what", *kinds, *(f"{first} - {kind}, by seed" for kind in others))]
    counts = [sum(trial["kind"] == kind for trial in trials) for kind in kinds]
    table.append(("trainings", *map(str, counts), *("" for _ in others)))
    for key, words, decimals in rows:
        cells = [_summary([trial.get(key) for trial in trials if trial["kind"] == kind], decimals) for kind in kinds]
        cells += [_summary(differences(trials, key, first, kind), decimals) for kind in others]
        table.append((words, *cells))
    return table


def differences(trials: Sequence[Mapping[str, Any]], key: str, first: str, other: str) -> list[float]:
    """Of trainings of both kinds with one seed, in the order of the seeds."""
    values = {
        kind: {trial["seed"]: trial[key] for trial in trials if trial["kind"] == kind and trial.get(key) is not None}
        for kind in (first, other)
    }
    return [values[first][seed] - values[other][seed] for seed in sorted(set(values[first]) & set(values[other]))]


def _summary(values: Sequence[Any], decimals: int) -> str:
    mean, deviation, count = mean_and_deviation(values)
    text = number(mean, decimals)
    text += f" ± {deviation:.{decimals}f}" if count > 1 else ""
    return text + (f" (of {count})" if 0 < count < len(values) else "")


def _each(trials: Sequence[Mapping[str, Any]], rows: Sequence[tuple[str, str, int]]) -> list[tuple[str, ...]]:
    return [
        ("settings", *(trial["kind"] for trial in trials)),
        ("seed, epoch", *(f"{trial['seed']}, {trial['epoch']}" for trial in trials)),
        *((words, *(number(trial.get(key), decimals) for trial in trials)) for key, words, decimals in rows),
    ]


def _comparison(_: CycleSubject, work: Workspace) -> dict[str, Any]:
    from lyapmap.models.cycle.pictures import draw_trials, draw_trust

    trials = trial_numbers(work.before)
    if not trials:
        raise LyapmapError("no training could be measured")
    space = trials[0]["spaces"][0]
    kinds = list(dict.fromkeys(trial["kind"] for trial in trials))
    values = {
        kind: {
            metric: np.array(
                [[t[f"{space} {metric} {at}"] for at in _steps(trials)] for t in trials if t["kind"] == kind]
            )
            for metric in METRICS
        }
        for kind in kinds
    }
    work.show(
        draw_trials(values, [_at(at) for at in _steps(trials)]),
        "trials",
        "Quality and variety of every training",
        f"A line for each training, in the features of {space}; the last place: as many training images instead.",
    )
    work.show(
        draw_trust(trials),
        "trust",
        "Whether chaos holds, and whether images are copied",
        f"Left, the largest exponent in each of the last {LAST_EPOCHS} epochs kept, with two standard errors. Right, "
        "the chance that an image on the attractor lies nearer to a training image than a test image does: 0.5 where "
        "training images are not preferred, 1 where they are copied.",
    )
    rows = [key for key, _, _ in rows_of(trials)]
    return {
        "kinds": kinds,
        "differences": {kind: {key: differences(trials, key, kinds[0], kind) for key in rows} for kind in kinds[1:]},
        "median": {kind: median_run([t for t in trials if t["kind"] == kind]) for kind in kinds},
    }


def median_run(trials: Sequence[Mapping[str, Any]]) -> str:
    """The training whose recall after ten steps is the median; of an even number, the lower of the two."""
    space = trials[0]["spaces"][0]
    ranked = sorted(trials, key=lambda trial: trial.get(f"{space} recall 10", 0.0))
    name: str = ranked[(len(ranked) - 1) // 2]["run"]
    return name
