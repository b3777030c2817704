"""The study of the cycle model, end to end on 8 x 8 digits, and its numbers against direct calls."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.core.errors import CheckpointError, LyapmapError, MissingExtraError
from lyapmap.files import checkpoint
from lyapmap.files.zoo import shipped
from lyapmap.models.cycle.epochs import cycle_seeds, epoch_stages, load_runs, runs_by_name
from lyapmap.models.cycle.protocol import PROTOCOLS, CycleProtocol, protocol
from lyapmap.models.cycle.stages import augmented_states, mixing_of
from lyapmap.models.cycle.study import STAGES, beside_the_paper, cycle_study
from lyapmap.models.cycle.subject import kept_epochs, load_subject
from lyapmap.study.page import mean_and_deviation

TINY = protocol(
    "quick",
    trajectories=3,
    transient=20,
    steps=40,
    exponents="6",
    ensemble=12,
    sequence_steps=3,
    layout_points=60,
    embedded_steps=20,
    at=(0, 1, 10),
    metric_trajectories=2,
    metric_steps=10,
    bundle=4,
    bundle_steps=10,
    histogram_trajectories=6,
    histogram_steps=10,
    convergence_trajectories=2,
    convergence_steps=80,
    dimension_points=100,
    category_trajectories=4,
    category_steps=6,
    memorization_samples=40,
    fold=2,
    augmented_images=20,
    augmented_steps=10,
    epoch_trajectories=2,
    epoch_transient=5,
    epoch_steps=16,
)
NEEDS_UMAP = ("layout", "embedding-trajectory", "embedding-over-n", "embedding-augmented", "embedding-bundle")
DIGITS = {"data": "digits", "classes": (0, 1, 2)}


@pytest.fixture(scope="module")
def subject():
    return load_subject("cycle-digits-012", **DIGITS)


@pytest.fixture(scope="module")
def study(subject, tmp_path_factory):
    """The whole, where umap-learn is not installed."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:

        def missing():
            raise MissingExtraError("umap-learn", "umap", "embed")

        patch.setattr("lyapmap.analysis.manifold.embedding.load_umap", missing)
        return cycle_study(subject, folder, protocol=TINY)


def test_every_stage_ends_with_what_became_of_it(study):
    status = {name: record.status for name, record in study.records.items()}
    assert list(status) == [*(stage.name for stage in STAGES), "development"]
    assert {name for name, s in status.items() if s == "failed"} == set(NEEDS_UMAP)
    assert {name for name, s in status.items() if s == "left out"} == {"categories", "development"}
    assert "pip install 'lyapmap[umap]'" in study.records["layout"].message
    assert "lyapmap train classifier --data digits" in study.records["categories"].message


def test_files_of_the_study(study):
    stored = json.loads((study.folder / "study.json").read_text())
    assert stored == study.numbers
    assert stored["model"] == "cycle-digits-012"
    assert len(stored["sha256"]) == 64
    assert stored["settings"]["convergence_steps"] == 80
    assert stored["stages"]["spectrum"]["cpu_seconds"] >= 0
    page = (study.folder / "index.html").read_text()
    assert page.count("<img") == 11
    for record in study.records.values():
        for picture in record.pictures:
            assert picture.title.split(" (")[0] in page
            assert (study.folder / picture.file).stat().st_size > 2000
    assert "<td>0.340</td>" in page
    assert "stage layout" in page


def test_the_spectrum_is_that_of_a_direct_call(study, subject):
    direct = lm.lyapunov_spectrum(
        subject.map, subject.test.of_class(0)[:3], n_steps=40, transient=20, n_exponents=6, seed=0
    )
    numbers = study.records["spectrum"].numbers
    np.testing.assert_allclose(numbers["exponents"], direct.exponents, rtol=1e-12)
    assert numbers["largest"] == direct.exponents[0]
    assert numbers["n_positive"] == direct.n_positive
    saved = lm.LyapunovSpectrum.load(study.folder / "results" / "spectrum.nc")
    np.testing.assert_array_equal(saved.per_trajectory, direct.per_trajectory)
    rows = {row["what"]: row["here"] for row in study.numbers["table"]}
    assert rows["largest exponent"] == f"{direct.exponents[0]:.3f} ± {direct.stderr[0]:.3f}"


