"""Torch networks as people hold them: our checkpoints, state dicts, Lightning files, whole modules, programs.

A file of weights alone needs the network that they belong to (`network`). What can run code when it is loaded (a
pickled module, TorchScript, an exported program) is loaded only by somebody who trusts it.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from lyapmap.backends import wrap
from lyapmap.backends.outputs import array_in
from lyapmap.backends.torch.copies import require_usable, stored_in
from lyapmap.core.errors import CheckpointError, LyapmapError, by_user
from lyapmap.core.map import TangentMap
from lyapmap.core.reading.bounded import content, first_line
from lyapmap.files import checkpoint
from lyapmap.files.model import Saved, Wanted, imported, made, parameters_of
from lyapmap.files.shards import files_of, joined
from lyapmap.files.tensors import WouldRunCodeError, read_torch

TRUSTED = "set it if you trust whoever made the file"
USUAL = ("state_dict", "model_state_dict", "model", "module", "net", "network")
"""Where programs keep the weights of a network, the likeliest first."""
DEPTH = 3
"""Dictionaries within dictionaries that are looked through."""
WITHOUT_NUMBERS = {
    "_rebuild_qtensor": "its weights are quantised and have no derivative; save the network before quantisation",
    "_rebuild_sparse_tensor": "its weights are sparse; make them dense with to_dense() before saving",
    "_rebuild_meta_tensor": "its weights are on the meta device and hold no numbers",
}
"""What torch calls for tensors that cannot be used, and why they cannot."""
SHOWN = 3


def read(path: Path, label: str, wanted: Wanted) -> Saved:
    """The network of a torch file."""
    shards = files_of(path)
    program = "" if shards else _program(path)
    stored = None if program else _content(path, wanted, shards)
    if isinstance(stored, Mapping) and str(stored.get("format", "")).startswith("lyapmap/"):
        if wanted.network is not None:
            raise CheckpointError(f"network: {label} is a checkpoint of lyapmap and knows its network")
        return checkpoint.network_of(checkpoint.of_stored(stored, path), path, label)
    origin = {"model": label, "sha256": digest_of(shards or [path])}
    if program:
        return _read_program(path, program, origin, wanted)
    if isinstance(stored, nn.Module):
        return Saved(stored.eval(), origin | {"map": type(stored).__name__})
    modules = [m for m in stored.values() if isinstance(m, nn.Module)] if isinstance(stored, Mapping) else []
    if modules and wanted.network is None:
        return Saved(modules[0].eval(), origin | {"map": type(modules[0]).__name__})
    place, weights = _weights(stored, path, wanted.part)
    if wanted.network is None:
        names = ", ".join(list(weights)[:SHOWN])
        raise CheckpointError(
            f"network: {path.name} holds weights ({names}, ...) and not their network; give its class, e.g. mynet:Net "
            "for class Net in mynet.py"
        )
    arguments = wanted.network_args
    if not arguments and isinstance(stored, Mapping):
        arguments = _hyper_parameters(stored, wanted.network)
    module = built(wanted.network, arguments)
    require_usable(weights.items())
    prefix = load_weights(module, weights, path.name)
    origin |= {"map": type(module).__name__, "weights": ".".join(filter(None, (place, prefix.rstrip("."))))}
    return Saved(module.eval(), origin | stored_in(weights.values()))


def digest_of(files: Sequence[Path]) -> str:
    """SHA-256 of one or more files, one after the other."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(content(file, CheckpointError))
    return digest.hexdigest()


def as_map(saved: Saved, **options: Any) -> TangentMap:
    """A torch network as a map."""
    if saved.architecture:
        for name in ("state_shape", "inputs", "output", "window", "constraint"):
            if options.pop(name, None) is not None:
                raise LyapmapError(f"{name}: {saved.origin['model']} is a checkpoint of lyapmap and knows its states")
        return checkpoint.as_map(saved, **options)
    shape = options.pop("state_shape", None) or saved.config.get("state_shape")
    if shape is None:
        raise LyapmapError(
            f"state_shape: {saved.origin['model']} needs the shape of one state, e.g. 3,32,32 for images of 3 channels"
        )
    module = saved.module
    if "inputs" in saved.config:
        held = in_order(options.pop("inputs", None), saved.config, saved.origin["model"])
        module = Batches(module.module, module.size, held)
    return wrap(module, state_shape=shape, provenance=saved.origin, **options)


def in_order(inputs: Any, config: Mapping[str, Any], label: str) -> list[tuple[Tensor, bool]]:
    """Values for the inputs of a program beside the state, of its own types, and whether each has one for every state.

    Parameters
    ----------
    inputs : dict, sequence, value or None
        As the user gave them.
    config : dict
        Names (`inputs`), `dtypes` and numbers of `axes` of those that the program takes.
    label : str
        Of the program.
    """
    names = config["inputs"]
    takes = f"{label} takes {', '.join(names)} beside the state" if names else f"{label} takes nothing beside the state"
    if isinstance(inputs, dict):
        given = [inputs[name] for name in names if name in inputs]
        fits = inputs.keys() == set(names)
    else:
        given = [] if inputs is None else list(inputs) if isinstance(inputs, tuple | list) else [inputs]
        fits = len(given) == len(names)
    if not fits:
        came = ", ".join(map(str, inputs)) if isinstance(inputs, dict) else f"{len(given)} values"
        raise LyapmapError(f"inputs: {takes}, got {came}")
    arrays = [np.asarray(value, dtype) for value, dtype in zip(given, config["dtypes"], strict=True)]
    return [(torch.as_tensor(array), array.ndim < axes) for array, axes in zip(arrays, config["axes"], strict=True)]


