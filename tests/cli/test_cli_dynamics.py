"""`lyapmap compare-dynamics` from a shell: maps, files, and mistakes in one line."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import lyapmap as lm
from command_line import run

SHORT = ("--steps", "60", "--transient", "20", "--trajectories", "6", "--permutations", "100", "--exponents", "0")


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    henon = lm.systems.henon()
    for name, seed in (("truth", 0), ("rollout", 1)):
        orbit = lm.trajectory(henon, henon.initial_states(1, seed), n_steps=1199, transient=50)
        np.save(folder / f"{name}.npy", orbit.states[0])
    return folder


def test_files_are_compared(rows):
    shown = run("compare-dynamics", "--generated", rows / "rollout.npy", "--reference", rows / "truth.npy", *SHORT)
    assert shown.exit_code == 0
    assert "cannot be told from the truth" in shown.stdout
    assert "transitions" in shown.stdout


def test_a_map_is_compared_with_a_file(rows):
    shown = run("compare-dynamics", "henon", "-p", "a=1.1", "--reference", rows / "truth.npy", *SHORT, "--json")
    assert shown.exit_code == 0
    assert json.loads(shown.stdout)["verdict"] == "differs"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("henon",), "--reference: expected a map, a model, a function or a file of states, got none"),
        (("henon", "--reference", "hennon"), "--reference: no reference map, .*did you mean henon?"),
        (("henon", "--reference", "henon", "--reference-parameter", "q=1"), "--reference: q: expected a parameter"),
        (("henon", "--reference", "lorenz"), "--model: expected states of 3 values like the reference, got 2"),
        (("henon", "--reference", "missing.npy"), "--reference: .*missing.npy"),
        (("henon", "--generated", "x.npy", "--reference", "henon"), "or --generated, got both"),
        (("--reference", "henon"), "or --generated, got none"),
        (("henon", "--reference", "henon", "--false-alarm", "2"), "--false-alarm: expected a probability"),
    ],
)
def test_mistakes_are_a_line(arguments, words):
    shown = run("compare-dynamics", *arguments)
    assert shown.exit_code == 2
    assert len(shown.stderr.splitlines()) == 1

    assert re.search(words, shown.stderr), shown.stderr


def test_attractors_of_a_box_and_of_a_grid(tmp_path):
    quick = ("--transient", "200", "--exponents", "0")
    shown = run("attractors", "henon", "--low", "-1", "--high", "1", "--trajectories", "40", *quick, "--json")
    assert shown.exit_code == 0
    assert json.loads(shown.stdout)["n_attractors"] == 1
    shown = run("attractors", "henon", "--low", "-2,-2", "--high", "2,2", "--grid", "16,16", *quick, "--out", tmp_path)
    assert shown.exit_code == 0
    assert "escape" in shown.stdout
    assert (tmp_path / "attractors.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--low", "1"), "--low and --high: expected both or none"),
        (("--steps", "3"), "--steps: expected 16 or more, got 3"),
        (("--samples", "missing.npy"), "--samples: .*missing.npy"),
    ],
)
def test_mistakes_of_attractors_are_a_line(arguments, words):
    shown = run("attractors", "henon", *arguments)
    assert shown.exit_code == 2
    assert re.search(words, shown.stderr), shown.stderr
