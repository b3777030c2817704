"""How the small classifiers are trained whose features precision and recall stand on.

Minutes on one core, so that there is nothing to resume: the loop of the generators is not needed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from lyapmap.core.errors import LyapmapError
from lyapmap.data import ImageSet
from lyapmap.files.checkpoint import Checkpoint
from lyapmap.files.features import predict
from lyapmap.models.classifier.network import Classifier, ClassifierConfig

SAMPLE_STATES = 16
WARM_UP = 0.2
"""Part of the steps in which the learning rate rises; after that it falls as a cosine."""

OnEpoch = Callable[[dict[str, Any]], None]


def train_classifier(
    config: ClassifierConfig,
    train: ImageSet,
    test: ImageSet,
    *,
    classes: Sequence[int] | None = None,
    epochs: int = 6,
    batch_size: int = 128,
    learning_rate: float = 4e-3,
    weight_decay: float = 1e-2,
    seed: int = 0,
    device: str = "cpu",
    on_epoch: OnEpoch | None = None,
) -> Checkpoint:
    """Train a classifier on an image set and measure its accuracy on another.

    Parameters
    ----------
    config : ClassifierConfig
        Sizes; `categories` must be the number of classes.
    train, test : ImageSet
        Images with values in (-1, 1).
    classes : sequence of int, optional
        Labels in the order of the logits; all that the set has names for by default.
    epochs : int
        Epochs of the training.
    batch_size : int
        Images in a step.
    learning_rate : float
        Largest learning rate; it rises for a fifth of the steps and then falls as a cosine.
    weight_decay : float
        Weight decay of AdamW (I. Loshchilov and F. Hutter 2019).
    seed : int
        Of weights, dropout, and the order of the images.
    device : str
    on_epoch : callable, optional
        Takes a dict of "epoch", "loss", "accuracy", "seconds" after every epoch.

    Returns
    -------
    Checkpoint
        Of model "classifier"; `training` holds settings, history and the test "accuracy".

    Raises
    ------
    LyapmapError
        If the images do not fit the config, or the loss is no longer finite.

    Examples
    --------
    >>> from lyapmap import data
    >>> sets = [data.load("digits", split=s) for s in ("train", "test")]
    >>> config = ClassifierConfig(image_size=8, width=4)
    >>> trained = train_classifier(config, *sets, epochs=4, batch_size=32)
    >>> trained.training["accuracy"] > 0.5
    True
    """
    labels = sorted(train.class_names) if classes is None else [int(c) for c in classes]
    _fit(config, train, test, labels, epochs, batch_size)
    x, y = _tensors(train, labels, device)
    test_x, test_y = _tensors(test, labels, device)
    steps = len(x) // batch_size
    history: list[dict[str, Any]] = []
    begin = time.perf_counter()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        net = Classifier(config).to(device)
        optimizer = torch.optim.AdamW(net.parameters(), learning_rate, weight_decay=weight_decay)
        for epoch in range(epochs):
            total, order = 0.0, torch.randperm(len(x)).to(device)
            net.train()
            for step in range(steps):
                rate = learning_rate * _schedule((epoch * steps + step) / (epochs * steps))
                for group in optimizer.param_groups:
                    group["lr"] = rate
                some = order[step * batch_size : (step + 1) * batch_size]
                loss = F.cross_entropy(net(_shifted(x[some])), y[some])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item()
            if not math.isfinite(total):
                raise LyapmapError(f"learning_rate: {learning_rate} is too large, epoch {epoch + 1} diverged")
            accuracy = float((predict(net, test_x) == test_y).double().mean())
            seconds = round(time.perf_counter() - begin, 2)
            history.append({"epoch": epoch + 1, "loss": total / steps, "accuracy": accuracy, "seconds": seconds})
            if on_epoch is not None:
                on_epoch(history[-1])
    settings = {
        "data": train.name,
        "classes": labels,
        "epochs": int(epochs),
        "batch_size": int(batch_size),
        "learning_rate": float(learning_rate),
        "weight_decay": float(weight_decay),
        "seed": int(seed),
    }
    weights = {name: tensor.detach().cpu().clone() for name, tensor in net.state_dict().items()}
    record = {"settings": settings, "history": history, "accuracy": history[-1]["accuracy"], "epoch": int(epochs)}
    return Checkpoint("classifier", config.to_dict(), weights, test_x[:SAMPLE_STATES].cpu().clone(), record)


def _fit(
    config: ClassifierConfig, train: ImageSet, test: ImageSet, labels: list[int], epochs: int, batch_size: int
) -> None:
    if epochs < 1:
        raise LyapmapError(f"epochs: expected at least 1, got {epochs}")
    if len(set(labels)) != len(labels) or len(labels) != config.categories:
        raise LyapmapError(f"classes: expected {config.categories} different ones, got {labels}")
    for name, given in {"train": train, "test": test}.items():
        if given.state_shape != config.state_shape:
            raise LyapmapError(f"{name}: images have shape {given.state_shape}, the model takes {config.state_shape}")
        if given.value_range != (-1.0, 1.0):
            raise LyapmapError(f"{name}: values in {given.value_range}, the model works in (-1.0, 1.0)")
        empty = [c for c in labels if c not in given.labels]
        if empty:
            raise LyapmapError(f"{name}: there is no image of class {empty[0]}")
    known = sum(int((train.labels == c).sum()) for c in labels)
    if not 2 <= batch_size <= known:
        raise LyapmapError(f"batch_size: expected 2 to {known} (the images at hand), got {batch_size}")


def _tensors(images: ImageSet, labels: list[int], device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Images of the chosen classes, and the place of each one's class among them."""
    keep = [i for i, label in enumerate(images.labels.tolist()) if label in labels]
    places = [labels.index(int(images.labels[i])) for i in keep]
    return torch.from_numpy(images.images[keep]).to(device), torch.tensor(places, device=device)


def _shifted(batch: torch.Tensor) -> torch.Tensor:
    """The batch moved by up to a fourteenth of the image in each direction, all images alike."""
    reach = batch.shape[-1] // 14
    dx, dy = (int(torch.randint(-reach, reach + 1, ())) for _ in range(2))
    size = batch.shape[-1]
    padded = F.pad(batch, (reach,) * 4, value=-1.0)
    return padded[..., reach + dy : reach + dy + size, reach + dx : reach + dx + size]


def _schedule(done: float) -> float:
    """Factor of the learning rate when a part `done` of the steps is over."""
    if done < WARM_UP:
        return 0.05 + 0.95 * done / WARM_UP
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))
