"""How a generator changes along its training, and how much that depends on the seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lyapmap.analysis.exponents.spectrum import lyapunov_spectrum
from lyapmap.analysis.manifold.transitions import transitions
from lyapmap.analysis.orbits.trajectory import trajectory
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import TangentMap
from lyapmap.files.zoo import load_model
from lyapmap.models.cycle.protocol import CycleProtocol
from lyapmap.models.cycle.subject import CycleSubject, kept_epochs, load_subject
from lyapmap.study.page import mean_and_deviation
from lyapmap.study.stages import DONE, OnStage, Record, Stage, Workspace
from lyapmap.study.study import Findings, Study

PAPER_LINES = {
    "largest": 0.340,
    "kaplan_yorke": 14.5,
    "n_positive": 5,
    "precision_at_10": 0.8,
    "recall_at_10": 0.3,
}
"""The paper's numbers by the names of those of an epoch, for MNIST 0, 1, 2 after 1000 epochs at full width."""
STEPS = (1, 10, 30)
"""Steps of the test images after which they are compared with them; the last stands for the attractor."""
METRICS = ("precision", "recall", "density", "coverage")
SIZES = ("epoch_trajectories", "epoch_transient", "epoch_steps", "epoch_images", "k")
CHAOS = ("largest", "kaplan_yorke", "n_positive")
NUMBERS = (*CHAOS, "order", *(f"{metric}_at_{step}" for metric in METRICS for step in STEPS))
"""Names of what is measured of every epoch."""


@dataclass(frozen=True)
class EpochStage:
    """Measures one checkpoint; what it is and where it stands."""

    run: str
    epoch: int
    path: Path

    def __call__(self, subject: CycleSubject, work: Workspace) -> dict[str, Any]:
        return {"run": self.run, "epoch": self.epoch} | measure(self.path, subject, work)


def epoch_stages(folder: Path, run: str, most: int | None) -> list[Stage]:
    """A stage for each kept epoch of a run, at most so many, evenly spread and the last among them."""
    epochs = kept_epochs(folder)
    measured = list(epochs)
    if most is not None and most < len(measured):
        places = np.linspace(0, len(measured) - 1, most).round().astype(int) if most > 1 else [-1]
        measured = [measured[place] for place in places]
    prefix = f"{run}-" if run else ""
    return [
        Stage(
            f"{prefix}epoch-{epoch:04d}",
            f"{run} epoch {epoch}".strip(),
            EpochStage(run, epoch, epochs[epoch]),
            SIZES,
            (f"file:{epochs[epoch]}", "data", "features", "classifier"),
        )
        for epoch in measured
    ]


def measure(path: Path, subject: CycleSubject, work: Workspace) -> dict[str, Any]:
    """Exponents of a checkpoint on its attractor, how well it keeps the order of the categories, and metrics of
    test images after 1, 10 and 30 steps."""
    sizes = work.sizes
    model = subject.of(path).model
    result = lyapunov_spectrum(
        model.map,
        subject.starts(sizes.epoch_trajectories),
        n_steps=sizes.epoch_steps,
        transient=sizes.epoch_transient,
        n_exponents="auto",
        seed=subject.seed,
        progress=work.progress,
    )
    work.keep(result, f"{path.parent.name}-{path.stem}")
    numbers: dict[str, Any] = {
        "largest": result.exponents[0],
        "largest_stderr": result.stderr[0],
        "n_positive": result.n_positive,
        "kaplan_yorke": result.kaplan_yorke,
        "kaplan_yorke_stderr": result.kaplan_yorke_stderr,
        "kaplan_yorke_verdict": result.kaplan_yorke_verdict,
        "attractor": result.attractor,
        "status": str(result.status),
    }
    numbers["order"] = _order(model.map, subject, work)
    return numbers | _metrics(model.map, subject, work)


def _order(generator: TangentMap, subject: CycleSubject, work: Workspace) -> float | None:
    """Part of the steps on the attractor that lead to the next category; None without a classifier."""
    if subject.classify is None:
        return None
    sizes = work.sizes
    orbit = trajectory(
        generator,
        subject.starts(sizes.epoch_trajectories),
        n_steps=sizes.epoch_steps,
        transient=sizes.epoch_transient,
        progress=work.progress,
    )
    return float(transitions(orbit, subject.classify, order=subject.classes, progress=work.progress).accuracy)


def _metrics(generator: TangentMap, subject: CycleSubject, work: Workspace) -> dict[str, Any]:
    """Of the images after each of STEPS, against as many test images."""
    sizes = work.sizes
    side = subject.side(sizes.k, sizes.epoch_images)
    images = subject.test_images(sizes.epoch_images)
    states = images.reshape(len(images), -1)
    numbers: dict[str, Any] = {}
    done = 0
    for step in STEPS:
        states = trajectory(generator, states, n_steps=0, transient=step - done, progress=work.progress).states[:, 0]
        done = step
        metrics = side.compare(states.reshape(images.shape), seed=subject.seed, progress=work.progress)
        numbers |= {f"{name}_at_{step}": getattr(metrics, name)[0] for name in METRICS}
    return numbers


