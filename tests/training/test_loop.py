"""The training loop, with a recipe of one parameter: it knows no model."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lyapmap.cli.training import progress
from lyapmap.core.errors import CheckpointError, LyapmapError
from lyapmap.files.checkpoint import Checkpoint, load, save
from lyapmap.training.loop import Progress, train

STEPS = 3


class Walk:
    """A noisy walk of one weight: every step adds a random number, half of it at a time."""

    images_per_step = 10
    steps_per_epoch = STEPS

    def __init__(self, *, name: str = "walk", config: int = 1, settings: dict[str, Any] | None = None) -> None:
        self.weight = torch.zeros(1)
        self.steps: list[tuple[int, int]] = []
        self.between: Callable[[Walk], None] = lambda _: None
        self.loss: Callable[[Walk], float] = lambda walk: walk.weight.item()
        self.name, self.config = name, {"size": config}
        self.settings = {"rate": 0.5} if settings is None else settings
        self._epoch = -1

    def start_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def step(self, index: int) -> dict[str, float]:
        self.steps.append((self._epoch, index))
        change = torch.randn(1) + self._epoch + 0.1 * index
        self.weight += change / 2
        self.between(self)
        self.weight += change / 2
        return {"position": self.loss(self), "change": change.item()}

    def state(self) -> dict[str, Any]:
        return {"weight": self.weight}

    def load_state(self, state: dict[str, Any]) -> None:
        self.weight = state["weight"].clone()

    def checkpoint(self) -> Checkpoint:
        weights = {"weight": self.weight.clone()}
        return Checkpoint(self.name, self.config, weights, torch.zeros(1, 1, 8, 8), {"settings": self.settings})

    def sample_sheet(self) -> np.ndarray:
        return np.full((2, 3, 1, 8, 8), self.weight.item(), np.float32)


def log_of(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "log.jsonl").read_text()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def without_seconds(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in entry.items() if key != "seconds"} for entry in log]


@pytest.fixture
def whole(tmp_path: Path) -> Checkpoint:
    """Six epochs at one go."""
    return train(Walk(), tmp_path / "whole", epochs=6)


def test_what_a_run_leaves(tmp_path: Path) -> None:
    recipe = Walk()
    result = train(recipe, tmp_path / "a" / "run", epochs=7, checkpoint_every=3, keep_every=2)
    assert sorted(p.name for p in (tmp_path / "a" / "run").iterdir()) == [
        *(f"epoch-{e:04d}.pt" for e in (2, 4, 6)),
        "last.pt",
        "log.jsonl",
        *(f"samples-{e:04d}.png" for e in (3, 6, 7)),
    ]
    assert recipe.steps == [(epoch, step) for epoch in range(7) for step in range(STEPS)]
    assert result.training["epoch"] == 7
    assert torch.equal(result.state_dict["weight"], recipe.weight)
    kept = load(tmp_path / "a" / "run" / "epoch-0004.pt")
    assert (kept.training["epoch"], "state" in kept.training) == (4, False)
    assert [entry["epoch"] for entry in kept.training["history"]] == [1, 2, 3, 4]
    with Image.open(tmp_path / "a" / "run" / "samples-0007.png") as picture:
        assert picture.size == (2 + 3 * 58, 2 + 2 * 58)


def test_log(whole: Checkpoint, tmp_path: Path) -> None:
    log = log_of(tmp_path / "whole")
    assert [entry["epoch"] for entry in log] == [1, 2, 3, 4, 5, 6]
    assert all(set(entry) == {"epoch", "seconds", "losses"} for entry in log)
    assert np.all(np.diff([entry["seconds"] for entry in log]) >= 0)
    assert log == whole.training["history"]
    changes = sum(STEPS * entry["losses"]["change"] for entry in log)
    assert changes == pytest.approx(whole.state_dict["weight"].item(), rel=1e-5), "losses are means over the epoch"


@pytest.mark.parametrize("first", [1, 3, 5])
def test_resuming_is_exact(first: int, whole: Checkpoint, tmp_path: Path) -> None:
    train(Walk(), tmp_path / "parts", epochs=first)
    torch.manual_seed(99)
    resumed = train(Walk(), tmp_path / "parts", epochs=6)
    assert torch.equal(resumed.state_dict["weight"], whole.state_dict["weight"])
    assert without_seconds(log_of(tmp_path / "parts")) == without_seconds(log_of(tmp_path / "whole"))


class Stop:
    """Presses Ctrl-C after so many steps."""

    def __init__(self, after: int) -> None:
        self.after = after

    def __call__(self, progress: Progress) -> None:
        if progress.step == self.after:
            raise KeyboardInterrupt


@pytest.mark.parametrize("after", range(1, 3 * STEPS + 1))
def test_resuming_after_an_interrupt_is_exact(after: int, whole: Checkpoint, tmp_path: Path) -> None:
    out = tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt):
        train(Walk(), out, epochs=6, on_step=Stop(after))
    state = load(out / "last.pt").training["state"]
    assert state["epoch"] * STEPS + state["step"] == after, "all that was done is saved"
    again = Walk()
    resumed = train(again, out, epochs=6)
    assert len(again.steps) == 6 * STEPS - after, "and nothing is done twice"
    assert torch.equal(resumed.state_dict["weight"], whole.state_dict["weight"])
    assert without_seconds(log_of(out)) == without_seconds(log_of(tmp_path / "whole"))


on_the_main_thread = pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals come to the main thread only"
)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Python's own handling of Ctrl-C, which a process started in the background is born without."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press(times: int, at: tuple[int, int]) -> Callable[[Walk], None]:
    """Real Ctrl-C in the middle of a step."""

    def between(walk: Walk) -> None:
        if walk.steps[-1] == at:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)

    return between


@on_the_main_thread
@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_in_the_middle_of_a_step_waits_for_its_end(
    whole: Checkpoint, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = Walk()
    recipe.between = press(1, at=(2, 1))
    with caplog.at_level(logging.WARNING), pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "parts", epochs=6)
    assert "stopping after this step" in caplog.text
    assert recipe.steps[-1] == (2, 1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert load(tmp_path / "parts" / "last.pt").training["state"]["step"] == 2
    resumed = train(Walk(), tmp_path / "parts", epochs=6)
    assert torch.equal(resumed.state_dict["weight"], whole.state_dict["weight"])


@on_the_main_thread
@pytest.mark.usefixtures("ctrl_c")
def test_a_second_ctrl_c_stops_at_once_and_saves_no_half_step(whole: Checkpoint, tmp_path: Path) -> None:
    recipe = Walk()
    recipe.between = press(2, at=(3, 1))
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "parts", epochs=6, checkpoint_every=2)
    state = load(tmp_path / "parts" / "last.pt").training["state"]
    assert (state["epoch"], state["step"]) == (2, 0)
    resumed = train(Walk(), tmp_path / "parts", epochs=6)
    assert torch.equal(resumed.state_dict["weight"], whole.state_dict["weight"])
    assert [entry["epoch"] for entry in log_of(tmp_path / "parts")] == [1, 2, 3, 4, 5, 6]


@on_the_main_thread
def test_a_caller_s_own_handler_stays(tmp_path: Path) -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: seen.append(number))
    try:
        recipe = Walk()
        recipe.between = press(1, at=(0, 1))
        train(recipe, tmp_path, epochs=1)
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [signal.SIGINT]


def test_training_works_off_the_main_thread(whole: Checkpoint, tmp_path: Path) -> None:
    results: list[Checkpoint] = []
    thread = threading.Thread(target=lambda: results.append(train(Walk(), tmp_path / "thread", epochs=6)))
    thread.start()
    thread.join()
    assert torch.equal(results[0].state_dict["weight"], whole.state_dict["weight"])


def test_epochs_after_the_last_checkpoint_are_logged_once(tmp_path: Path) -> None:
    recipe = Walk()

    def crash(walk: Walk) -> None:
        if walk.steps[-1] == (4, 2):
            raise RuntimeError("power cut")

    recipe.between = crash
    with pytest.raises(RuntimeError, match="power cut"):
        train(recipe, tmp_path, epochs=6, checkpoint_every=3)
    assert [entry["epoch"] for entry in log_of(tmp_path)] == [1, 2, 3, 4]
    train(Walk(), tmp_path, epochs=6, checkpoint_every=3)
    assert [entry["epoch"] for entry in log_of(tmp_path)] == [1, 2, 3, 4, 5, 6]


def test_a_run_that_ended_before_its_first_checkpoint_begins_anew(tmp_path: Path) -> None:
    recipe = Walk()
    recipe.between = lambda walk: 1 / 0 if walk.steps[-1] == (2, 0) else None  # type: ignore[assignment,return-value]
    with pytest.raises(ZeroDivisionError):
        train(recipe, tmp_path, epochs=4)
    assert [entry["epoch"] for entry in log_of(tmp_path)] == [1, 2]
    train(Walk(), tmp_path, epochs=4)
    assert [entry["epoch"] for entry in log_of(tmp_path)] == [1, 2, 3, 4]


def test_a_finished_run_is_left_as_it_is(whole: Checkpoint, tmp_path: Path) -> None:
    recipe = Walk()
    again = train(recipe, tmp_path / "whole", epochs=6)
    assert recipe.steps == []
    assert again.sha256 == whole.sha256


class Monitor:
    """Draws random numbers and keeps the epochs at which it was asked."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.weights: list[float] = []

    def __call__(self, checkpoint: Checkpoint) -> Any:
        torch.manual_seed(5)
        torch.randn(100)
        self.weights.append(checkpoint.state_dict["weight"].item())
        checkpoint.state_dict["weight"].zero_()
        return {"exponents": [0.5]} if self.answer is None else self.answer


