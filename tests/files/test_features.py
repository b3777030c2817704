"""Features by name, their cache, VGG weights from files, and the classifiers."""

from __future__ import annotations

import hashlib

import h5py
import numpy as np
import pytest
import torch

from lyapmap import data
from lyapmap.core.errors import CheckpointError, DataError, LyapmapError, ShapeError
from lyapmap.files import checkpoint as checkpoints
from lyapmap.files import zoo
from lyapmap.files.checkpoint import build_module
from lyapmap.files.features import features, predict
from lyapmap.files.vgg import KNOWN, VGG, VGGConfig, load_vgg, random_vgg
from lyapmap.models.classifier.network import Classifier, ClassifierConfig
from lyapmap.models.classifier.training import train_classifier

SMALL = VGGConfig(blocks=((4,), (6, 8)), pooled=2, hidden=(10, 7), categories=3, image_size=16)
IMAGES = np.random.default_rng(0).uniform(-1, 1, (5, 1, 28, 28)).astype(np.float32)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LYAPMAP_CACHE", str(tmp_path / "cache"))


def test_pixels_are_themselves():
    np.testing.assert_array_equal(features("pixels")(IMAGES), IMAGES.reshape(5, -1))


@pytest.mark.parametrize("name", ["random-vgg", "classifier-mnist", "classifier-fashion-mnist"])
def test_networks_give_64_features_row_by_row(name):
    embed = features(name)
    whole = embed(IMAGES)
    assert whole.shape == (5, 64)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(embed(IMAGES[2:3])[0], whole[2], rtol=1e-4, atol=1e-5)
    assert np.isfinite(whole).all()
    assert whole.std(axis=0).max() > 0


def test_random_weights_are_those_of_the_seed():
    first, again, other = (features("random-vgg", seed=s)(IMAGES) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_rows_of_pixels_are_images_where_the_shape_is_known():
    embed = features("random-vgg", state_shape=(1, 28, 28))
    np.testing.assert_array_equal(embed(IMAGES.reshape(5, -1)), embed(IMAGES))
    with pytest.raises(ShapeError, match="takes images"):
        features("random-vgg")(IMAGES.reshape(5, -1))
    with pytest.raises(ShapeError, match="takes images"):
        features("classifier-mnist")(np.zeros((2, 1, 8, 8)))


def test_the_cache_is_used_and_a_damaged_file_is_made_anew(tmp_path):
    embed = features("random-vgg", cache=tmp_path)
    calls = []
    inner = embed._embed
    embed._embed = lambda x: calls.append(len(x)) or inner(x)
    fresh = embed.cached(IMAGES)
    np.testing.assert_array_equal(embed.cached(IMAGES), fresh)
    assert calls == [5]
    (file,) = tmp_path.glob("*.npy")
    file.write_bytes(b"nonsense")
    np.testing.assert_array_equal(embed.cached(IMAGES), fresh)
    assert calls == [5, 5]
    embed.cached(IMAGES + np.float32(1e-6))  # other content, another file
    features("random-vgg", seed=1, cache=tmp_path).cached(IMAGES)  # other weights, too
    assert len(list(tmp_path.glob("*.npy"))) == 3


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("classifier", {}, "needs the name of a data set"),
        ("classifier", {"data": "digits"}, "no classifier is shipped for digits, only classifier-fashion-mnist"),
        ("resnet", {}, "features: expected pixels, classifier, random-vgg, vgg16"),
        ("missing.pt", {}, "no such file"),
        ("vgg16", {"weights": "missing.pth"}, "no such file"),
    ],
)
def test_unknown_features_are_named(name, options, message):
    with pytest.raises(LyapmapError, match=message):
        features(name, **options)


