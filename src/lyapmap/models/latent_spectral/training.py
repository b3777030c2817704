"""The stages in which latent spectral decomposition is trained: GAN, classifier, encoder, basis. Each goes on alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lyapmap.analysis.latent_basis import LatentBasis
from lyapmap.core.errors import LyapmapError
from lyapmap.data import ImageSet
from lyapmap.files import checkpoint as checkpoints
from lyapmap.files.features import classifier as load_classifier
from lyapmap.files.features import predict
from lyapmap.models.gan.pair import load_gan
from lyapmap.models.gan.recipe import GanRecipe
from lyapmap.models.latent_spectral.network import (
    EncoderConfig,
    LatentSpectral,
    Lsd,
    PooledConfig,
    described,
    gan_config,
    load_lsd,
    scaled,
)
from lyapmap.models.latent_spectral.recipes import EncoderRecipe, PooledRecipe
from lyapmap.training.distributed import OneProcess, Workers
from lyapmap.training.loop import LAST, Progress, Recipe, train

MOST_CLASSES = 10
RATE_G = 4e-4
"""Learning rate of the generator. At the discriminator's 2e-4 it is left behind for thousands of steps."""
OnStep = Callable[[Progress], None] | None
OnEpoch = Callable[[dict[str, Any]], None] | None
Watch = Callable[[str], AbstractContextManager[tuple[OnStep, OnEpoch]]]


@dataclass(frozen=True)
class LsdPlan:
    """What to train, and for how long.

    Attributes
    ----------
    latent : int
        Values of a latent vector, M; at least as many as there are classes.
    width : float
        Channels of the generator and the encoder, relative to the paper's. The classifier is always the paper's.
    gan_epochs : int
        Epochs of the generator.
    classifier_epochs : int
        Epochs of the classifier.
    encoder_epochs : int
        Epochs of the encoder.
    batch_size : int
        Images in a step of every stage (25 in the paper).
    gan : NAME|FILE, optional
        A trained GAN: a DCGAN, or a GRAN with one piece of noise.
    classifier : NAME|FILE, optional
        A trained classifier.
    gan_options, classifier_options, encoder_options : dict
        Further options of `GanRecipe`, `PooledRecipe` and `EncoderRecipe`.
    n_vectors : int
        Latent vectors in each average of the basis; 0 leaves the basis out.
    checkpoint_every : int
        Epochs between checkpoints and sample sheets of a stage; the last epoch always gets them.
    checkpoint_steps : int
        Steps between further checkpoints, within epochs as well; 0 for none.
    keep_every : int
        Epochs between checkpoints that are kept; 0 keeps none.
    seed : int
        Of everything that is random.
    """

    latent: int = 100
    width: float = 0.5
    gan_epochs: int = 25
    classifier_epochs: int = 15
    encoder_epochs: int = 15
    batch_size: int = 100
    gan: str | Path | None = None
    classifier: str | Path | None = None
    gan_options: dict[str, Any] = field(default_factory=dict)
    classifier_options: dict[str, Any] = field(default_factory=dict)
    encoder_options: dict[str, Any] = field(default_factory=dict)
    n_vectors: int = 5000
    checkpoint_every: int = 5
    checkpoint_steps: int = 0
    keep_every: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("gan_epochs", "classifier_epochs", "encoder_epochs"):
            if getattr(self, name) < 1:
                raise LyapmapError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.n_vectors < 0 or self.n_vectors == 1:
            raise LyapmapError(f"n_vectors: expected at least 2, or 0 for no basis, got {self.n_vectors}")
        scaled(self.width)


