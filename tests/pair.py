"""What each of two processes does that train together; run as a program by test_distributed.

Writes what happened in this process, by name, to a JSON file in the folder given.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lyapmap.data import ImageSet
from lyapmap.files.checkpoint import Checkpoint
from lyapmap.models.cycle.extra_losses import ExtraTerms
from lyapmap.models.cycle.network import CycleConfig
from lyapmap.models.cycle.recipe import CycleRecipe
from lyapmap.training.distributed import OneProcess, Workers, launch
from lyapmap.training.loop import train

CLASSES = (0, 1, 2)
WISHES = ExtraTerms(unroll=2, diversity=1.0, exponent=0.2, average=0.5)
EPOCHS = 2


def cycle(wishes: ExtraTerms = WISHES) -> CycleRecipe:
    """A small one, with dropout, on grey images that are brighter from class to class."""
    labels = np.repeat(CLASSES, 40)
    noise = np.random.default_rng(0).uniform(-0.4, 0.4, (120, 1, 8, 8))
    images = (noise + 0.5 * (labels - 1)[:, None, None, None]).astype(np.float32)
    given = ImageSet("grey", images, labels, {c: str(c) for c in CLASSES})
    config = CycleConfig(image_size=8, width=4)
    return CycleRecipe(config, given, given, classes=CLASSES, batch_size=20, terms=wishes)


class Line:
    """Fits a line through noisy points, with dropout; what happens within a step can be given."""

    images_per_step = rows_per_step = 8
    steps_per_epoch = 4

    def __init__(self, *, averages: bool = True) -> None:
        rng = np.random.default_rng(0)
        self.x = torch.from_numpy(rng.normal(size=(32, 3)).astype(np.float32))
        self.y = self.x.sum(1, keepdim=True) + 0.1 * torch.from_numpy(rng.normal(size=(32, 1)).astype(np.float32))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.model = nn.Sequential(nn.Linear(3, 16), nn.Dropout(0.5), nn.Linear(16, 1))
        self.sgd = torch.optim.SGD(self.model.parameters(), 0.01, momentum=0.5)
        self.workers: Workers = OneProcess()
        self.averages = averages
        self.at: Callable[[int], float] = lambda index: 1.0
        self.epoch = 0

    def share(self, workers: Workers) -> None:
        self.workers = workers

    def start_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def step(self, index: int) -> dict[str, float]:
        rows = torch.arange(8 * index, 8 * index + 8)[self.workers.rows(8)]
        loss = (self.model(self.x[rows]) - self.y[rows]).square().mean()
        self.sgd.zero_grad()
        loss.backward()
        if self.averages:
            self.workers.average_gradients(self.sgd)
        self.sgd.step()
        return {"loss": loss.item() * self.at(self.epoch * self.steps_per_epoch + index)}

    def state(self) -> dict[str, Any]:
        return {"model": self.model.state_dict(), "sgd": self.sgd.state_dict()}

    def load_state(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.sgd.load_state_dict(state["sgd"])

    def checkpoint(self) -> Checkpoint:
        weights = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
        return Checkpoint("line", {}, weights, torch.zeros(1, 1, 8, 8), {"settings": {}})

    def sample_sheet(self) -> np.ndarray:
        return np.zeros((1, 1, 1, 8, 8), np.float32)


def stop_at(step: int) -> Callable[[Any], None]:
    """Presses Ctrl-C after so many steps, in the process that is told of them."""

    def on_step(progress: Any) -> None:
        if progress.step == step:
            raise KeyboardInterrupt

    return on_step


def scenarios(workers: Workers, folder: Path) -> dict[str, Callable[[], Any]]:
    def together(recipe: Any, name: str, **options: Any) -> Any:
        return train(recipe, folder / name, **({"epochs": EPOCHS, "workers": workers} | options))

    def signalled() -> Any:
        """A signal to the second process alone."""
        recipe = Line()

        def at(step: int) -> float:
            if workers.rank == 1 and step == 5:
                os.kill(os.getpid(), signal.SIGINT)
            return 1.0

        recipe.at = at
        together(recipe, "signalled")

    def diverged() -> Any:
        recipe = Line()
        recipe.at = lambda step: float("nan") if workers.rank == 1 and step == 6 else 1.0
        together(recipe, "diverged", checkpoint_every=1)

    def monitor_breaks() -> Any:
        def monitor(_: Checkpoint) -> Any:
            raise OSError("disk full")

        together(Line(), "broken", monitor=monitor, monitor_every=1)

    class Odd(Line):
        rows_per_step = 25

    return {
        "cycle": lambda: together(cycle(), "cycle").sha256,
        "line": lambda: together(Line(), "line", checkpoint_steps=3).training["epoch"],
        "stopped": lambda: together(Line(), "parts", on_step=stop_at(2)),
        "resumed": lambda: together(Line(), "parts").training["epoch"],
        "signalled": signalled,
        "after the signal": lambda: together(Line(), "signalled").training["epoch"],
        "diverged": diverged,
        "monitor breaks": monitor_breaks,
        "other settings": lambda: together(Line(), "line", seed=3),
        "not averaged": lambda: together(Line(averages=False), "apart"),
        "odd batch": lambda: together(Odd(), "odd"),
        "replay": lambda: together(cycle(ExtraTerms(replay=0.5)), "replay"),
    }


def main(folder: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)
    workers = launch()
    outcomes: dict[str, Any] = {"size": workers.size}
    for name, scenario in scenarios(workers, folder).items():
        try:
            outcomes[name] = scenario()
        except (Exception, KeyboardInterrupt) as error:
            outcomes[name] = [type(error).__name__, str(error)]
    (folder / f"process-{workers.rank}.json").write_text(json.dumps(outcomes))
    workers.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