def entries(records: Mapping[str, Record], stages: Iterable[Stage]) -> list[dict[str, Any]]:
    """Numbers of the epochs that could be measured, in the order of the stages."""
    done = (records[stage.name] for stage in stages if stage.name in records)
    return [record.numbers for record in done if record.status == DONE]


def development_stage(stages: list[Stage], paper: Mapping[str, float]) -> Stage:
    """The stage that puts the epochs of one run together."""
    return Stage(
        "development",
        "Development along training",
        partial(_development, stages, paper),
        needs=tuple(stage.name for stage in stages),
    )


def _development(stages: list[Stage], paper: Mapping[str, float], _: CycleSubject, work: Workspace) -> dict[str, Any]:
    from lyapmap.models.cycle.pictures import draw_development

    known = entries(work.before, stages)
    if not known:
        raise LyapmapError("no epoch could be measured")
    work.show(
        draw_development({"": known}, paper=paper),
        "development",
        "Along training",
        "Every kept epoch of the run; dashed, the paper's values after 1000 epochs.",
    )
    lost = [name for name in (stage.name for stage in stages) if work.before[name].status != DONE]
    columns = {key: [entry[key] for entry in known] for key in ("epoch", *NUMBERS)}
    return columns | {"without": lost}


ROWS = (
    ("largest", "largest exponent", "0.340"),
    ("n_positive", "positive exponents", "5"),
    ("kaplan_yorke", "Kaplan-Yorke dimension", "14.5"),
    ("order", "order of the categories kept", ""),
    ("precision_at_1", "precision at n = 1", "> 0.8"),
    ("recall_at_1", "recall at n = 1", ""),
    ("precision_at_10", "precision at n = 10", "> 0.8"),
    ("recall_at_10", "recall at n = 10", "< 0.3"),
    ("coverage_at_10", "coverage at n = 10", ""),
    ("precision_at_30", "precision at n = 30", ""),
    ("recall_at_30", "recall at n = 30", ""),
    ("coverage_at_30", "coverage at n = 30", ""),
)
"""Names of the numbers, in words, and the paper's values."""


def runs_by_name(folders: Sequence[str | Path]) -> dict[str, Path]:
    """Folders of training runs by short names that differ.

    Raises
    ------
    LyapmapError
        If a folder holds no `epoch-*.pt`, or is given twice.
    """
    runs: dict[str, Path] = {}
    for given in folders:
        folder = Path(given)
        if not kept_epochs(folder):
            raise LyapmapError(f"{folder}: holds no epoch-*.pt; train with --keep-every 1")
        name = folder.resolve().name
        if name in runs:
            name = f"{folder.resolve().parent.name}-{name}"
        if name in runs:
            raise LyapmapError(f"{folder}: given twice")
        runs[name] = folder
    if not runs:
        raise LyapmapError("expected at least one folder of a training run, got none")
    return runs


def load_runs(folders: Sequence[str | Path], **options: Any) -> tuple[dict[str, Path], CycleSubject]:
    """The runs, and what all of them are compared with: the first one's network, and `load_subject`'s options."""
    runs = runs_by_name(folders)
    first = next(iter(runs.values()))
    return runs, load_subject(next(iter(kept_epochs(first).values())), **options)


def cycle_seeds(
    runs: Mapping[str, Path],
    subject: CycleSubject,
    folder: str | Path,
    *,
    protocol: CycleProtocol,
    progress: bool = False,
    on_stage: OnStage | None = None,
) -> Findings:
    """Measure the kept epochs of several runs, or go on where an earlier call stopped.

    Parameters
    ----------
    runs : mapping of str to Path
        Folders of training runs, see `runs_by_name`.
    subject : CycleSubject
        Whose data and features are used.
    folder : path
    protocol : CycleProtocol
        Of which `epochs`, `k` and those that begin with "epoch" are used.
    progress, on_stage
        As of `cycle_study`.

    Returns
    -------
    Findings
        The table gives mean and standard deviation over runs at the last epoch that all have; a
        column for each kind of run where some were trained with other losses than others.

    Raises
    ------
    KeyboardInterrupt
        On Ctrl-C, which costs the epoch at hand only.
    """
    groups = {name: epoch_stages(path, name, protocol.epochs) for name, path in runs.items()}
    flat = [stage for group in groups.values() for stage in group]
    spread = Stage(
        "spread", "Spread over runs and epochs", partial(_spread, groups), needs=tuple(stage.name for stage in flat)
    )
    settings = {name: settings_of(path) for name, path in runs.items()}
    widths = {name: load_model(list(kept_epochs(path).values())[-1]).config["width"] for name, path in runs.items()}
    if len(set(widths.values())) > 1:
        settings = {name: f"{words}, width {widths[name]}" for name, words in settings.items()}
    kinds = len(set(settings.values()))
    study = Study(
        stages=lambda *_: [*flat, spread],
        title=lambda _: (
            f"Spread over {len(runs)} training runs on {subject.train.name}, "
            f"classes {', '.join(map(str, subject.classes))}"
        ),
        about=lambda _: {
            "runs": settings,
            "data": subject.train.name,
            "classes": list(subject.classes),
            "features": subject.features_name,
            "seed": subject.seed,
        },
        tables=lambda _, records: [
            (
                "At the last epoch that all runs of a kind have",
                table_of_settings(records, groups, settings) if kinds > 1 else table_of_runs(records, groups),
            )
        ],
        settings=lambda sizes: {name: sizes[name] for name in sizes if name.startswith("epoch") or name == "k"},
    )
    return study.run(subject, folder, protocol=protocol, progress=progress, on_stage=on_stage)


