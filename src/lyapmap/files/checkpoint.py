"""Checkpoints: how weights are written and read, and how they become networks and maps.

A checkpoint is a dict of tensors and plain values,

    {"format": "lyapmap/1", "model": name, "config": {...}, "state_dict": {...},
     "sample_states": (m, c, h, w), "training": {...}}

stored with `torch.save` (`.pt`) or as `.safetensors` with everything that is not a tensor as JSON
in the header. Neither can run code when it is read.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from lyapmap.backends.torch.map import TorchMap, wrap_torch
from lyapmap.core.errors import CheckpointError, LyapmapError
from lyapmap.core.reading.bounded import content, parsing
from lyapmap.core.writing import written_whole
from lyapmap.files import papers
from lyapmap.files.model import Saved
from lyapmap.files.tensors import plain_tree, read_torch

FORMAT = "lyapmap/1"
SUFFIXES = (".pt", ".safetensors")
_KEYS = ("format", "model", "config", "state_dict", "sample_states", "training")
_TENSOR_MARK = "__tensor__"


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds.

    Attributes
    ----------
    model : str
        Name of the architecture, e.g. "cycle".
    config : dict
        The arguments that rebuild it.
    state_dict : dict of str to Tensor
        Weights of the network that is iterated.
    sample_states : Tensor (m, channels, height, width)
        States to start trajectories from, values as the network expects them.
    training : dict
        How it was trained: plain values, and under "state" whatever resuming needs.
    sha256 : str
        Of the file it was read from; empty if it was not.
    """

    model: str
    config: dict[str, Any]
    state_dict: dict[str, Tensor]
    sample_states: Tensor
    training: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""

    @property
    def record(self) -> dict[str, Any]:
        """What `training` says in plain values: without the state of a run, and without tensors.

        Examples
        --------
        >>> import torch
        >>> training = {"epoch": 3, "basis": {"n_sets": 2, "eta": torch.zeros(4)}, "state": {}}
        >>> Checkpoint("lsd", {}, {}, torch.zeros(1, 1, 8, 8), training).record
        {'epoch': 3, 'basis': {'n_sets': 2}}
        """
        record: dict[str, Any] = _plain_part({k: v for k, v in self.training.items() if k != "state"})
        return record


def _plain_part(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain_part(v) for k, v in value.items() if not isinstance(v, Tensor)}
    if isinstance(value, list | tuple):
        return [_plain_part(v) for v in value if not isinstance(v, Tensor)]
    return value


def save(checkpoint: Checkpoint, path: str | Path, *, half: bool = False) -> Path:
    """Write a checkpoint; the suffix (`.pt` or `.safetensors`) chooses the format.

    The file appears whole or not at all. With `half`, weights and sample states are rounded to half precision, and the
    state from which a training run resumes is left out; `load` widens them to float32.

    Raises
    ------
    CheckpointError
        If something is neither a tensor nor a plain value, so that `load` would refuse it, or a
        weight is too large for half precision.
    """
    path = Path(path)
    _require_suffix(path)
    require_plain(checkpoint)
    if half:
        checkpoint = halved(checkpoint)
    parts = {"format": FORMAT} | {key: getattr(checkpoint, key) for key in _KEYS[1:]}
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as beside:
        if path.suffix == ".pt":
            torch.save(parts, beside)
        else:
            from safetensors.torch import save as packed

            tensors: dict[str, Tensor] = {}
            header = {key: json.dumps(_without_tensors(parts[key], key, tensors)) for key in _KEYS}
            beside.write_bytes(packed(tensors, metadata=header))  # its own writer lets nobody else read the file
    return path


def halved(checkpoint: Checkpoint) -> Checkpoint:
    """A checkpoint in half precision, without the state from which a training run resumes."""
    return replace(
        checkpoint,
        state_dict={name: _half(tensor, name) for name, tensor in checkpoint.state_dict.items()},
        sample_states=_half(checkpoint.sample_states, "sample_states"),
        training={key: value for key, value in checkpoint.training.items() if key != "state"},
    )


def _half(tensor: Tensor, name: str) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    narrow = tensor.half()
    if not torch.equal(narrow.isfinite(), tensor.isfinite()):
        raise CheckpointError(f"checkpoint: {name} has values beyond 65504, too large for half precision")
    return narrow


