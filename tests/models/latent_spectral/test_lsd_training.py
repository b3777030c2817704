"""The stages of latent spectral decomposition: losses by hand, going on exactly, files, what does not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import lyapmap as lm
from lyapmap import data
from lyapmap.core.errors import CheckpointError, LyapmapError
from lyapmap.files import checkpoint as checkpoints
from lyapmap.models.latent_spectral.network import EncoderConfig, LatentSpectral, PooledConfig, described, gan_config
from lyapmap.models.latent_spectral.recipes import EncoderRecipe, PooledRecipe
from lyapmap.models.latent_spectral.training import LsdPlan, accuracies, train_lsd
from lyapmap.training import classifier, load_gan, load_lsd
from lyapmap.training.distributed import launch
from lyapmap.training.loop import train

IMAGES = data.load("digits", classes=(0, 1))
TINY = LsdPlan(
    latent=6,
    width=0.1,
    gan_epochs=8,
    classifier_epochs=6,
    encoder_epochs=3,
    batch_size=20,
    gan_options={"learning_rate_g": 2e-3, "learning_rate_d": 2e-3, "average": 0.9},
    classifier_options={"learning_rate": 3e-3, "average": 0.9},
    encoder_options={"learning_rate": 5e-3, "average": 0.9},
    n_vectors=50,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("lsd")
    train_lsd(IMAGES, out, TINY, test=data.load("digits", split="test", classes=(0, 1)))
    return out


def encoder_recipe(**options: Any) -> EncoderRecipe:
    sizes = {"image_size": 8, "channels": 1}
    config = {
        "generator": described("dcgan", gan_config(8, 1, latent=4, width=0.05)),
        "encoder": EncoderConfig(width=3, latent=4, **sizes).to_dict(),
        "classifier": described("lsd-classifier", PooledConfig(2, width=2, **sizes)),
    }
    torch.manual_seed(0)
    module = LatentSpectral(config)
    given = {"classes": (0, 1), "origin": {}, "config": config, "batch_size": 100} | options
    return EncoderRecipe(module, IMAGES, **given)


def test_all_stages_and_the_file_with_everything(trained: Path, tmp_path: Path) -> None:
    assert {p.name for p in trained.iterdir()} == {"gan", "classifier", "encoder", "last.pt"}
    lsd = load_lsd(trained / "last.pt")
    assert lsd.training["accuracy"]["images"] > 0.9
    assert lsd.training["accuracy"]["decoded"] > 0.8
    assert lsd.classes == (0, 1)
    assert not any(part.training for part in lsd.module.modules())
    gan = load_gan(trained / "gan" / "last.pt")
    for mine, theirs in zip(lsd.generator.parameters(), gan.generator.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    labels = classifier(trained / "classifier" / "last.pt")
    assert (labels(IMAGES.images) == IMAGES.labels).mean() > 0.9
    assert "state" not in labels.training
    basis = lsd.basis
    assert basis is not None
    assert (basis.xi.shape, basis.settings["n_vectors"]) == ((6, 6), 50)
    np.testing.assert_allclose(basis.xi @ basis.xi.T, 6 * np.eye(6), atol=1e-9)
    half = load_lsd(lsd.save(tmp_path / "half.pt", half=True))
    assert half.basis is not None
    np.testing.assert_array_equal(half.basis.xi, basis.xi)
    x = torch.from_numpy(lsd.images)
    torch.testing.assert_close(half.module(x), lsd.module(x), rtol=0, atol=0.02)
    assert not torch.equal(half.module(x), lsd.module(x))
    triple = lsd.triple()
    np.testing.assert_allclose(triple.images(triple.latents(lsd.images)), lsd.module(x).numpy(), rtol=0, atol=1e-6)


def test_finished_stages_are_left_alone_and_the_basis_too(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.stat().st_mtime_ns for path in trained.glob("*/last.pt")}
    weights = load_lsd(trained / "last.pt").module.state_dict()

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("built again")

    monkeypatch.setattr(lm.LatentBasis, "build", never)
    again = train_lsd(IMAGES, trained, TINY)
    assert {path: path.stat().st_mtime_ns for path in trained.glob("*/last.pt")} == before
    assert all(torch.equal(weights[name], tensor) for name, tensor in again.module.state_dict().items())
    with pytest.raises(AssertionError, match="built again"):
        train_lsd(IMAGES, trained, replace(TINY, n_vectors=51))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"latent": 7}, "gan.last.pt holds a network of other sizes"),
        ({"seed": 1}, "gan.last.pt was trained with another seed"),
        ({"classifier_options": {"noise": 0.2}}, "was trained with another average, learning_rate, noise"),
        ({"encoder_options": {**TINY.encoder_options, "kl": 2.0}}, "was trained with another kl"),
    ],
)
def test_a_folder_of_other_settings_is_refused(changes: Any, said: str, trained: Path) -> None:
    with pytest.raises(LyapmapError, match=said):
        train_lsd(IMAGES, trained, replace(TINY, **changes))


def test_an_encoder_of_another_generator_is_refused(trained: Path, tmp_path: Path) -> None:
    for stage in ("encoder", "classifier"):
        (tmp_path / stage).symlink_to(trained / stage)
    other = trained / "gan" / "other.pt"
    saved = checkpoints.load(trained / "gan" / "last.pt")
    saved.state_dict["generator.painter.dense.weight"] += 0.01
    checkpoints.save(saved, other)
    with pytest.raises(LyapmapError, match="trained with another generator"):
        train_lsd(IMAGES, tmp_path, replace(TINY, gan=other))


def test_trained_networks_can_be_brought(trained: Path, tmp_path: Path) -> None:
    brought = {"gan": trained / "gan" / "last.pt", "classifier": trained / "classifier" / "last.pt"}
    lsd = train_lsd(IMAGES, tmp_path, replace(TINY, **brought, encoder_epochs=1, n_vectors=0))
    assert {p.name for p in tmp_path.iterdir()} == {"encoder", "last.pt"}
    assert (lsd.basis, lsd.training["classifier"]["model"]) == (None, "last.pt")
    wrong = data.load("digits", classes=(0, 2))
    with pytest.raises(LyapmapError, match="classifier: tells 0, 1 apart, the images are of 0, 2"):
        train_lsd(wrong, tmp_path / "b", replace(TINY, **brought))
    with pytest.raises(LyapmapError, match=r"gan: takes noise of shape \(6,\), expected \(5,\)"):
        train_lsd(IMAGES, tmp_path / "c", replace(TINY, **brought, latent=5))


@pytest.mark.parametrize("stage", ["classifier", "encoder"])
def test_a_resumed_stage_equals_an_uninterrupted_one(stage: str, tmp_path: Path) -> None:
    def made() -> Any:
        if stage == "encoder":
            return encoder_recipe()
        return PooledRecipe(PooledConfig(2, 8, 1, 2), IMAGES, batch_size=100)

    whole = train(made(), tmp_path / "whole", epochs=2)
    seen = [0]

    def stop(_: Any) -> None:
        seen[0] += 1
        if seen[0] == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(made(), tmp_path / "parts", epochs=2, on_step=stop)
    resumed = train(made(), tmp_path / "parts", epochs=2)
    for name, tensor in whole.state_dict.items():
        assert torch.equal(tensor, resumed.state_dict[name]), name
    ours, theirs = (run.training["state"]["recipe"]["adam"]["state"] for run in (whole, resumed))
    assert all(torch.equal(ours[i][key], theirs[i][key]) for i in ours for key in ours[i])


@pytest.mark.parametrize("kind", ["hinge", "squared"])
def test_the_encoders_losses_by_hand(kind: str) -> None:
    made = encoder_recipe(kind=kind, reconstruction=3.0, kl=0.5, label=7.0, learning_rate=1e-2)
    by_hand = encoder_recipe(kind=kind).model
    by_hand.encoder.train()
    before = [p.clone() for p in (*by_hand.generator.parameters(), *by_hand.classifier.parameters())]
    made.start_epoch(0)
    order = np.random.default_rng([0, 0]).permutation(len(IMAGES))[:100]
    x, y = torch.from_numpy(IMAGES.images[order]), torch.from_numpy(IMAGES.labels[order])
    adam = torch.optim.Adam(by_hand.encoder.parameters(), 1e-2)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        losses = made.step(0)
        torch.manual_seed(3)
        noise = torch.randn(100, 4)
    mean, log_deviation = by_hand.encoder(x)
    drawn = by_hand.generator(mean + log_deviation.exp() * noise)
    normal = torch.distributions.Normal
    divergence = torch.distributions.kl_divergence(normal(mean, log_deviation.exp()), normal(0.0, 1.0))
    compared = (1 - drawn * x).clamp(min=0).mean() if kind == "hinge" else ((drawn - x) ** 2).mean()
    wanted = {
        "reconstruction": compared,
        "kl": divergence.sum(1).mean(),
        "label": F.nll_loss(by_hand.classifier(drawn).log_softmax(1), y),
    }
    assert losses == pytest.approx({name: loss.item() for name, loss in wanted.items()}, rel=1e-4)
    (3.0 * wanted["reconstruction"] + 0.5 * wanted["kl"] + 7.0 * wanted["label"]).backward()
    adam.step()
    for mine, theirs in zip(made.model.encoder.parameters(), by_hand.encoder.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5)
    after = (*made.model.generator.parameters(), *made.model.classifier.parameters())
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))
    assert not made.model.generator.training


def test_half_precision_arithmetic_leaves_weights_and_means_in_single(tmp_path: Path) -> None:
    pytest.importorskip("lightning_fabric", reason="mixed precision needs lightning-fabric")
    plan = replace(TINY, gan_epochs=1, classifier_epochs=1, encoder_epochs=1, n_vectors=0)
    lsd = train_lsd(IMAGES, tmp_path, plan, workers=launch(precision="bf16-mixed"))
    tensors = lsd.module.state_dict().values()
    assert all(tensor.dtype == torch.float32 and tensor.isfinite().all() for tensor in tensors)
    # Running means taken anew in single precision: images of the data leave every channel normal.
    seen: list[torch.Tensor] = []
    lsd.encoder.norms[1].register_forward_hook(lambda norm, given, _: seen.append((given[0], norm)))
    with torch.no_grad():
        lsd.encoder(torch.from_numpy(IMAGES.images))
    (values, norm) = seen[0]
    torch.testing.assert_close(norm.mean[0], values.mean((0, 2, 3)), rtol=0, atol=0.02)


def test_the_file_is_a_map_of_images(trained: Path) -> None:
    model = lm.load_model(trained / "last.pt", dtype="float64")
    assert (model.architecture, model.map.state_shape) == ("lsd", (1, 8, 8))
    lsd = load_lsd(trained / "last.pt")
    x = lsd.images[:3]
    rows = torch.from_numpy(x).double().flatten(1)
    wanted = lsd.module(torch.from_numpy(x)).flatten(1).double()
    torch.testing.assert_close(model.map.apply(rows), wanted, rtol=0, atol=1e-4)
    # All of it computes in double precision: differences over a small step give the derivative.
    tangent = torch.randn(rows.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    _, slope = model.map.jvp(rows, tangent[:, :, None])
    step = 1e-6 * tangent
    difference = (model.map.apply(rows + step) - model.map.apply(rows - step)) / 2e-6
    torch.testing.assert_close(slope[:, :, 0], difference, rtol=1e-4, atol=1e-6)


def test_accuracies_are_shares_of_labels(trained: Path) -> None:
    lsd = load_lsd(trained / "last.pt")
    drawn = lsd.module(torch.from_numpy(IMAGES.images))
    wanted = (lsd.classifier(drawn).argmax(1).numpy() == IMAGES.labels).mean()
    assert accuracies(lsd, IMAGES)["decoded"] == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("classifier-mnist", "is a classifier model, expected an lsd model"),
        ("nowhere.pt", "no such file"),
        ("gan/last.pt", "is a dcgan model, expected an lsd model"),
    ],
)
def test_other_files_are_refused(name: str, said: str, trained: Path) -> None:
    with pytest.raises(CheckpointError, match=said):
        load_lsd(name if name == "classifier-mnist" else trained / name)


def test_damaged_files_are_refused(trained: Path, tmp_path: Path) -> None:
    saved = checkpoints.load(trained / "last.pt")
    broken = replace(saved, training=saved.training | {"basis": {"settings": {}, "arrays": {"eta": torch.zeros(2)}}})
    with pytest.raises(LyapmapError, match="basis"):
        load_lsd(checkpoints.save(broken, tmp_path / "a.pt"))
    nameless = replace(saved, training={})
    with pytest.raises(CheckpointError, match="expected 2 classes in its settings"):
        load_lsd(checkpoints.save(nameless, tmp_path / "b.pt"))
    with pytest.raises(CheckpointError, match="lsd-classifier, which cannot be iterated"):
        lm.load_model(trained / "classifier" / "last.pt")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"classes": (0, 0)}, "classes: expected 2 different ones"),
        ({"classes": (0, 2)}, "train: there is no image of class 2"),
        ({"kind": "l1"}, "kind: expected one of hinge, squared"),
        ({"kl": -1.0}, "kl: expected a number of at least 0"),
        ({"learning_rate": 0.0}, "learning_rate: expected a positive number"),
        ({"average": 1.0}, r"average: expected a number in \[0, 1\)"),
        ({"batch_size": 1}, "batch_size: expected 2 to"),
    ],
)
def test_bad_options_of_the_encoder(options: Any, said: str) -> None:
    with pytest.raises(LyapmapError, match=said):
        encoder_recipe(**options)


@pytest.mark.parametrize(
    ("images", "plan", "said"),
    [
        (data.load("digits", classes=(0,)), TINY, "classes: expected 2 to 10, the images have 1"),
        (IMAGES, replace(TINY, latent=1), "latent: expected at least 2"),
        (replace(IMAGES, images=IMAGES.images[:, :, :4]), TINY, "expected square images"),
        (replace(IMAGES, value_range=(0.0, 1.0)), TINY, "train: values in"),
        (replace(IMAGES, images=IMAGES.images * np.nan), TINY, "not finite"),
    ],
)
def test_bad_data(images: Any, plan: LsdPlan, said: str, tmp_path: Path) -> None:
    with pytest.raises(LyapmapError, match=said):
        train_lsd(images, tmp_path, plan)


def test_bad_plans() -> None:
    for changes, said in (({"gan_epochs": 0}, "gan_epochs"), ({"n_vectors": 1}, "n_vectors"), ({"width": 9}, "width")):
        with pytest.raises(LyapmapError, match=said):
            replace(TINY, **changes)
    with pytest.raises(LyapmapError, match="noise: expected a number of at least 0"):
        PooledRecipe(PooledConfig(2, 8, 1, 2), IMAGES, noise=-0.1)
