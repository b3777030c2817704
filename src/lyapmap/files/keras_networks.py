"""Keras models in files: `.keras`, and the older `.h5`; neither runs code when it is read here. And SavedModels.

A `.keras` file is a zip archive. Those that `write` makes hold two members more, which Keras leaves
alone: `lyapmap/record.json` (architecture, config, how it was trained) and
`lyapmap/sample_states.npy` (channels last). A SavedModel is a folder with a program, which is loaded only by somebody
who trusts it.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import CheckpointError
from lyapmap.core.writing import written_whole
from lyapmap.files import papers
from lyapmap.files.model import Saved, Wanted

RECORD, SAMPLES = "lyapmap/record.json", "lyapmap/sample_states.npy"
FORMAT = "lyapmap/1"
CODE = ("Lambda", "__lambda__")
"""Classes that hold Python code."""
LARGEST_MEMBER = 2**28
"""Bytes of sample states that are read at most."""
SAVED_MODEL, SIGNATURE = "SavedModel", "serving_default"


def read(path: Path, label: str, wanted: Wanted) -> Saved:
    """The network of a `.keras` or `.h5` file, or what a SavedModel serves."""
    if path.is_dir():
        return _saved_model(path, label, wanted.trust)
    network = load(path)
    about, states = _extras(path)
    origin = {"model": label, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    return Saved(network, origin, states, about["model"], about["config"], about["training"])


def as_map(saved: Saved, **options: Any) -> Any:
    """A Keras model, or what a SavedModel serves, as a map."""
    from lyapmap.backends.keras.map import wrap_keras, wrap_tensorflow

    if saved.origin.get("map") != SAVED_MODEL:
        return wrap_keras(saved.module, provenance=saved.origin, **options)
    function, spec = _served(saved.module, saved.origin["model"])
    dtype = options.pop("dtype", None) or spec.dtype.name
    if dtype != spec.dtype.name:
        raise CheckpointError(f"dtype: {saved.origin['model']} computes in {spec.dtype.name} only, got {dtype}")
    shape = tuple(spec.shape[1:])
    return wrap_tensorflow(function, state_shape=shape, dtype=dtype, provenance=saved.origin, **options)


def record(path: Path) -> dict[str, Any]:
    """How the network was trained; empty where the file does not say so, as a SavedModel never does."""
    if path.is_dir():
        return {}
    _require_file(path)
    return _extras(path)[0]["training"]


def load(path: Path) -> Any:
    """The Keras model of a file, after a look at everything that it would make.

    Raises
    ------
    CheckpointError
        If the file is missing or damaged, holds no model, or code.
    """
    _require_file(path)
    config = _config(path)
    _refuse_code(config, path)
    from lyapmap.backends.keras.start import keras

    module = keras()
    for paper, own in papers.papers().items():
        if own.keras_layers:
            import_module(papers.place(paper, own.keras_layers))  # registers its layers

    _refuse_unknown(config, path, module)
    try:
        return module.saving.load_model(path, compile=False, safe_mode=True)
    except MemoryError:
        raise
    except Exception as error:  # readers of archives, configs and weights raise many kinds
        raise CheckpointError(f"{path}: Keras cannot load it ({_line(error)})") from None


def write(
    network: Any, path: Path, *, model: str, config: dict[str, Any], training: dict[str, Any], sample_states: Any
) -> Path:
    """Write a `.keras` file with its record and sample states (m, h, w, c); it appears whole or not at all."""
    about = {"format": FORMAT, "model": model, "config": config, "training": training}
    states = io.BytesIO()
    np.save(states, np.asarray(sample_states, np.float32))
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as beside:
        network.save(beside)
        with zipfile.ZipFile(beside, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(RECORD, json.dumps(about))
            archive.writestr(SAMPLES, states.getvalue())
    return path


def _saved_model(path: Path, label: str, trust: bool) -> Saved:
    """What a SavedModel serves."""
    if not trust:
        raise CheckpointError(
            f"{path}: refused, because a SavedModel is a program, which may read and write files when it runs; "
            "load it with --trust (trust=True) if you know where it comes from, or save the model as .keras"
        )
    from lyapmap.backends.keras.start import tensorflow

    tf = tensorflow()
    try:
        loaded = tf.saved_model.load(str(path))
    except Exception as error:  # readers of graphs and variables raise many kinds
        raise CheckpointError(f"{path}: TensorFlow cannot load it ({_line(error)})") from None
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(file.read_bytes())
    return Saved(loaded, {"model": label, "map": SAVED_MODEL, "sha256": digest.hexdigest()})


def _served(loaded: Any, path: str) -> tuple[Any, Any]:
    """The function of a SavedModel's signature with one input and one output, and what it takes."""
    signatures = dict(loaded.signatures)
    name = SIGNATURE if SIGNATURE in signatures else next(iter(signatures), None)
    if name is None:
        raise CheckpointError(f"{path}: has no signature; load it yourself and give it to lyapmap.wrap")
    signature = signatures[name]
    inputs, outputs = signature.structured_input_signature[1], signature.structured_outputs
    if len(inputs) != 1 or len(outputs) != 1:
        raise CheckpointError(
            f"{path}: {name} has {len(inputs)} inputs and {len(outputs)} outputs, expected one of each"
        )
    ((argument, spec),) = inputs.items()
    if spec.shape.rank is None or spec.shape.rank < 2 or None in tuple(spec.shape[1:]):
        raise CheckpointError(f"{path}: {name} takes {spec.shape}, expected a batch of states of known shape")

    def serve(x: Any) -> Any:
        (y,) = signature(**{argument: x}).values()
        return y

    return serve, spec


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")


