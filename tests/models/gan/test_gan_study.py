"""The study of adversarial networks, end to end on 8 x 8 digits, and its tables against numbers by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

import gan_samples
import lyapmap as lm
from lyapmap.analysis.battle import Tournament
from lyapmap.core.errors import LyapmapError
from lyapmap.core.results import Status
from lyapmap.files import checkpoint as checkpoints
from lyapmap.models.gan.dcgan import DcganConfig
from lyapmap.models.gan.gran import GranConfig
from lyapmap.models.gan.pair import sample_gan
from lyapmap.models.gan.protocol import PROTOCOLS, GanProtocol, protocol
from lyapmap.models.gan.recipe import GanRecipe
from lyapmap.models.gan.stages import kind_of, load_gans, pairs_of_kinds
from lyapmap.models.gan.study import gan_study, table_of_battles, table_of_kinds
from lyapmap.study.stages import Record

TINY = protocol(
    "quick", samples=60, real=80, k=3, battle_samples=40, jacobians=2, dimension_points=60,
    canvas_trajectories=2, canvas_transient=2, canvas_exponent_steps=20, canvas_steps=6, canvas_more=(4,),
)  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A DCGAN, and two GRANs that differ in their seed, trained for a few steps."""
    made = []
    for name, config, seed in (("d", gan_samples.DCGAN, 0), ("g-0", gan_samples.GRAN, 0), ("g-1", gan_samples.GRAN, 1)):
        folder = tmp_path_factory.mktemp(name)
        made.append(gan_samples.saved(folder, config, steps=4, seed=seed).rename(folder / f"{name}.pt"))
    return made


@pytest.fixture(scope="module")
def study(models, tmp_path_factory):
    subject = load_gans(models, data="digits", features="pixels")
    return subject, gan_study(subject, tmp_path_factory.mktemp("study"), protocol=TINY)


def test_every_stage_is_done_or_says_why_not(study):
    subject, found = study
    told = {name: (record.status, record.message) for name, record in found.records.items()}
    assert told.pop("canvas-d.pt") == ("left out", "d.pt draws in one step")
    assert {status for status, _ in told.values()} == {"done"}
    assert (found.folder / "index.html").is_file()
    saved = json.loads((found.folder / "study.json").read_text())
    assert list(saved["models"]) == ["d.pt", "g-0.pt", "g-1.pt"]
    assert subject.kinds == {"d.pt": "DCGAN", "g-0.pt": "GRAN3", "g-1.pt": "GRAN3"}
    assert set(saved["table"][0]) == {"what", "DCGAN", "GRAN3 (2)"}


def test_a_second_call_keeps_what_is_done_and_another_size_runs_its_stages_only(study):
    subject, found = study
    heard = []
    gan_study(subject, found.folder, protocol=TINY, on_stage=lambda what, stage, _: heard.append((what, stage.name)))
    # One that was left out is asked again.
    assert {what for what, name in heard if name != "canvas-d.pt"} == {"kept"}
    heard.clear()
    gan_study(
        subject,
        found.folder,
        protocol=replace(TINY, battle_samples=41),
        on_stage=lambda what, stage, _: heard.append((what, stage.name)),
    )
    assert {name for what, name in heard if what == "begins"} == {"canvas-d.pt", "battles", "verdict"}


def test_numbers_are_those_of_the_analyses(study, models):
    subject, found = study
    numbers = found.records["quality-g-0.pt"].numbers
    images = sample_gan(models[1], 60, seed=0).images.reshape(60, -1).astype(float)
    real = subject.test.some(80, seed=0).images
    direct = lm.manifold_metrics(real, images.reshape(60, 1, 8, 8), k=(3,), seed=0)
    assert numbers["recall"] == float(direct.recall[0])

    def spread(x):
        apart = x[:, None] - x[None]
        return float((apart**2).sum(-1).sum() / (2 * len(x) ** 2))

    wanted = spread(images) / spread(real.reshape(80, -1).astype(float))
    assert numbers["variance"] == pytest.approx(wanted, rel=1e-5)
    battles = found.records["battles"].numbers
    assert battles["r_test"][0][1] * battles["r_test"][1][0] == pytest.approx(1.0)


def test_kinds_are_named_by_what_differs():
    assert kind_of(DcganConfig()) == "DCGAN"
    assert kind_of(GranConfig(steps=1, noise="fresh", weights="separate")) == "GRAN1"
    assert kind_of(GranConfig(steps=5, noise="fresh", weights="separate")) == "GRAN5 fresh noise separate weights"


