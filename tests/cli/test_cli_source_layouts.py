"""Commands on maps of images whose channels come last, as Keras has them; here of NumPy, to be quick."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import lyapmap as lm
from command_line import invoke
from lyapmap.cli.options import AsImages
from lyapmap.cli.source import images_like
from lyapmap.core.points import channels_first, laid_out
from lyapmap.files.features import classifier, features

MAPS = """
import numpy as np
def last(x):   # (b, h, w, c): colours go round, and pixels become logistic
    return np.roll(1 - 1.9 * x**2, 1, axis=3)
def first(x):  # the same on (b, c, h, w)
    return np.roll(1 - 1.9 * x**2, 1, axis=1)
"""


@pytest.fixture
def maps(tmp_path, monkeypatch):
    """The same map in both layouts, and a folder of colour images."""
    (tmp_path / "layout_maps.py").write_text(MAPS)
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        for split in ("train", "test"):
            folder = tmp_path / "pictures" / split / label
            folder.mkdir(parents=True)
            for i in range(26 if split == "train" else 12):
                Image.fromarray(rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


SHAPES = {"last": "6,6,3", "first": "3,6,6"}


def run(command, layout, *arguments):
    which = ["--callable", f"layout_maps:{layout}", "--state-shape", SHAPES[layout]]
    result = invoke([command, *which, *arguments])
    assert result.exit_code == 0, result.output
    return result


def test_film_strips_are_the_same_in_both_layouts(maps):
    for layout in SHAPES:
        run("trajectory", layout, "--data", "pictures", "-b", "3", "--steps", "4", "--out", layout)
    ours, theirs = (lm.Trajectory.load(maps / layout / "trajectory.npz") for layout in ("last", "first"))
    assert ours.state_shape == (6, 6, 3)
    assert np.array_equal(channels_first(ours.images()), theirs.images())
    pictures = [np.asarray(Image.open(maps / layout / "trajectory.png").convert("RGB")) for layout in SHAPES]
    assert pictures[0].shape == pictures[1].shape
    assert np.array_equal(*pictures)
    assert np.unique(pictures[0].reshape(-1, 3), axis=0).shape[0] > 100
    frames = []
    for layout in SHAPES:
        with Image.open(maps / layout / "trajectory.gif") as gif:
            assert gif.n_frames == 5
            frames.append(np.asarray(gif.convert("RGB")))
    assert np.array_equal(*frames)


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("manifold", ["--real", "pictures", "--k", "3", "--steps", "2", "--features", "random-vgg"]),
        ("manifold", ["--real", "pictures", "--k", "3", "--steps", "2", "--features", "pixels"]),
        ("memorization", ["--data", "pictures", "--steps", "2", "--transient", "0", "--features", "random-vgg"]),
        ("dimension", ["--data", "pictures", "--method", "twonn", "--steps", "200", "--no-kaplan-yorke"]),
        ("spectrum", ["--data", "pictures", "--steps", "30", "--transient", "0", "-k", "2"]),
    ],
)
def test_numbers_are_the_same_in_both_layouts(maps, monkeypatch, command, options):
    monkeypatch.setenv("LYAPMAP_CACHE", str(maps / "cache"))
    ours, theirs = (json.loads(run(command, layout, *options, "--json").stdout) for layout in SHAPES)
    names = {
        "manifold": ("precision", "recall", "density", "coverage"),
        "memorization": ("distance", "p_value"),
        "dimension": ("dimension",),
        "spectrum": ("exponents",),
    }[command]
    for name in names:
        tolerance = {"spectrum": 0.2, "dimension": 1e-6}.get(command, 1e-4)  # random frames differ between layouts
        assert np.asarray(ours[name], float) == pytest.approx(
            np.asarray(theirs[name], float), abs=tolerance, nan_ok=True
        )


def test_classifiers_and_features_take_both_layouts():
    images = np.random.default_rng(0).uniform(-1, 1, (4, 1, 28, 28)).astype("float32")
    found = classifier("classifier-mnist")
    assert np.array_equal(found(images), found(laid_out(images, (28, 28, 1))))
    colour = np.random.default_rng(0).uniform(-1, 1, (4, 3, 16, 16)).astype("float32")
    embed = features("random-vgg", state_shape=(16, 16, 3))
    assert np.array_equal(embed(colour), embed(laid_out(colour, (16, 16, 3))))


def test_transitions_of_channels_last_states(maps):
    (maps / "layout_maps.py").write_text("def last(x):\n    return -0.9 * x\n")
    which = ["--callable", "layout_maps:last", "--state-shape", "8,8,1", "--data", "digits"]
    arguments = ["transitions", *which, "--classifier", "classifier-mnist", "--steps", "5"]
    result = invoke(arguments)
    assert result.exit_code == 2
    assert "takes images (1, 28, 28), states of the map have shape (8, 8, 1)" in result.stderr


def test_data_for_states_that_are_no_square_is_refused():
    flat = lm.wrap(lambda x: 0.5 * x, state_shape=(8, 6, 1))
    with pytest.raises(lm.LyapmapError, match="states of this map have 8 x 6 pixels"):
        images_like("digits", flat, split="test", classes=None, changed=AsImages(resize=True))
    with pytest.raises(lm.LyapmapError, match=r"have shape \(1, 8, 8\) .* map \(1, 8, 6\); give --resize"):
        images_like("digits", flat, split="test", classes=None)


def test_images_change_size_and_colour_only_when_told(maps):
    grey = maps / "grey"
    for split in ("train", "test"):
        (grey / split).mkdir(parents=True)
        for i in range(8):
            pixels = np.random.default_rng(i).integers(0, 255, (9, 12), dtype=np.uint8)
            Image.fromarray(pixels).save(grey / split / f"{i}.png")
    which = ["--callable", "layout_maps:first", "--state-shape", "3,6,6", "--data", "grey", "-b", "3", "-n", "2"]
    refused = invoke(["trajectory", *which])
    assert refused.exit_code == 2
    assert refused.stderr.count("\n") == 1
    assert "images of grey have shape (1, 9, 12)" in refused.stderr
    assert "give --resize" in refused.stderr
    told = invoke(["trajectory", *which, "--resize", "--json"])
    assert told.exit_code == 0
    assert "8 of 8 images were given three equal channels" in told.stderr
    assert "8 of 8 images were cut to a square and resized to 6 x 6 pixels" in told.stderr
    json.loads(told.stdout)
    assert images_like("digits", lm.systems.henon(), split="test", classes=None).images.shape[1:] == (1, 8, 8)


def test_images_without_a_map_take_a_size_and_a_colour(maps):
    mixed = maps / "mixed"
    mixed.mkdir()
    draws = np.random.default_rng(0)
    for i in range(30):
        shape = (9, 12, 3) if i % 2 else (10, 8)
        Image.fromarray(draws.integers(0, 255, shape, dtype=np.uint8)).save(mixed / f"{i}.png")
    which = ["dimension", "--data", "mixed"]
    refused = invoke(which)
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "--colour" in refused.stderr
    refused = invoke([*which, "--colour", "grey"])
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "--image-size" in refused.stderr
    done = invoke([*which, "--colour", "grey", "--image-size", "4", "--json"])
    assert "15 of 30 images were made grey" in done.stderr
    assert "30 of 30 images were cut to a square and resized to 4 x 4 pixels" in done.stderr
    assert "--resize: there are no states of a map" in invoke([*which, "--resize"]).stderr
    with_map = ["trajectory", "--callable", "layout_maps:first", "--state-shape", "3,4,4", "-b", "2", "-n", "2"]
    sized = invoke([*with_map, "--data", "mixed", "--colour", "rgb", "--image-size", "4", "--json"])
    assert sized.exit_code == 0, sized.stderr
    both = invoke([*with_map, "--data", "mixed", "--resize", "--colour", "rgb"])
    assert "leave out --image-size and --colour" in both.stderr
