"""Every reader of files gets damaged ones: no error but ours, no crash, no hang, no memory beyond the file's room.

The suite tries a few hundred of each kind, the same ones every time; `LYAPMAP_FUZZ=100000 pytest -m slow tests/fuzz`
as many as wanted.
"""

from __future__ import annotations

import json
import os
import random
import resource
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mutations import damaged
from PIL import Image

import lyapmap as lm
from lyapmap import data
from lyapmap.core.errors import LyapmapError
from lyapmap.core.reading.arrays import one_array
from lyapmap.core.reading.bounded import FLOOR, gunzipped
from lyapmap.core.reading.hdf5 import hdf5_tree
from lyapmap.data import idx
from lyapmap.data.tables import read_table
from lyapmap.files import checkpoint, zoo
from lyapmap.files.tensors import read_torch
from lyapmap.models.kaleidoscope.network import Kaleidoscope, KaleidoscopeConfig
from lyapmap.study import stages
from lyapmap.training.loop import train

TIMES = int(os.environ.get("LYAPMAP_FUZZ", "100000"))
Kind = tuple[Callable[[Path], Path], str, Callable[[Path], Any], int]
"""What makes a file, its name, what reads it, and how many damaged ones the suite tries."""
PATIENCE = 60.0
"""Seconds for one file, on a machine that others use too; the child process has at most 5 on the processor."""


def model(path: Path) -> Path:
    torch.manual_seed(0)
    config = KaleidoscopeConfig((2,), depth=2, width=3)
    training = {"epoch": 1, "history": [{"epoch": 1, "losses": {"total": 0.5}}], "settings": {"data": "none"}}
    made = checkpoint.Checkpoint(
        "kaleidoscope", config.to_dict(), Kaleidoscope(config).state_dict(), torch.zeros(3, 2), training
    )
    return checkpoint.save(made, path)


def old_torch(path: Path) -> Path:
    weights = {"a": torch.zeros(2, 3), "b": torch.ones(4, dtype=torch.int64), "n": [1, 2.5, "x", None]}
    torch.save(weights, path, _use_new_zipfile_serialization=False)
    return path


def image(path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def images(path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 4, 5), np.uint8)
    np.savez_compressed(path, images=pixels, labels=np.arange(12) % 3)
    return path


def states(path: Path) -> Path:
    np.save(path, np.random.default_rng(0).normal(size=(5, 2)))
    return path


def published(path: Path) -> Path:
    import gzip

    path.write_bytes(gzip.compress((2051).to_bytes(4, "big") + b"\0\0\0\2\0\0\0\3\0\0\0\4" + bytes(range(24))))
    return path


def table(path: Path) -> Path:
    lines = [f"2024-01-{day:02},{0.1 * day:.3f},{day * day}" for day in range(1, 20)]
    path.write_text("# an instrument\ndate,x,y\n" + "\n".join(lines))
    return path


def result(path: Path) -> Path:
    return lm.lyapunov_spectrum(lm.systems.henon(), [0.1, 0.1], n_steps=60, seed=0).save(path)


STAGE = stages.Stage("one", "The first", lambda context, bench: {"a": 1.0}, settings=())


class Nothing:
    def mark(self, name: str) -> str:
        return name


def record(path: Path) -> Path:
    stages.run_stages([STAGE], Nothing(), path.parent, settings={})
    return path.parent / "stages" / "one.json"


def go_on(path: Path) -> Any:
    return stages.run_stages([STAGE], Nothing(), path.parent.parent, settings={})


class Still:
    """A recipe with one weight that stays."""

    images_per_step = steps_per_epoch = 1

    def __init__(self) -> None:
        self.weight = torch.zeros(1)

    def start_epoch(self, epoch: int) -> None:
        pass

    def step(self, index: int) -> dict[str, float]:
        return {"total": 0.0}

    def state(self) -> dict[str, Any]:
        return {"weight": self.weight}

    def load_state(self, state: dict[str, Any]) -> None:
        self.weight = state["weight"].clone()

    def checkpoint(self) -> checkpoint.Checkpoint:
        return checkpoint.Checkpoint("still", {}, {"weight": self.weight}, torch.zeros(1, 1, 2, 2), {"settings": {}})

    def sample_sheet(self) -> Any:
        return np.zeros((1, 1, 1, 2, 2), np.float32)


def run(path: Path) -> Path:
    train(Still(), path.parent, epochs=1)
    return path.parent / "last.pt"


def linear() -> torch.nn.Module:
    return torch.nn.Linear(2, 2)