def made_up(names, ratio):
    m = len(names)
    ratio = np.asarray(ratio, float)
    return Tournament(
        status=Status.OK, message="", settings={}, provenance={}, names=tuple(names),
        test_errors=np.full(m, 0.2), sample_errors=np.full((m, m), 0.2), r_test=np.ones((m, m)), r_sample=ratio,
        outcome=np.sign(1 - ratio).astype(np.int64) * (np.abs(np.log(ratio)) > 0.1),
        wins=np.zeros(m, np.int64), losses=np.zeros(m, np.int64), ties=np.zeros(m, np.int64),
    )  # fmt: skip


def test_battles_of_kinds_are_geometric_means_and_turn_over():
    kinds = {"a0": "A", "a1": "A", "b0": "B", "b1": "B"}
    rng = np.random.default_rng(0)
    logs = rng.normal(size=(4, 4))
    ratio = np.exp(logs - logs.T)
    (pair,) = pairs_of_kinds(made_up(["a0", "a1", "b0", "b1"], ratio), kinds)
    wanted = math.prod(ratio[i, j] for i in (0, 1) for j in (2, 3)) ** 0.25
    assert pair["r_sample"] == pytest.approx(wanted)
    assert pair["won"] + pair["tied"] + pair["lost"] == pair["battles"] == 4
    turned = [2, 3, 0, 1]
    (back,) = pairs_of_kinds(made_up(["b0", "b1", "a0", "a1"], ratio[np.ix_(turned, turned)]), kinds)
    assert (back["first"], back["second"]) == ("B", "A")
    assert back["r_sample"] == pytest.approx(1 / wanted)
    assert (back["won"], back["lost"]) == (pair["lost"], pair["won"])


def record(name, **numbers):
    return Record(name, name, "done", "", "", numbers, (), (), {}, 0.0, 0.0)


def test_tables_give_means_deviations_and_the_papers_values():
    kinds = {"a": "GRAN1", "b": "GRAN3", "c": "GRAN3"}
    records = {
        "quality-a": record("quality-a", recall=0.25),
        "quality-b": record("quality-b", recall=0.4),
        "quality-c": record("quality-c", recall=0.6),
        "verdict": record("verdict", pairs=pairs_of_kinds(made_up("abc", np.full((3, 3), 2.0)), kinds)),
    }
    rows = table_of_kinds(kinds, records)
    assert rows == [("what", "GRAN1", "GRAN3 (2)"), ("recall", "0.250", "0.500 ± 0.141")]
    battle = table_of_battles("mnist", records)[1]
    assert battle == ("GRAN1 against GRAN3", "1 (1 to 1)", "2 (2 to 2)", "0 : 0 : 2", "0.79, 1.75, GRAN3")


def test_one_model_has_nobody_to_battle(models, tmp_path):
    subject = load_gans(models[:1], data="digits", features="pixels")
    found = gan_study(subject, tmp_path, protocol=TINY, only=["battles", "quality"])
    assert found.records["battles"].status == "left out"
    assert found.records["quality-d.pt"].status == "done"


def test_bad_input(models, tmp_path):
    config = replace(gan_samples.DCGAN, image_size=16, kernels=(6, 4))
    large = GanRecipe(config, lm.data.load("digits", image_size=16), batch_size=50).checkpoint()
    other = checkpoints.save(replace(large, training=large.training | {"epoch": 0}), tmp_path / "large.pt")
    with pytest.raises(LyapmapError, match=r"MODEL: images of .* have shape \(1, 16, 16\), those of d.pt \(1, 8, 8\)"):
        load_gans([models[0], other], data="digits")
    with pytest.raises(LyapmapError, match="was given twice"):
        load_gans([models[0], models[0], models[0]], data="digits")
    with pytest.raises(LyapmapError, match="expected at least one"):
        load_gans([], data="digits")
    subject = load_gans(models[:2], data="digits", features="pixels")
    with pytest.raises(LyapmapError, match="there is no stage 'nothing'"):
        gan_study(subject, tmp_path, protocol=TINY, only=["nothing"])
    with pytest.raises(LyapmapError, match="tolerance: expected a positive number, got 0"):
        GanProtocol(tolerance=0)
    with pytest.raises(LyapmapError, match="canvas_more: expected at least 2"):
        replace(PROTOCOLS["quick"], canvas_more=(1,))
    with pytest.raises(LyapmapError, match="protocol: expected quick or full"):
        protocol("slow")