def settings_of(folder: Path) -> str:
    """In what a run departs from the paper's losses and the usual settings, in words; seeds apart."""
    last = list(kept_epochs(folder).values())[-1]
    settings = load_model(last).training.get("settings", {})
    terms = {name.replace("_", " "): value for name, value in settings.get("wishes", {}).items()}
    words = [f"{name} {value:g}" for name, value in terms.items()]
    if "start" in settings:
        words.insert(0, f"after {settings['start']['epoch']} epochs of another run")
    return ", ".join(words) or "the paper's losses"


def table_of_settings(
    records: Mapping[str, Record], groups: Mapping[str, list[Stage]], settings: Mapping[str, str]
) -> list[tuple[str, ...]]:
    """Rows of (what, paper, mean and deviation of the runs of each kind), the first with headings."""
    kinds = list(dict.fromkeys(settings.values()))
    tables = [
        table_of_runs(records, {run: groups[run] for run, kind in settings.items() if kind == each}) for each in kinds
    ]
    rows: list[tuple[str, ...]] = [("what", "paper", *kinds)]
    rows.append(("runs, epoch", "", *(table[0][2] for table in tables)))
    for i, (_, words, paper) in enumerate(ROWS, 1):
        rows.append((words, paper, *(table[i][2] if len(table) > 1 else "-" for table in tables)))
    return rows


def table_of_runs(records: Mapping[str, Record], groups: Mapping[str, list[Stage]]) -> list[tuple[str, ...]]:
    """Rows of (what, paper, mean and deviation, each run) at the last common epoch, the first with headings."""
    by_run = {name: {e["epoch"]: e for e in entries(records, stages)} for name, stages in groups.items()}
    by_run = {name: epochs for name, epochs in by_run.items() if epochs}
    common = set.intersection(*(set(epochs) for epochs in by_run.values())) if by_run else set()
    if not common:
        return [("what", "paper", "mean ± deviation")]
    last = max(common)
    rows: list[tuple[str, ...]] = [("what", "paper", f"{len(by_run)} runs, epoch {last}", *by_run)]
    for key, words, paper in ROWS:
        values = [epochs[last].get(key) for epochs in by_run.values()]
        mean, deviation, count = mean_and_deviation(values)
        decimals = 1 if key in ("n_positive", "kaplan_yorke") else 3
        summary = "-" if count == 0 else f"{mean:.{decimals}f}"
        summary += f" ± {deviation:.{decimals}f}" if count > 1 else ""
        summary += f" (of {count})" if 0 < count < len(values) else ""
        rows.append((words, paper, summary, *("-" if v is None else f"{v:.{decimals}f}" for v in values)))
    return rows


def _spread(groups: Mapping[str, list[Stage]], _: CycleSubject, work: Workspace) -> dict[str, Any]:
    from lyapmap.models.cycle.pictures import draw_development

    by_run = {name: entries(work.before, stages) for name, stages in groups.items()}
    known = {name: epochs for name, epochs in by_run.items() if epochs}
    if not known:
        raise LyapmapError("no epoch could be measured")
    work.show(
        draw_development(known, paper=PAPER_LINES),
        "spread",
        "Every run over its epochs",
        "One line for each run; dotted, the paper's values after 1000 epochs at full width.",
    )
    epochs = sorted({entry["epoch"] for run in known.values() for entry in run})
    numbers: dict[str, Any] = {"runs": list(known), "epoch": epochs}
    for key in NUMBERS:
        at = [[e[key] for run in known.values() for e in run if e["epoch"] == epoch] for epoch in epochs]
        summary = [mean_and_deviation(values) for values in at]
        numbers |= {
            f"{key}_mean": [mean for mean, _, _ in summary],
            f"{key}_deviation": [deviation for _, deviation, _ in summary],
            f"{key}_runs": [count for _, _, count in summary],
        }
    return numbers