def record(path: Path) -> dict[str, Any]:
    """How the network was trained; empty where the file is of another program."""
    try:
        return checkpoint.load(path).training
    except CheckpointError:
        return {}


def built(network: Any, arguments: Mapping[str, Any]) -> nn.Module:
    """The torch module that a user names; a module itself is copied.

    Raises
    ------
    LyapmapError
        If it cannot be imported or made, or is no torch module.
    """
    with torch.random.fork_rng(devices=[]):  # the weights drawn here are replaced at once
        module = made(network, arguments, nn.Module)
    return copy.deepcopy(module) if module is network else cast(nn.Module, module)


def load_weights(module: nn.Module, weights: Mapping[str, Tensor], source: str) -> str:
    """Put weights into a module, whatever stands before their names; what stood there.

    Raises
    ------
    CheckpointError
        Naming the first weights that are missing, too many, or of another shape.
    """
    names = set(module.state_dict())
    prefix = _prefix(names, weights)
    own = {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}
    try:
        report = module.load_state_dict(own, strict=False)
    except RuntimeError as error:
        raise CheckpointError(
            f"{source}: does not fit {type(module).__name__}: {_misfit(module, own, error)}"
        ) from None
    missing = [name for name in report.missing_keys if not name.endswith("num_batches_tracked")]
    for kind, wrong in (("lacks", missing), ("holds more than the network has:", report.unexpected_keys)):
        if wrong:
            more = f", and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
            mend = "give the network that it was saved from, with the same network_args"
            if re.search(r"-\d+-of-\d+\.", source):
                mend = "it is one of several files of weights; give their folder, or its index.json"
            raise CheckpointError(
                f"{source}: does not fit {type(module).__name__}: it {kind} {', '.join(wrong[:SHOWN])}{more}; {mend}"
            )
    return prefix


def _misfit(module: nn.Module, weights: Mapping[str, Tensor], error: Exception) -> str:
    own = module.state_dict()
    wrong = [name for name, tensor in weights.items() if name in own and own[name].shape != tensor.shape]
    if not wrong:
        return first_line(error)
    name = wrong[0]
    more = f", and {len(wrong) - 1} more are wrong" if len(wrong) > 1 else ""
    shapes = f"{tuple(weights[name].shape)}, the network has {tuple(own[name].shape)}"
    return f"{name} has shape {shapes}{more}; give the network_args that it was trained with"


def _prefix(names: set[str], weights: Mapping[str, Tensor]) -> str:
    """What stands before the network's own names, such as "module." or "model._orig_mod."; the best, then shortest."""
    counts = {"": len(names & weights.keys())}
    for key in weights:
        parts = key.split(".")
        for i in range(1, len(parts)):
            if ".".join(parts[i:]) in names:
                prefix = ".".join(parts[:i]) + "."
                counts[prefix] = counts.get(prefix, 0) + 1
    return min(counts, key=lambda prefix: (-counts[prefix], len(prefix)))


def _weights(content: Any, path: Path, part: str | None) -> tuple[str, dict[str, Tensor]]:
    """The state dict that is to be used, and where it lies in the file."""
    dicts = dict(_state_dicts(content, ()))
    if part is not None:
        if part not in dicts:
            raise CheckpointError(
                f"part: {path.name} holds {', '.join(map(repr, dicts)) or 'no weights'}, got {part!r}"
            )
        return part, dicts[part]
    if not dicts:
        raise CheckpointError(f"{path.name}: holds no weights ({checkpoint.described(content)})")
    usual = [place for name in USUAL for place in dicts if place.split(".")[-1] == name and "ema" not in place]
    if "" in dicts or len(dicts) == 1 or usual:
        place = "" if "" in dicts else usual[0] if usual else next(iter(dicts))
        return place, dicts[place]
    raise CheckpointError(f"{path.name}: holds several networks, {', '.join(dicts)}; choose one with part")


