"""The latent basis against closed forms, NumPy's QR, and what linear networks must give."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import latent_triples
import lyapmap as lm
from lyapmap.analysis.latent_basis import cycle_phases, cycle_planes, gram_schmidt, quasi_eigenvectors, shift
from lyapmap.core.errors import Interrupted, LyapmapError, ShapeError
from picture_checks import check_picture

M = 8


def first_values(categories, latent=M, **options):
    """Images that are latent vectors, labelled by the largest of their first values."""
    return lm.LatentTriple(lambda z: z, lambda x, rng: x, lambda x: x[:, :categories], latent, categories, **options)


def clusters(categories, count=40, seed=9, apart=6.0, latent=M):
    rng = np.random.default_rng(seed)
    centres = apart * np.eye(categories, latent)
    return np.concatenate([c + 0.1 * rng.standard_normal((count, latent)) for c in centres])


@pytest.fixture(scope="module")
def basis():
    return lm.LatentBasis.build(first_values(3), data=clusters(3), n_vectors=2000, seed=1)


@pytest.fixture(scope="module")
def digits():
    return lm.LatentBasis.build(latent_triples.triple(), data=lm.data.load("digits"), n_vectors=60, seed=0)


def test_averages_of_random_latents_are_those_of_a_truncated_normal(basis):
    largest = 3 / (2 * math.sqrt(math.pi))  # mean of the largest of three normal numbers
    random = np.flatnonzero(basis.set_number == 2)
    wanted = np.zeros((3, M))
    wanted[:, :3] = -largest / 2
    wanted[np.arange(3), np.arange(3)] = largest
    error = basis.noise[random, None] / math.sqrt(M)
    assert (np.abs(basis.eta[random] - wanted) < 4.5 * error).all()
    # The variance given the label: 1 in five directions, and its share of the three others.
    assert basis.noise[random] == pytest.approx(math.sqrt((5 + 3 - 1.5 * largest**2) / 2000), rel=0.03)
    assert basis.random_share == pytest.approx(1 / 3, abs=0.03)


def test_averages_of_encoded_images_are_their_means_and_come_first(basis):
    data = clusters(3)
    for label in range(3):
        mine = data[data.argmax(axis=1) == label]
        np.testing.assert_allclose(basis.eta[label], mine.mean(axis=0), atol=1e-12)
        spread = math.sqrt(mine.var(axis=0, ddof=1).sum() / len(mine))
        assert basis.noise[label] == pytest.approx(spread)
    assert basis.label.tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert basis.set_number.tolist() == [1, 1, 1, 2, 2, 2, 3, 3]
    assert basis.count.tolist() == [40] * 3 + [2000] * 5
    assert basis.encoded_share.tolist() == [1 / 3] * 3
    assert basis.eta_label.tolist() == basis.label.tolist()


def test_a_set_that_repeats_those_before_is_left_with_chance(basis):
    np.testing.assert_array_equal(basis.resolved[:3], True)
    np.testing.assert_array_equal(basis.resolved[5:], False)
    # What is left of chance in M - k dimensions.
    assert 0.1 < basis.remainder[6] / basis.noise[6] < 1.5


def test_vectors_are_orthogonal_and_of_norm_m(basis, digits):
    for one in (basis, digits):
        products = one.xi @ one.xi.T
        assert one.orthogonality < 1e-10
        np.testing.assert_allclose(products, one.latent * np.eye(len(products)), atol=1e-10 * one.latent)


@settings(max_examples=20)
@given(arrays(float, (4, 6), elements=st.floats(-1, 1)), st.floats(1e-6, 1))
def test_gram_schmidt_is_qr_up_to_signs(noise, size):
    vectors = np.vander(np.linspace(0.1, 1, 4), 6, increasing=True) + size * noise
    q, r = np.linalg.qr(vectors.T)
    if np.abs(np.diag(r)).min() < 1e-6:
        return
    basis, left = gram_schmidt(vectors)
    np.testing.assert_allclose(left, np.abs(np.diag(r)), rtol=1e-6)
    np.testing.assert_allclose(basis, (q * np.sign(np.diag(r))).T, atol=1e-8)
    np.testing.assert_allclose(basis @ basis.T, np.eye(4), atol=1e-13)


def test_gram_schmidt_stays_orthogonal_where_once_is_not_enough():
    hilbert = 1 / (1 + np.arange(6)[:, None] + np.arange(10))
    basis, _ = gram_schmidt(hilbert)
    np.testing.assert_allclose(basis @ basis.T, np.eye(6), atol=1e-14)


@settings(max_examples=25)
@given(arrays(float, (3, M), elements=st.floats(-5, 5)))
def test_all_components_give_the_vector_back(basis, z):
    np.testing.assert_allclose(basis.reconstruct(z), z, atol=1e-12)
    c = basis.decompose(z)
    np.testing.assert_allclose((c**2).sum(axis=1) * M, (z**2).sum(axis=1), atol=1e-9)
    errors = [np.linalg.norm(z - basis.reconstruct(z, n)) for n in (1, 2, 4, M)]
    assert errors == sorted(errors, reverse=True)
    np.testing.assert_array_equal(basis.classify(z), basis.label[np.abs(c).argmax(axis=1)])


def test_coefficients_of_a_sum(basis):
    z = 2 * basis.xi[1] - 3 * basis.xi[4] + 0.5 * basis.xi[7]
    np.testing.assert_allclose(basis.decompose(z), [0, 2, 0, 0, -3, 0, 0, 0.5], atol=1e-12)
    assert basis.leading(z[None]).tolist() == [4]
    assert basis.classify(z[None]).tolist() == [1]
    np.testing.assert_allclose(basis.amplitudes(z)[:4], [1, 2 / 3, 1 / 6, 0], atol=1e-12)
    np.testing.assert_allclose(basis.reconstruct(z, 1), -3 * basis.xi[4], atol=1e-12)
    rescaled = basis.reconstruct(z, 2, rescale=True)
    assert rescaled @ rescaled == pytest.approx(M)
    # Vector 0 and 3 have label 0; none of them is among the three largest.
    np.testing.assert_array_equal(basis.ranks(np.array([z, z]), [1, 2]) <= 3, [True, False])
    assert basis.ranks(z[None], [1]).tolist() == [1]
    assert basis.ranks(z[None], [1], sets=1).tolist() == [2]


@settings(max_examples=25)
@given(arrays(float, (2, M), elements=st.floats(-5, 5)), st.floats(-7, 7), st.floats(-7, 7))
def test_rotations_keep_lengths_add_up_and_leave_the_rest(basis, z, a, b):
    once = basis.rotate(z, 1, 6, a, rescale=False)
    np.testing.assert_allclose(np.linalg.norm(once, axis=1), np.linalg.norm(z, axis=1), atol=1e-10)
    twice = basis.rotate(once, 1, 6, b, rescale=False)
    np.testing.assert_allclose(twice, basis.rotate(z, 1, 6, a + b, rescale=False), atol=1e-9)
    others = [0, 2, 3, 4, 5, 7]
    np.testing.assert_allclose(basis.decompose(once)[:, others], basis.decompose(z)[:, others], atol=1e-11)
    np.testing.assert_allclose(once, z @ basis.rotation(1, 6, a).T, atol=1e-10)


def test_a_quarter_turn_takes_one_vector_to_the_other(basis):
    np.testing.assert_allclose(basis.rotate(basis.xi[0], 0, 1, math.pi / 2), basis.xi[1], atol=1e-12)
    np.testing.assert_allclose(basis.rotate(basis.xi[1], 0, 1, math.pi / 2), -basis.xi[0], atol=1e-12)
    np.testing.assert_allclose(basis.operator(0, 1) @ basis.xi[0], basis.xi[1], atol=1e-12)
    np.testing.assert_allclose(basis.operator(0, 1) @ basis.xi[2], 0, atol=1e-12)


def test_equation_12_is_a_rotation_after_a_projection(basis):
    start, angle = 0.3, 0.5
    direction = math.cos(start) * basis.xi[2] + math.sin(start) * basis.xi[4]
    projection = np.outer(direction, direction) / M
    wanted = basis.rotation(2, 4, angle) @ projection
    found = basis.operator(2, 4, angle, start)
    np.testing.assert_allclose(found, wanted, atol=1e-12)
    assert np.linalg.matrix_rank(found) == 1


def test_planes_and_phases_go_round(basis):
    assert cycle_planes(basis) == [(0, 1), (1, 2), (2, 0)]
    assert cycle_planes(basis, [2, 0]) == [(2, 0), (0, 2)]
    phases = cycle_phases(basis, steps=3)
    assert len(phases) == 9
    z = basis.xi[0]
    for i, j, angle in phases:
        z = basis.rotate(z, i, j, angle)
    np.testing.assert_allclose(z, basis.xi[0], atol=1e-12)
    once = shift(basis)
    np.testing.assert_allclose(once @ once.T, np.eye(M), atol=1e-12)
    np.testing.assert_allclose(once @ basis.xi[:3].T, basis.xi[[1, 2, 0]].T, atol=1e-12)
    np.testing.assert_allclose(once @ basis.xi[5], basis.xi[5], atol=1e-12)
    with pytest.raises(LyapmapError, match="two or more different"):
        cycle_planes(basis, [1, 1])
    with pytest.raises(LyapmapError, match="no vector of label 5"):
        cycle_planes(basis, [0, 5])


def test_linear_networks_denoise_by_projection(digits):
    images = lm.data.load("digits", split="test").images[:20]
    made = digits.denoise(images, 3)
    z = digits.triple.latents(images)
    np.testing.assert_allclose(made, digits.triple.images(digits.reconstruct(z, 3)), atol=1e-6)
    np.testing.assert_allclose(digits.denoise(images[0], 3), made[0], atol=1e-5)
    whole = digits.denoise(images, latent_triples.LATENT)
    np.testing.assert_allclose(whole, digits.triple.images(z), atol=1e-5)


def test_the_largest_amplitude_names_digits(digits):
    test = lm.data.load("digits", split="test")
    z = digits.triple.latents(test.images)
    assert digits.set_number[:10].tolist() == [1] * 10
    found = (digits.classify(z) == test.labels).mean()
    assert found > 0.5  # chance is 0.1
    assert (digits.ranks(z, test.labels) == 1).mean() == pytest.approx(found)


def test_modules_alone_are_enough():
    images = lm.data.load("digits", classes=(0, 1, 2))
    parts = latent_triples.networks(3)
    options = {"n_sets": 2, "n_vectors": 30, "seed": 4}
    one = lm.LatentBasis.build(*parts, images, **options)
    other = lm.LatentBasis.build(latent_triples.triple(3), data=images.images, **options)
    np.testing.assert_array_equal(one.eta, other.eta)
    assert one.xi.shape == (6, latent_triples.LATENT)
    short = one.reconstruct(np.ones((1, latent_triples.LATENT)))
    assert np.linalg.norm(short) < math.sqrt(latent_triples.LATENT)  # six vectors do not span


@pytest.mark.parametrize("suffix", [".nc", ".npz"])
def test_saved_and_loaded(basis, tmp_path, suffix):
    found = lm.LatentBasis.load(basis.save(tmp_path / f"basis{suffix}"))
    for name in basis.DIMS:
        np.testing.assert_array_equal(getattr(found, name), getattr(basis, name))
    assert found.settings == basis.settings
    with pytest.raises(LyapmapError, match="loaded without networks"):
        found.denoise(np.zeros((1, M)))
    again = found.with_triple(first_values(3))
    np.testing.assert_allclose(again.denoise(basis.xi, 1), basis.xi, atol=1e-12)


def test_arrays_for_a_checkpoint_make_the_same_basis(basis):
    import torch

    arrays = {name: torch.from_numpy(np.array(values)) for name, values in basis.as_arrays().items()}
    found = lm.LatentBasis.from_arrays(arrays, settings=basis.settings, triple=first_values(3))
    np.testing.assert_array_equal(found.xi, basis.xi)
    assert (found.n_random, found.settings) == (basis.n_random, basis.settings)
    arrays["eta"] = arrays["eta"].half()  # xi is made anew, so that it is orthogonal all the same
    assert lm.LatentBasis.from_arrays(arrays).orthogonality < 1e-10
    del arrays["noise"]
    with pytest.raises(LyapmapError, match="noise is missing"):
        lm.LatentBasis.from_arrays(arrays)


def test_the_seed_decides(basis):
    again = lm.LatentBasis.build(first_values(3), data=clusters(3), n_vectors=2000, seed=1)
    other = lm.LatentBasis.build(first_values(3, batch=77), data=clusters(3), n_vectors=2000, seed=2)
    np.testing.assert_array_equal(again.xi, basis.xi)
    assert (other.xi != basis.xi).any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": None}, "data: expected images"),
        ({"data": np.zeros(5)}, "data: expected images"),
        ({"data": np.full((5, M), np.nan)}, "not finite"),
        ({"data": clusters(3)[:5]}, "get label 1, expected at least 10"),
        ({"n_sets": 4}, "n_sets: 4 sets of 3 labels"),
        ({"n_vectors": 1}, "n_vectors: expected at least 2"),
        ({"encoder": first_values}, "is a triple already"),
        ({"data": np.zeros((50, M))}, "label 1"),
    ],
)
def test_bad_input(change, words):
    options = {"generator": first_values(3), "data": clusters(3), "n_vectors": 50, "seed": 0} | change
    with pytest.raises(LyapmapError, match=words):
        lm.LatentBasis.build(**options)


def test_a_label_that_the_generator_has_lost():
    triple = lm.LatentTriple(
        lambda z: z, lambda x, rng: x, lambda x: np.column_stack([x[:, :2], x[:, 2] - 4.5]), M, 3
    )  # fmt: skip
    with pytest.raises(LyapmapError, match=r"generator: \d+ of 2000 random latent vectors give an image of label 2"):
        lm.LatentBasis.build(triple, data=clusters(3), n_vectors=100, seed=0)


def test_vectors_that_are_not_independent():
    with pytest.raises(LyapmapError, match="number 2 is zero or lies in the span"):
        quasi_eigenvectors(np.array([[1.0, 0, 0], [1, 1, 0], [3, 2, 0]]))
    with pytest.raises(ShapeError, match="at most M averages"):
        quasi_eigenvectors(np.ones((3, 2)))


def test_use_with_bad_values(basis):
    with pytest.raises(ShapeError, match=r"z: expected latent vectors \(b, 8\), got \(2, 7\)"):
        basis.decompose(np.zeros((2, 7)))
    with pytest.raises(LyapmapError, match="finite"):
        basis.decompose(np.full((2, M), np.inf))
    with pytest.raises(LyapmapError, match="n: expected at most 8"):
        basis.reconstruct(np.zeros(M), 9)
    with pytest.raises(LyapmapError, match="length 0"):
        basis.reconstruct(np.zeros(M), 2, rescale=True)
    with pytest.raises(LyapmapError, match="two different vectors"):
        basis.rotate(np.zeros(M), 1, 1, 0.3)
    with pytest.raises(LyapmapError, match="no vector of label 3"):
        basis.ranks(np.ones((1, M)), [3])
    with pytest.raises(ShapeError, match="one for each of 2"):
        basis.ranks(np.ones((2, M)), [0])
    with pytest.raises(ShapeError, match="triple: expected 8 latent dimensions and 3 categories"):
        basis.with_triple(first_values(4))


def test_ctrl_c():
    def stop(x):
        raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        lm.LatentBasis.build(lm.LatentTriple(lambda z: z, lambda x, rng: x, stop, M, 3), data=clusters(3))


def test_drawn(basis, tmp_path):
    loaded = lm.LatentBasis.load(basis.save(tmp_path / "basis.nc"))
    for result in (basis, loaded):
        figure = result.plot()
        check_picture(figure)
        lengths, _, xi = [axes for axes in figure.axes if axes.get_title(loc="left")]
        np.testing.assert_allclose(xi.images[0].get_array(), np.eye(M), atol=1e-12)
        assert "3 labels, 3 sets" in "".join(text.get_text() for text in figure.texts)
        left = [line for line in lengths.lines if str(line.get_label()).startswith("left")]
        np.testing.assert_allclose(
            np.sort(np.concatenate([line.get_ydata() for line in left])), np.sort(basis.remainder)
        )
