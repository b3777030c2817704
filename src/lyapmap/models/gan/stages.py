"""What the study of adversarial networks is about, and its stages: each model's worth, manifold, canvas; battles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.battle import Tournament
from lyapmap.analysis.battle import tournament as let_battle
from lyapmap.analysis.manifold.memorization import memorization
from lyapmap.analysis.tangents.singular_values import jacobian_spectrum
from lyapmap.core.errors import LyapmapError
from lyapmap.core.points import rescaled
from lyapmap.models.gan.canvas import canvas_dynamics
from lyapmap.models.gan.dcgan import DcganConfig
from lyapmap.models.gan.gran import GranConfig
from lyapmap.models.gan.pair import Gan, gan_function, gan_latents, load_gan, manifold_dimensions, sample_gan
from lyapmap.study.stages import LeftOut, Workspace
from lyapmap.study.subject import METRICS, ImageSubject, category_labels, image_features, quality

if TYPE_CHECKING:
    pass


@dataclass
class GanSubject(ImageSubject):
    """Adversarial pairs for images of one shape, with the data that they were trained on.

    Attributes
    ----------
    gans : dict of str to Gan
        By names that differ.
    kinds : dict of str to str
        Of each name: what it shares with its runs of other seeds.
    """

    gans: dict[str, Gan]
    kinds: dict[str, str]
    _drawn: dict[tuple[str, int], NDArray[np.float32]] = field(default_factory=dict)

    def images(self, name: str, count: int) -> NDArray[np.float32]:
        """Samples of a model, values in [-1, 1]; the same whenever it is asked."""
        key = (name, count)
        if key not in self._drawn:
            self._drawn = {k: v for k, v in self._drawn.items() if k[0] == name}
            gan = self.gans[name]
            self._drawn[key] = symmetric(gan, sample_gan(gan, count, seed=self.seed).images)
        return self._drawn[key]

    def trained_on(self, name: str) -> NDArray[np.float32]:
        """The images that a model was trained on, as far as its file tells."""
        settings = self.gans[name].training.get("settings", {})
        limit = settings.get("images", len(self.train))
        images = self.train.only(settings["classes"]) if settings.get("classes") else self.train
        return images.some(limit, seed=settings["seed"]).images if limit < len(images) else images.images

    def _mark(self, name: str) -> str:
        if name.startswith("gan:"):
            gan = self.gans[name.removeprefix("gan:")]
            return f"{gan.origin.get('sha256', '')} {gan.dtype}"
        return super()._mark(name)


def symmetric(gan: Gan, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Images of a generator with values in [-1, 1]."""
    return rescaled(images, gan.config.value_range).astype(np.float32)


def kind_of(config: DcganConfig) -> str:
    """What a pair is, without its sizes.

    Examples
    --------
    >>> kind_of(DcganConfig()), kind_of(GranConfig(steps=3)), kind_of(GranConfig(steps=5, noise="fresh"))
    ('DCGAN', 'GRAN3', 'GRAN5 fresh noise')
    """
    if not isinstance(config, GranConfig):
        return "DCGAN"
    words = [f"GRAN{config.steps}"]
    if config.noise == "fresh" and config.steps > 1:
        words.append("fresh noise")
    if config.weights == "separate" and config.steps > 1:
        words.append("separate weights")
    return " ".join(words)