def _config(path: Path) -> Any:
    """The description of a model, as it stands in a file."""
    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                return json.loads(archive.read("config.json"))
        import h5py

        with h5py.File(path, "r") as file:
            text = file.attrs.get("model_config")
    except KeyError:
        raise CheckpointError(f"{path}: a zip archive, but not one that Keras wrote") from None
    except (OSError, zipfile.BadZipFile, ValueError, RuntimeError) as error:
        kind = "a .keras file" if path.suffix == ".keras" else "an HDF5 file"
        raise CheckpointError(f"{path}: truncated, damaged or not {kind} ({_line(error)})") from None
    if text is None:
        raise CheckpointError(f"{path}: holds weights without a model; save the whole model with model.save")
    return json.loads(text)


def _refuse_code(config: Any, path: Path) -> None:
    for part in _objects(config):
        if part["class_name"] in CODE or str(part.get("registered_name")).rpartition(">")[2] in CODE:
            inner = part.get("config")
            name = inner.get("name") if isinstance(inner, dict) else None
            raise CheckpointError(
                f"{path}: refused, because {f'the layer {name!r}' if name else 'it'} is a Lambda, whose Python code "
                "would run; write it as a layer class that is registered (keras.saving.register_keras_serializable), "
                "or load the model yourself and give it to lyapmap.wrap"
            )


def _refuse_unknown(config: Any, path: Path, keras: Any) -> None:
    """Classes of other packages are made only if their owner has registered them in this process."""
    for part in _objects(config):
        module, name = part.get("module"), part.get("registered_name") or part["class_name"]
        top = str(module or "keras").partition(".")[0]
        if top in ("keras", "tf_keras", "builtins") or keras.saving.get_registered_object(name) is not None:
            continue
        raise CheckpointError(
            f"{path}: holds {part['class_name']} of {module}, which is not registered; import the module that "
            "defines it, with keras.saving.register_keras_serializable, before the file is loaded"
        )


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Everything in a description that names a class."""
    waiting = [config]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if isinstance(part.get("class_name"), str):
                yield part
            waiting += reversed(part.values())
        elif isinstance(part, list):
            waiting += reversed(part)


def _extras(path: Path) -> tuple[dict[str, Any], NDArray[Any] | None]:
    """What `write` put beside the model; empty in files of others."""
    nothing: dict[str, Any] = {"model": "", "config": {}, "training": {}}
    if path.suffix != ".keras":
        return nothing, None
    try:
        with zipfile.ZipFile(path) as archive:
            if RECORD not in archive.namelist():
                return nothing, None
            about = json.loads(archive.read(RECORD))
            if archive.getinfo(SAMPLES).file_size > LARGEST_MEMBER:
                raise CheckpointError(f"{path}: {SAMPLES} is too large")
            states = np.load(io.BytesIO(archive.read(SAMPLES)), allow_pickle=False)
    except CheckpointError:
        raise
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise CheckpointError(f"{path}: damaged record or sample states ({_line(error)})") from None
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise CheckpointError(f"{path}: {RECORD} is not of the format {FORMAT!r}")
    kinds = {"model": str, "config": dict, "training": dict}
    wrong = [name for name, kind in kinds.items() if not isinstance(about.get(name), kind)]
    if wrong:
        raise CheckpointError(f"{path}: {RECORD} has no {wrong[0]!r} that can be used")
    return {name: about[name] for name in kinds}, states


def _line(error: BaseException) -> str:
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return line if len(line) <= 160 else f"{line[:157]}..."