def train_lsd(
    images: ImageSet,
    out: str | Path,
    plan: LsdPlan | None = None,
    *,
    test: ImageSet | None = None,
    workers: Workers | None = None,
    watch: Watch | None = None,
    progress: bool = False,
) -> Lsd:
    """Train a generator, a classifier, an encoder, and build the basis of latent space, or go on where that stopped.

    The folder receives `gan`, `classifier` and `encoder`, each a run of `train` of its own, and at the end `last.pt`
    with all of them and the basis. A stage that has its epochs is not touched again; every stage that has not goes
    on, bit for bit on the CPU.

    Parameters
    ----------
    images : ImageSet
        Square images of 2 to 10 classes, values in [-1, 1].
    out : path
    plan : LsdPlan, optional
    test : ImageSet, optional
        Images by which the accuracy of the classifier, and of the encoded and decoded images, is measured.
    workers : Workers, optional
        One process; see `launch`.
    watch : callable, optional
        Takes the name of a stage, returns a context that gives `on_step` and `on_epoch` of `train`.
    progress : bool
        Show a bar while the basis is built.

    Returns
    -------
    Lsd

    Raises
    ------
    LyapmapError
        If the data do not fit, or the folder holds other networks or other settings.
    """
    plan = plan or LsdPlan()
    team: Workers = workers or OneProcess()
    if team.size > 1:
        raise LyapmapError(f"devices: latent spectral decomposition is trained by one process, got {team.size}")
    stages = _Stages(images, Path(out), plan, team, watch or (lambda _: nullcontext((None, None))))
    generator = stages.generator()
    classifier, classes = stages.classifier()
    module, config = stages.model(generator, classifier)
    lsd = stages.encoder(module, config, classes)
    lsd = replace(lsd, training=lsd.training | stages.origins)
    if test is not None:
        measured = accuracies(lsd, test)
        lsd = replace(lsd, training=lsd.training | {"accuracy": measured})
    path = Path(out) / LAST
    if plan.n_vectors:
        basis = _earlier_basis(path, lsd, plan.n_vectors)
        if basis is None:
            basis = LatentBasis.build(
                lsd.triple(), data=images, n_vectors=plan.n_vectors, seed=plan.seed, progress=progress
            )
        lsd = lsd.with_basis(basis)
    return load_lsd(lsd.save(path))


def _earlier_basis(path: Path, lsd: Lsd, n_vectors: int) -> LatentBasis | None:
    """The basis that an earlier call built of the same networks in the same way, if it did."""
    if not path.exists():
        return None
    earlier = load_lsd(path)
    basis = earlier.basis
    if basis is None or basis.settings["n_vectors"] != n_vectors or _digest(earlier.module) != _digest(lsd.module):
        return None
    same = earlier.training.get("settings") == lsd.training.get("settings")  # data and seed among them
    return basis if same else None