def load_gans(
    models: Sequence[str | Path],
    *,
    data: str,
    classes: Sequence[int] | None = None,
    features: str | None = None,
    classifier: str | None = None,
    weights: Path | None = None,
    device: str | None = None,
    seed: int = 0,
) -> GanSubject:
    """Load everything that the stages need.

    Parameters
    ----------
    models : sequence of str or path
        Each as `load_gan` takes it.
    data : str
        Data set, folder or file.
    classes : sequence of int, optional
        Those of the first model's training by default.
    features : str, optional
        What precision and recall compare; the shipped classifier of the data by default, else pixels.
    classifier : str, optional
        Tells categories; the shipped one of the data by default.
    weights : path, optional
        Of the features.
    device : str, optional
    seed : int

    Raises
    ------
    LyapmapError
        If something cannot be loaded, or does not fit together.
    """
    from lyapmap.data import load

    if not models:
        raise LyapmapError("MODEL: expected at least one, got none")
    gans: dict[str, Gan] = {}
    for given in models:
        gan = load_gan(given, device=device)
        name = Path(given).resolve().parent.name if Path(given).suffix and gan.name == "last.pt" else gan.name
        if name in gans:
            name = str(given)
        if name in gans:
            raise LyapmapError(f"MODEL: {given} was given twice")
        gans[name] = replace(gan, name=name)
    first = next(iter(gans.values()))
    shape = first.config.state_shape
    for gan in gans.values():
        if gan.config.state_shape != shape:
            raise LyapmapError(
                f"MODEL: images of {gan.name} have shape {gan.config.state_shape}, those of {first.name} {shape}"
            )
        if gan.config.value_range != first.config.value_range:
            raise LyapmapError(
                f"MODEL: pixels of {gan.name} lie in {gan.config.value_range}, "
                f"those of {first.name} in {first.config.value_range}"
            )
    settings = first.training.get("settings", {})
    if classes is None and settings.get("data") == data:
        classes = settings.get("classes") or None
    train, test = (
        load(data, split=split, classes=classes, image_size=shape[1], channels=shape[0]) for split in ("train", "test")
    )
    labels, without = category_labels(data, classifier, shape, device)
    return GanSubject(
        gans=gans,
        kinds={name: kind_of(gan.config) for name, gan in gans.items()},
        train=train,
        test=test,
        features=image_features(data, features, weights, shape, device),
        classify=labels,
        without=without,
        seed=seed,
    )


SHEET = 8
"""Rows and columns of a sheet of samples."""


@dataclass(frozen=True)
class Quality:
    """Samples of one model: precision and recall, categories, variance, nearest training images."""

    model: str

    def __call__(self, subject: GanSubject, work: Workspace) -> dict[str, Any]:
        from lyapmap.report.images import in_rows, save_sheet

        sizes = work.sizes
        images = subject.images(self.model, sizes.samples)
        path = work.picture_path(f"samples-{self.model}", f"Samples of {self.model}", "The first ones, none chosen.")
        save_sheet(in_rows(images[: SHEET**2]), path)
        metrics = subject.side(sizes.k, sizes.real).compare(images, seed=subject.seed)
        work.keep(metrics, f"manifold-{self.model}")
        numbers = quality(metrics)
        numbers["variance"] = self._variance(subject, images, sizes.real)
        numbers |= self._categories(subject, images)
        return numbers | self._nearest(subject, work, images)

    def _variance(self, subject: GanSubject, images: NDArray[np.float32], most: int) -> float:
        """Half the mean squared distance between two samples, in parts of that between two test images."""

        def total(given: NDArray[np.float32]) -> float:
            seen = given.reshape(len(given), -1) if subject.features is None else np.asarray(subject.features(given))
            return float(seen.astype(np.float64).var(axis=0).sum())

        return total(images) / total(subject.real(subject.test, most))

    def _categories(self, subject: GanSubject, images: NDArray[np.float32]) -> dict[str, Any]:
        """How many categories are drawn, in effect, and how sure the classifier is of them."""
        if subject.classify is None:
            return {"categories": None, "confidence": None}
        sure = subject.classify.probabilities(images)
        share = np.bincount(sure.argmax(axis=1), minlength=sure.shape[1]) / len(sure)
        drawn = share[share > 0]
        return {
            "categories": float(np.exp(-(drawn * np.log(drawn)).sum())),
            "confidence": float(sure.max(axis=1).mean()),
            "category_share": share,
        }

    def _nearest(self, subject: GanSubject, work: Workspace, images: NDArray[np.float32]) -> dict[str, Any]:
        nearest = memorization(
            images,
            subject.trained_on(self.model),
            held_out=subject.real(subject.test, work.sizes.real),
            seed=subject.seed,
            progress=work.progress,
        )
        work.keep(nearest, f"memorization-{self.model}")
        work.show(
            nearest.plot(),
            f"memorization-{self.model}",
            f"Nearest training images of {self.model}",
            f"{nearest.closer:.1%} of the samples are nearer to a training image than "
            f"{nearest.settings['quantile']:.0%} of the test images are.",
        )
        return {
            "closer": nearest.closer,
            "closer_interval": nearest.closer_interval,
            "preference": nearest.preference,
            "copies": nearest.copies,
        }