def test_vgg16_without_weights_says_where_to_put_them(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(LyapmapError, match=r"needs weights, and there are none at .*vgg16-397923af.pth"):
        features("vgg16")


def test_a_classifier_is_no_map():
    with pytest.raises(CheckpointError, match="classifier, which cannot be iterated"):
        zoo.load_model("classifier-mnist")
    with pytest.raises(LyapmapError, match="expected a classifier"):
        features(zoo.shipped()["cycle-digits-012"])


def test_torchvision_weights_fit_as_they_are(tmp_path):
    net = random_vgg(3, SMALL)
    path = tmp_path / "small.pth"
    torch.save(net.state_dict(), path)
    loaded = load_vgg(path, config=SMALL)
    x = torch.from_numpy(IMAGES)
    torch.testing.assert_close(loaded.embed(x), net.embed(x))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    load_vgg(path, config=SMALL, checksum=digest)
    with pytest.raises(CheckpointError, match=f"sha256 is {digest}, expected 00"):
        load_vgg(path, config=SMALL, checksum="00")
    with pytest.raises(CheckpointError, match=f"expected {KNOWN['.pth'][1]}"):
        load_vgg(path)  # of VGG16 the published checksum is asked for
    with pytest.raises(CheckpointError, match=r"'features.0.weight' has shape \(4, 3, 3, 3\)"):
        load_vgg(path, config=VGGConfig(blocks=((5,), (6, 8)), pooled=2, hidden=(10, 7), categories=3, image_size=16))


def keras_file(path, net):
    """The weights of a network as Keras stores them: channels last, dense kernels transposed."""
    names = ["block1_conv1", "block2_conv1", "block2_conv2", "fc1", "fc2", "predictions"]
    layers = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    with h5py.File(path, "w") as file:
        for name, layer in zip(names, layers, strict=True):
            kernel = layer.weight.detach().numpy()
            if kernel.ndim == 4:
                kernel = kernel.transpose(2, 3, 1, 0)
            elif name == "fc1":
                kernel = kernel.reshape(-1, 8, 2, 2).transpose(2, 3, 1, 0).reshape(32, -1)
            else:
                kernel = kernel.T
            group = file.create_group(name)
            group[f"{name}_W_1:0"], group[f"{name}_b_1:0"] = kernel, layer.bias.detach().numpy()


def test_keras_weights_are_turned_into_place(tmp_path):
    net = random_vgg(4, VGGConfig(**SMALL.to_dict() | {"preprocess": "keras"}))
    path = tmp_path / "small.h5"
    keras_file(path, net)
    loaded = load_vgg(path, config=SMALL)
    assert loaded.config.preprocess == "keras"
    x = torch.from_numpy(IMAGES)
    torch.testing.assert_close(loaded(x), net(x))
    with h5py.File(path, "a") as file:
        del file["fc2"]
    with pytest.raises(CheckpointError, match="no weight and bias of 'fc2'"):
        load_vgg(path, config=SMALL)


@pytest.mark.parametrize(
    ("suffix", "message"),
    [(".pth", "not a file that torch.save wrote"), (".h5", "damaged"), (".bin", "expected torch")],
)
def test_files_that_are_no_weights_are_refused(tmp_path, suffix, message):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(CheckpointError, match=message):
        load_vgg(path, config=SMALL)


def test_pixels_are_prepared_as_the_weights_expect():
    white = torch.ones(1, 1, 16, 16)
    for preprocess, expected in (
        ("torchvision", [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225]),
        ("keras", [255 - 103.939, 255 - 116.779, 255 - 123.68]),
        ("none", [1.0, 1.0, 1.0]),
    ):
        net = VGG(VGGConfig(**SMALL.to_dict() | {"preprocess": preprocess}))
        torch.testing.assert_close(net._prepared(white)[0, :, 3, 3], torch.tensor(expected))
    red = torch.full((1, 3, 16, 16), -1.0)
    red[:, 0] = 1
    blue_first = VGG(VGGConfig(**SMALL.to_dict() | {"preprocess": "keras"}))._prepared(red)[0, :, 0, 0]
    assert blue_first[2] > 100 > blue_first[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"blocks": ()}, "blocks"), ({"image_size": 3}, "image_size"), ({"preprocess": "caffe"}, "preprocess")],
)
def test_bad_sizes_of_a_vgg_are_named(options, message):
    with pytest.raises(LyapmapError, match=message):
        VGGConfig(**SMALL.to_dict() | options)


def digits():
    return [data.load("digits", split=split, classes=(0, 1, 2)) for split in ("train", "test")]


def test_a_classifier_learns_and_its_checkpoint_gives_features(tmp_path):
    config = ClassifierConfig(categories=3, image_size=8, width=4, features=9)
    told = []
    first = train_classifier(config, *digits(), epochs=3, batch_size=32, seed=1, on_epoch=told.append)
    again = train_classifier(config, *digits(), epochs=3, batch_size=32, seed=1)
    assert first.training["accuracy"] > 0.9
    assert [entry["epoch"] for entry in told] == [1, 2, 3]
    for name, tensor in first.state_dict.items():
        assert torch.equal(tensor, again.state_dict[name])
    path = checkpoints.save(first, tmp_path / "classifier.pt")
    images = digits()[1].images
    assert features(path)(images).shape == (len(images), 9)
    net = Classifier(config)
    net.load_state_dict(first.state_dict)
    labels = predict(net.train(), torch.from_numpy(images)).numpy()
    assert net.training
    assert (labels == digits()[1].labels).mean() == pytest.approx(first.training["accuracy"])


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        ({"categories": 4}, {}, "classes: expected 4 different ones"),
        ({"image_size": 9}, {}, "train: images have shape"),
        ({}, {"classes": (0, 1, 7)}, "there is no image of class 7"),
        ({}, {"batch_size": 1}, "batch_size: expected 2 to"),
        ({}, {"epochs": 0}, "epochs: expected at least 1"),
        ({}, {"learning_rate": 1e30}, "learning_rate: 1e[+]30 is too large"),
    ],
)
def test_bad_training_is_named(config, options, message):
    sizes = ClassifierConfig(**{"categories": 3, "image_size": 8, "width": 2} | config)
    with pytest.raises(LyapmapError, match=message):
        train_classifier(sizes, *digits(), **({"classes": (0, 1, 2), "epochs": 1} | options))


@pytest.mark.parametrize("field", ["categories", "image_size", "channels", "width", "features", "dropout"])
def test_bad_sizes_of_a_classifier_are_named(field):
    with pytest.raises(LyapmapError, match=f"{field}: expected"):
        ClassifierConfig(**{field: -1})


@pytest.mark.parametrize(("name", "least"), [("mnist", 0.99), ("fashion_mnist", 0.9)])
def test_the_shipped_classifiers_are_as_good_as_their_cards_say(name, least):
    shipped = f"classifier-{name.replace('_', '-')}"
    saved = checkpoints.load(zoo.shipped()[shipped])
    assert saved.training["accuracy"] > least
    assert f"{saved.training['accuracy']:.2%}".replace("%", " %") in zoo.card(shipped)
    assert zoo.shipped()[shipped].stat().st_size < 1_000_000
    try:
        test = data.load(name, split="test")
    except DataError:
        pytest.skip(f"{name} is not at hand")
    net, _ = build_module(saved, shipped)
    part = slice(None, None, 5)
    right = predict(net, torch.from_numpy(test.images[part])).numpy() == test.labels[part]
    assert right.mean() > least - 0.01


def test_the_function_stays_reachable_after_its_module_is_imported():
    import lyapmap.files.features
    import lyapmap.training

    assert callable(lyapmap.training.features)
