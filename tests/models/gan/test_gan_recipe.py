"""Training DCGAN and GRAN: small, on scikit-learn's digits."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import lyapmap as lm
from gan_samples import DCGAN, GRAN, recipe, saved
from lyapmap import data
from lyapmap.core.errors import CheckpointError, LyapmapError
from lyapmap.files import checkpoint as checkpoints
from lyapmap.models.gan.dcgan import StepNorm
from lyapmap.models.gan.pair import gan_latents, load_gan
from lyapmap.models.gan.recipe import GanRecipe, settled
from lyapmap.training.loop import train


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


@pytest.mark.parametrize("config", [replace(DCGAN, spectral_norm=True), replace(GRAN, noise="fresh")])
def test_a_resumed_run_equals_an_uninterrupted_one(config: Any, tmp_path: Path) -> None:
    def made() -> GanRecipe:
        return recipe(config, batch_size=700, r1=0.1)

    whole = train(made(), tmp_path / "whole", epochs=2)
    seen = [0]

    def stop(_: Any) -> None:
        seen[0] += 1
        if seen[0] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(made(), tmp_path / "parts", epochs=2, on_step=stop)
    resumed = train(made(), tmp_path / "parts", epochs=2)
    for key in ("recipe", "rng"):
        same(whole.training["state"][key], resumed.training["state"][key])
    same(whole.state_dict, resumed.state_dict)
    with Image.open(tmp_path / "whole" / "samples-0002.png") as picture:
        assert picture.size == (2 + 8 * 58, 2 + 8 * 58)


@pytest.mark.parametrize("loss", ["non-saturating", "minimax"])
def test_steps_are_adam_on_the_losses_by_hand(loss: str) -> None:
    options: dict[str, Any] = {"loss": loss, "learning_rate_g": 1e-3, "learning_rate_d": 3e-4, "r1": 2.0}
    ours, by_hand = recipe(**options), recipe(**options).model.train()
    ours.start_epoch(0)
    images = data.load("digits").images
    order = np.random.default_rng([0, 0]).permutation(len(images))
    adam_g = torch.optim.Adam(by_hand.generator.parameters(), 1e-3, (0.5, 0.999))
    adam_d = torch.optim.Adam(by_hand.discriminator.parameters(), 3e-4, (0.5, 0.999))
    for step in range(2):
        with torch.random.fork_rng():
            torch.manual_seed(step)
            losses = ours.step(step)
            torch.manual_seed(step)
            z = torch.randn(50, 5)
        real = torch.from_numpy(images[order[50 * step : 50 * step + 50]]).requires_grad_()
        fake = by_hand.generator(z)
        logits = by_hand.discriminator(torch.cat([real, fake.detach()]))
        p = torch.sigmoid(logits)
        value = torch.log(p[:50]).mean() + torch.log(1 - p[50:]).mean()  # Eq. 3.1
        (slope,) = torch.autograd.grad(logits[:50].sum(), real, create_graph=True)
        penalty = (slope**2).sum((1, 2, 3)).mean()
        adam_d.zero_grad()
        (-value + 1.0 * penalty).backward()
        adam_d.step()
        p = torch.sigmoid(by_hand.discriminator(torch.cat([real.detach(), fake]))[50:])
        wanted = -torch.log(p).mean() if loss == "non-saturating" else torch.log(1 - p).mean()  # Eq. 3.4, 3.3
        adam_g.zero_grad()
        wanted.backward()
        adam_g.step()
        assert losses == pytest.approx({"G": wanted.item(), "D": -value.item(), "R1": penalty.item()}, rel=1e-4)
    for mine, theirs in zip(ours.model.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=3e-6)


def test_losses_stay_finite_where_the_discriminator_is_sure() -> None:
    for loss in ("non-saturating", "minimax"):
        made = recipe(loss=loss)
        with torch.no_grad():
            made.model.discriminator.dense.weight.mul_(1e6)
        made.start_epoch(0)
        losses = made.step(0)
        assert all(map(math.isfinite, losses.values()))
        assert all(p.isfinite().all() for p in made.model.parameters())


def test_weights_that_are_lost_stop_the_training(tmp_path: Path) -> None:
    made = recipe()
    with torch.no_grad():
        made.model.generator.painter.dense.weight.fill_(math.nan)
    with pytest.raises(LyapmapError, match="training diverged in epoch 1"):
        train(made, tmp_path, epochs=1)


def test_the_average_is_the_exponential_mean_and_has_running_means_of_its_own() -> None:
    made = recipe(GRAN, average=0.5, learning_rate_g=0.05)
    made.start_epoch(0)
    mean = [p.clone() for p in made.model.generator.parameters()]
    for step in range(3):
        made.step(step)
        past = min(0.5, (step + 1) / (step + 11))
        mean = [past * m + (1 - past) * p for m, p in zip(mean, made.model.generator.parameters(), strict=True)]
    shown = made.generator
    for ours, wanted in zip(shown.parameters(), mean, strict=True):
        torch.testing.assert_close(ours, wanted)
    # Running means that fit the weights leave every channel with mean 0 and variance 1 over noise.
    z = torch.from_numpy(gan_latents((5,), 4000, seed=9))
    seen: dict[int, torch.Tensor] = {}
    norm = shown.painters[0].norms[0]
    norm.register_forward_pre_hook(lambda _, given: seen.__setitem__(given[1], given[0]))
    with torch.no_grad():
        shown(z)
    for step, values in seen.items():
        spread = values.var((0, 2, 3))
        assert (values.mean((0, 2, 3)) - norm.mean[step]).abs().max() < 0.1 * spread.sqrt().max()
        torch.testing.assert_close(norm.variance[step], spread, rtol=0.15, atol=0)
    assert sorted(seen) == [0, 1, 2]
    raw = made.model.generator.painters[0].norms[0]
    assert not torch.allclose(raw.mean, norm.mean, rtol=0.05)


def test_settling_is_the_plain_mean_over_its_batches_and_draws_nothing() -> None:
    generator = recipe().model.generator
    state = torch.get_rng_state()
    z = torch.from_numpy(gan_latents((5,), 2000))
    settled(generator, z.split(250))
    assert torch.equal(torch.get_rng_state(), state)
    with torch.no_grad():
        first = generator.painter.dense(z).unflatten(1, generator.painter.first_map)
    torch.testing.assert_close(generator.painter.norms[0].mean[0], first.mean((0, 2, 3)), rtol=1e-3, atol=1e-5)
    assert all(part.momentum == 0.1 for part in generator.modules() if isinstance(part, StepNorm))


def test_the_discriminator_judges_single_images_as_it_did_mixtures() -> None:
    config = replace(DCGAN, image_size=16, kernels=(12, 6))
    images = data.load("digits", image_size=16)
    made = GanRecipe(config, images, batch_size=100, learning_rate_d=2e-3, learning_rate_g=1e-5)
    made.start_epoch(0)
    for step in range(made.steps_per_epoch):
        made.step(step)
    judge = made.model.discriminator.eval()
    with torch.no_grad():
        real = judge(torch.from_numpy(images.images[:200])) > 0
        fake = judge(made.model.generator(torch.randn(200, 5))) > 0
    assert real.float().mean() > 0.9
    assert fake.float().mean() < 0.1


def test_the_discriminator_that_is_saved_has_mean_weights_and_knows_real_and_generated_images() -> None:
    images = data.load("digits", image_size=16)
    config = replace(DCGAN, image_size=16, kernels=(12, 6))
    made = GanRecipe(config, images, batch_size=100, average=0.5, learning_rate_d=0.02)
    made.start_epoch(0)
    mean = [p.clone() for p in made.model.discriminator.parameters()]
    for step in range(3):
        made.step(step)
        past = min(0.5, (step + 1) / (step + 11))
        mean = [past * m + (1 - past) * p for m, p in zip(mean, made.model.discriminator.parameters(), strict=True)]
    generator = made.generator
    judge = made.discriminator(generator)
    for ours, wanted in zip(judge.parameters(), mean, strict=True):
        torch.testing.assert_close(ours, wanted)
    seen: list[torch.Tensor] = []
    norm = judge.norms[0]
    norm.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        fake = generator(torch.from_numpy(gan_latents((5,), 1000, seed=9)))
        judge(torch.cat([torch.from_numpy(images.images[:1000]), fake]))
    spread = seen[0].var((0, 2, 3))
    assert (seen[0].mean((0, 2, 3)) - norm.mean[0]).abs().max() < 0.1 * spread.sqrt().max()
    torch.testing.assert_close(norm.variance[0], spread, rtol=0.15, atol=0)


def test_the_checkpoint_holds_both_networks(tmp_path: Path) -> None:
    for config, name in ((DCGAN, "dcgan"), (GRAN, "gran")):
        path = saved(tmp_path, config, steps=1)
        kept = checkpoints.load(path)
        assert kept.model == name
        assert {key.partition(".")[0] for key in kept.state_dict} == {"generator", "discriminator"}
        gan = load_gan(path)
        made = recipe(config)
        made.start_epoch(0)
        made.step(0)
        z = torch.from_numpy(gan.latents)
        with torch.no_grad():
            torch.testing.assert_close(gan.generator(z).shape, made.generator(z).shape)
            x = torch.from_numpy(data.load("digits").images[:5])
            assert gan.discriminator(x).shape == (5,)
        assert gan.training["settings"]["loss"] == "non-saturating"
        assert not any(part.training for part in (*gan.generator.modules(), *gan.discriminator.modules()))
        assert load_gan(path, dtype="float64").dtype == torch.float64
        half = load_gan(checkpoints.save(kept, tmp_path / "half.safetensors", half=True))
        with torch.no_grad():
            torch.testing.assert_close(half.generator(z), gan.generator(z), rtol=0, atol=5e-3)


def test_a_generator_is_no_map(tmp_path: Path) -> None:
    for config, said in (
        (DCGAN, "is a dcgan, which draws images of noise and cannot be iterated"),
        (GRAN, "gan canvas"),
    ):
        path = saved(tmp_path, config)
        with pytest.raises(CheckpointError, match=said):
            lm.load_model(path)
    with pytest.raises(CheckpointError, match="is a cycle model, expected a dcgan or gran"):
        load_gan("cycle-digits-012")
    with pytest.raises(CheckpointError, match="no such file"):
        load_gan(tmp_path / "none.pt")
    with pytest.raises(LyapmapError, match="dtype: expected"):
        load_gan(path, dtype="float16")
    kept = checkpoints.load(path)
    other = checkpoints.save(replace(kept, sample_states=torch.zeros(2, 1, 8, 8)), tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match="sample_states have shape"):
        load_gan(other)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"config": replace(DCGAN, image_size=16)}, r"train: images have shape \(1, 8, 8\), the model takes"),
        ({"config": replace(DCGAN, output="sigmoid")}, r"train: values in \(-1.0, 1.0\), the model draws in"),
        ({"loss": "hinge"}, "loss: expected one of non-saturating, minimax, got 'hinge'"),
        ({"batch_size": 1}, "batch_size: expected 2 to 1500"),
        ({"learning_rate_d": 0.0}, "learning_rate_d: expected a positive number"),
        ({"r1": -1.0}, "r1: expected a number of at least 0"),
        ({"average": 1.0}, r"average: expected a number in \[0, 1\)"),
    ],
)
def test_bad_arguments_are_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(LyapmapError, match=said):
        recipe(**options)


def test_images_that_are_not_finite_are_refused() -> None:
    images = data.load("digits")
    broken = replace(images, images=np.where(images.images > 0.9, np.nan, images.images).astype(np.float32))
    with pytest.raises(LyapmapError, match="some pixels are not finite"):
        GanRecipe(DCGAN, broken)