@dataclass(frozen=True)
class Shape:
    """Singular values of one generator's Jacobian, and the intrinsic dimension of its images and of the data."""

    model: str

    def __call__(self, subject: GanSubject, work: Workspace) -> dict[str, Any]:
        sizes, gan = work.sizes, subject.gans[self.model]
        noise = gan_latents(gan.config.latent_shape, sizes.jacobians, seed=subject.seed)
        spectrum = jacobian_spectrum(
            gan_function(gan, dtype="float64"),
            noise,
            threshold=sizes.threshold,
            seed=subject.seed,
            progress=work.progress,
        )
        work.keep(spectrum, f"jacobian-{self.model}")
        work.show(
            spectrum.plot(),
            f"jacobian-{self.model}",
            f"Jacobian of {self.model}",
            "How far the image moves for a small step of the noise, by direction.",
        )
        numbers: dict[str, Any] = {"inputs": spectrum.inputs, "largest": float(spectrum.singular_values[:, 0].mean())}
        for name in ("rank", "dimension", "participation"):
            numbers[name], numbers[f"{name}_stderr"] = spectrum.mean(name)
        real = subject.real(subject.train, sizes.dimension_points)
        beside = manifold_dimensions(
            gan,
            rescaled(real, (-1.0, 1.0), gan.config.value_range).astype(np.float32),
            n=sizes.dimension_points,
            seed=subject.seed,
            progress=work.progress,
        )
        work.keep(beside, f"dimension-{self.model}")
        for i, whose in enumerate(beside.names):
            for j, method in enumerate(beside.methods):
                numbers[f"{method}_{whose}"] = beside.dimension[i, j]
                numbers[f"{method}_{whose}_stderr"] = beside.stderr[i, j]
        return numbers


@dataclass(frozen=True)
class Canvas:
    """The canvas of one GRAN drawn on and on: exponents, rest, and quality after more steps than trained."""

    model: str

    def __call__(self, subject: GanSubject, work: Workspace) -> dict[str, Any]:
        from lyapmap.report.images import save_film_strip

        sizes, gan = work.sizes, subject.gans[self.model]
        config = gan.config
        if not isinstance(config, GranConfig) or config.steps < 2:
            raise LeftOut(f"{self.model} draws in one step")
        dynamics = canvas_dynamics(
            gan,
            n_steps=sizes.canvas_exponent_steps,
            transient=sizes.canvas_transient,
            trajectories=sizes.canvas_trajectories,
            canvas_steps=sizes.canvas_steps,
            seed=subject.seed,
            progress=work.progress,
            throw=False,
        )
        work.keep(dynamics, f"canvas-{self.model}")
        work.show(
            dynamics.plot(),
            f"canvas-{self.model}",
            f"The canvas of {self.model} drawn on and on",
            "Left: exponents with the noise held to what it was. Middle: does an update equal the last? "
            "Right: does the image still change?",
        )
        numbers: dict[str, Any] = {"trained_steps": dynamics.trained_steps, "message": dynamics.message}
        for i, noise in enumerate(dynamics.noises):
            numbers |= {
                f"exponent_{noise}": dynamics.exponents[i, 0],
                f"exponent_{noise}_stderr": dynamics.stderr[i, 0],
                f"status_{noise}": dynamics.statuses[i],
                f"last_update_{noise}": dynamics.update_size[i, -1, 1],
                f"last_update_change_{noise}": dynamics.update_change[i, -1, 1],
                f"last_image_change_{noise}": dynamics.image_change[i, -1, 1],
                f"last_saturated_{noise}": dynamics.saturated[i, -1],
            }
        more = [steps for steps in sizes.canvas_more if steps > config.steps]
        shown = max([config.steps, *more])
        path = work.picture_path(
            f"strip-{self.model}",
            f"How {self.model} draws",
            f"Each row one piece of noise; trained with {config.steps}.",
        )
        canvases = symmetric(gan, sample_gan(gan, SHEET, canvas_steps=shown, seed=subject.seed).canvases)
        save_film_strip(path, canvases, steps=range(1, shown + 1), columns=shown)
        side = subject.side(sizes.k, sizes.real)
        for steps in more:
            images = symmetric(gan, sample_gan(gan, sizes.samples, canvas_steps=steps, seed=subject.seed).images)
            numbers |= quality(side.compare(images, seed=subject.seed), f"{{}}_{steps}_steps", intervals=False)
        return numbers