def _widened(tensor: Tensor) -> Tensor:
    """Half-precision numbers, which are there to save space in a file, as float32."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def require_plain(checkpoint: Checkpoint) -> None:
    """Raise a CheckpointError that names the first part which is neither a tensor nor a plain value."""
    for key in _KEYS[1:]:
        _require_plain(getattr(checkpoint, key), key)


def _require_plain(value: Any, name: str) -> None:
    # Exact types: a NumPy float is a float too, but reading it back would call NumPy's code.
    kind = type(value)
    if kind in (dict, OrderedDict):
        for key, item in value.items():
            if type(key) not in (str, int):
                raise CheckpointError(f"checkpoint: {name} has the key {key!r}, expected text or an integer")
            _require_plain(item, f"{name}.{key}")
    elif kind in (list, tuple, torch.Size):
        for i, item in enumerate(value):
            _require_plain(item, f"{name}.{i}")
    elif kind not in (Tensor, torch.nn.Parameter, str, int, float, bool, type(None)):
        raise CheckpointError(f"checkpoint: {name} is a {kind.__name__}, expected a tensor or a plain value")


def load(path: str | Path) -> Checkpoint:
    """Read a checkpoint without running anything that it may contain.

    Raises
    ------
    CheckpointError
        If the file is missing, truncated, would run code, is of another program, or lacks a part.
    """
    path = Path(path)
    _require_suffix(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    return of_stored(read_torch(path) if path.suffix == ".pt" else _read_safetensors(path), path)


def of_stored(stored: Any, path: Path) -> Checkpoint:
    """The checkpoint that a file holds, from what was read of it; raises the errors of `load`."""
    _require_suffix(path)
    if not isinstance(stored, Mapping) or "format" not in stored:
        raise CheckpointError(f"{path}: not a lyapmap checkpoint ({described(stored)})")
    if type(stored["format"]) is not str or stored["format"] != FORMAT:
        raise CheckpointError(f"{path}: format {_short(stored['format'])}, this version reads {FORMAT!r}")
    missing = [key for key in _KEYS if key not in stored]
    if missing:
        raise CheckpointError(f"{path}: the checkpoint has no {missing[0]!r}")
    kinds = {"model": str, "config": dict, "state_dict": dict, "sample_states": Tensor, "training": dict}
    for key, kind in kinds.items():
        if not isinstance(stored[key], kind):
            type_name = type(stored[key]).__name__
            raise CheckpointError(f"{path}: {key!r} is of type {type_name}, expected {kind.__name__}")
    digest = hashlib.sha256(content(path, CheckpointError)).hexdigest()
    weights = {name: _widened(t) if isinstance(t, Tensor) else t for name, t in stored["state_dict"].items()}
    widened = {**stored, "state_dict": weights, "sample_states": _widened(stored["sample_states"])}
    return Checkpoint(**{key: widened[key] for key in kinds}, sha256=digest)


def load_weights(module: torch.nn.Module, checkpoint: Checkpoint, source: str | Path) -> None:
    """Put a checkpoint's weights into a module that was built from its config.

    Raises
    ------
    CheckpointError
        Naming the first weight that is missing, unknown, or of the wrong shape or dtype.
    """
    require_fit(module, checkpoint, source)
    module.load_state_dict(checkpoint.state_dict)


def require_fit(module: torch.nn.Module, checkpoint: Checkpoint, source: str | Path) -> None:
    """Raise the errors of `load_weights`, without loading."""
    wanted = module.state_dict()
    for name, tensor in wanted.items():
        if name not in checkpoint.state_dict:
            raise CheckpointError(f"{source}: the state dict has no {name!r}")
        weight = checkpoint.state_dict[name]
        if not isinstance(weight, Tensor) or weight.shape != tensor.shape:
            shape = tuple(weight.shape) if isinstance(weight, Tensor) else type(weight).__name__
            raise CheckpointError(f"{source}: {name!r} has shape {shape}, the config asks for {tuple(tensor.shape)}")
        if weight.dtype != tensor.dtype:
            raise CheckpointError(f"{source}: {name!r} is {weight.dtype}, the model has {tensor.dtype}")
    unknown = [name for name in checkpoint.state_dict if name not in wanted]
    if unknown:
        raise CheckpointError(f"{source}: the state dict holds {unknown[0]!r}, which the model does not have")


def _require_suffix(path: Path) -> None:
    if path.suffix not in SUFFIXES:
        raise CheckpointError(f"{path}: expected a file that ends in {' or '.join(SUFFIXES)}")


def described(content: object) -> str:
    """What a file holds that is no checkpoint of ours, in a few words."""
    if isinstance(content, Mapping):
        keys = ", ".join(_short(k) for k in list(content)[:3])
        return f"a dict with keys {keys}{', ...' if len(content) > 3 else ''}" if keys else "it has no header of ours"
    return f"it holds a {type(content).__name__}"


def _short(value: object) -> str:
    text = repr(value) if isinstance(value, str | int | float) else f"of type {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def read_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Header and tensors of a file.

    Raises
    ------
    CheckpointError
        If it is missing or damaged.
    """
    data = content(path, CheckpointError)
    with parsing(path, "truncated or not a safetensors file", CheckpointError):
        from safetensors.torch import load as parsed

        tensors = parsed(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__", {})
    return header, tensors


def _read_safetensors(path: Path) -> Any:
    return of_header(*read_safetensors(path), path)


def of_header(header: dict[str, Any], tensors: dict[str, Tensor], path: Path) -> Any:
    """What a checkpoint of ours holds, with its tensors in their places; of another program, its format alone."""
    written = header.get("format", "")
    if written != json.dumps(FORMAT):  # of another program, whose other entries may be no JSON
        return {"format": written.strip('"')} if written else {}
    with parsing(path, "damaged header", CheckpointError):
        values = {key: _with_tensors(json.loads(value), tensors) for key, value in header.items() if key in _KEYS}
        return plain_tree(values, path, path.stat().st_size)


def _without_tensors(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """The value with each tensor moved to `tensors` and a mark left in its place.

    Dicts become lists of pairs, since JSON would turn the integer keys of an optimizer into text.
    """
    if isinstance(value, Tensor):
        while name in tensors:  # {"a": {"b": t}} and {"a.b": t} would meet
            name += "'"
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {_TENSOR_MARK: name}
    if isinstance(value, Mapping):
        return {"pairs": [[k, _without_tensors(v, f"{name}.{k}", tensors)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        return [_without_tensors(v, f"{name}.{i}", tensors) for i, v in enumerate(value)]
    return value


def _with_tensors(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, dict):
        if _TENSOR_MARK in value:
            return tensors[value[_TENSOR_MARK]]
        return {k: _with_tensors(v, tensors) for k, v in value["pairs"]}
    if isinstance(value, list):
        return [_with_tensors(v, tensors) for v in value]
    return value


def _built(name: str, config: dict[str, Any]) -> tuple[nn.Module, tuple[int, ...]]:
    paper, network = papers.networks()[name]
    kind = papers.loaded(paper, network.module)
    try:
        module = kind(papers.loaded(paper, network.config)(**config) if network.config else config)
    except LyapmapError as fault:  # which does not know of a file
        raise ValueError(str(fault)) from None
    return module, _state_shape(name, module)


def _state_shape(name: str, module: Any) -> tuple[int, ...]:
    _, network = papers.networks()[name]
    return tuple((module.config if network.config else module).state_shape)


def build_module(checkpoint: Checkpoint, source: str | Path) -> tuple[nn.Module, tuple[int, ...]]:
    """The network of a checkpoint in evaluation mode, and the shape of its states.

    `source` names the checkpoint in errors.
    """
    known = papers.networks()
    if checkpoint.model not in known:
        raise CheckpointError(f"{source}: model {checkpoint.model!r} is not one of {', '.join(known)}")
    refusal = f"the config does not fit a {checkpoint.model} model"
    with parsing(source, refusal, CheckpointError), torch.random.fork_rng(devices=[]):
        _require_small(checkpoint)
        with torch.device("meta"), _no_larger_than(checkpoint):  # sizes first, memory after they were compared
            sketch, _ = _built(checkpoint.model, checkpoint.config)
    require_fit(sketch, checkpoint, source)
    with parsing(source, refusal, CheckpointError), torch.random.fork_rng(devices=[]):
        module, state_shape = _built(checkpoint.model, checkpoint.config)  # the weights drawn here are replaced at once
    load_weights(module, checkpoint, source)
    return module.eval(), state_shape


SMALL = 1024
"""Whole numbers of a config that need no weights to be believed."""


def _require_small(checkpoint: Checkpoint) -> None:
    """Raise a ValueError for whole numbers of a config that are larger than the number of all weights."""
    most = max(SMALL, sum(weight.numel() for weight in checkpoint.state_dict.values() if isinstance(weight, Tensor)))
    waiting: list[Any] = [checkpoint.config]
    while waiting:
        part = waiting.pop()
        waiting += part.values() if isinstance(part, dict) else part if isinstance(part, list | tuple) else []
        if isinstance(part, int) and part > most:
            raise ValueError(f"a size of {part}, and there are {most} weights")


@contextmanager
def _no_larger_than(checkpoint: Checkpoint) -> Iterator[None]:
    """Raise a ValueError as soon as a network of this thread has more parameters than the checkpoint has tensors."""
    here, left = threading.get_ident(), len(checkpoint.state_dict)

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal left
        if threading.get_ident() == here and parameter is not None:
            left -= 1
            if left < 0:
                raise ValueError(f"it asks for more than the {len(checkpoint.state_dict)} weights that there are")

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()


def network_of(checkpoint: Checkpoint, path: Path, label: str) -> Saved:
    """The network of a checkpoint; `label` names it in results."""
    known = papers.networks()
    if checkpoint.model in known and known[checkpoint.model][1].no_map:
        raise CheckpointError(f"model: {label} is a {checkpoint.model}, {known[checkpoint.model][1].no_map}")
    module, _ = build_module(checkpoint, path)
    origin = {"model": label, "sha256": checkpoint.sha256}
    states = checkpoint.sample_states.numpy()
    return Saved(module, origin, states, checkpoint.model, checkpoint.config, checkpoint.training)


def as_map(saved: Saved, **options: Any) -> TorchMap:
    """A checkpoint's network as a map."""
    shape = _state_shape(saved.architecture, saved.module)
    return wrap_torch(saved.module, state_shape=shape, provenance=saved.origin, **options)


def record(path: Path) -> dict[str, Any]:
    """How the network was trained."""
    return load(path).training
