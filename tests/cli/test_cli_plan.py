"""`lyapmap plan`: the figures of a command, and nothing of it left behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.command_line import run

from lyapmap.core import demand


@pytest.fixture(autouse=True)
def _short_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demand, "QUICK", 0.3)
    monkeypatch.setattr(demand, "ENOUGH", 0.02)


def test_a_long_run_is_foretold_and_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("plan", "spectrum", "henon", "-n", "100000000000", "-b", "2", "--out", str(out), "--json")
    foretold = json.loads(result.stdout)
    assert result.exit_code == 0
    assert [part["part"] for part in foretold["parts"]] == ["spectrum"]
    assert foretold["seconds"] > 100
    assert foretold["fits"]
    assert not foretold["complete"]
    assert not out.exists()


def test_a_quick_command_is_done_on_the_way() -> None:
    result = run("plan", "spectrum", "henon", "-n", "20", "-b", "2", "--transient", "0")
    assert result.exit_code == 0
    assert "Plan of lyapmap spectrum henon -n 20 -b 2" in result.stdout
    assert "2 x 25 steps" in result.stdout
    assert "not counted" not in result.stdout


def test_what_does_not_fit_is_told_with_another_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(demand.LIMIT, "1e6")
    result = run("plan", "trajectory", "henon", "-n", "2000000000")
    assert result.exit_code == 1
    assert "1 MB are free: too few" in result.stdout


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (("spectrum", "henon", "-n", "x"), "--steps: expected a whole number, got 'x'"),
        (("spectrum", "henon", "--stepz", "3"), "unknown option: --stepz"),
        (("plan", "maps"), "COMMAND: expected a command with its options, got 'plan'"),
        (("trajectory", "henon", "-b", "2000000000000"), "initial states: needs 256 TB of memory"),
    ],
)
def test_what_the_command_refuses_is_refused(typed: tuple[str, ...], words: str) -> None:
    result = run("plan", *typed)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.slow
def test_training_is_foretold(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    result = run(
        "plan", "train", "cycle", "--data", "digits", "--width", "1", "--epochs", "100000", "--monitor-every", "0",
        "--out", str(tmp_path / "r"), "--json",
    )  # fmt: skip
    foretold = json.loads(result.stdout)
    assert [part["part"] for part in foretold["parts"]] == ["training"]
    assert foretold["seconds"] > 1000
    assert not (tmp_path / "r").exists()
