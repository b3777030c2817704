"""`lyapmap lsd`: decompose, denoise, rotate."""

from __future__ import annotations

import json

import numpy as np
import pytest

import latent_triples
from command_line import invoke
from lyapmap.core.errors import LyapmapError
from lyapmap.models.latent_spectral.images import LsdImages, components_of_images, rotated_images, with_noise
from picture_checks import check_picture


def run(*arguments):
    return invoke(["lsd", *map(str, arguments)])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return latent_triples.saved_lsd(tmp_path_factory.mktemp("lsd"))


@pytest.fixture(scope="module")
def linear():
    import lyapmap as lm

    data = lm.data.load("digits", classes=(0, 1, 2))
    return lm.LatentBasis.build(latent_triples.triple(3), data=data, n_vectors=60, seed=0), data.images[:6]


def test_decompose_prints_components_and_writes_pictures(model, tmp_path):
    given = ("decompose", "--model", model, "--data", "digits", "--samples", 3, "--components", "1,4")
    done = run(*given, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert "3 images" in done.output
    assert (tmp_path / "components.png").stat().st_size > 1000
    found = LsdImages.load(tmp_path / "components.nc")
    assert found.columns == ("image", "all", "n = 1", "n = 4")
    assert found.images.shape == (3, 4, 1, 8, 8)
    numbers = json.loads(run(*given, "--json").stdout)
    np.testing.assert_allclose(numbers["coefficients"], found.coefficients)


def test_denoise_adds_noise_first(model):
    given = ("denoise", "--model", model, "--data", "digits", "--samples", 2, "--components", 1, "--json")
    done, plain = run(*given, "--noise", 0.5), run(*given)
    assert done.exit_code == 0, done.output
    noisy, clean = (np.array(json.loads(one.stdout)["images"]) for one in (done, plain))
    assert 0.1 < np.abs(noisy[:, 0] - clean[:, 0]).mean() < 0.4


def test_rotate_starts_with_the_first_category(model):
    done = run("rotate", "--model", model, "--data", "digits", "--cycle", "1,0", "--steps", 2, "--samples", 2, "--json")
    assert done.exit_code == 0, done.output
    numbers = json.loads(done.stdout)
    assert numbers["columns"] == ["image", "0", "1", "2", "3", "4"]
    assert numbers["settings"]["labels"] == [1, 0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("decompose", "--components", "5"), "n: expected at most 4 components, got 5"),
        (("denoise", "--components", "x"), "--components: expected whole numbers"),
        (("rotate", "--cycle", "0,7"), "--cycle: tiny"),
        (("rotate", "--cycle", "0"), "labels: expected two or more different ones"),
        (("decompose", "--model", "cycle-digits-012"), "is a cycle model, expected an lsd model"),
    ],
)
def test_bad_input_is_told_in_one_line(model, arguments, words):
    done = run(arguments[0], "--model", model, "--data", "digits", *arguments[1:])
    assert done.exit_code == 2, done.output
    assert words.replace("tiny", "lsd.pt knows 0, 1, got 7") in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_is_computed(linear):
    basis, images = linear
    found = components_of_images(basis, images, components=(1, latent_triples.LATENT))
    z = basis.triple.latents(images)
    np.testing.assert_array_equal(found.images[:, 0], images)
    np.testing.assert_allclose(found.images[:, 2], basis.denoise(images, 1), atol=1e-5)
    np.testing.assert_allclose(found.images[:, 3], found.images[:, 1], atol=1e-5)
    np.testing.assert_array_equal(found.named, basis.classify(z))
    np.testing.assert_array_equal(found.largest[:, 0], basis.leading(z))
    turned = rotated_images(basis, images, steps=2)
    assert turned.images.shape == (6, 8, 1, 8, 8)
    np.testing.assert_allclose(turned.images[:, 1], basis.triple.images(z), atol=1e-5)
    again = rotated_images(basis, images, steps=2, round_trip=True)
    np.testing.assert_allclose(again.images, turned.images, atol=1e-3)  # these networks are inverses
    figure = turned.plot()
    check_picture(figure)
    assert [axes.get_title() for axes in figure.axes][:2] == ["image", "0"]
    with pytest.raises(LyapmapError, match="expected at least one number"):
        components_of_images(basis, images, components=())


def test_noise_is_clipped_to_the_range():
    images = np.full((20, 1, 8, 8), 0.5, np.float32)
    assert with_noise(images, 0.2, (0, 1), seed=0).std() == pytest.approx(0.1, abs=0.01)
    assert with_noise(images, 5.0, (0, 1), seed=0).max() == 1
