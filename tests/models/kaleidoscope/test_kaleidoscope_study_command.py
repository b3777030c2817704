"""`lyapmap study kaleidoscope`."""

from __future__ import annotations

import json

import pytest

import lyapmap as lm
from command_line import invoke

DIGITS = ("--data", "digits", "--classes", "0,1")
TRAIN = ("--train-epochs", "2", "--depth", "2", "--width", "12")
SIZES = ("--samples", "20", "--settle-steps", "30", "--burn-in-samples", "16", "--burn-in-steps", "8", "--at", "0,3")


def run(*arguments):
    return invoke(["study", "kaleidoscope", *map(str, arguments)])


def test_it_trains_measures_and_goes_on(tmp_path):
    given = (*DIGITS, *TRAIN, *SIZES, "--only", "burn-in", "--out", tmp_path)
    done = run(*given)
    assert done.exit_code == 0, done.output
    assert "different ends of trajectories" in done.output
    assert (tmp_path / "training" / "last.pt").exists()
    saved = lm.Settling.load(tmp_path / "results" / "settling.nc")
    assert saved.attractor.shape == (20,)
    again = run(*given, "--json")
    assert json.loads(again.stdout) == json.loads((tmp_path / "study.json").read_text())
    other = run(*DIGITS, "--train-epochs", "2", "--depth", "3", "--width", "12", "--out", tmp_path)
    assert other.exit_code == 2
    assert "holds a run with other settings" in other.stderr
    model = tmp_path / "training" / "last.pt"
    clash = run(*DIGITS, "--model", model, "--depth", "2", "--out", tmp_path)
    assert clash.exit_code == 2
    assert "only without --model" in clash.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--only", "nothing"), "there is no stage 'nothing'; expected some of samples"),
        (("--protocol", "slow"), "protocol: expected quick or full, got 'slow'"),
        (("--at", "3,1"), "at: expected ascending values"),
        (("--noise-levels", "a"), "--noise-levels: expected numbers separated by commas"),
        (("--model", "kaleidoscope-nothing"), "neither a file nor one of"),
        (("--samples", "0"), "samples: expected at least 1"),
    ],
)
def test_bad_input_is_told_in_one_line(arguments, words, tmp_path):
    done = run(*DIGITS, *arguments, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out" / "training" / "last.pt").exists()


def test_help_has_sizes_and_examples():
    done = run("--help")
    assert done.exit_code == 0
    assert "--quench-steps" in done.output
    assert "Examples" in done.output
