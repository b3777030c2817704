"""Trainings side by side: numbers against direct calls, differences by seed, what was measured already is kept."""

from __future__ import annotations

import numpy as np
import pytest

import lyapmap as lm
from lyapmap import data
from lyapmap.data.image_set import held_out
from lyapmap.files.zoo import load_model
from lyapmap.models.cycle.epochs import load_runs
from lyapmap.models.cycle.extra_losses import ExtraTerms
from lyapmap.models.cycle.network import CycleConfig
from lyapmap.models.cycle.protocol import protocol
from lyapmap.models.cycle.recipe import RECIPES, CycleRecipe, CycleSettings
from lyapmap.models.cycle.subject import kept_epochs
from lyapmap.models.cycle.trials import cycle_trials, differences, kind_of, median_run, tables
from lyapmap.study.stages import DONE
from lyapmap.training.loop import train

CLASSES = (0, 1, 2)
TRAIN, TEST = (data.load("digits", split=split, classes=CLASSES) for split in ("train", "test"))
KINDS = {
    "own": CycleSettings(epochs=3, decay_epochs=1, batch_size=40, validation=0.1, terms=ExtraTerms(average=0.5)),
    "plain": CycleSettings(epochs=3, batch_size=40),
}
TINY = protocol(
    "quick",
    trajectories=2,
    transient=5,
    steps=16,
    exponents="4",
    ensemble=6,
    space_steps=(1, 10),
    category_trajectories=2,
    category_steps=4,
    memorization_samples=20,
    dimension_points=60,
    epoch_trajectories=2,
    epoch_transient=5,
    epoch_steps=16,
)


def trained(folder, settings, seed):
    recipe = CycleRecipe(CycleConfig(image_size=8, width=4), TRAIN, TEST, classes=CLASSES, settings=settings, seed=seed)
    train(recipe, folder, epochs=settings.epochs, seed=seed, keep_every=1)
    return folder


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    base = tmp_path_factory.mktemp("trials")
    folders = [trained(base / f"{kind}-1", KINDS[kind], 1) for kind in KINDS]
    runs, subject = load_runs(folders, data="digits", classes=CLASSES)
    return base, runs, subject, cycle_trials(runs, subject, base / "out", protocol=TINY)


def numbers(trials, name):
    record = trials[3].records[f"trial-{name}"]
    assert record.status == DONE, record.message
    return record.numbers


def test_metrics_of_every_space_are_those_of_direct_calls(trials):
    own = numbers(trials, "own-1")
    network = load_model(kept_epochs(trials[1]["own-1"])[3]).map
    states = lm.trajectory(network, TEST.states, n_steps=0, transient=10).states[:, 0]
    direct = lm.manifold_metrics(TEST.images, states.reshape(TEST.images.shape), k=7, seed=0)
    for metric in ("precision", "recall", "density", "coverage"):
        assert own[f"pixels {metric} 10"] == pytest.approx(getattr(direct, metric)[0])
    assert {"pixels", "random-vgg"} <= set(own["spaces"])
    assert 0 <= own["random-vgg recall attractor"] <= 1


def test_the_exponent_of_each_of_the_last_epochs(trials):
    own = numbers(trials, "own-1")
    assert own["held_epochs"] == [1, 2, 3]
    model = load_model(kept_epochs(trials[1]["own-1"])[2])
    direct = lm.lyapunov_spectrum(
        model.map, model.sample_states[:2], n_steps=16, transient=5, n_exponents=1, seed=0, throw=False
    )
    assert own["held"][1] == pytest.approx(direct.exponents[0], abs=1e-3)
    assert own["held_least"] == min(own["held"])