def test_metrics_are_those_of_direct_calls(study, subject):
    test, train = lm.data.load("digits", split="test", classes=(0, 1, 2)), lm.data.load("digits", classes=(0, 1, 2))
    direct = lm.manifold_along(test.images, subject.map, test.states, n_steps=10, k=7, seed=0)
    numbers = study.records["over-steps"].numbers
    assert numbers["precision"] == direct.precision[:, 0].tolist()
    assert numbers["recall_at_10"] == direct.recall[10, 0]
    assert numbers["precision"][0] == numbers["recall"][0] == 1
    assert 0 <= study.records["bundle"].numbers["mixing"] < 1.5
    orbit = lm.trajectory(subject.map, test.of_class(0)[:2], n_steps=len(test) - 1, transient=1).states
    for i, states in enumerate(orbit):
        metrics = lm.manifold_metrics(test.images, states, k=(3,), seed=0)
        saved = lm.ManifoldAlong.load(study.folder / "results" / "over-k.nc")
        assert saved.recall[i, 2] == metrics.recall[0]
    reference = study.records["over-k"].numbers["reference_recall"]
    assert len(reference) == 10
    assert sorted(reference) == reference
    assert study.records["memorization"].numbers["samples"] == 40
    assert len(train) > len(test)


def test_the_other_way_to_the_exponent_and_its_distance(study):
    parting, spectrum = study.records["divergence"].numbers, study.records["spectrum"].numbers
    error = np.hypot(parting["stderr"], spectrum["largest_stderr"])
    expected = (parting["exponent"] - spectrum["largest"]) / error
    assert parting["standard_errors_from_spectrum"] == pytest.approx(expected)


def test_dimensions_stand_beside_the_spectrum(study):
    numbers = study.records["dimension"].numbers
    assert numbers["kaplan_yorke"] == study.records["spectrum"].numbers["kaplan_yorke"]
    assert {"data_gride", "data_twonn", "attractor_mle", "attractor_pca"} <= set(numbers)


