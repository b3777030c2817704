"""`lyapmap train classifier`: the classifiers whose features images are compared by."""

from __future__ import annotations

from typing import Any

from lyapmap.cli import show, training
from lyapmap.cli.command import Run, command
from lyapmap.cli.options import TrainingRun


@command(
    "lyapmap.models.classifier.training:train_classifier",
    hides=("classes",),
    examples="""
lyapmap train classifier --data mnist --out runs/classifier-mnist
lyapmap train classifier --data digits --epochs 30 --out runs/classifier-digits
""",
)
def classifier(run: Run, about: TrainingRun, *, classes: tuple[int, ...] | None = None, width: int = 16) -> int:
    """Train a small classifier, whose features `lyapmap manifold` compares images by.

    The folder receives classifier.pt.

    Parameters
    ----------
    classes : N,N[,N...]
        Categories; all by default.
    width : N, at least 1
        Channels of the first stage.
    """
    training.begin(run, about)
    from lyapmap.files import checkpoint
    from lyapmap.models.classifier.network import ClassifierConfig
    from lyapmap.models.classifier.training import train_classifier

    train, test = (training.images_of(about, split=split, classes=classes) for split in ("train", "test"))
    channels, height, _ = train.state_shape
    labels = classes or tuple(sorted(train.class_names))
    trained = train_classifier(
        ClassifierConfig(categories=len(labels), image_size=height, channels=channels, width=width),
        train,
        test,
        classes=labels,
        seed=run.seed,
        device=about.device or "cpu",
        on_epoch=_say_epoch if run.progress else None,
        **run.options(),
    )
    path = checkpoint.save(trained, run.folder / "classifier.pt")
    if run.as_json:
        show.print_json(trained.training | {"checkpoint": str(path)})
    else:
        print(f"accuracy {trained.training['accuracy']:.4f} on test images; next: --features {path}")
    return 0


def _say_epoch(entry: dict[str, Any]) -> None:
    print(
        f"epoch {entry['epoch']}, {entry['seconds']:.0f} s: loss {entry['loss']:.4f}, accuracy {entry['accuracy']:.4f}"
    )