def test_differences_are_those_of_one_seed(trials):
    own, plain = (numbers(trials, f"{kind}-1") for kind in KINDS)
    key = "pixels precision 1"
    compared = trials[3].records["comparison"]
    assert compared.status == DONE, compared.message
    assert compared.numbers["differences"][plain["kind"]][key] == pytest.approx([own[key] - plain[key]])
    alone = own | {"seed": 0, key: 0.9}
    assert differences([alone, own, plain], key, own["kind"], plain["kind"]) == pytest.approx([own[key] - plain[key]])


def test_tables_hold_every_training(trials):
    own, plain = (numbers(trials, f"{kind}-1") for kind in KINDS)
    key = "pixels precision 1"
    own, other = own | {key: 0.5}, own | {key: 0.75, "seed": 2, "run": "own-2"}
    made = dict(tables([own, other, plain | {key: 0.25}]))
    every = made["Every training"]
    assert every[0] == ("what", "own-1", "own-2", "plain-1")
    assert {len(row) for row in every} == {4}
    by_kind = made["Mean and standard deviation over seeds, and differences by seed"]
    assert by_kind[1][1:3] == ("2", "1")
    assert ("precision, n = 1", "0.625 ± 0.177", "0.250", "0.250") in by_kind
    assert len(made) == 3, "one more table for each space beside the first"


def test_memorization_and_chaos_of_every_training_are_drawn(trials):
    figures = {path.stem for path in (trials[0] / "out").rglob("*.png")}
    assert {"trials", "trust", "memorization"} <= figures
    for name in trials[1]:
        assert 0 <= numbers(trials, name)["preference"] <= 1


def test_nothing_is_measured_twice(trials, monkeypatch):
    def never(*given, **options):
        raise AssertionError("measured again")

    monkeypatch.setattr("lyapmap.models.cycle.stages.lyapunov_spectrum", never)
    again = cycle_trials(trials[1], trials[2], trials[0] / "out", protocol=TINY)
    assert again.numbers["stages"] == trials[3].numbers["stages"]


def test_a_run_by_a_recipe_is_called_so(tmp_path):
    settings = RECIPES["control"]
    recipe = CycleRecipe(CycleConfig(image_size=8, width=2), TRAIN, TEST, classes=CLASSES, settings=settings)
    train(recipe, tmp_path, epochs=1, keep_every=1)
    assert kind_of(tmp_path) == "control, width 2"


def test_other_settings_are_told_in_words(trials):
    assert (
        kind_of(trials[1]["own-1"]) == "average 0.5, batch size 40, epochs 3, decay epochs 1, validation 0.1, width 4"
    )
    assert kind_of(trials[1]["plain-1"]) == "the paper's losses, batch size 40, width 4"


def test_the_median_is_neither_the_best_nor_the_worst():
    entries = [
        {"run": name, "spaces": ["x"], "x recall 10": value} for name, value in zip("abcd", (3, 1, 4, 2), strict=True)
    ]
    assert median_run(entries[:3]) == "a"
    assert median_run(entries) == "d"


def test_which_images_are_kept_depends_on_nothing_else():
    rest, kept = held_out(TRAIN, 0.1)
    assert len(rest) + len(kept) == len(TRAIN)
    assert 0.05 < len(kept) / len(TRAIN) < 0.16
    order = np.random.default_rng(0).permutation(len(TRAIN))
    shuffled = type(TRAIN)(TRAIN.name, TRAIN.images[order], TRAIN.labels[order], TRAIN.class_names)
    again = held_out(shuffled.only([1]), 0.1)[1]
    assert {x.tobytes() for x in again.images} == {x.tobytes() for x in kept.of_class(1)}
    assert {x.tobytes() for x in kept.images}.isdisjoint(x.tobytes() for x in rest.images)
    more = held_out(TRAIN, 0.3)[1]
    assert {x.tobytes() for x in kept.images} < {x.tobytes() for x in more.images}


def test_a_category_without_images_is_told():
    with pytest.raises(lm.LyapmapError, match=r"validation: too few images of class 0 to keep a part of 0.001"):
        held_out(TRAIN.only([0]), 0.001)
