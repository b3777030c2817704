"""`lyapmap battle`, and trained pairs as contenders."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import gan_samples
import lyapmap as lm
from command_line import invoke
from lyapmap.core.errors import LyapmapError
from lyapmap.models.gan.pair import load_gan, sample_gan


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Checkpoints of three tiny pairs, trained for a few steps."""
    made = {}
    for name, config, seed in (("a", gan_samples.DCGAN, 0), ("b", gan_samples.GRAN, 1), ("c", gan_samples.DCGAN, 2)):
        made[name] = str(gan_samples.saved(tmp_path_factory.mktemp(name), config, steps=4, seed=seed))
    return made


def run(*arguments):
    return invoke(["battle", *map(str, arguments)])


def test_a_pair_samples_and_judges_as_its_networks_do(pairs):
    pair = load_gan(pairs["b"])
    contender = pair.contender(canvas_steps=5)
    images = contender.sample(6, 3)
    np.testing.assert_array_equal(images, sample_gan(pair, 6, canvas_steps=5, seed=3).images)
    with torch.no_grad():
        wanted = torch.sigmoid(pair.discriminator(torch.from_numpy(images))).numpy()
    np.testing.assert_allclose(contender.judge(images), wanted, rtol=1e-5)


def test_two_models_in_python_and_on_the_command_line(pairs, tmp_path):
    test = lm.data.load("digits", split="test").images
    direct = lm.battle(
        load_gan(pairs["a"]).contender(), lm.Contender("b", load_gan(pairs["b"]).contender().sample), test, 50, seed=0
    )
    found = run(pairs["a"], pairs["b"], "--data", "digits", "--samples", 50, "--out", tmp_path, "--json")
    assert found.exit_code == 0, found.output
    numbers = json.loads(found.output)
    assert numbers["test_errors"][0] == direct.test_errors[0]
    assert numbers["sample_errors"][0] == direct.sample_errors[0]
    assert numbers["names"] == [pairs["a"], pairs["b"]]
    assert {"battle.png", "battle.nc", "report.html"} <= {file.name for file in tmp_path.iterdir()}


def test_on_a_terminal(pairs):
    found = run(pairs["a"], pairs["b"], "--data", "digits", "--samples", 40)
    assert found.exit_code == 0
    for words in ("r_test", "r_sample", "winner", "other's samples"):
        assert words in found.output


def test_three_models_are_a_tournament(pairs, tmp_path):
    found = run(*pairs.values(), "--data", "digits", "--samples", 40, "--out", tmp_path)
    assert found.exit_code == 0, found.output
    assert "ranking" in found.output
    assert (tmp_path / "tournament.png").exists()


def test_samples_in_a_file_are_judged(pairs, tmp_path):
    np.save(tmp_path / "others.npy", lm.data.load("digits").images[:60])
    found = run(pairs["a"], tmp_path / "others.npy", "--data", "digits", "--samples", 50, "--json")
    assert found.exit_code == 0, found.output
    numbers = json.loads(found.output)
    assert numbers["winner"] == ""
    assert numbers["names"][1] == "others.npy"
    assert numbers["sample_errors"][1] is None


def test_wrong_input(pairs, tmp_path):
    np.save(tmp_path / "few.npy", np.zeros((3, 1, 8, 8), np.float32))
    for arguments, words in (
        ((pairs["a"],), "MODEL: expected two or more, got 1"),
        ((pairs["a"], "nowhere.pt"), "nowhere.pt"),
        ((pairs["a"], "cycle-digits-012"), "expected a dcgan or gran"),
        ((pairs["a"], pairs["a"]), "names: expected different ones"),
        ((pairs["a"], tmp_path / "few.npy"), "expected 2000 samples or more"),
        ((tmp_path / "few.npy", tmp_path / "few.npy"), "expected at least one network with a discriminator"),
        ((pairs["a"], tmp_path / "none.npy"), "none.npy: no such file"),
    ):
        found = run(*arguments, "--data", "digits")
        assert found.exit_code == 2, found.output
        assert words in " ".join(found.output.split())
        assert "Traceback" not in found.output


def test_something_else_cannot_fight():
    with pytest.raises(
        LyapmapError, match="models: expected a Contender, a trained model or an array of samples, got str"
    ):
        lm.battle("a.pt", "b.pt", np.zeros((5, 2)))
