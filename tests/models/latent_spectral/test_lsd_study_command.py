"""`lyapmap study lsd`."""

from __future__ import annotations

import json

import pytest

import latent_triples
from command_line import invoke


def run(*arguments):
    return invoke(["study", "lsd", *map(str, arguments)])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return latent_triples.saved_lsd(tmp_path_factory.mktemp("lsd"))


@pytest.mark.slow
def test_one_stage_with_the_basis_of_the_model(model, tmp_path):
    given = ("--model", model, "--data", "digits", "--only", "amplitudes", "--test-images", 20, "--out", tmp_path)
    done = run(*given)
    assert done.exit_code == 0, done.output
    assert "of the largest amplitude" in done.output
    again = run(*given, "--json")
    numbers = json.loads(again.stdout)
    assert numbers == json.loads((tmp_path / "study.json").read_text())
    assert set(numbers["stages"]) == {"basis", "amplitudes"}
    assert numbers["stages"]["basis"]["numbers"]["given"] is True
    assert numbers["stages"]["amplitudes"]["numbers"]["images"] == 20
    assert numbers["cycle"] == [0, 1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--only", "nothing"), "there is no stage 'nothing'; expected some of basis"),
        (("--protocol", "slow"), "protocol: expected quick or paper, got 'slow'"),
        (("--gaussian", "a"), "--gaussian: expected numbers separated by commas, got 'a'"),
        (("--components", "3,1"), "components: expected ascending positive values"),
        (("--cycle", "0,5"), "cycle: expected two or more different ones of 0, 1"),
        (("--against", "nothing"), "neither a file nor one of"),
        (("--model", "cycle-digits-012"), "is a cycle model, expected an lsd model"),
    ],
)
def test_bad_input_is_told_in_one_line(model, arguments, words, tmp_path):
    done = run("--model", model, "--data", "digits", *arguments, "--out", tmp_path)
    assert done.exit_code == 2, done.output
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
