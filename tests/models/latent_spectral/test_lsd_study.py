"""The study of latent spectral decomposition on linear networks, and its measures against known answers."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

import latent_triples
import lyapmap as lm
from lyapmap.core.errors import LyapmapError
from lyapmap.models.latent_spectral import basis as bases
from lyapmap.models.latent_spectral.basis import psnr, rotated, with_noise
from lyapmap.models.latent_spectral.dynamics import image_stages, verdict
from lyapmap.models.latent_spectral.protocol import PROTOCOLS, LsdProtocol, protocol
from lyapmap.models.latent_spectral.study import (
    STAGES,
    STUDY,
    denoising_tables,
    lsd_study,
    side_by_side,
    summary,
)
from lyapmap.models.latent_spectral.subject import subject_of
from lyapmap.study.stages import Workspace

TINY = protocol(
    "quick",
    vectors=60,
    trials=2,
    test_images=60,
    components=(1, 3),
    rows=3,
    gaussian=(0.3, 0.9),
    salt_pepper=(0.2,),
    noisy_images=40,
    rotation_steps=2,
    rotated=10,
    turns=3,
    starts=6,
    settle_steps=20,
    guesses=4,
    trajectories=2,
    transient=2,
    steps=12,
    image_transient=2,
    image_steps=12,
    category_steps=6,
    category_trajectories=5,
    real=45,
    k=3,
)


@pytest.fixture(scope="module")
def subject():
    options = {"name": "linear", "data": "digits", "classes": (0, 1, 2), "against": ["cycle-digits-012"]}
    return subject_of(latent_triples.triple(3), **options)


class QuietBench(Workspace):
    """Figures are drawn and not written."""

    def show(self, figure, name, title, sentence):
        assert figure.axes, name
        return self.folder / name

    def result_of(self, stage, name):
        return self.folder / "results" / f"{name}.nc"


@pytest.fixture(scope="module")
def work(subject, tmp_path_factory):
    """Where the stage "basis" is done."""
    made = QuietBench(tmp_path_factory.mktemp("study"), SimpleNamespace(**TINY.settings()))
    assert bases.basis(subject, made)["vectors"] == latent_triples.LATENT
    return made


@pytest.mark.slow
def test_every_stage_is_done_and_on_the_page(subject, tmp_path):
    study = lsd_study(subject, tmp_path, protocol=TINY)
    status = {name: (record.status, record.message) for name, record in study.records.items()}
    further = ["image-rotation", "image-rotation-noisy", "image-shift", "against-1", "side-by-side"]
    assert status == dict.fromkeys([*(stage.name for stage in STAGES), *further], ("done", ""))
    assert json.loads((tmp_path / "study.json").read_text()) == study.numbers
    pictures = [picture for record in study.records.values() for picture in record.pictures]
    page = (tmp_path / "index.html").read_text()
    assert page.count("<img") == len(pictures) >= 25
    assert "Cyclic generators side by side" in page
    assert "Denoising, salt and pepper" in page
    names = study.records["side-by-side"].numbers["name"]
    assert names == ["LSD rotation", "LSD rotation, encoder's noise", "LSD shift", "cycle-digits-012"]
    table = {row[0]: row[1:] for row in side_by_side(study.records)}
    assert float(table["category accuracy"][3]) > 0.3
    # The round trip of an inverse: every latent vector is a fixed point, and rotation is neutral.
    trip = study.records["round-trip"].numbers
    assert trip["settled_share"] == 1
    assert trip["largest"] == pytest.approx(0, abs=1e-3)
    assert study.records["rotation-cycle"].numbers["largest"] == pytest.approx(0, abs=0.2)
    noise = study.records["denoising"].numbers["gaussian"]
    assert noise["noisy"]["psnr"][0] > noise["noisy"]["psnr"][1]
    assert [rows[0][0] for _, rows in denoising_tables(study.records)] == ["method", "method"]
    parts = study.records["components"].numbers
    assert parts["components"] == [1, 3, latent_triples.LATENT]
    assert parts["psnr"] == sorted(parts["psnr"])
    heard = []
    changed = protocol("quick", **(TINY.settings() | {"trials": 1}))
    only = ["classification", "components"]
    lsd_study(subject, tmp_path, protocol=changed, only=only, on_stage=lambda what, s, _: heard.append((what, s.name)))
    assert heard == [
        ("kept", "basis"),
        ("begins", "classification"),
        ("ends", "classification"),
        ("kept", "components"),
    ]


def test_numbers_of_the_classification(subject, work):
    numbers = bases.classification(subject, work)
    images, labels = subject.test_sample(TINY.test_images)
    assert numbers["classifier"] == pytest.approx((subject.triple.labels(images) == labels).mean())
    assert numbers["within"][0] == pytest.approx(numbers["lsd"])
    assert numbers["within_set_1"][0] == pytest.approx(numbers["lsd_set_1"])
    assert numbers["within"][-1] == pytest.approx(1)
    assert np.all(np.diff(numbers["within"]) >= -1e-12)
    assert numbers["lsd_set_1"] <= numbers["lsd"]
    right = (bases.basis_of(subject, work).classify(subject.triple.latents(images)) == labels).mean()
    assert numbers["lsd_of_means"] == pytest.approx(right)
    rows = {row[0]: row[2] for row in summary({"classification": SimpleNamespace(numbers=numbers)})[1:]}
    assert rows["of the largest amplitude, encoder's mean"] == f"{right:.4f}"
    assert rows["round trip: ends"] == "-"


def test_numbers_of_the_cycle_of_images(subject, work):
    rotation, _, shift = image_stages(subject)[:3]
    for stage in (rotation, shift):
        turned = stage.run(subject, work)
        assert turned["in_place"] > 0.8
        assert turned["n_positive"] == 0
        assert 0 <= turned["precision"] <= 1


def test_labels_places_and_ranges():
    options = {"name": "linear", "data": "digits", "against": []}
    triple = latent_triples.triple(3)
    found = subject_of(triple, classes=(2, 0, 1), value_range=(0, 1), cycle=(1, 0), **options)
    assert found.places(found.test)[:5].tolist() == [(1, 2, 0)[label] for label in found.test.labels[:5]]
    images = found.test.images[:4]
    assert images.min() >= 0
    np.testing.assert_allclose(found.shown(images), 2 * images - 1, atol=1e-6)
    np.testing.assert_allclose(found.own(found.shown(images)), images, atol=1e-6)
    assert set(found.categories(found.shown(images)).tolist()) <= {0, 1, 2}
    assert found.mark("model") != found.mark("data")
    with pytest.raises(LyapmapError, match="classes: expected 3, one for each label"):
        subject_of(triple, classes=(0, 1), **options)
    with pytest.raises(LyapmapError, match="cycle: expected two or more"):
        subject_of(triple, classes=(0, 1, 2), cycle=(1, 1), **options)
    with pytest.raises(LyapmapError, match="no square images"):
        subject_of(lm.LatentTriple(lambda z: z, lambda x, r: x, lambda x: x, 3, 3), **options)


def test_peak_signal_to_noise_and_noise():
    clean = np.zeros((50, 1, 20, 20), np.float32)
    rng = np.random.default_rng(0)
    assert psnr(clean, clean) == math.inf
    gaussian = with_noise(clean, "gaussian", 0.1, rng)
    assert psnr(clean, gaussian) == pytest.approx(10 * math.log10(4 / 0.01), abs=0.1)
    pepper = with_noise(clean, "salt and pepper", 0.2, rng)
    assert np.mean(pepper == 1) == pytest.approx(0.1, abs=0.01)
    assert np.mean(pepper == -1) == pytest.approx(0.1, abs=0.01)
    assert psnr(clean, pepper) == pytest.approx(10 * math.log10(4 / 0.2), abs=0.3)


def test_ways_of_rotation(subject):
    triple = subject.triple
    basis = lm.LatentBasis.build(triple, data=subject.train, n_vectors=60, seed=0)
    z = triple.latents(subject.of_label(0, 5))
    path = rotated(triple, basis, z, 2, "projection")
    assert path.shape == (7, 5, latent_triples.LATENT)
    # Eq. 12 arrives at the vectors themselves, up to a sign.
    for arrival, vector in ((2, 1), (4, 2), (6, 0)):
        np.testing.assert_allclose(path[arrival], np.sign(path[arrival] @ basis.xi[vector])[:, None] * basis.xi[vector])
        np.testing.assert_array_equal(np.sign(path[arrival] @ basis.xi[vector]), np.sign(z @ basis.xi[0]))
    kept = rotated(triple, basis, z, 2, "rotation")
    np.testing.assert_allclose(np.linalg.norm(kept[1:], axis=2), math.sqrt(latent_triples.LATENT), atol=1e-9)
    for way in ("round trip", "round trip per label"):  # the identity, for these networks
        np.testing.assert_allclose(rotated(triple, basis, z, 2, way), kept, atol=1e-4)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"settled_share": 1.0, "ends": 1, "periods": [1]}, "contracts to one cycle that closes in one turn"),
        ({"settled_share": 0.9, "ends": 2, "periods": [1, 3]}, "contracts to 2 cycles that close after 3 turns"),
        ({"largest": 0.2}, "wanders chaotically"),
        ({"largest": -0.2}, "contracts, and has not closed yet"),
        ({"largest": 0.01}, "wanders without parting neighbours"),
    ],
)
def test_verdict(numbers, words):
    assert verdict({"settled_share": 0.0, "ends": 0, "largest": 0.0, "largest_stderr": 0.01} | numbers) == words


def test_protocols_and_names():
    assert PROTOCOLS["paper"] == LsdProtocol()
    assert (LsdProtocol().vectors, LsdProtocol().trials, LsdProtocol().rotation_steps) == (5000, 20, 3)
    for bad, words in (
        ({"components": ()}, "components: expected ascending positive values, got none"),
        ({"gaussian": (0.4, 0.2)}, "gaussian: expected ascending"),
        ({"salt_pepper": (0.5, 1.5)}, "parts of at most 1"),
        ({"trials": 0}, "trials: expected at least 1"),
    ):
        with pytest.raises(LyapmapError, match=words):
            protocol("quick", **bad)
    with pytest.raises(LyapmapError, match="protocol: expected quick or paper"):
        protocol("slow")
    STUDY.check_names(["basis", "against-2", "side-by-side"])
    with pytest.raises(LyapmapError, match="no stage 'bases'"):
        STUDY.check_names(["bases"])
    assert side_by_side({}) == [("what",)]
    assert denoising_tables({"denoising": SimpleNamespace(numbers={})}) == []
