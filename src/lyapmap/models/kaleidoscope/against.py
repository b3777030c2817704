"""Stages of the kaleidoscope study that measure several networks alike, and set them side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.spectrum import lyapunov_spectrum
from lyapmap.analysis.orbits.burn_in import burn_in
from lyapmap.analysis.orbits.settling import settling
from lyapmap.core.propagate import step_states
from lyapmap.files.model import Model
from lyapmap.models.kaleidoscope.subject import KaleidoscopeSubject
from lyapmap.study.stages import Bench, LeftOut, Stage

SIZES = ("against_samples", "against_steps", "real", "k")
EXPONENT_TRAJECTORIES, EXPONENT_STEPS = 4, 60


@dataclass(frozen=True)
class ModelStage:
    """Measures one network; `number` is -1 for the study's own."""

    number: int

    def __call__(self, subject: KaleidoscopeSubject, bench: Bench) -> dict[str, Any]:
        model = subject.model if self.number < 0 else subject.against[self.number]
        return measure(subject, model, bench)


def model_stages(subject: KaleidoscopeSubject) -> list[Stage]:
    """One stage for each network, and those that compare them."""
    if not subject.against:
        return [
            Stage("depth", "Burn-in against depth", _nothing_beside),
            Stage("variants", "Networks side by side", _nothing_beside),
        ]
    names = ["model", *(f"against-{i + 1}" for i in range(len(subject.against)))]
    models = [subject.model, *subject.against]
    stages = [
        Stage(
            name,
            f"Measures of {model.name}",
            ModelStage(i - 1),
            SIZES,
            ("model" if i == 0 else f"against:{i - 1}", "data", "features", "classifier"),
        )
        for i, (name, model) in enumerate(zip(names, models, strict=True))
    ]
    needs = tuple(names)
    return [
        *stages,
        Stage("depth", "Burn-in against depth", _Beside(names, depth), needs=needs),
        Stage("variants", "Networks side by side", _Beside(names, variants), needs=needs),
    ]


def measure(subject: KaleidoscopeSubject, model: Model, bench: Bench) -> dict[str, Any]:
    """Whether a network settles, how soon, and what its samples are worth."""
    sizes = bench.sizes
    starts = subject.starts(sizes.against_samples, model)
    options: dict[str, Any] = {"progress": bench.progress, "throw": False}
    rest = settling(model.map, starts, n_steps=sizes.against_steps, **options)
    mixing = burn_in(
        model.map, starts, n_steps=sizes.against_steps, every=max(1, sizes.against_steps // 100),
        seed=subject.seed, **options,
    )  # fmt: skip
    ops = model.map.ops
    ends = ops.to_numpy(step_states(model.map, ops.from_numpy(starts), n_steps=sizes.against_steps))
    images = subject.images(ends, model)
    quality = subject.side(sizes.k, sizes.real).compare(images, seed=subject.seed)
    spectrum = lyapunov_spectrum(
        model.map, ends[:EXPONENT_TRAJECTORIES], n_steps=EXPONENT_STEPS, n_exponents=2, seed=subject.seed, **options
    )
    numbers: dict[str, Any] = {
        "name": model.name,
        "architecture": str(model.config.get("architecture", model.architecture)),
        "depth": model.config.get("depth"),
        "width": model.config.get("width"),
        "weights": _weights(model),
        "training_loss": (model.training.get("best") or {}).get("loss"),
        "settled_share": float(rest.settled_share[-1]),
        "settled_interval": rest.settled_interval[-1],
        "median_settled_at": rest.median_settled_at,
        "ends": len(rest.points),
        "burn_in": mixing.burn_in,
        "burn_in_interval": mixing.burn_in_interval,
        "largest_exponent": spectrum.exponents[0],
        "largest_exponent_stderr": spectrum.stderr[0],
        "attractor": spectrum.attractor,
        "confidence": None,
        "confidence_stderr": None,
    }
    for metric in ("precision", "recall", "density", "coverage"):
        numbers[metric] = float(getattr(quality, metric)[0])
        numbers[f"{metric}_interval"] = getattr(quality, f"{metric}_interval")[0]
    if subject.classify is not None:
        sure: NDArray[np.float64] = subject.classify.probabilities(images).max(axis=1)
        numbers["confidence"] = float(sure.mean())
        numbers["confidence_stderr"] = float(sure.std(ddof=1) / np.sqrt(len(sure)))
    return numbers


def _weights(model: Model) -> int | None:
    parameters = getattr(model.module, "parameters", None)
    return sum(int(p.numel()) for p in parameters()) if callable(parameters) else None


@dataclass(frozen=True)
class _Beside:
    """Reads what the stages of the networks found, and compares them."""

    names: list[str]
    compare: Callable[[list[dict[str, Any]], Bench], dict[str, Any]]

    def __call__(self, _: KaleidoscopeSubject, bench: Bench) -> dict[str, Any]:
        found = [bench.numbers(name) for name in self.names]
        found = [one for one in found if one]
        if len(found) < 2:
            raise LeftOut("fewer than two networks could be measured")
        return self.compare(found, bench)


def depth(found: list[dict[str, Any]], bench: Bench) -> dict[str, Any]:
    """Burn-in of perceptrons against their depth."""
    from lyapmap.models.kaleidoscope.pictures import draw_depth

    perceptrons = sorted((one for one in found if one["architecture"] == "mlp"), key=lambda one: one["depth"])
    if len({one["depth"] for one in perceptrons}) < 2:
        raise LeftOut("the perceptrons given are all of one depth")
    names = ("name", "depth", "width", "burn_in", "burn_in_interval", "settled_share", "settled_interval",
             "median_settled_at", "ends")  # fmt: skip
    numbers = {name: [one[name] for one in perceptrons] for name in names}
    bench.show(
        draw_depth(numbers),
        "depth",
        "Burn-in against depth",
        "Steps until the samples keep their distribution, steps until half of the trajectories rest, and the part "
        "that rests at the end. Networks of other widths or trainings differ in more than their depth.",
    )
    return numbers


def variants(found: list[dict[str, Any]], _: Bench) -> dict[str, Any]:
    """All networks, number by number."""
    return {name: [one[name] for one in found] for name in found[0]}


def _nothing_beside(_: KaleidoscopeSubject, bench: Bench) -> dict[str, Any]:
    raise LeftOut("no further networks were given (--against)")
