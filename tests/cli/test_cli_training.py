"""What `lyapmap train` tells while it trains, and its options for devices and logs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from command_line import run
from lyapmap.cli import training
from lyapmap.files.checkpoint import load
from lyapmap.training.loop import Progress

TINY = ["train", "cycle", "--data", "digits", "--width", "4", "--batch-size", "50", "--monitor-every", "0"]


def test_a_line_for_each_epoch_where_there_is_no_terminal(tmp_path):
    result = run(*TINY, "--epochs", "2", "--checkpoint-steps", "2", "--out", str(tmp_path))
    assert result.exit_code == 0, result.output
    first, second = result.stderr.splitlines()
    assert first.startswith("epoch 1/2: G ")
    assert "images/s; 0:00:" in first
    assert first.endswith(" left")
    assert second.startswith("epoch 2/2: G ")
    assert second.endswith("images/s")
    losses = load(tmp_path / "last.pt").training["history"][0]["losses"]
    assert f"cycle {losses['cycle']:.3f}, " in first, "means over the epoch"
    quiet = run(*TINY, "--epochs", "3", "--out", str(tmp_path), "--json")
    assert quiet.stderr == ""
    assert json.loads(quiet.stdout)["epoch"] == 3


def test_a_run_that_goes_on_from_another_takes_its_width_and_classes(tmp_path):
    first, then = tmp_path / "first", tmp_path / "then"
    assert run(*TINY, "--classes", "1,7", "--epochs", "1", "--out", str(first), "--json").exit_code == 0
    usual = ["train", "cycle", "--data", "digits", "--batch-size", "50", "--monitor-every", "0", "--json"]
    start = ["--start", str(first / "last.pt")]
    assert run(*usual, *start, "--epochs", "1", "--out", str(then)).exit_code == 0
    taken = load(then / "last.pt")
    assert (taken.config["width"], taken.config["categories"]) == (4, 2)
    assert taken.training["settings"]["classes"] == [1, 7]
    refused = run(*usual, *start, "--width", "8", "--out", str(tmp_path / "other"))
    assert refused.exit_code == 2
    assert "start: expected a model of" in refused.stderr


@pytest.mark.parametrize(
    ("left", "words"), [(59.6, "0:01:00 left"), (3661.0, "1:01:01 left"), (90000.0, "25:00:00 left")]
)
def test_the_time_left(left, words):
    at = Progress(1, 9, 10, 90, {}, 1234.5, left)
    entry = {"epoch": 1, "losses": {"G": 1.0}, "monitor": {"exponents": [0.25, None]}}
    assert training._line(entry, at) == f"epoch 1/9: G 1.000; largest exponent 0.250; 1234 images/s; {words}"
    failed = training._line(entry | {"epoch": 9, "monitor": {"error": "escaped"}}, at)
    assert failed == "epoch 9/9: G 1.000; 1234 images/s"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--precision", "16"], "--precision: expected 32, tf32 or bf16-mixed, got '16'"),
        (["--device", "cuda", "--devices", "99"], "--devices: 99 on cuda, but this machine has"),
    ],
)
def test_devices_that_are_not_there(arguments, words, tmp_path):
    result = run(*TINY, *arguments, "--out", str(tmp_path))
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("lyapmap.training.distributed.find_spec", lambda name: None)
    result = run(*TINY, "--devices", "2", "--out", str(tmp_path))
    assert result.exit_code == 2
    assert "pip install 'lyapmap[train]'" in result.stderr


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="event files need tensorboard")
def test_event_files_beside_the_log(tmp_path):
    assert run(*TINY, "--epochs", "1", "--tensorboard", "--out", str(tmp_path), "--json").exit_code == 0
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 1


@pytest.mark.slow
@pytest.mark.skipif(find_spec("lightning_fabric") is None, reason="several devices need lightning-fabric")
def test_two_processes_of_the_command_stop_and_go_on(tmp_path):
    """Started by torchrun, stopped with Ctrl-C, gone on with by `--devices`, in bfloat16 refused."""

    def command(*options: str, epochs: int) -> list[str]:
        run_options = ["--epochs", str(epochs), "--out", str(tmp_path), *options]
        return ["-m", "lyapmap", *TINY, *run_options]

    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    started = subprocess.Popen(
        [*torchrun, *command(epochs=1000)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        for _ in range(1200):
            if (tmp_path / "log.jsonl").exists() or started.poll() is not None:
                break
            time.sleep(0.1)
        os.kill(started.pid, signal.SIGINT)
        _, said = started.communicate(timeout=100)
    finally:
        started.kill()
    assert said.count("epoch 1/1000") == 1, said
    assert said.count("lyapmap: interrupted") == 1, said
    done = load(tmp_path / "last.pt").training
    assert done["epoch"] >= 1
    more = command("--devices", "2", "--json", epochs=done["epoch"] + 2)
    went_on = subprocess.run([sys.executable, *more], capture_output=True, text=True, timeout=200, check=False)
    assert went_on.returncode == 0, went_on.stderr
    assert json.loads(went_on.stdout)["epoch"] == done["epoch"] + 2, "and one process tells"
    other = command("--precision", "bf16-mixed", epochs=done["epoch"] + 3)
    refused = subprocess.run([sys.executable, *other], capture_output=True, text=True, timeout=200, check=False)
    assert refused.returncode == 2
    assert "holds a run with other settings" in refused.stderr


@pytest.mark.slow
@pytest.mark.skipif(find_spec("lightning_fabric") is None, reason="mixed precision needs lightning-fabric")
def test_mixed_precision_trains_float32_weights(tmp_path: Path):
    command = [*TINY, "--precision", "bf16-mixed", "--unroll", "2", "--diversity", "1", "--exponent", "0.1"]
    program = [sys.executable, "-m", "lyapmap", *command, "--epochs", "2", "--out", str(tmp_path), "--json"]
    done = subprocess.run(program, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    saved = load(tmp_path / "last.pt")
    assert {str(tensor.dtype) for tensor in saved.state_dict.values()} == {"torch.float32"}
    assert saved.training["state"]["precision"] == "bf16-mixed"
    full = run(*command[:-8], "--unroll", "2", "--diversity", "1", "--exponent", "0.1", "--epochs", "2", "--json",
               "--out", str(tmp_path / "full"))  # fmt: skip
    exact = json.loads(full.stdout)["losses"]
    losses = json.loads(done.stdout)["losses"]
    assert losses == pytest.approx(exact, rel=0.05, abs=0.01)
    assert losses != exact
