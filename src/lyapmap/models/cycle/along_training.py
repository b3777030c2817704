"""How a generator changes along its training: exponents, dimension, quality and variety of kept epochs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
from lyapmap.models.cycle.subject import CycleSubject, kept_epochs
from lyapmap.study.stages import DONE, Bench, Record, Stage

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
            (f"file:{epochs[epoch]}", "data", "features", "classifier"),
        )
        for epoch in chosen
    ]


def measure(path: Path, subject: CycleSubject, bench: Bench) -> dict[str, Any]:
    """Exponents of a checkpoint on its attractor, how well it keeps the order of the categories, and metrics of
    test images after 1, 10 and 30 steps."""
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
    numbers["order"] = _order(model.map, subject, bench)
    return numbers | _metrics(model.map, subject, bench)


def _order(generator: TangentMap, subject: CycleSubject, bench: Bench) -> float | None:
    """Part of the steps on the attractor that lead to the next category; None without a classifier."""
    if subject.classify is None:
        return None
    sizes = bench.sizes
    orbit = trajectory(
        generator,
        subject.starts(sizes.epoch_trajectories),
        n_steps=sizes.epoch_steps,
        transient=sizes.epoch_transient,
        progress=bench.progress,
    )
    return float(transitions(orbit, subject.classify, order=subject.classes, progress=bench.progress).accuracy)


def _metrics(generator: TangentMap, subject: CycleSubject, bench: Bench) -> dict[str, Any]:
    """Of the images after each of STEPS, against as many test images."""
    sizes = bench.sizes
    side = subject.side(sizes.k, sizes.epoch_images)
    images = subject.test_images(sizes.epoch_images)
    states = images.reshape(len(images), -1)
    numbers: dict[str, Any] = {}
    done = 0
    for step in STEPS:
        states = trajectory(generator, states, n_steps=0, transient=step - done, progress=bench.progress).states[:, 0]
        done = step
        found = side.compare(states.reshape(images.shape), seed=subject.seed, progress=bench.progress)
        numbers |= {f"{name}_at_{step}": getattr(found, name)[0] for name in METRICS}
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
    from lyapmap.models.cycle.pictures import draw_development

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
    columns = {key: [entry[key] for entry in found] for key in ("epoch", *NUMBERS)}
    return columns | {"without": lost}