def battles(subject: GanSubject, work: Workspace) -> dict[str, Any]:
    """Every model against every other, by each other's discriminators."""
    if len(subject.gans) < 2:
        raise LeftOut("one model has nobody to battle against")
    sizes = work.sizes
    bounds = next(iter(subject.gans.values())).config.value_range
    test = rescaled(subject.real(subject.test, sizes.real), (-1.0, 1.0), bounds).astype(np.float32)
    table = let_battle(
        [gan.contender() for gan in subject.gans.values()],
        test,
        sizes.battle_samples,
        tolerance=sizes.tolerance,
        seed=subject.seed,
        progress=work.progress,
        throw=False,
    )
    work.keep(table, "tournament")
    work.show(
        table.plot(),
        "tournament",
        "All battles",
        "A ratio below 1: the row's discriminator is fooled less by the column's samples than the other way round.",
    )
    return {
        "names": table.names,
        "test_errors": table.test_errors,
        "sample_errors": table.sample_errors,
        "r_test": table.r_test,
        "r_sample": table.r_sample,
        "outcome": table.outcome,
        "ranking": table.ranking,
        "message": table.message,
    }


def verdict(subject: GanSubject, work: Workspace) -> dict[str, Any]:
    """Battles of kinds over all their seeds, and whether winners are better by the manifold's measures too."""
    from lyapmap.analysis.proportions import wilson
    from lyapmap.models.gan.pictures import draw_kinds, draw_winners

    measured = {name: work.numbers(f"quality-{name}") for name in subject.gans}
    known = {name: numbers for name, numbers in measured.items() if numbers}
    if not known:
        raise LyapmapError("no model could be measured")
    work.show(
        draw_kinds(subject.kinds, known),
        "kinds",
        "Quality and variety by kind of model",
        "Each dot a model, the line their mean.",
    )
    path = work.result_of("battles", "tournament")
    table = Tournament.load(path)
    numbers: dict[str, Any] = {"pairs": pairs_of_kinds(table, subject.kinds)}
    decided = [
        (table.names[i], table.names[j])
        for i in range(len(table.names))
        for j in range(len(table.names))
        if table.outcome[i, j] > 0 and table.names[i] in known and table.names[j] in known
    ]
    numbers["decided"] = len(decided)
    for metric in METRICS:
        better = [known[winner][metric] > known[loser][metric] for winner, loser in decided]
        numbers[f"winner_has_more_{metric}"] = float(np.mean(better)) if better else None
        # Battles of the same models are no independent trials: as many as there are models less one are counted.
        limits = wilson(np.mean(better), len(table.names) - 1, 0.95) if better else [None, None]
        numbers[f"winner_has_more_{metric}_interval"] = limits
    work.show(
        draw_winners(table, known),
        "winners",
        "Does the winner cover more?",
        "Each dot a pair of models: right of the line the first fools more than it is fooled.",
    )
    return numbers


def pairs_of_kinds(table: Tournament, kinds: dict[str, str]) -> list[dict[str, Any]]:
    """Of each pair of kinds: geometric means of both ratios over all pairs of seeds, and wins, ties and losses.

    Geometric, since the ratio of a pair named the other way round is the inverse.
    """
    order = list(dict.fromkeys(kinds[name] for name in table.names))
    rows = []
    for place, first in enumerate(order):
        for second in order[place + 1 :]:
            at = [
                (i, j)
                for i, name in enumerate(table.names)
                for j, other in enumerate(table.names)
                if kinds[name] == first and kinds[other] == second
            ]
            tests = np.log([table.r_test[i, j] for i, j in at])
            samples = np.log([table.r_sample[i, j] for i, j in at])
            results = np.array([table.outcome[i, j] for i, j in at])
            rows.append(
                {
                    "first": first,
                    "second": second,
                    "battles": len(at),
                    "r_test": float(np.exp(tests.mean())),
                    "r_test_range": [float(np.exp(tests.min())), float(np.exp(tests.max()))],
                    "r_sample": float(np.exp(samples.mean())),
                    "r_sample_range": [float(np.exp(samples.min())), float(np.exp(samples.max()))],
                    "won": int((results > 0).sum()),
                    "tied": int((results == 0).sum()),
                    "lost": int((results < 0).sum()),
                }
            )
    return rows