def _state_dicts(content: Any, place: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """All dictionaries of tensors by name within a file."""
    if not isinstance(content, Mapping) or len(place) > DEPTH:
        return
    tensors = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    others = [value for name, value in content.items() if name not in tensors]
    if tensors and not any(isinstance(value, Mapping) for value in others):
        yield ".".join(place), tensors
        return
    for name, value in content.items():
        yield from _state_dicts(value, (*place, str(name)))


def _hyper_parameters(content: Mapping[str, Any], network: Any) -> dict[str, Any]:
    """Arguments that Lightning keeps in its files, as far as the network takes them."""
    kept = content.get("hyper_parameters")
    if not isinstance(kept, Mapping):
        return {}
    if isinstance(network, str):
        network = imported(network, "network")
    parameters = [] if isinstance(network, nn.Module) else parameters_of(network)
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
    names = {p.name for p in parameters}
    return {name: value for name, value in kept.items() if takes_all or name in names}


def _content(path: Path, wanted: Wanted, shards: list[Path]) -> Any:
    """What a file, or several of one network, hold, read without running anything in them unless they are trusted."""
    if shards:
        return joined(path, shards, lambda file: _content(file, wanted, []))
    if path.suffix == ".safetensors":
        header, tensors = checkpoint.read_safetensors(path)
        ours = header.get("format") == json.dumps(checkpoint.FORMAT)
        return checkpoint.of_header(header, tensors, path) if ours else tensors
    try:
        return read_torch(path)
    except WouldRunCodeError as error:
        for name, words in WITHOUT_NUMBERS.items():
            if any(name in called for called in error.names):
                raise CheckpointError(f"{path.name}: {words}") from None
        if wanted.trust:
            return _unpickled(path)
        raise CheckpointError(
            f"trust: {path.name} is refused, since it holds {', '.join(error.names[:SHOWN])} and would run code when "
            f"loaded; {TRUSTED}, or save net.state_dict() and give its class as network"
        ) from None


def _unpickled(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:
        raise CheckpointError(f"{path.name}: cannot be loaded: {by_user(error)}") from error


def _program(path: Path) -> str:
    """Which kind of program a file is; empty for tensors and pickles."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.partition("/")[2] for name in archive.namelist()}
    except Exception:  # of damaged archives; the reader of tensors says what is wrong
        return ""
    if path.suffix == ".pt2" or any(
        name.startswith("models/") or name == "serialized_exported_program.json" for name in names
    ):
        return "an exported program"
    return "a TorchScript program" if "constants.pkl" in names else ""


def _read_program(path: Path, kind: str, origin: dict[str, Any], wanted: Wanted) -> Saved:
    if wanted.network is not None:
        raise CheckpointError(f"network: {path.name} is {kind}, which holds its network")
    if not wanted.trust:
        raise CheckpointError(f"trust: {path.name} is refused, since it is {kind}, which can run code; {TRUSTED}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if kind == "an exported program":
                program = torch.export.load(path)
                return Saved(_of_fixed_batch(program), origin | {"map": "exported program"}, config=_config_of(program))
            module = torch.jit.load(path, map_location="cpu")
    except Exception as error:
        raise CheckpointError(f"{path.name}: cannot be loaded ({first_line(error)})") from None
    return Saved(module.eval(), origin | {"map": module.original_name})


def _inputs_of(program: Any) -> dict[str, Tensor]:
    """What a program takes, by name."""
    names = set(program.graph_signature.user_inputs)
    nodes = [node for node in program.graph.nodes if node.op == "placeholder" and node.name in names]
    return {node.name: node.meta["val"] for node in nodes}


def _config_of(program: Any) -> dict[str, Any]:
    """Shape of a state, where all sizes are fixed, and what is taken beside it."""
    state, *others = _inputs_of(program).items()
    sizes = state[1].shape[1:]
    known = len(sizes) > 0 and all(isinstance(size, int) for size in sizes)
    beside = {
        "inputs": [name for name, _ in others],
        "axes": [value.ndim for _, value in others],
        "dtypes": [str(value.dtype).removeprefix("torch.") for _, value in others],
    }
    return beside | ({"state_shape": tuple(sizes)} if known else {})


def _of_fixed_batch(program: Any) -> nn.Module:
    """The program's network; where it was exported for batches of one size, one that takes any."""
    size = next(iter(_inputs_of(program).values())).shape[0]
    return Batches(program.module(), size if isinstance(size, int) else None)


class Batches(nn.Module):
    """A network that takes batches of one size only, for any number of states: part after part, the last one filled up.

    Parameters
    ----------
    module : nn.Module
    size : int, optional
        None takes any.
    held : sequence of (value, bool)
        What it takes beside the state, and whether that is repeated for every state.
    """

    def __init__(self, module: nn.Module, size: int | None, held: Sequence[tuple[Tensor, bool]] = ()) -> None:
        super().__init__()
        self.module = module
        self.size = size
        self.held = list(held)
        # An exported program has no modes; the one that it was exported in holds.
        for part in self.modules():
            part.training = False

    def forward(self, x: Tensor) -> Any:
        if self.size is None:
            return self._answer(x)
        parts = list(x.split(self.size))
        missing = self.size - parts[-1].shape[0]
        if missing:
            parts[-1] = torch.cat([parts[-1], parts[-1][-1:].expand(missing, *x.shape[1:])])
        return torch.cat([self._answer(part) for part in parts])[: x.shape[0]]

    def _answer(self, x: Tensor) -> Any:
        beside = [value.expand(len(x), *value.shape) if repeated else value for value, repeated in self.held]
        return array_in(self.module(x, *beside))
