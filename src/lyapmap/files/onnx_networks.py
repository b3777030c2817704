"""ONNX files, read into torch by onnx2pytorch: the derivative is exact, and no code of the file's runs."""

from __future__ import annotations

import hashlib
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx
import torch

from lyapmap.backends import wrap
from lyapmap.core.errors import CheckpointError, LyapmapError, MissingExtraError, by_user
from lyapmap.core.map import TangentMap
from lyapmap.core.reading.bounded import content, parsing
from lyapmap.files.model import Saved, Wanted
from lyapmap.files.torch_files import Batches, in_order

DETECTION = ("torchvision", "torchvision.io", "torchvision.ops", "torchvision.transforms")
"""What onnx2pytorch takes from torchvision, for pictures in files and boxes around things: no states of a map."""


def read(path: Path, label: str, wanted: Wanted) -> Saved:
    """The graph of a file as a torch module."""
    digest = hashlib.sha256(content(path, CheckpointError)).hexdigest()
    with parsing(path.name, "damaged, or no ONNX file", CheckpointError):
        model = onnx.load(path)
        onnx.checker.check_model(model)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if not inputs:
        raise CheckpointError(f"{path.name}: the graph takes no input")
    sizes = [dim.dim_value for dim in inputs[0].type.tensor_type.shape.dim]
    config = {
        "batch": (sizes[0] or None) if sizes else None,
        "state_shape": tuple(sizes[1:]) if sizes[1:] and all(sizes[1:]) else None,
        "inputs": [value.name for value in inputs[1:]],
        "axes": [len(value.type.tensor_type.shape.dim) for value in inputs[1:]],
        "dtypes": [str(onnx.helper.tensor_dtype_to_np_dtype(v.type.tensor_type.elem_type)) for v in inputs[1:]],
    }
    origin = {"model": label, "sha256": digest, "map": "ONNX graph"}
    return Saved(_converted(model, path), origin, config=config)


def as_map(saved: Saved, **options: Any) -> TangentMap:
    """The graph as a map of states; inputs beside the state are held."""
    label, config = saved.origin["model"], saved.config
    shape = options.pop("state_shape", None) or config["state_shape"]
    if shape is None:
        raise LyapmapError(f"state_shape: {label} does not say it; give the shape of one state, e.g. 3,32,32")
    held = in_order(options.pop("inputs", None), config, label)
    module = Batches(saved.module, config["batch"], held)
    return wrap(module, state_shape=shape, provenance=saved.origin, **options)


def record(path: Path) -> dict[str, Any]:
    """Nothing: these files do not say how they were trained."""
    return {}


def _converted(model: Any, path: Path) -> torch.nn.Module:
    try:
        with without_torchvision():
            from onnx2pytorch import ConvertModel
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "onnx", "reading ONNX") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module: torch.nn.Module = ConvertModel(model)
    except NotImplementedError as error:
        raise CheckpointError(
            f"{path.name}: uses an operator that cannot be read ({error}); load the network in the framework that it "
            "was exported from"
        ) from None
    except Exception as error:
        raise CheckpointError(f"{path.name}: cannot be read into torch: {by_user(error)}") from None
    return module.eval()


@contextmanager
def without_torchvision() -> Iterator[None]:
    """Empty modules in torchvision's place, where it is missing or does not fit torch, while onnx2pytorch is loaded."""
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        stand_ins = {name: _Empty(name) for name in DETECTION}
        sys.modules.update(stand_ins)
        try:
            yield
        finally:
            for name in stand_ins:
                sys.modules.pop(name, None)
    else:
        yield


class _Empty(ModuleType):
    """A module whose every name is None."""

    __path__: list[str] = []  # noqa: RUF012

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)
