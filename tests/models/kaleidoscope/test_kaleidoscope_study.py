"""The study of a kaleidoscopic network, end to end on 8 x 8 digits, and its measures against known answers."""

from __future__ import annotations

import json
import math
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.core.errors import LyapmapError
from lyapmap.models.kaleidoscope.protocol import PROTOCOLS, KaleidoscopeProtocol, protocol
from lyapmap.models.kaleidoscope.recipe import train_first
from lyapmap.models.kaleidoscope.stages import first_sure, verdict, wandering
from lyapmap.models.kaleidoscope.study import STAGES, STUDY, kaleidoscope_study
from lyapmap.models.kaleidoscope.subject import load_subject
from lyapmap.study.study import basins

TINY = protocol(
    "quick",
    samples=40,
    sample_steps=20,
    at=(0, 5, 20),
    settle_steps=300,
    burn_in_samples=20,
    burn_in_steps=60,
    burn_in_every=10,
    guesses=6,
    noise_levels=(0.0, 0.3, 1.0),
    exponent_trajectories=3,
    exponent_transient=4,
    exponent_steps=20,
    wander_steps=4,
    quench_steps=10,
    category_levels=(0.3,),
    category_trajectories=4,
    category_steps=10,
    dimension_points=100,
    dimension_noise=0.3,
    real=60,
    k=3,
    against_samples=20,
    against_steps=60,
)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Two perceptrons of different depth, and a classifier."""
    from lyapmap.files import checkpoint
    from lyapmap.models.classifier.network import ClassifierConfig
    from lyapmap.training import train_classifier

    folder = tmp_path_factory.mktemp("networks")
    options = {"data": "digits", "classes": (0, 1, 2), "width": 24, "seed": 0}
    paths = [train_first(folder / f"deep-{d}", depth=d, epochs=80, **options) for d in (2, 4)]
    sets = [lm.data.load("digits", split=split, classes=(0, 1, 2)) for split in ("train", "test")]
    config = ClassifierConfig(categories=3, image_size=8, width=4)
    named = train_classifier(config, *sets, classes=(0, 1, 2), epochs=2, batch_size=32)
    return *paths, checkpoint.save(named, folder / "classifier.pt")


@pytest.fixture(scope="module")
def subject(networks):
    shallow, deep, classifier = networks
    return load_subject(deep, data="digits", against=[shallow], classifier=str(classifier))


@pytest.fixture(scope="module")
def study(subject, tmp_path_factory):
    return kaleidoscope_study(subject, tmp_path_factory.mktemp("study"), protocol=TINY)


def test_every_stage_is_done(study):
    status = {name: (record.status, record.message) for name, record in study.records.items()}
    names = [*(stage.name for stage in STAGES), "model", "against-1", "depth", "variants"]
    assert status == dict.fromkeys(names, ("done", ""))


def test_files_of_the_study(study):
    stored = json.loads((study.folder / "study.json").read_text())
    assert stored == study.numbers
    assert stored["settings"]["guesses"] == 6
    page = (study.folder / "index.html").read_text()
    pictures = [picture for record in study.records.values() for picture in record.pictures]
    assert page.count("<img") >= len(pictures) >= 16
    assert "Networks side by side" in page
    for picture in pictures:
        assert (study.folder / picture.file).stat().st_size > 900
    rows = {row["what"]: row["value"] for row in stored["table"]}
    numbers = study.records["burn-in"].numbers
    assert rows["different ends of trajectories"] == str(numbers["ends"])


def test_classes_and_images_are_those_of_the_training(subject):
    assert set(subject.train.labels.tolist()) == {0, 1, 2}
    assert subject.against[0].name == "deep-2/last.pt"
    assert subject.value_range == (-1, 1)
    np.testing.assert_array_equal(subject.starts(3), subject.starts(7)[:3])
    assert np.abs(subject.starts(7)).max() <= 1
    deviation = 1.0
    held = lm.noisy(subject.map, scale=deviation * 3**0.5, kind="uniform", seed=0, clamp=(-1, 1))
    orbit = lm.trajectory(held, subject.starts(4), n_steps=6).states
    np.testing.assert_array_equal(subject.settled(4, 6, deviation), orbit[:, 6])
    for step, states in zip((2, 6), subject.along(4, (2, 6), deviation), strict=True):
        np.testing.assert_array_equal(states, orbit[:, step])
    assert np.abs(orbit[:, 1:]).max() == 1


def test_training_images_are_the_few_that_the_network_saw_in_the_range_of_its_output(tmp_path):
    from lyapmap.models.kaleidoscope.network import KaleidoscopeConfig
    from lyapmap.models.kaleidoscope.recipe import KaleidoscopeRecipe
    from lyapmap.training.loop import train

    few = lm.data.load("digits", classes=(3, 4), value_range=(0, 1)).some(30, seed=5)
    config = KaleidoscopeConfig(few.state_shape, 1, 8, output="sigmoid")
    train(KaleidoscopeRecipe(config, few, seed=5), tmp_path, epochs=1)
    found = load_subject(tmp_path / "last.pt", data="digits")
    np.testing.assert_array_equal(found.train.images, few.images)
    assert set(found.test.labels.tolist()) == {3, 4}
    assert found.value_range == (0, 1)
    assert found.starts(9).min() >= 0
    shown = found.real(found.train)
    assert (shown.min(), shown.max()) == (-1, 1)
    np.testing.assert_allclose(shown, 2 * few.images - 1, atol=1e-6)


def test_numbers_are_those_of_direct_calls(study, subject):
    starts = subject.starts(40)
    rest = lm.settling(subject.map, starts, n_steps=300)
    numbers = study.records["burn-in"].numbers
    assert numbers["settled_share"] == rest.settled_share[-1]
    assert numbers["ends"] == len(rest.points)
    mixing = lm.burn_in(subject.map, starts[:20], n_steps=60, every=10, seed=0, throw=False)
    assert numbers["burn_in_pixels"] == (mixing.burn_in if math.isfinite(mixing.burn_in) else None)
    last = lm.trajectory(subject.map, starts, n_steps=0, transient=20).states[:, 0]
    sure = subject.classify.probabilities(last)
    np.testing.assert_allclose(sure.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(np.array(subject.classify.classes)[sure.argmax(axis=1)], subject.classify(last))
    seen = study.records["samples"].numbers
    assert seen["confidence"][-1] == pytest.approx(sure.max(axis=1).mean(), abs=1e-6)
    assert sum(seen["labels"]) == pytest.approx(1)
    quality = study.records["manifold"].numbers
    direct = lm.manifold_metrics(subject.real(subject.test, 60), subject.images(last), k=3, seed=0)
    assert quality["last_recall"] == direct.recall[0]
    exponent = study.records["exponents"].numbers
    start = subject.settled(40, 20)[:3]
    # As many steps to align as the sweep gives.
    spectrum = lm.lyapunov_spectrum(subject.map, start, n_steps=20, transient=4, n_exponents=2, seed=0, throw=False)
    assert exponent["uniform_exponent"][0] == pytest.approx(spectrum.exponents[0])
    assert exponent["normal_exponent"][0] == exponent["uniform_exponent"][0]


def test_fixed_points_are_fixed_and_their_basins_are_shares(study, subject):
    found = lm.PeriodicOrbits.load(study.folder / "results" / "fixed-points.nc")
    points, numbers = found.orbits[:, 0], study.records["fixed-points"].numbers
    assert numbers["fixed_points"] == len(points) > 0
    images = subject.precise.ops.to_numpy(subject.precise.apply(subject.precise.ops.from_numpy(points)))
    np.testing.assert_allclose(images, points, atol=1e-8)
    assert numbers["stable"] + numbers["unstable"] == len(points)
    assert numbers["settled_on_known"] == pytest.approx(sum(numbers["share"]))
    assert numbers["settled_on_known"] <= 1 + 1e-9
    jacobian = subject.precise.ops.to_numpy(subject.precise.jacobian(subject.precise.ops.from_numpy(points[:1])))[0]
    leading = np.abs(np.linalg.eigvals(jacobian)).max()
    assert np.abs(np.abs(found.multipliers[0, 0]) - leading) < 1e-6
    training = subject.train.states.astype(float)
    near = sorted(np.linalg.norm(training - point, axis=1).min() for point in points)
    np.testing.assert_allclose(sorted(numbers["distance_to_training"]), near, atol=1e-5)
    assert numbers["share"] == sorted(numbers["share"], reverse=True)


def test_basins_of_a_double_well():
    well = lm.wrap(lambda x: np.tanh(2 * x), state_shape=1)
    rest = lm.settling(well, np.linspace(-1, 3, 8)[:, None], n_steps=200)
    points = lm.periodic_orbits(well, rest.points, region=(-1.5, 1.5), n_guesses=20, seed=0)
    share, interval, confirmed = basins(rest, points.orbits[:, 0], points.multipliers)
    expected = {"stable": {2 / 8, 6 / 8}, "unstable": {0.0}}
    for kind, shares in expected.items():
        found = {float(s) for s, name in zip(share, points.stability, strict=True) if name == kind}
        assert found == shares
    assert confirmed == 2
    assert (interval[:, 0] <= share).all()
    assert (share <= interval[:, 1]).all()


def test_wandering_is_leaving_the_sides_of_a_double_well():
    well = lm.wrap(lambda x: np.tanh(2 * x), state_shape=1)
    noisy = lm.noisy(well, scale=0.6, seed=3)
    sizes = SimpleNamespace(wander_steps=40, quench_steps=60, exponent_transient=7)
    x0 = np.full((12, 1), 0.9)
    rate, error, visited = wandering(noisy, x0, quiet=well, sizes=sizes)
    # Without noise a state comes to rest on its own side, so leaving a basin is a change of sign.
    sides, x = [], x0
    for step in range(40):
        sides.append(x[:, 0] > 0)
        x = noisy.at(7 + step).apply(x)
    sides = np.array(sides).T
    changes = sides[:, 1:] != sides[:, :-1]
    assert rate == pytest.approx(changes.mean())
    assert rate > 0.05
    assert visited == np.mean([len(set(row)) for row in sides.tolist()])
    assert error >= 0.999 * changes.mean(axis=1).std(ddof=1) / 12**0.5
    assert wandering(well, x0, quiet=well, sizes=sizes) == [0.0, 0.0, 1.0]


def test_where_it_begins():
    levels = np.array([0.0, 0.1, 0.2])
    assert first_sure(levels, np.array([0, 0.1, 0.5]), np.array([0, 0.1, 0.1])) == 0.2
    assert first_sure(levels, np.array([-1.0, -2, np.nan]), np.full(3, np.nan)) is None
    numbers = {"uniform_wanders_from": 0.2, "normal_wanders_from": None, "levels": (0.0, 0.1, 0.2)}
    numbers |= {"uniform_positive_from": None, "normal_positive_from": None}
    numbers |= {"uniform_exponent": [-1, -0.5, -0.2], "uniform_stderr": [0.05, 0.05, 0.05]}
    begins = (
        "It leaves its basins from a deviation of 0.2 (uniform noise); the largest exponent is nowhere surely positive"
    )
    assert verdict(numbers) == f"{begins}: noise carries it, neighbours do not part."
    assert verdict(numbers | {"uniform_stderr": [0.05, 0.05, 0.15]}) == f"{begins}."
    chaotic = numbers | {"normal_positive_from": 0.1, "uniform_wanders_from": None}
    words = "It never surely leaves its basins; the largest exponent is positive from 0.1 (normal noise)."
    assert verdict(chaotic) == words


def test_models_stand_side_by_side(study, subject):
    table = study.records["variants"].numbers
    assert table["depth"] == [4, 2]
    assert table["name"] == ["last.pt", "deep-2/last.pt"]
    assert table["weights"][1] == 64 * 24 + 24 + 24 * 24 + 24 + 24 * 64 + 64
    depth = study.records["depth"].numbers
    assert depth["depth"] == [2, 4]
    starts = subject.starts(20, subject.against[0])
    other = lm.settling(subject.against[0].map, starts, n_steps=60)
    assert depth["settled_share"][0] == other.settled_share[-1]


def test_changed_sizes_run_only_their_stages(study, subject, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(study.folder, folder)
    told = []
    changed = KaleidoscopeProtocol(**(TINY.settings() | {"category_steps": 12}))
    again = kaleidoscope_study(subject, folder, protocol=changed, on_stage=lambda *what: told.append(what))
    assert [stage.name for what, stage, _ in told if what == "begins"] == ["categories"]
    assert again.records["samples"] == study.records["samples"]


def test_without_classifier_and_further_networks(networks, tmp_path):
    alone = load_subject(networks[0], data="digits", classes=(0, 1))
    assert set(alone.test.labels.tolist()) == {0, 1}
    done = kaleidoscope_study(alone, tmp_path, protocol=TINY, only=["categories", "depth", "variants"])
    assert {name: record.status for name, record in done.records.items()} == dict.fromkeys(
        ("categories", "depth", "variants"), "left out"
    )
    assert "lyapmap train classifier" in done.records["categories"].message
    assert "--against" in done.records["depth"].message


def test_bad_input(networks):
    with pytest.raises(LyapmapError, match="against: states of cycle-mnist-012 have shape"):
        load_subject(networks[0], data="digits", against=["cycle-mnist-012"])
    with pytest.raises(LyapmapError, match="there is no stage 'nothing'"):
        STUDY.check_names(["nothing"])
    STUDY.check_names(["samples", "against-2", "variants"])
    with pytest.raises(LyapmapError, match="protocol: expected quick or full"):
        protocol("paper")


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"samples": 0}, "samples: expected at least 1"),
        ({"noise": 0.0}, "noise: expected a positive number"),
        ({"at": (3, 1)}, "at: expected ascending values"),
        ({"noise_levels": ()}, "noise_levels: expected ascending values"),
        ({"noise_levels": (-1.0, 0.0)}, "noise_levels: expected ascending values of at least 0"),
        ({"at": (0, 400)}, "at: expected steps up to sample_steps = 300"),
        ({"burn_in_samples": 3}, "burn_in_samples: expected at least 16"),
    ],
)
def test_bad_sizes(sizes, words):
    with pytest.raises(LyapmapError, match=words):
        protocol("quick", **sizes)


def test_the_paper_is_the_full_protocol():
    full = PROTOCOLS["full"]
    assert (full.samples, full.sample_steps, full.noise) == (1000, 300, 0.01)
