"""How a generator changes along its training: exponents, dimension, precision and recall of kept epochs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lyapmap.analysis.manifold_along import manifold_along
from lyapmap.analysis.spectrum import lyapunov_spectrum
from lyapmap.core.errors import LyapmapError
from lyapmap.studies.cycle_subject import CycleSubject, kept_epochs
from lyapmap.studies.stages import DONE, Bench, Record, Stage
from lyapmap.training.zoo import load_model

STEPS = (1, 10)
"""Steps at which precision and recall are measured."""
METRICS = ("precision", "recall")
SIZES = ("epoch_trajectories", "epoch_transient", "epoch_steps", "k")


@dataclass(frozen=True)
class EpochStage:
    """Measures one checkpoint; what it is and where it stands."""

    run: str
    epoch: int
    path: Path

    def __call__(self, subject: CycleSubject, bench: Bench) -> dict[str, Any]:
        return {"run": self.run, "epoch": self.epoch} | measure(self.path, subject, bench)


def epoch_stages(folder: Path, run: str, most: int | None) -> list[Stage]:
    """A stage for each kept epoch of a run, at most so many, evenly spread and the last among them."""
    epochs = kept_epochs(folder)
    chosen = list(epochs)
    if most is not None and most < len(chosen):
        places = np.linspace(0, len(chosen) - 1, most).round().astype(int) if most > 1 else [-1]
        chosen = [chosen[place] for place in places]
    prefix = f"{run}-" if run else ""
    return [
        Stage(
            f"{prefix}epoch-{epoch:04d}",
            f"{run} epoch {epoch}".strip(),
            EpochStage(run, epoch, epochs[epoch]),
            SIZES,
            (f"file:{epochs[epoch]}", "data", "features"),
        )
        for epoch in chosen
    ]


def measure(path: Path, subject: CycleSubject, bench: Bench) -> dict[str, Any]:
    """Exponents of a checkpoint on its attractor, and metrics of all test images after 1 and 10 steps."""
    sizes = bench.sizes
    model = load_model(path, device=subject.map.ops.device)
    if tuple(model.map.state_shape) != tuple(subject.map.state_shape):
        raise LyapmapError(f"{path}: states have shape {model.map.state_shape}, expected {subject.map.state_shape}")
    found = lyapunov_spectrum(
        model.map,
        subject.starts(sizes.epoch_trajectories),
        n_steps=sizes.epoch_steps,
        transient=sizes.epoch_transient,
        n_exponents="auto",
        seed=subject.seed,
        progress=bench.progress,
    )
    bench.keep(found, f"{path.parent.name}-{path.stem}")
    side = subject.side(sizes.k)
    numbers: dict[str, Any] = {
        "largest": found.exponents[0],
        "largest_stderr": found.stderr[0],
        "n_positive": found.n_positive,
        "kaplan_yorke": found.kaplan_yorke,
        "kaplan_yorke_stderr": found.kaplan_yorke_stderr,
        "kaplan_yorke_verdict": found.kaplan_yorke_verdict,
        "attractor": found.attractor,
        "status": str(found.status),
    }
    for step in STEPS:
        # Only the states at the step asked for are compared.
        along = manifold_along(
            side,
            model.map,
            subject.test.states,
            n_steps=0,
            transient=step,
            seed=subject.seed,
            progress=bench.progress,
        )
        numbers |= {f"{name}_at_{step}": getattr(along, name)[0, 0] for name in METRICS}
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


def _development(stages: list[Stage], paper: Mapping[str, float], _: CycleSubject, bench: Bench) -> dict[str, Any]:
    from lyapmap.views.development import draw_development

    found = entries(bench.before, stages)
    if not found:
        raise LyapmapError("no epoch could be measured")
    bench.show(
        draw_development({"": found}, paper=paper),
        "development",
        "Along training",
        "Every kept epoch of the run; dashed, the paper's values after 1000 epochs.",
    )
    lost = [name for name in (stage.name for stage in stages) if bench.before[name].status != DONE]
    keys = ("epoch", "largest", "kaplan_yorke", "n_positive", *(f"{m}_at_{n}" for m in METRICS for n in STEPS))
    columns = {key: [entry[key] for entry in found] for key in keys}
    return columns | {"without": lost}


def mean_and_deviation(values: Iterable[float | None]) -> tuple[float, float, int]:
    """Mean, standard deviation over runs and their number; None left out."""
    known = np.array([value for value in values if value is not None], float)
    if not len(known):
        return math.nan, math.nan, 0
    return float(known.mean()), float(known.std(ddof=1)) if len(known) > 1 else math.nan, len(known)