def test_monitor_is_asked_when_due_and_changes_nothing(whole: Checkpoint, tmp_path: Path) -> None:
    monitor = Monitor()
    watched = train(Walk(), tmp_path / "watched", epochs=6, monitor=monitor, monitor_every=4)
    assert torch.equal(watched.state_dict["weight"], whole.state_dict["weight"])
    log = log_of(tmp_path / "watched")
    assert [entry["epoch"] for entry in log if "monitor" in entry] == [4, 6], "and at the end"
    assert log[3]["monitor"] == {"exponents": [0.5]}
    assert len(monitor.weights) == 2
    assert monitor.weights[-1] == whole.state_dict["weight"].item()


def test_monitor_may_answer_in_numpy_and_nan(tmp_path: Path) -> None:
    answer = {
        "exponents": np.array([0.5, np.nan]),
        "largest": np.float32(0.5),
        "kaplan_yorke": float("nan"),
        "n_positive": np.int64(1),
        "tensor": torch.ones(2),
        "chaotic": np.True_,
        "tuple": (1, np.inf),
        "path": tmp_path,
    }
    plain = {
        "exponents": [0.5, None],
        "largest": 0.5,
        "kaplan_yorke": None,
        "n_positive": 1,
        "tensor": [1.0, 1.0],
        "chaotic": True,
        "tuple": [1, None],
        "path": str(tmp_path),
    }
    out = tmp_path / "run"
    train(Walk(), out, epochs=2, monitor=Monitor(answer), monitor_every=1)
    assert [entry["monitor"] for entry in log_of(out)] == [plain, plain]
    assert "NaN" not in (out / "log.jsonl").read_text()
    resumed = train(Walk(), out, epochs=3, monitor=Monitor(answer))
    assert [entry["epoch"] for entry in resumed.training["history"]] == [1, 2, 3]