def shards(path: Path) -> Path:
    """An index of two files, which is what is damaged."""
    for name, tensor in linear().state_dict().items():
        torch.save({name: tensor}, path.parent / f"{name}.bin")
    path.write_text(json.dumps({"metadata": {}, "weight_map": {"weight": "weight.bin", "bias": "bias.bin"}}))
    return path


def flax_parameters(path: Path) -> Path:
    serialization = pytest.importorskip("flax").serialization
    path.write_bytes(serialization.to_bytes({"params": {"kernel": np.eye(3, dtype=np.float32), "n": 3}}))
    return path


def onnx_graph(path: Path) -> Path:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnx2pytorch")
    helper, number = onnx.helper, onnx.TensorProto.FLOAT
    weights = [onnx.numpy_helper.from_array(np.eye(3, dtype=np.float32), "w")]
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Tanh", ["h"], ["y"])]
    ends = [[helper.make_tensor_value_info(name, number, ["n", 3])] for name in ("x", "y")]
    graph = helper.make_graph(nodes, "net", *ends, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def dense() -> Any:
    from flax import linen

    return linen.Dense(3)


def of(network: Any) -> Callable[[Path], Any]:
    """Reads weights for a network."""
    return lambda path: zoo._load_saved(path, zoo.Wanted(network=network))


READERS: dict[str, Kind] = {
    "index of shards": (shards, "m.bin.index.json", of(linear), 150),
    "flax parameters": (flax_parameters, "m.msgpack", of(dense), 150),
    "ONNX graph": (onnx_graph, "m.onnx", zoo.load_saved, 100),
    "model.pt": (model, "m.pt", lambda path: zoo.load_saved(path), 150),
    "model.safetensors": (model, "m.safetensors", lambda path: zoo.load_saved(path), 150),
    "older torch file": (old_torch, "m.pth", read_torch, 200),
    "image.png": (image, "i.png", data.load, 60),
    "image.jpg": (image, "i.jpg", data.load, 60),
    "image.tif": (image, "i.tif", data.load, 60),
    "image.webp": (image, "i.webp", data.load, 60),
    "image.bmp": (image, "i.bmp", data.load, 60),
    "images.npz": (images, "i.npz", data.load, 200),
    "states.npy": (states, "s.npy", one_array, 300),
    "idx.gz": (
        published,
        "p.gz",
        lambda path: idx._parse(gunzipped(path.read_bytes(), path, "not gzip"), path.name, 2051),
        300,
    ),
    "table.csv": (table, "t.csv", lambda path: read_table(path, in_time=True), 100),
    "numbers.npz": (images, "n.npz", lambda path: read_table(path, column="images"), 200),
    "result.nc": (result, "r.nc", lm.load, 100),
    "result.npz": (result, "r.npz", lm.load, 200),
    "result.json": (result, "r.json", lm.load, 200),
    "any HDF5": (result, "h.nc", hdf5_tree, 100),
    "stage of a study": (record, "x", go_on, 100),
    "run": (run, "x", lambda path: train(Still(), path.parent, epochs=1), 50),
}
"""Kinds of files by name."""


def fuzzed(kind: Kind, folder: Path, times: int, seed: int) -> tuple[Counter[str], int]:
    """What came of damaged files, with errors that are not ours and their seeds in the keys; bytes grown by."""
    make, name, read, _ = kind
    path = make(folder / name)
    good = path.read_bytes()
    read(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes: Counter[str] = Counter()
    for number in range(seed, seed + times):
        path.write_bytes(damaged(good, random.Random(number)))
        begin = time.perf_counter()
        try:
            read(path)
            outcomes["read"] += 1
        except LyapmapError as error:
            outcomes["refused" if "\n" not in str(error) else f"more than a line {number}"] += 1
        except Exception as error:
            outcomes[f"{type(error).__name__} {number}: {error}"[:200]] += 1
        if time.perf_counter() - begin > PATIENCE:
            outcomes[f"slow {number}"] += 1
    return outcomes, 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


def check(kind: Kind, folder: Path, times: int, seed: int) -> None:
    outcomes, grown = fuzzed(kind, folder, times, seed)
    foreign = {outcome: n for outcome, n in outcomes.items() if outcome not in ("read", "refused")}
    assert not foreign, json.dumps(foreign, indent=1)
    assert outcomes["read"] + outcomes["refused"] == times
    assert grown < 4 * FLOOR, f"{grown} bytes"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", READERS)
def test_damaged_files(kind: str, tmp_path: Path) -> None:
    check(READERS[kind], tmp_path, READERS[kind][3], seed=0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", READERS)
def test_many_damaged_files(kind: str, tmp_path: Path) -> None:
    check(READERS[kind], tmp_path, TIMES, seed=1_000_000)
