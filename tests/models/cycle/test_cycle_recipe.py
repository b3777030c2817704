"""Training the cycle model: small, on scikit-learn's digits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lyapmap import data
from lyapmap.core.errors import LyapmapError
from lyapmap.data.image_set import held_out
from lyapmap.files.checkpoint import Checkpoint, load, load_weights
from lyapmap.models.cycle.extra_losses import ExtraTerms
from lyapmap.models.cycle.network import CycleConfig, Generator
from lyapmap.models.cycle.recipe import RECIPES, CycleRecipe, CycleSettings, settings_by_name
from lyapmap.training.loop import Progress, train

CLASSES = (0, 1, 2)
CONFIG = CycleConfig(image_size=8, width=4)
TRAIN = data.load("digits", classes=CLASSES)
TEST = data.load("digits", split="test", classes=CLASSES)


ALL_TERMS = ExtraTerms(unroll=2, replay=0.5, renewal=0.2, replay_cycle=0.5, diversity=1.0, exponent=0.1, average=0.9)


def recipe(**options: Any) -> CycleRecipe:
    return CycleRecipe(CONFIG, TRAIN, TEST, classes=CLASSES, **({"batch_size": 40} | options))


def same(a: Any, b: Any) -> None:
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, list | tuple):
        for x, y in zip(a, b, strict=True):
            same(x, y)
    else:
        assert a == b


def everything(checkpoint: Checkpoint) -> dict[str, Any]:
    """Weights of all networks, both optimizers, and the random state."""
    return {key: checkpoint.training["state"][key] for key in ("recipe", "rng", "epoch", "step", "sums")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Checkpoint]:
    folder = tmp_path_factory.mktemp("whole")
    return folder, train(recipe(), folder, epochs=3)


def test_one_and_two_epochs_are_three(whole: tuple[Path, Checkpoint], tmp_path: Path) -> None:
    train(recipe(), tmp_path, epochs=1)
    same(everything(train(recipe(), tmp_path, epochs=3)), everything(whole[1]))


def test_interrupted_within_an_epoch(whole: tuple[Path, Checkpoint], tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe(), tmp_path, epochs=3, on_step=stop)
    assert load(tmp_path / "last.pt").training["state"]["step"] == 2
    same(everything(train(recipe(), tmp_path, epochs=3)), everything(whole[1]))


def test_monitor_does_not_change_the_training(whole: tuple[Path, Checkpoint], tmp_path: Path) -> None:
    def monitor(checkpoint: Checkpoint) -> dict[str, float]:
        torch.manual_seed(1)
        generator = Generator(CycleConfig(**checkpoint.config))
        load_weights(generator, checkpoint, "monitor")
        return {"mean": generator.eval()(checkpoint.sample_states).mean().item() + torch.randn(()).item()}

    watched = train(recipe(), tmp_path, epochs=3, monitor=monitor, monitor_every=1)
    same(everything(watched), everything(whole[1]))
    assert all("monitor" in entry for entry in watched.training["history"])


def test_the_checkpoint_rebuilds_the_generator(whole: tuple[Path, Checkpoint]) -> None:
    checkpoint = load(whole[0] / "last.pt")
    assert checkpoint.model == "cycle"
    generator = Generator(CycleConfig(**checkpoint.config)).eval()
    load_weights(generator, checkpoint, "last.pt")
    trained = recipe()
    trained.load_state(checkpoint.training["state"]["recipe"])
    np.testing.assert_array_equal(checkpoint.sample_states.numpy(), TEST.of_class(0)[:64])
    with torch.no_grad():
        assert torch.equal(generator(checkpoint.sample_states), trained.model.G.eval()(checkpoint.sample_states))
    assert checkpoint.training["settings"] == {
        "data": "digits",
        "classes": [0, 1, 2],
        "batch_size": 40,
        "learning_rate": 2e-4,
        "beta1": 0.5,
        "cycle_weight": 10.0,
        "seed": 0,
    }


def test_sample_sheet(whole: tuple[Path, Checkpoint]) -> None:
    trained = recipe()
    trained.load_state(whole[1].training["state"]["recipe"])
    trained.model.train()
    shown = trained.sample_sheet()
    assert trained.model.training
    assert trained.model.G.training
    assert shown.shape == (8, 13, 1, 8, 8)
    np.testing.assert_array_equal(shown[:, 0], TEST.of_class(0)[:8])
    generator = trained.model.G.eval()
    with torch.no_grad():
        twice = generator(generator(torch.from_numpy(shown[:, 0])))
    np.testing.assert_allclose(shown[:, 2], twice.numpy(), atol=1e-6)
    with Image.open(whole[0] / "samples-0003.png") as picture:
        assert picture.size == (2 + 13 * 58, 2 + 8 * 58)


def test_steps_are_batches_of_one_image_of_each_class() -> None:
    made = recipe()
    smallest = min(len(TRAIN.of_class(c)) for c in CLASSES)
    assert made.steps_per_epoch == smallest // 40 == 3
    assert made.images_per_step == 120
    batches: list[torch.Tensor] = []
    losses_of = made.model.generator_losses

    def watch(batch: torch.Tensor, **options: Any) -> Any:
        batches.append(batch)
        return losses_of(batch, **options)

    made.model.generator_losses = watch  # type: ignore[method-assign]
    orders = []
    for epoch in range(2):
        made.start_epoch(epoch)
        for index in range(made.steps_per_epoch):
            made.step(index)
        orders.append(torch.cat(batches, dim=1))
        batches.clear()
    for of_class, c in zip(orders[0], CLASSES, strict=True):
        used = {image.numpy().tobytes() for image in of_class}
        assert len(used) == 120, "no image comes twice in an epoch"
        assert used <= {image.tobytes() for image in TRAIN.of_class(c)}
    assert not torch.equal(orders[0], orders[1]), "each epoch has its own order"


def test_steps_are_adam_on_the_losses_by_hand() -> None:
    made, by_hand = recipe(batch_size=10), recipe(batch_size=10).model
    made.start_epoch(0)
    rng = np.random.default_rng([0, 0])
    used = made.steps_per_epoch * 10
    orders = [rng.permutation(len(TRAIN.of_class(c)))[:used] for c in CLASSES]
    generators = torch.optim.Adam([*by_hand.G.parameters(), *by_hand.F.parameters()], 2e-4, (0.5, 0.999))
    discriminators = torch.optim.Adam(by_hand.D.parameters(), 2e-4, (0.5, 0.999))
    taught = generators.param_groups[0]["params"]
    for step in range(2):  # the first step of Adam does not depend on its betas
        rows = slice(10 * step, 10 * step + 10)
        images = [TRAIN.of_class(c)[order[rows]] for c, order in zip(CLASSES, orders, strict=True)]
        with torch.random.fork_rng():
            torch.manual_seed(step)
            losses = made.step(step)
            torch.manual_seed(step)
            wanted, by_g, by_f = by_hand.generator_losses(torch.from_numpy(np.stack(images)))
            for parameter, grad in zip(taught, torch.autograd.grad(wanted["total"], taught), strict=True):
                parameter.grad = grad
            generators.step()
            judged = by_hand.discriminator_losses(torch.from_numpy(np.stack(images)), by_g, by_f)
            discriminators.zero_grad()
            judged.sum().backward()
            discriminators.step()
        assert losses["total"] == pytest.approx(wanted["total"].item(), rel=1e-5)
        assert losses["D"] == pytest.approx(judged.sum().item(), rel=1e-5)
    for ours, theirs in zip(made.model.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-6)


def test_the_seed_decides_the_first_weights_and_spares_the_caller_s_generator() -> None:
    state = torch.get_rng_state()
    first, again, other = recipe(seed=4), recipe(seed=4), recipe(seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    weights = [made.model.G.down1.conv.weight for made in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_learning_makes_the_cycle_loss_fall(whole: tuple[Path, Checkpoint]) -> None:
    cycle = [entry["losses"]["cycle"] for entry in whole[1].training["history"]]
    assert cycle == sorted(cycle, reverse=True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"classes": (0, 1)}, "classes: expected 3 of them, got 2"),
        ({"classes": (0, 1, 7)}, "classes: there is no image of class 7"),
        ({"batch_size": 1000}, "batch_size: expected 1 to 150 .the smallest category., got 1000"),
        ({"batch_size": 0}, "batch_size: expected 1 to"),
        ({"config": CycleConfig(image_size=9)}, r"train: images have shape \(1, 8, 8\), the model takes \(1, 9, 9\)"),
        ({"test": data.load("digits", image_size=9)}, r"test: images have shape \(1, 9, 9\)"),
        ({"test": TEST.only([1, 2])}, "classes: there is no image of class 0"),
        ({"train": replace(TRAIN, value_range=(0.0, 1.0))}, r"train: values in \(0.0, 1.0\), the model works in"),
    ],
)
def test_what_does_not_fit_together(changes: dict[str, Any], said: str) -> None:
    given = {"config": CONFIG, "train": TRAIN, "test": TEST, "classes": CLASSES, "batch_size": 40} | changes
    with pytest.raises(LyapmapError, match=said):
        CycleRecipe(given.pop("config"), given.pop("train"), given.pop("test"), **given)


def test_the_exponent_that_is_held_is_that_of_the_mean_weights() -> None:
    """The mean of weights that swing has another exponent than they have: it is the mean that comes to 0.1."""

    class Scaling(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = torch.nn.Parameter(torch.tensor(1.0))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.factor * x
            return y - torch.round(y.detach())  # its exponent is log(factor) exactly

    made = recipe(terms=ExtraTerms(exponent=0.1, exponent_weight=3.0, average=0.9))
    assert made._exponent is not None
    assert made._mean is not None
    made.model.G = Scaling()  # type: ignore[assignment]
    made._mean.module = Scaling()
    adam = torch.optim.Adam(made.model.G.parameters(), 2e-3)
    for step in range(600):
        made.model.G.factor.grad = torch.zeros(())
        made._hold_exponent(made._exponent)
        adam.step()
        with torch.no_grad():  # a mean that lags, and lies lower by a constant
            target = made.model.G.factor - 0.05
            made._mean.module.factor.lerp_(target, 0.1 if step else 1.0)
    assert np.log(made._mean.module.factor.item()) == pytest.approx(0.1, abs=0.01)
    assert np.log(made.model.G.factor.item()) > 0.12


def test_the_learning_rate_falls_and_resumes_in_the_middle(tmp_path: Path) -> None:
    settings = CycleSettings(epochs=4, decay_epochs=3, batch_size=40, validation=0.1, terms=ALL_TERMS)
    whole = train(recipe(settings=settings), tmp_path / "whole", epochs=4)
    for epochs in (1, 3, 4):
        parts = train(recipe(settings=settings), tmp_path / "parts", epochs=epochs)
    same(everything(parts), everything(whole))
    groups = parts.training["state"]["recipe"]["adam_generators"]["param_groups"]
    assert groups[0]["lr"] == pytest.approx(2e-4 / 4)


def test_the_pull_on_the_exponent_does_not_fall_with_the_learning_rate() -> None:
    made = recipe(epochs=4, decay_epochs=3, terms=ExtraTerms(exponent=0.5, exponent_weight=30.0))
    assert made._exponent is not None
    kept = made._exponent.state()
    pulls = []
    for epoch in (0, 3):
        made.start_epoch(epoch)
        made._exponent.load_state(kept)
        for parameter in made.model.G.parameters():
            parameter.grad = torch.zeros_like(parameter)
        made._hold_exponent(made._exponent)
        pulls.append(made.settings.rate(epoch) * made.model.G.up3.weight.grad.norm().item())  # type: ignore[union-attr]
    assert pulls[0] > 0
    assert pulls[1] == pytest.approx(pulls[0])


def test_other_epochs_are_another_run_where_the_rate_depends_on_them(tmp_path: Path) -> None:
    train(recipe(epochs=4, decay_epochs=2), tmp_path, epochs=1)
    with pytest.raises(LyapmapError, match="holds a run with other settings"):
        train(recipe(epochs=6, decay_epochs=2), tmp_path, epochs=2)


def test_sample_states_are_of_images_kept_from_training_and_test() -> None:
    made = recipe(validation=0.2)
    rest, kept = held_out(TRAIN, 0.2)
    np.testing.assert_array_equal(made.checkpoint().sample_states.numpy(), kept.of_class(0)[:64])
    assert made.steps_per_epoch == min(len(rest.of_class(c)) for c in CLASSES) // 40


def test_recipes_by_name_with_single_settings_replaced() -> None:
    steady = RECIPES["steady"]
    assert settings_by_name("steady") == steady
    changed = settings_by_name("steady", epochs=steady.epochs // 2, diversity=1.0, average=None)
    assert changed.decay_epochs == steady.decay_epochs // 2
    assert changed.terms == replace(steady.terms, diversity=1.0)
    with pytest.raises(LyapmapError, match="recipe: expected paper, steady, control, got 'wide'"):
        settings_by_name("wide")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epochs": 0}, "epochs: expected"),
        ({"epochs": 2, "decay_epochs": 3}, "decay_epochs: expected at most the 2 epochs, got 3"),
        ({"validation": 1.0}, r"validation: expected a part in \[0, 1\), got 1.0"),
    ],
)
def test_settings_that_cannot_be(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(LyapmapError, match=said):
        CycleSettings(**changes)


def test_wishes_is_an_older_name_of_terms() -> None:
    from lyapmap.models.cycle import extra_losses as losses

    with pytest.warns(DeprecationWarning, match="Wishes is now ExtraTerms"):
        older = losses.Wishes
    with pytest.warns(DeprecationWarning, match="wishes is now terms"):
        made = recipe(wishes=older(average=0.5))
    assert made.settings.terms == ExtraTerms(average=0.5)