def test_a_monitor_that_fails_does_not_end_the_training(
    whole: Checkpoint, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def monitor(_: Checkpoint) -> Any:
        raise LyapmapError("escaped: the map overflows")

    watched = train(Walk(), tmp_path / "run", epochs=6, monitor=monitor, monitor_every=3)
    assert torch.equal(watched.state_dict["weight"], whole.state_dict["weight"])
    assert log_of(tmp_path / "run")[2]["monitor"] == {"error": "escaped: the map overflows"}
    assert "epoch 3: the monitor failed: escaped" in caplog.text


def test_an_interrupt_in_the_monitor_loses_no_epoch(whole: Checkpoint, tmp_path: Path) -> None:
    def monitor(_: Checkpoint) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(Walk(), tmp_path / "run", epochs=6, monitor=monitor, monitor_every=2)
    resumed = train(Walk(), tmp_path / "run", epochs=6)
    assert torch.equal(resumed.state_dict["weight"], whole.state_dict["weight"])
    assert without_seconds(log_of(tmp_path / "run")) == without_seconds(log_of(tmp_path / "whole"))


def test_progress(tmp_path: Path) -> None:
    seen: list[Progress] = []
    train(Walk(), tmp_path, epochs=2, on_step=seen.append)
    assert [(p.epoch, p.epochs, p.step, p.steps) for p in seen] == [(i // STEPS, 2, i + 1, 6) for i in range(2 * STEPS)]
    assert set(seen[0].losses) == {"position", "change"}
    assert all(p.images_per_second > 0 for p in seen)
    resumed: list[Progress] = []
    train(Walk(), tmp_path, epochs=3, on_step=resumed.append)
    assert [p.step for p in resumed] == [7, 8, 9]


@pytest.mark.parametrize("at", range(1, 2 * STEPS))
def test_a_run_that_was_stopped_after_any_step_goes_on(at: int, tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.step == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(Walk(), tmp_path, epochs=3, on_step=stop)
    lines = StringIO()
    with redirect_stderr(lines), progress(quiet=False) as (on_step, on_epoch):
        resumed = train(Walk(), tmp_path, epochs=3, on_step=on_step, on_epoch=on_epoch)
    whole = train(Walk(), tmp_path / "whole", epochs=3)
    assert torch.equal(resumed.state_dict["weight"], whole.state_dict["weight"])
    assert [line.split(":")[0].split("/")[0] for line in lines.getvalue().splitlines()] == [
        f"epoch {epoch}" for epoch in range(1 + (at - 1) // STEPS, 4)
    ]


def test_a_log_that_is_a_link_to_elsewhere_is_not_followed(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("do not touch")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "log.jsonl").symlink_to(mine)
    with pytest.raises(LyapmapError, match=r"names 'log.jsonl', which lies outside the folder"):
        train(Walk(), tmp_path / "run", epochs=1)
    assert mine.read_text() == "do not touch"


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_diverging_loss_keeps_the_last_good_checkpoint(loss: float, tmp_path: Path) -> None:
    recipe = Walk()
    recipe.loss = lambda walk: loss if walk.steps[-1] == (3, 1) else 1.0
    with pytest.raises(LyapmapError, match=r"training diverged in epoch 4 \(position (nan|inf), change") as error:
        train(recipe, tmp_path, epochs=6, checkpoint_every=2)
    assert str(error.value).endswith(f"the last good checkpoint is {tmp_path / 'last.pt'}")
    assert load(tmp_path / "last.pt").training["epoch"] == 2


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    def blow(walk: Walk) -> None:
        if walk.steps[-1] == (3, 2):
            walk.weight += float("inf")

    recipe = Walk()
    recipe.between = blow
    recipe.loss = lambda _: 1.0
    with pytest.raises(LyapmapError, match="weight is no longer finite"):
        train(recipe, tmp_path, epochs=6, checkpoint_every=2)
    assert load(tmp_path / "last.pt").training["epoch"] == 2
    fresh = Walk()
    fresh.loss = lambda _: float("nan")
    with pytest.raises(LyapmapError, match="none is saved yet"):
        train(fresh, tmp_path / "new", epochs=1)


@pytest.mark.parametrize(
    "other", [Walk(config=2), Walk(settings={"rate": 0.1}), Walk(name="jump")], ids=["config", "settings", "model"]
)
def test_another_run_in_the_same_folder_is_refused(other: Walk, tmp_path: Path) -> None:
    train(Walk(), tmp_path, epochs=1)
    before = (tmp_path / "last.pt").read_bytes()
    with pytest.raises(LyapmapError, match="holds a run with other settings; choose another folder"):
        train(other, tmp_path, epochs=2)
    with pytest.raises(LyapmapError, match="holds a run with other settings"):
        train(Walk(), tmp_path, epochs=2, seed=1)
    assert (tmp_path / "last.pt").read_bytes() == before
    assert len(log_of(tmp_path)) == 1


def test_no_resume_refuses_a_run(tmp_path: Path) -> None:
    train(Walk(), tmp_path, epochs=1, resume=False)
    with pytest.raises(LyapmapError, match="already holds a run; choose another folder or resume it"):
        train(Walk(), tmp_path, epochs=2, resume=False)


def test_weights_only_cannot_be_resumed(tmp_path: Path) -> None:
    save(Walk().checkpoint(), tmp_path / "last.pt")
    with pytest.raises(CheckpointError, match="holds weights only, nothing to resume from"):
        train(Walk(), tmp_path, epochs=1)


def test_a_recipe_without_settings(tmp_path: Path) -> None:
    class Bare(Walk):
        def checkpoint(self) -> Checkpoint:
            return Checkpoint(self.name, self.config, {"weight": self.weight.clone()}, torch.zeros(1, 1, 8, 8))

    train(Bare(), tmp_path, epochs=1)
    assert train(Bare(), tmp_path, epochs=2).training["epoch"] == 2


def test_settings_that_cannot_be_stored_are_refused_before_the_first_step(tmp_path: Path) -> None:
    recipe = Walk(settings={"rate": np.float64(0.5)})
    with pytest.raises(CheckpointError, match=r"training\.settings\.rate is a float64"):
        train(recipe, tmp_path, epochs=1)
    assert recipe.steps == []


def test_the_caller_s_generator_is_left_alone(tmp_path: Path) -> None:
    state = torch.get_rng_state()
    train(Walk(), tmp_path / "a", epochs=1, monitor=Monitor())
    with pytest.raises(KeyboardInterrupt):
        train(Walk(), tmp_path / "b", epochs=1, on_step=Stop(1))
    assert torch.equal(torch.get_rng_state(), state)


def test_the_seed_decides(tmp_path: Path) -> None:
    first, same, other = (
        train(Walk(), tmp_path / str(i), epochs=1, seed=seed).state_dict["weight"].item()
        for i, seed in enumerate([7, 7, 8])
    )
    assert first == same != other


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"epochs": 0}, "epochs: expected at least 1, got 0"),
        ({"epochs": 1, "checkpoint_every": 0}, "checkpoint_every: expected at least 1, got 0"),
        ({"epochs": 1, "monitor_every": -1}, "monitor_every: expected at least 0, got -1"),
        ({"epochs": 1, "keep_every": -1}, "keep_every: expected at least 0, got -1"),
    ],
)
def test_counts_that_make_no_sense(options: dict[str, int], said: str, tmp_path: Path) -> None:
    with pytest.raises(LyapmapError, match=said):
        train(Walk(), tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()
