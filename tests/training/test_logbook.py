"""The log of a training run: TensorBoard's curves. The lines of JSON are tested with the loop."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import pair
from lyapmap.core.errors import MissingExtraError
from lyapmap.training.logbook import Logbook
from lyapmap.training.loop import train

needs_tensorboard = pytest.mark.skipif(find_spec("tensorboard") is None, reason="event files need tensorboard")


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder)).Reload()
    return {name: [(event.step, event.value) for event in read.Scalars(name)] for name in read.Tags()["scalars"]}


@needs_tensorboard
@pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorboard.*")
def test_event_files_hold_the_log(tmp_path: Path) -> None:
    def monitor(_: Any) -> dict[str, Any]:
        return {"exponents": [0.5, None], "kaplan_yorke": 1.5, "status": "ok", "seconds": 2.0}

    class PowerCut(pair.Line):
        def step(self, index: int) -> dict[str, float]:
            if (self.epoch, index) == (2, 1):
                raise RuntimeError("power cut")
            return super().step(index)

    with pytest.raises(RuntimeError, match="power cut"):
        train(PowerCut(), tmp_path, epochs=3, checkpoint_every=1, tensorboard=True)
    last = train(pair.Line(), tmp_path, epochs=3, tensorboard=True, monitor=monitor, monitor_every=3)
    found = curves(tmp_path)
    losses = [entry["losses"]["loss"] for entry in last.training["history"]]
    assert found["losses/loss"] == [(1 + i, pytest.approx(loss)) for i, loss in enumerate(losses)]
    assert [step for step, _ in found["seconds"]] == [1, 2, 3]
    assert found["monitor/lyapunov_1"] == [(3, 0.5)]
    assert found["monitor/kaplan_yorke"] == [(3, 1.5)]
    assert set(found) == {"seconds", "losses/loss", "monitor/lyapunov_1", "monitor/kaplan_yorke", "monitor/seconds"}


@needs_tensorboard
def test_epochs_trained_again_are_shown_once(tmp_path: Path) -> None:
    entry = {"seconds": 1.0, "losses": {"loss": 1.0}}
    before = Logbook(tmp_path, tensorboard=True)
    before.restart([])
    for epoch in (1, 2, 3):
        before.add(entry | {"epoch": epoch})
    before.close()
    again = Logbook(tmp_path, tensorboard=True)
    again.restart([entry | {"epoch": 1}])
    again.add(entry | {"epoch": 2, "losses": {"loss": 7.0}})
    again.close()
    assert curves(tmp_path)["losses/loss"] == [(1, 1.0), (2, 7.0)]
    assert (tmp_path / "log.jsonl").read_text().count("\n") == 2


def test_event_files_name_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lyapmap.training.logbook.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"event files needs tensorboard.*lyapmap\[train\]"):
        train(pair.Line(), tmp_path / "run", epochs=1, tensorboard=True)
    assert not (tmp_path / "run").exists()
    train(pair.Line(), tmp_path / "run", epochs=1)
    assert not list((tmp_path / "run").glob("events*"))
    assert "tensorboard.summary" not in sys.modules or find_spec("tensorboard")