class _Stages:
    """The stages of one folder, in their order."""

    def __init__(self, images: ImageSet, out: Path, plan: LsdPlan, workers: Workers, watch: Watch) -> None:
        channels, height, width = images.state_shape
        classes = sorted(set(images.labels.tolist()))
        if height != width:
            raise LyapmapError(
                f"train: expected square images, got {height} x {width}; give a size to make them square"
            )
        if not 2 <= len(classes) <= MOST_CLASSES:
            raise LyapmapError(f"classes: expected 2 to {MOST_CLASSES}, the images have {len(classes)}")
        if len(classes) > plan.latent:
            raise LyapmapError(f"latent: expected at least {len(classes)}, one for each class, got {plan.latent}")
        self.images, self.out, self.plan, self.workers, self.watch = images, out, plan, workers, watch
        self.size, self.channels = height, channels
        self.classes = tuple(int(c) for c in classes)
        self.origins: dict[str, Any] = {}

    def _train(self, stage: str, recipe: Recipe, epochs: int) -> Path:
        """Train what is missing of a stage; its checkpoint."""
        folder, plan = self.out / stage, self.plan
        path = folder / LAST
        if path.exists() and checkpoints.load(path).training.get("epoch", 0) >= epochs:
            _require_same(path, recipe)
            return path
        with self.watch(stage) as (on_step, on_epoch):
            train(
                recipe,
                folder,
                epochs=epochs,
                seed=plan.seed,
                checkpoint_every=plan.checkpoint_every,
                checkpoint_steps=plan.checkpoint_steps,
                keep_every=plan.keep_every,
                on_step=on_step,
                on_epoch=on_epoch,
                workers=self.workers,
            )
        return path

    @property
    def _common(self) -> dict[str, Any]:
        return {"batch_size": self.plan.batch_size, "seed": self.plan.seed, "device": self.workers.device}

    def generator(self) -> tuple[nn.Module, dict[str, Any]]:
        """A trained generator and its config."""
        plan = self.plan
        path = plan.gan
        if path is None:
            config = gan_config(self.size, self.channels, latent=plan.latent, width=plan.width)
            options = {"learning_rate_g": RATE_G} | self._common | plan.gan_options
            recipe = GanRecipe(config, self.images, **options)
            path = self._train("gan", recipe, plan.gan_epochs)
        gan = load_gan(path)
        if gan.config.latent_shape != (plan.latent,):
            raise LyapmapError(f"gan: takes noise of shape {gan.config.latent_shape}, expected {(plan.latent,)}")
        if gan.config.state_shape != self.images.state_shape or gan.config.value_range != self.images.value_range:
            raise LyapmapError(
                f"gan: draws {gan.config.state_shape} in {gan.config.value_range}, the images are "
                f"{self.images.state_shape} in {self.images.value_range}"
            )
        self.origins["gan"] = _record(gan.training)
        return gan.generator, described(gan.architecture, gan.config)

    def classifier(self) -> tuple[tuple[nn.Module, dict[str, Any]], tuple[int, ...]]:
        """A trained classifier with its config, and the labels in the order of its logits."""
        plan = self.plan
        name = plan.classifier
        if name is None:
            config = PooledConfig(len(self.classes), self.size, self.channels)
            recipe = PooledRecipe(config, self.images, classes=self.classes, **(self._common | plan.classifier_options))
            name = self._train("classifier", recipe, plan.classifier_epochs)
        labels = load_classifier(name)
        if set(labels.classes) != set(self.classes):
            raise LyapmapError(
                f"classifier: tells {', '.join(map(str, labels.classes))} apart, the images are of "
                f"{', '.join(map(str, self.classes))}"
            )
        network = labels.network
        model = "classifier" if not isinstance(network.config, PooledConfig) else "lsd-classifier"
        self.origins["classifier"] = {"model": labels.name if plan.classifier else model} | {
            key: value for key, value in labels.training.items() if key in ("settings", "epoch", "seconds", "accuracy")
        }
        return (network, described(model, network.config)), labels.classes

    def model(
        self, generator: tuple[nn.Module, dict[str, Any]], classifier: tuple[nn.Module, dict[str, Any]]
    ) -> tuple[LatentSpectral, dict[str, Any]]:
        """All three networks, the encoder with its first weights."""
        sizes = EncoderConfig(self.size, self.channels, scaled(self.plan.width), self.plan.latent)
        config = {"generator": generator[1], "encoder": sizes.to_dict(), "classifier": classifier[1]}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.plan.seed)
            module = LatentSpectral(config)
        module.generator.load_state_dict(generator[0].state_dict())
        module.classifier.load_state_dict(classifier[0].state_dict())
        return module, config

    def encoder(self, module: LatentSpectral, config: dict[str, Any], classes: tuple[int, ...]) -> Lsd:
        """Everything with a trained encoder."""
        recipe = EncoderRecipe(
            module,
            self.images,
            classes=classes,
            config=config,
            origin={"generator": _digest(module.generator), "classifier": _digest(module.classifier)},
            **(self._common | self.plan.encoder_options),
        )
        return load_lsd(self._train("encoder", recipe, self.plan.encoder_epochs))


def _require_same(path: Path, recipe: Recipe) -> None:
    """Raise unless a finished stage was trained as it would be now."""
    saved, wanted = checkpoints.load(path), recipe.checkpoint()
    theirs, ours = saved.training.get("settings", {}), wanted.training["settings"]
    if (saved.model, saved.config) != (wanted.model, wanted.config):
        raise LyapmapError(f"out: {path} holds a network of other sizes; choose another folder or delete that stage")
    differing = sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))
    if differing:
        raise LyapmapError(
            f"out: {path} was trained with another {', '.join(differing)}; choose another folder or delete that stage"
        )


def _record(training: dict[str, Any]) -> dict[str, Any]:
    return {key: training[key] for key in ("settings", "epoch", "seconds") if key in training}


def _digest(module: nn.Module) -> str:
    """SHA256 of a network's weights."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def accuracies(lsd: Lsd, images: ImageSet) -> dict[str, float]:
    """Parts of images whose label the classifier finds: in the images, and in what is drawn of their encoded means."""
    known = images.only(lsd.classes)
    device = next(lsd.generator.parameters()).device
    x = torch.from_numpy(known.images).to(device)
    places = torch.tensor([lsd.classes.index(int(label)) for label in known.labels], device=device)
    drawn = torch.cat([lsd.generator(lsd.encoder(part)[0]) for part in x.split(500)])

    def share(of: Tensor) -> float:
        return float((predict(lsd.classifier, of) == places).double().mean())

    return {"images": share(x), "decoded": share(drawn)}
