"""`lyapmap study`."""

from __future__ import annotations

import json

import pytest

import lyapmap as lm
from command_line import invoke

DIGITS = ("--data", "digits", "--classes", "0,1,2")
MODEL = ("--model", "cycle-digits-012")
SMALL = ("--only", "sequences", "--only", "over-steps", "--metric-steps", "10", "--k", "3")


def run(command, *arguments):
    return invoke(["study", command, *map(str, arguments)])


def test_some_stages_and_again(tmp_path):
    done = run("cycle", *DIGITS, *MODEL, *SMALL, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert "recall at n = 10" in done.output
    assert "pixels" in done.output
    assert {"run.json", "study.json", "index.html", "stages", "results", "figures"} == {
        p.name for p in tmp_path.iterdir()
    }
    saved = lm.ManifoldAlong.load(tmp_path / "results" / "over-steps.nc")
    assert saved.k.tolist() == [3]
    before = json.loads((tmp_path / "study.json").read_text())
    as_json = run("cycle", *DIGITS, *MODEL, *SMALL, "--out", tmp_path, "--json")
    numbers = json.loads(as_json.stdout)
    assert numbers["stages"]["over-steps"]["numbers"]["recall_at_10"] == saved.recall[10, 0]
    assert numbers == json.loads((tmp_path / "study.json").read_text())
    assert numbers["stages"] == before["stages"]  # seconds too: nothing ran again


def test_a_stage_that_fails_is_told_and_ends_with_1(tmp_path, monkeypatch):
    from lyapmap.core.errors import MissingExtraError

    def missing():
        raise MissingExtraError("umap-learn", "umap", "embed")

    monkeypatch.setattr("lyapmap.analysis.manifold.embedding.load_umap", missing)
    only = ("--only", "sequences", "--only", "embedding-trajectory")
    done = run("cycle", *DIGITS, *MODEL, *only, "--embedded-steps", "3", "--out", tmp_path)
    assert done.exit_code == 1
    assert "failed: embed needs umap-learn, which is not installed: pip install 'lyapmap[umap]'" in done.output
    assert "stage layout failed" in done.output
    assert (tmp_path / "figures" / "sequences.png").exists()


def test_ctrl_c_says_how_to_go_on(tmp_path, monkeypatch):
    from lyapmap.models.cycle import stages as cycle_metrics

    def stop(*given, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cycle_metrics, "manifold_along", stop)
        done = run("cycle", *DIGITS, *MODEL, *SMALL, "--out", tmp_path)
    assert done.exit_code == 130
    assert "interrupted in over-steps" in done.stderr
    assert "the same command goes on" in done.stderr
    assert list(json.loads((tmp_path / "study.json").read_text())["stages"]) == ["sequences"]
    again = run("cycle", *DIGITS, *MODEL, *SMALL, "--out", tmp_path)
    assert again.exit_code == 0
    assert again.output.count("kept") == 1


def test_it_trains_first_where_no_model_is_given(tmp_path):
    train = ("--train-epochs", "2", "--width", "4")
    only = ("--only", "sequences", "--only", "development")
    sizes = ("--epoch-trajectories", "2", "--epoch-transient", "3", "--epoch-steps", "10")
    done = run("cycle", *DIGITS, *train, *only, *sizes, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert {"last.pt", "epoch-0001.pt", "epoch-0002.pt"} <= {p.name for p in (tmp_path / "training").iterdir()}
    numbers = json.loads((tmp_path / "study.json").read_text())
    assert numbers["stages"]["development"]["numbers"]["epoch"] == [1, 2]
    assert (numbers["model"], numbers["epoch"]) == ("last.pt", 2)
    other = run("cycle", *DIGITS, "--train-epochs", "2", "--width", "8", *only, "--out", tmp_path)
    assert other.exit_code == 2
    assert "holds a run with other settings" in other.stderr
    spread = run("cycle-seeds", tmp_path / "training", *DIGITS, *sizes, "--epochs", "1", "--out", tmp_path / "spread")
    assert spread.exit_code == 0, spread.output
    assert "1 runs, epoch 2" in spread.output
    assert (tmp_path / "spread" / "figures" / "spread.png").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*DIGITS, "--only", "nothing"), "there is no stage 'nothing'; expected some of sequences"),
        ((*DIGITS, *MODEL, "--protocol", "slow"), "--protocol: expected quick or paper, got 'slow'"),
        ((*DIGITS, *MODEL, "--at", "3,1"), "at: expected ascending values of at least 0"),
        ((*DIGITS, *MODEL, "--at", "a"), "--at: expected whole numbers"),
        ((*DIGITS, *MODEL, "--width", "8"), "--train-epochs and --width: only without --model"),
        ((*DIGITS, *MODEL, "--steps", "0"), "steps: expected at least 1"),
        ((*DIGITS, "--model", "cycle-nothing"), "neither a file nor one of"),
        ((*DIGITS, *MODEL, "--features", "classifier"), "no classifier is shipped for digits"),
        (("--data", "digits", "--classes", "0", *MODEL), "classes: expected two or more different ones"),
        (
            ("--data", "digits", "--classes", "", "--width", "4"),
            "--classes: expected whole numbers separated by commas, got ''",
        ),
    ],
)
def test_bad_input_is_told_in_one_line(arguments, words, tmp_path):
    done = run("cycle", *arguments, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out" / "training" / "last.pt").exists()


def test_runs_without_kept_epochs(tmp_path):
    done = run("cycle-seeds", tmp_path, *DIGITS, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "holds no epoch-*.pt; train with --keep-every 1" in done.stderr


@pytest.mark.parametrize("command", ["cycle", "cycle-seeds"])
def test_help_has_sizes_and_examples(command):
    done = run(command, "--help")
    assert done.exit_code == 0
    assert "--epoch-steps" in done.output
    assert "Examples" in done.output
