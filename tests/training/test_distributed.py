"""Two processes that train together, through gloo, against one that has the whole batch."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import pair
from lyapmap.core.errors import LyapmapError, MissingExtraError
from lyapmap.files.checkpoint import Checkpoint, load
from lyapmap.training.distributed import OneProcess, SharedDraws, launch
from lyapmap.training.loop import train

needs_fabric = pytest.mark.skipif(
    find_spec("lightning_fabric") is None, reason="training on several devices needs lightning-fabric"
)


def start_pair(*arguments: str) -> list[subprocess.Popen[str]]:
    """The program twice, as `torchrun --nproc-per-node 2` starts it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        "TORCHELASTIC_RUN_ID": "test",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "GROUP_RANK": "0",
        "OMP_NUM_THREADS": "1",
    }
    started = []
    for rank in ("0", "1"):
        environment = os.environ | shared | {"RANK": rank, "LOCAL_RANK": rank}
        command = [sys.executable, *arguments]
        started.append(
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        )
    return started


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """All that two processes did, one thing after the other: they take seconds to start."""
    folder = tmp_path_factory.mktemp("pair")
    processes = start_pair(pair.__file__, str(folder))
    try:
        said = [process.communicate(timeout=120)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], said
    return folder, [json.loads((folder / f"process-{rank}.json").read_text()) for rank in (0, 1)]


def distance(a: Checkpoint, b: Checkpoint) -> float:
    assert list(a.state_dict) == list(b.state_dict)
    return torch.cat([(a.state_dict[name] - b.state_dict[name]).flatten() for name in a.state_dict]).norm().item()


@needs_fabric
def test_two_processes_are_one_with_the_whole_batch(
    outcomes: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    folder, happened = outcomes
    together = load(folder / "cycle" / "last.pt")
    assert [seen["size"] for seen in happened] == [2, 2]
    assert happened[0]["cycle"] == happened[1]["cycle"] == together.sha256
    alone = train(pair.cycle(), tmp_path, epochs=pair.EPOCHS)
    for one, two in zip(alone.training["history"], together.training["history"], strict=True):
        assert two["losses"] == pytest.approx(one["losses"], rel=1e-5, abs=1e-6)
    # Adam makes steps of one size of gradients that are rounding errors alone.
    assert distance(alone, together) < 1e-2 * distance(alone, pair.cycle().checkpoint())
    assert torch.equal(alone.training["state"]["rng"], together.training["state"]["rng"]), "and drew the same"
    assert (folder / "cycle" / "log.jsonl").read_text().count("\n") == pair.EPOCHS, "one process writes"


@needs_fabric
def test_two_processes_stop_together_and_go_on_exactly(outcomes: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, happened = outcomes
    for seen in happened:
        assert seen["stopped"][0] == "KeyboardInterrupt"
        assert seen["resumed"] == pair.EPOCHS
    whole, parts = (load(folder / name / "last.pt") for name in ("line", "parts"))
    assert distance(whole, parts) == 0.0
    assert torch.equal(whole.training["state"]["rng"], parts.training["state"]["rng"])
    for seen in happened:
        assert seen["signalled"][0] == "KeyboardInterrupt", "a signal to one of them stops both"
        assert seen["after the signal"] == pair.EPOCHS
    assert distance(whole, load(folder / "signalled" / "last.pt")) == 0.0


@needs_fabric
def test_two_processes_agree_on_what_went_wrong(outcomes: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, happened = outcomes
    for seen in happened:
        assert seen["diverged"][0] == "LyapmapError"
        assert seen["diverged"][1].startswith("training diverged in epoch 2 (loss nan); the last good checkpoint is")
        assert seen["other settings"] == [
            "LyapmapError",
            f"out: {folder / 'line'} holds a run with other settings; choose another folder",
        ]
        assert seen["not averaged"][0] == "LyapmapError"
        assert "0.weight differs between the processes: gradients were not averaged" in seen["not averaged"][1]
    assert load(folder / "diverged" / "last.pt").training["epoch"] == 1
    assert [seen["monitor breaks"] for seen in happened] == [
        ["OSError", "disk full"],
        ["RuntimeError", "the first process failed: OSError('disk full')"],
    ]


@needs_fabric
def test_what_two_processes_cannot_share(outcomes: tuple[Path, list[dict[str, Any]]]) -> None:
    for seen in outcomes[1]:
        assert seen["odd batch"] == [
            "LyapmapError",
            "batch_size: expected a multiple of 2, the number of processes, got 25",
        ]
        assert seen["replay"] == ["LyapmapError", "replay: the pool of states is kept by one process, got 2"]


@needs_fabric
def test_one_process_goes_on_where_two_stopped(outcomes: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    folder, _ = outcomes
    (tmp_path / "last.pt").write_bytes((folder / "line" / "last.pt").read_bytes())
    gone_on = train(pair.Line(), tmp_path, epochs=2 * pair.EPOCHS)
    alone = train(pair.Line(), tmp_path / "alone", epochs=2 * pair.EPOCHS)
    assert distance(gone_on, alone) < 1e-4 * distance(alone, pair.Line().checkpoint())


def test_a_recipe_that_cannot_be_shared(tmp_path: Path) -> None:
    class Bare:
        images_per_step = steps_per_epoch = 1

    workers = OneProcess()
    workers.size = 2
    with pytest.raises(LyapmapError, match="devices: a Bare is trained by one process, got 2"):
        train(Bare(), tmp_path, epochs=1, workers=workers)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"precision": "16-mixed"}, "precision: expected one of 32, tf32, bf16-mixed, got '16-mixed'"),
        ({"devices": 0}, "devices: .*0"),
        ({"device": "nowhere", "devices": 2}, "device: expected e.g. cpu or cuda, got 'nowhere'"),
        ({"device": "cuda:0", "devices": 2}, "device: expected a kind such as cuda for 2 devices, got cuda:0"),
        ({"device": "cuda", "devices": 200}, r"devices: 200 on cuda, but this machine has \d+ CUDA devices"),
    ],
)
def test_launch_refuses(options: dict[str, Any], said: str) -> None:
    with pytest.raises(LyapmapError, match=said):
        launch(**options)


