"""Trained models by name or file: the shipped ones, and anybody's checkpoints.

A kind of file is one line in `KINDS`; the module that reads it is loaded, with its framework, when
such a file is met.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np

from lyapmap.core.errors import CheckpointError, LyapmapError, MissingExtraError, by_user
from lyapmap.files import papers
from lyapmap.files.model import Model, Reader, Saved, Wanted


@dataclass(frozen=True)
class Kind:
    """A kind of file that holds a network.

    Attributes
    ----------
    fits : callable
        Whether a path, or the prefix of several files, is of this kind.
    package : str
        What must be installed.
    reader : str
        Module that keeps the `Reader` protocol; empty where only a paper knows what such files hold.
    extra : str
        Of ours that brings the package, where that has another name.
    """

    fits: Callable[[Path], bool]
    package: str
    reader: str
    extra: str = ""


INDEX_OF_WEIGHTS, CONFIG = ".index.json", "config.json"
TORCH = (".pt", ".pth", ".safetensors", ".ckpt", ".bin", ".pt2")
KINDS = {
    "torch": Kind(
        lambda path: (path.suffix in TORCH and not _is_prefix(path) and not path.is_dir()) or _in_several(path),
        "torch",
        "lyapmap.files.torch_files",
    ),
    "Keras": Kind(lambda path: path.suffix in (".keras", ".h5", ".hdf5"), "tensorflow", "lyapmap.files.keras_networks"),
    "TensorFlow checkpoint": Kind(
        lambda path: path.suffix == ".index" or _is_prefix(path) or (path / "checkpoint").is_file(),
        "tensorflow",
        "",
    ),
    "SavedModel": Kind(lambda path: (path / "saved_model.pb").is_file(), "tensorflow", "lyapmap.files.keras_networks"),
    "ONNX": Kind(lambda path: path.suffix == ".onnx", "onnx", "lyapmap.files.onnx_networks"),
    "flax": Kind(lambda path: path.suffix == ".msgpack", "flax", "lyapmap.files.jax_files", "examples"),
    "equinox": Kind(lambda path: path.suffix == ".eqx", "equinox", "lyapmap.files.jax_files", "examples"),
    "folder of Hugging Face": Kind(lambda path: (path / "config.json").is_file(), "torch", "lyapmap.files.folders"),
}
"""The first that fits counts."""
PICKLED = (
    "it is a pickle, which runs code when loaded; save the network's state dict with torch.save as ckpt.pt, "
    "and give its class with network"
)
REFUSED = {
    ".pkl": PICKLED,
    ".pickle": PICKLED,
    ".npz": "it holds arrays, not a network; give values with --series, points with --points, states with --x0",
    **dict.fromkeys(
        (".csv", ".tsv", ".txt", ".dat", ".npy", ".parquet", ".xlsx"),
        "it holds numbers, not a network; give values with --series, points with --points, states with --x0",
    ),
    ".pb": "it is a frozen graph; give the folder of a SavedModel",
    ".tflite": "it is quantised for phones; give the Keras model that it was made from",
}
"""Files that people have, and why they cannot be used."""
READ = (
    "a .pt, .pth, .ckpt or .safetensors file, a .pt2 program, a .keras or .h5 model, a TensorFlow checkpoint, "
    "a SavedModel, an .onnx file, flax's .msgpack, equinox's .eqx, or a folder with config.json or "
    "weights in several files"
)


def _in_several(path: Path) -> bool:
    """Whether this is an index, or a folder, of weights in several files, and nothing says of which network."""
    if path.name.endswith(INDEX_OF_WEIGHTS):
        return True
    alone = path.is_dir() and not any((path / name).is_file() for name in (CONFIG, "checkpoint", "saved_model.pb"))
    return alone and any(file.suffix in (".safetensors", ".bin", ".pt", ".pth") for file in path.iterdir())


def _is_prefix(path: Path) -> bool:
    """Whether files of a TensorFlow checkpoint begin with this name."""
    return bool(path.name) and path.with_name(f"{path.name}.index").is_file()


def shipped() -> dict[str, Path]:
    """Names and files of the models that come with the package."""
    return {path.stem: path for path in sorted(_folder().glob("*.pt"))}


def _folder() -> Path:
    return Path(str(files("lyapmap.models"))) / "shipped"


INDEX = "index.json"


def index() -> dict[str, dict[str, Any]]:
    """What the shipped models are and how they were trained, with no framework at hand to read their files.

    Written by `make shipped`; a test holds it against the files.

    Examples
    --------
    >>> index()["cycle-digits-012"]["sample_states"]
    [27, 1, 8, 8]
    """
    return cast(dict[str, dict[str, Any]], json.loads((_folder() / INDEX).read_text()))


def card(name: str) -> str:
    """The model card of a shipped model, in Markdown."""
    return shipped()[name].with_suffix(".md").read_text()


def kind_of(name: str | Path) -> tuple[Path, Kind]:
    """The file that a name stands for, and of which kind it is.

    Raises
    ------
    CheckpointError
        If there is no such model or file, or nothing reads files of its kind.
    """
    path = shipped().get(str(name), Path(name))
    for kind in KINDS.values():
        if kind.fits(path):
            return path, kind
    if not path.exists():
        close = difflib.get_close_matches(str(name), shipped(), n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise CheckpointError(
            f"model: {str(name)!r} is neither a file nor one of {', '.join(shipped()) or 'no shipped models'}{hint}"
        )
    reason = REFUSED.get(path.suffix, f"it is of no kind that is known; expected {READ}")
    raise CheckpointError(f"{path}: refused, because {reason}")


def load_model(
    name: str | Path,
    *,
    network: Any = None,
    network_args: Mapping[str, Any] | None = None,
    state_shape: Any = None,
    inputs: Any = None,
    output: Any = None,
    window: int | None = None,
    constraint: str | None = None,
    dtype: str | None = None,
    device: str | None = None,
    memory_limit: int | None = None,
    part: str | None = None,
    trust: bool = False,
) -> Model:
    """Load a trained network by name or from a file, as a map.

    Parameters
    ----------
    name : str or path
        Name of a shipped model, or the file or folder of a network: a checkpoint of lyapmap; a state dict, a Lightning
        checkpoint, a module or a program of torch; a model of Keras or TensorFlow; an ONNX file; parameters of flax or
        equinox; a folder of diffusers or transformers. docs/models.md has a table.
    network : class, callable, module or str, optional
        What the weights of a file belong to, where the file holds weights alone; "package.module:Class" is imported,
        from the current folder too.
    network_args : dict, optional
        Arguments with which it is made.
    state_shape : tuple of int, optional
        Shape of one state, where file and network do not say it.
    inputs, output, window, constraint : optional
        What the network takes beside the state, which part of its answer is the next state, over how many elements
        of a sequence a state goes, and on what surface it lies; see `lyapmap.wrap`.
    dtype : "float32" or "float64", optional
        Of the map; by default as saved, and float32 for weights in half precision.
    device : str, optional
        Where the map computes; the CPU by default.
    memory_limit : int, optional
        Bytes that one pass of tangents may take, about.
    part : str, optional
        Which network, of a file that holds several, e.g. "generator_g" or "ema_model".
    trust : bool
        Load files that may run code when they are loaded (pickled modules, TorchScript, exported programs, SavedModel).
        All others cannot.

    Returns
    -------
    Model

    Raises
    ------
    CheckpointError
        If there is no such model or file, or the file cannot be used.
    MissingExtraError
        If the framework that it needs is not installed.

    Examples
    --------
    >>> model = load_model("cycle-digits-012")
    >>> model.map.state_shape
    (1, 8, 8)
    """
    wanted = Wanted(part, trust, network, network_args or {})
    saved, reader = _load_saved(name, wanted)
    options = {
        "dtype": dtype,
        "device": device,
        "memory_limit": memory_limit,
        "state_shape": state_shape,
        "inputs": inputs,
        "output": output,
        "window": window,
        "constraint": constraint,
    }
    label = saved.origin["model"]
    try:
        made = reader.as_map(saved, **{key: value for key, value in options.items() if value is not None})
    except LyapmapError as error:  # the network is the file's, and not a function that the caller gave
        words = re.sub(r"^(function|module):", f"{label}:", str(error))
        if "failed on states of shape" in words:
            words += "; state_shape says what one state looks like"
        error.args = (words,)
        raise
    except Exception as error:  # of a library, or of the class that the caller named
        raise CheckpointError(f"{label}: its network fails: {by_user(error)}") from error
    shape, states = tuple(made.state_shape), saved.sample_states
    if states is None:
        states = np.zeros((0, *shape), np.float32)
    if states.shape[1:] != shape or not np.isfinite(states).all():
        expected = ", ".join(map(str, shape))
        raise CheckpointError(f"{name}: sample_states have shape {states.shape}, expected (m, {expected}), all finite")
    return Model(label, made, saved.module, states, saved.architecture, saved.config, saved.training)


def load_saved(name: str | Path, *, part: str | None = None, trust: bool = False) -> tuple[Saved, Reader]:
    """A network as its file has it, and the module that read it; see `load_model`."""
    return _load_saved(name, Wanted(part, trust))


def _load_saved(name: str | Path, wanted: Wanted) -> tuple[Saved, Reader]:
    path, kind = kind_of(name)
    several = kind in (KINDS["TensorFlow checkpoint"], KINDS["torch"])
    if wanted.part is not None and (not several or str(name) in shipped()):
        raise CheckpointError(f"part: {path.name} holds one network only")
    weights_alone = (KINDS["torch"], KINDS["flax"], KINDS["equinox"])
    if wanted.network is not None and kind not in weights_alone:
        raise CheckpointError(f"network: {path.name} says itself which network it holds")
    reader = _reader(kind)
    return reader.read(path, str(name) if str(name) in shipped() else path.name, wanted), reader


def record(name: str | Path) -> dict[str, Any]:
    """How a model was trained, as far as its file says so.

    Examples
    --------
    >>> record("cycle-digits-012")["settings"]["data"]
    'digits'
    """
    path, kind = kind_of(name)
    return _reader(kind).record(path)


def _reader(kind: Kind) -> Reader:
    if find_spec(kind.package) is None:
        raise MissingExtraError(kind.package, kind.extra or kind.package, "loading this model")
    name = next(name for name, known in KINDS.items() if known is kind)
    return import_module(kind.reader or papers.reader_of(name))
