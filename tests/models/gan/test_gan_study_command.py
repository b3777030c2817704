"""`lyapmap study gan`."""

from __future__ import annotations

import json

import pytest

import gan_samples
from command_line import invoke

SIZES = ("--samples", 20, "--real", 30, "--battle-samples", 20)


def run(*arguments):
    return invoke(["study", "gan", *map(str, arguments)])


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    found = []
    for name, config in (("d", gan_samples.DCGAN), ("g", gan_samples.GRAN)):
        (folder / name).mkdir()
        found.append(gan_samples.saved(folder / name, config, steps=2).rename(folder / name / "last.pt"))
    return found


def test_it_measures_and_lets_them_battle(models, tmp_path):
    given = (*models, "--data", "digits", *SIZES, "--only", "quality", "--only", "battles", "--out", tmp_path)
    done = run(*given)
    assert done.exit_code == 0, done.output
    assert "precision" in done.output
    again = run(*given, "--json")
    numbers = json.loads(again.stdout)
    assert numbers == json.loads((tmp_path / "study.json").read_text())
    assert list(numbers["models"]) == ["d", "g"]  # runs call their checkpoints alike
    assert set(numbers["stages"]) == {"quality-d", "quality-g", "battles"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--only", "nothing"), "there is no stage 'nothing'; expected some of quality"),
        (("--protocol", "slow"), "--protocol: expected quick or full, got 'slow'"),
        (("--canvas-more", "a"), "--canvas-more: expected whole numbers separated by commas"),
        (("gran-nothing",), "neither a file nor one of"),
        (("--samples", "2"), "samples: expected at least 10"),
    ],
)
def test_bad_input_is_told_in_one_line(models, arguments, words, tmp_path):
    done = run(models[0], "--data", "digits", *arguments, "--out", tmp_path)
    assert done.exit_code == 2, done.output
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