def test_changed_sizes_run_only_their_stages(study, subject, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(study.folder, folder)
    told = []
    changed = protocol("quick", **(TINY.settings() | {"histogram_steps": 12}))
    done = [name for name, record in study.records.items() if record.status == "done"]
    cycle_study(subject, folder, protocol=changed, only=done, on_stage=lambda *what: told.append(what))
    assert [stage.name for what, stage, _ in told if what == "begins"] == ["histograms"]


def test_another_seed_runs_all_again(study, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(study.folder, folder)
    other = load_subject("cycle-digits-012", **DIGITS, seed=1)
    told = []
    cycle_study(other, folder, protocol=TINY, only=["sequences"], on_stage=lambda *what: told.append(what[0]))
    assert told == ["begins", "ends"]


@pytest.mark.slow
def test_embeddings_are_drawn(subject, tmp_path):
    done = cycle_study(subject, tmp_path, protocol=TINY, only=NEEDS_UMAP)
    assert {name: done.records[name].status for name in NEEDS_UMAP} == dict.fromkeys(NEEDS_UMAP, "done")
    embedded = lm.EmbeddedStates.load(tmp_path / "results" / "embedding-over-n.nc")
    assert embedded.coordinates.shape == (12, 3, 2)
    assert embedded.at.tolist() == [0, 1, 10]
    assert done.records["embedding-bundle"].numbers == {"trajectories": 4}


def test_categories_by_a_classifier_of_the_user(subject, tmp_path):
    from lyapmap.files import checkpoint
    from lyapmap.models.classifier.network import ClassifierConfig
    from lyapmap.training import train_classifier

    sets = [lm.data.load("digits", split=split, classes=(0, 1, 2)) for split in ("train", "test")]
    config = ClassifierConfig(categories=3, image_size=8, width=4)
    path = checkpoint.save(
        train_classifier(config, *sets, classes=(0, 1, 2), epochs=4, batch_size=32), tmp_path / "classifier.pt"
    )
    named = load_subject("cycle-digits-012", **DIGITS, classifier=str(path), features=str(path))
    done = cycle_study(named, tmp_path / "out", protocol=TINY, only=["categories", "over-steps"])
    orbit = lm.trajectory(named.map, named.starts(4), n_steps=6)
    direct = lm.transitions(orbit, lm.training.classifier(path), order=(0, 1, 2))
    assert done.records["categories"].numbers["accuracy"] == direct.accuracy > 0.8
    assert done.records["over-steps"].numbers["features"] == "classifier classifier.pt"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs, of two kept epochs and of one, which are the shipped generator."""
    folder = tmp_path_factory.mktemp("runs")
    for run, epoch in (("one", 1), ("one", 2), ("two", 2)):
        (folder / run).mkdir(exist_ok=True)
        shutil.copy(shipped()["cycle-digits-012"], folder / run / f"epoch-{epoch:04d}.pt")
    return [folder / "one", folder / "two"]


def test_development_of_the_run_that_the_model_lies_in(runs, tmp_path):
    named = load_subject(runs[0] / "epoch-0002.pt", **DIGITS)
    done = cycle_study(named, tmp_path, protocol=TINY, only=["development"])
    assert list(done.records) == ["epoch-0001", "epoch-0002", "development"]
    numbers = done.records["development"].numbers
    direct = lm.lyapunov_spectrum(named.map, named.starts(2), n_steps=16, transient=5, n_exponents="auto", seed=0)
    assert numbers["epoch"] == [1, 2]
    assert numbers["largest"] == pytest.approx([direct.exponents[0]] * 2, rel=1e-5)
    along = lm.manifold_along(named.test.images, named.map, named.test.states, n_steps=10, k=7, seed=0)
    assert numbers["recall_at_10"] == [along.recall[10, 0]] * 2
    assert numbers["precision_at_1"] == [along.precision[1, 0]] * 2
    assert numbers["coverage_at_10"] == [along.coverage[10, 0]] * 2
    assert numbers["order"] == [None, None]  # no classifier of digits is shipped


def test_the_order_is_that_of_the_steps_on_the_attractor(runs, tmp_path):
    named = load_subject(runs[0] / "epoch-0002.pt", **DIGITS)
    name_of = {0: 0, 1: 1, 2: 2}
    means = np.array([named.train.of_class(c).mean(axis=0).ravel() for c in named.classes])

    def nearest(images):
        rows = np.asarray(images).reshape(len(images), -1)
        return np.array([name_of[i] for i in ((rows[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)])

    nearest.name, nearest.classes = "nearest mean", named.classes
    named.classify = nearest
    numbers = cycle_study(named, tmp_path, protocol=TINY, only=["development"]).records["development"].numbers
    orbit = lm.trajectory(named.map, named.starts(2), n_steps=16, transient=5).states
    labels = np.array([nearest(states) for states in orbit])
    kept = np.mean(labels[:, 1:] == (labels[:, :-1] + 1) % 3)
    assert numbers["order"] == [pytest.approx(kept)] * 2


@pytest.fixture(scope="module")
def spread(runs, tmp_path_factory):
    named, subject = load_runs(runs, **DIGITS)
    return cycle_seeds(named, subject, tmp_path_factory.mktemp("spread"), protocol=TINY)


def test_spread_over_runs(runs, spread, tmp_path):
    named, subject = load_runs(runs, **DIGITS)
    done = spread
    assert list(done.records) == ["one-epoch-0001", "one-epoch-0002", "two-epoch-0002", "spread"]
    assert all(record.status == "done" for record in done.records.values())
    numbers = done.records["spread"].numbers
    assert numbers["largest_deviation"] == [None, pytest.approx(0, abs=1e-6)]
    assert numbers["largest_runs"] == [1, 2]
    assert numbers["largest_mean"][1] == pytest.approx(done.records["two-epoch-0002"].numbers["largest"], rel=1e-5)
    largest = done.numbers["table"][0]
    assert largest["2 runs, epoch 2"] == f"{numbers['largest_mean'][1]:.3f} ± 0.000"
    assert "<img" in (done.folder / "index.html").read_text()
    told = []
    folder = shutil.copytree(done.folder, tmp_path / "copy")
    (folder / "stages" / "two-epoch-0002.json").unlink()
    cycle_seeds(named, subject, folder, protocol=TINY, on_stage=lambda what, stage, _: told.append((what, stage.name)))
    assert [name for what, name in told if what == "begins"] == ["two-epoch-0002"]


def test_runs_with_other_losses_get_a_column(runs, spread, tmp_path):
    folder = tmp_path / "asked"
    folder.mkdir()
    shipped_one = checkpoint.load(shipped()["cycle-digits-012"])
    shipped_one.training["settings"]["wishes"] = {"replay": 0.5, "diversity": 10.0}
    checkpoint.save(shipped_one, folder / "epoch-0001.pt")
    named, subject = load_runs([runs[1], folder], **DIGITS)
    shutil.copytree(spread.folder, tmp_path / "study")  # where the first run is measured already
    done = cycle_seeds(named, subject, tmp_path / "study", protocol=TINY)
    assert done.numbers["runs"] == {"two": "the paper's losses", "asked": "replay 0.5, diversity 10"}
    largest = next(row for row in done.numbers["table"] if row["what"] == "largest exponent")
    value = done.records["two-epoch-0002"].numbers["largest"]
    assert "asked: replay 0.5" in (tmp_path / "study" / "index.html").read_text()
    assert largest["the paper's losses"] == largest["replay 0.5, diversity 10"] == f"{value:.3f}"


def test_epochs_are_thinned_out_evenly_with_the_last(tmp_path):
    for epoch in range(1, 11):
        (tmp_path / f"epoch-{epoch:04d}.pt").touch()
    (tmp_path / "epoch-best.pt").touch()
    assert list(kept_epochs(tmp_path)) == list(range(1, 11))
    chosen = {most: [stage.run.epoch for stage in epoch_stages(tmp_path, "", most)] for most in (None, 4, 1, 20)}
    assert chosen == {None: list(range(1, 11)), 4: [1, 4, 7, 10], 1: [10], 20: list(range(1, 11))}


def test_mean_and_deviation_leave_out_what_is_unknown():
    mean, deviation, count = mean_and_deviation([1.0, None, 3.0])
    assert (mean, deviation, count) == (2.0, pytest.approx(2**0.5), 2)
    assert mean_and_deviation([None])[2] == 0
    assert np.isnan(mean_and_deviation([5.0])[1])


def test_augmented_states_lie_towards_the_nearest_neighbour(subject):
    test = subject.test.states
    moved = augmented_states(subject, 5, 0.1, None).reshape(5, *test.shape)
    distances = np.linalg.norm(test[:, None] - test[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    towards = test[distances.argmin(axis=1)] - test
    factors = ((moved - test) * towards).sum(axis=2) / (towards**2).sum(axis=1)
    np.testing.assert_allclose(moved, test + factors[..., None] * towards, atol=1e-5)
    assert factors.std() == pytest.approx(0.1, rel=0.15)
    assert abs(factors.mean()) < 0.02
    assert len(augmented_states(subject, 3, 0.1, 10)) == 30


def test_mixing_tells_one_attractor_from_two():
    rng = np.random.default_rng(0)
    states = rng.standard_normal((6, 200, 3))
    shape = {"status": lm.Status.OK, "state_shape": (3,)}
    assert mixing_of(lm.Trajectory(states=states, **shape)) == pytest.approx(1, abs=0.06)
    apart = states + 20 * np.arange(6)[:, None, None]
    assert mixing_of(lm.Trajectory(states=apart, **shape)) == 0
    assert np.isnan(mixing_of(lm.Trajectory(states=states[:1], **shape)))


def test_the_table_has_dashes_where_nothing_was_measured():
    rows = beside_the_paper({})
    assert rows[0] == ("what", "paper", "here")
    assert {row[2] for row in rows[1:]} == {"-"}


def test_the_paper_s_protocol():
    paper = PROTOCOLS["paper"]
    assert (paper.trajectories, paper.transient, paper.steps, paper.n_exponents) == (980, 2000, 2000, "all")
    assert (paper.embedded_steps, paper.k, paper.largest_k, paper.convergence_steps) == (5000, 7, 10, 200_000)
    assert paper.at[-1] == 3000
    assert protocol("quick", exponents="12").n_exponents == 12


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"steps": 0}, "steps: expected at least 1, got 0"),
        ({"exponents": "some"}, "exponents: expected a number, 'auto' or 'all', got 'some'"),
        ({"at": (3, 1)}, "at: expected ascending values of at least 0, got 3, 1"),
        ({"noise": -1.0}, "noise: expected a positive number"),
        ({"divergence_last": 2}, "divergence_last: expected at least 3"),
        ({"metric_steps": 5}, "metric_steps: expected at least 10"),
    ],
)
def test_sizes_that_cannot_be_used(sizes, words):
    with pytest.raises(LyapmapError, match=words):
        CycleProtocol(**sizes)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"classes": (0,)}, "classes: expected two or more different ones, got 0"),
        ({"classes": (0, 1, 1)}, "classes: expected two or more"),
        ({"classes": (0, 1, 12)}, "has no class 12"),
        ({"data": "nothing"}, "'nothing' is neither a folder nor"),
        ({"features": "classifier"}, "no classifier is shipped for digits"),
        ({"classifier": "classifier-mnist"}, "takes images .1, 28, 28., those of the model are .1, 8, 8."),
    ],
)
def test_subjects_that_do_not_fit(options, words):
    with pytest.raises(LyapmapError, match=words):
        load_subject("cycle-digits-012", **(DIGITS | options))


def test_models_that_are_none(tmp_path):
    with pytest.raises(CheckpointError, match="neither a file nor one of"):
        load_subject("cycle-nothing", **DIGITS)
    with pytest.raises(LyapmapError, match=r"holds no epoch-\*.pt; train with --keep-every 1"):
        runs_by_name([tmp_path])
    with pytest.raises(LyapmapError, match="got none"):
        runs_by_name([])


def test_runs_of_the_same_name_are_told_apart(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name / "run").mkdir(parents=True)
        (tmp_path / name / "run" / "epoch-0001.pt").touch()
    folders = [tmp_path / "a" / "run", tmp_path / "b" / "run"]
    assert runs_by_name(folders) == {"run": folders[0], "b-run": folders[1]}
    with pytest.raises(LyapmapError, match="given twice"):
        runs_by_name([folders[0], folders[1], folders[1]])
