"""A training that was killed goes on from its last checkpoint, and ends as if nothing had happened."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pair
from lyapmap.files.checkpoint import load
from lyapmap.training.loop import train

PROGRAM = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads({threads})
from {module} import {recipe} as Recipe
from lyapmap.training.distributed import launch
from lyapmap.training.loop import train

recipe = Recipe()
step = recipe.step
done = 0


def deadly(index):
    global done
    losses = step(index)  # weights have changed, and the loop does not know it yet
    done += 1
    if done == {at}:
        assert not {{"lightning_fabric", "tensorboard", "tensorflow"}} & set(sys.modules)
        os.kill(os.getpid(), signal.SIGKILL)
    return losses


recipe.step = deadly
train(recipe, {out!r}, epochs={epochs}, checkpoint_every=2, checkpoint_steps={every}, workers=launch())
"""


def killed(out: Path, module: str, recipe: str, *, at: int, epochs: int, every: int) -> None:
    """Train in a process of its own, which is killed in the middle of a step."""
    tests, threads = str(Path(__file__).parents[1]), torch.get_num_threads()
    program = PROGRAM.format(
        tests=tests, threads=threads, module=module, recipe=recipe, at=at, out=str(out), epochs=epochs, every=every
    )
    died = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr


def without_seconds(folder: Path) -> list[dict[str, Any]]:
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in entry.items() if key != "seconds"} for entry in entries]


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def test_killed_at_any_step_and_resumed_is_the_same_bit_for_bit(tmp_path: Path) -> None:
    at = int(np.random.default_rng(20261122).integers(6, 30))
    killed(tmp_path / "killed", "pair", "Line", at=at, epochs=8, every=5)
    state = load(tmp_path / "killed" / "last.pt").training["state"]
    steps = pair.Line.steps_per_epoch * state["epoch"] + state["step"]
    assert max(at - 5, 1) <= steps < at, "the last checkpoint is at most so many steps old"
    resumed = train(pair.Line(), tmp_path / "killed", epochs=8)
    whole = train(pair.Line(), tmp_path / "whole", epochs=8)
    for key in ("recipe", "rng", "epoch", "step", "sums"):
        assert same(resumed.training["state"][key], whole.training["state"][key])
    assert same(resumed.state_dict, whole.state_dict)
    assert without_seconds(tmp_path / "killed") == without_seconds(tmp_path / "whole")


@pytest.mark.slow
def test_a_cycle_model_killed_twice_is_the_same_bit_for_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(20261122)
    for low in (2, 1):
        killed(tmp_path / "killed", "pair", "cycle", at=int(rng.integers(low + 1, low + 4)), epochs=6, every=1 + low)
    resumed = train(pair.cycle(), tmp_path / "killed", epochs=6)
    whole = train(pair.cycle(), tmp_path / "whole", epochs=6)
    assert same(resumed.training["state"]["recipe"], whole.training["state"]["recipe"])
    assert without_seconds(tmp_path / "killed") == without_seconds(tmp_path / "whole")


@pytest.mark.parametrize(("every", "kept"), [(0, [8]), (3, [3, 6, 8, 9, 12]), (4, [4, 8, 8, 12])])
def test_checkpoints_between_steps(every: int, kept: list[int], tmp_path: Path) -> None:
    saved: list[int] = []

    class Watched(pair.Line):
        def state(self) -> dict[str, Any]:
            saved.append(self.steps)
            return super().state()

        def step(self, index: int) -> dict[str, float]:
            self.steps = self.epoch * self.steps_per_epoch + index + 1
            return super().step(index)

    recipe = Watched()
    recipe.steps = 0
    train(recipe, tmp_path, epochs=3, checkpoint_every=2, checkpoint_steps=every)
    assert saved[1:] == [*kept, 12], "the first one only shows that it can be saved"