def test_launch_under_torchrun_leaves_the_number_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "8"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(LyapmapError, match="devices: torchrun started 4 processes on this host, got 2; leave it out"):
        launch(devices=2)


def test_launch_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lyapmap.training.distributed.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"several devices needs lightning-fabric.*lyapmap\[train\]"):
        launch(devices=2)


def test_one_process_mixes_precisions_without_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lyapmap.training.distributed.find_spec", lambda name: None)
    x, seen = torch.ones(2, 2), []
    for precision in ("32", "bf16-mixed"):
        with launch(precision=precision).computing(8):
            seen.append((x @ x).dtype)
    assert seen == [torch.float32, torch.bfloat16]


def test_products_are_rounded_on_request_only() -> None:
    before = torch.backends.cudnn.allow_tf32
    seen = []
    for precision in ("32", "tf32"):
        with OneProcess(precision=precision).computing(8):
            seen.append((torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32))
    assert seen == [(False, False), (True, True)]
    assert torch.backends.cudnn.allow_tf32 == before


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_masks_of_all_processes_are_those_of_one(size: int, layout: torch.memory_format) -> None:
    whole = torch.ones(30, 4, 3, 3).contiguous(memory_format=layout)  # three blocks of ten rows
    torch.manual_seed(1)
    wanted = F.dropout(whole, 0.3)
    after = torch.rand(())
    got = []
    for rank in range(size):
        torch.manual_seed(1)
        with SharedDraws(rank, size, rows=10):
            own = F.dropout(whole[: 30 // size].contiguous(memory_format=layout), 0.3)
        assert torch.equal(torch.rand(()), after), "the generator moves on as far"
        got.append(own.unflatten(0, (3, -1)))
    assert torch.equal(torch.cat(got, dim=1).flatten(0, 1), wanted)


def test_dropout_that_does_nothing_draws_nothing() -> None:
    x = torch.ones(4, 2)
    state = torch.get_rng_state()
    with SharedDraws(0, 2, rows=8):
        assert torch.equal(F.dropout(x, 0.5, training=False), x)
        assert torch.equal(F.dropout(x, 0.0), x)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda x: F.dropout2d(x), "dropout2d does not draw the same"),
        (lambda x: torch.nn.BatchNorm2d(2)(x), "batch normalization would see the rows of one process only"),
        (lambda x: F.dropout(x[:3]), "dropout of 3 rows, expected a multiple of the 4"),
    ],
)
def test_what_cannot_be_drawn_alike_is_refused(call: Any, said: str) -> None:
    x = torch.ones(4, 2, 3, 3)
    with SharedDraws(0, 2, rows=8), pytest.raises(LyapmapError, match=said):
        call(x)
    with SharedDraws(0, 2, rows=8):
        torch.nn.BatchNorm2d(2).eval()(x)
