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
import math
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.backends import wrap
from lyapmap.core.errors import CheckpointError
from lyapmap.core.reading.arrays import Archive, npy
from lyapmap.core.reading.bounded import first_line, json_in, parsing
from lyapmap.core.reading.hdf5 import Tree, hdf5_tree
from lyapmap.core.writing import written_whole
from lyapmap.files import papers
from lyapmap.files.model import Saved, Wanted

RECORD, SAMPLES = "lyapmap/record.json", "lyapmap/sample_states.npy"
FORMAT = "lyapmap/1"
CODE = ("Lambda", "__lambda__")
"""Classes that hold Python code."""
REACHING = (
    *("TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"),
    *("StringLookup", "IntegerLookup", "TextVectorization", "IndexLookup"),
)
"""Layers that run a program of a file, or read files that their description names."""
BUILTIN = ("function", "slice", "__tuple__", "__numpy__", "__tensor__", "__ellipsis__", "__keras_tensor__")
CONFIG, WEIGHTS = "config.json", "model.weights.h5"
LARGEST_TEXT = 2**22
"""Bytes that a description may have beyond the size of its file."""
SPARE = 10_000
"""Values that layers may have which are not stored, as the states of random numbers."""
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
    from lyapmap.backends.keras.map import wrap_tensorflow

    if saved.origin.get("map") != SAVED_MODEL:
        return wrap(saved.module, provenance=saved.origin, **options)
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
    config, tree = _parts(path)
    _refuse_code(config, path)
    from lyapmap.backends.keras.start import keras

    module = keras()
    for paper, own in papers.papers().items():
        if own.keras_layers:
            import_module(papers.place(paper, own.keras_layers))  # registers its layers

    _refuse_unknown(config, path, module)
    n_weights = sum(array.size for array in tree.arrays.values() if isinstance(array, np.ndarray))
    refusal = "Keras cannot load it"
    with parsing(path, refusal, CheckpointError), tempfile.TemporaryDirectory() as folder:
        clean = _written_anew(Path(folder, f"model{path.suffix}"), config, tree)
        with _no_more_weights_than(n_weights, module):
            return module.saving.load_model(clean, compile=False, safe_mode=True)


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
        raise CheckpointError(f"{path}: TensorFlow cannot load it ({first_line(error)})") from None
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


def _parts(path: Path) -> tuple[Any, Tree]:
    """The description of a model, and its weights with all that stands beside them."""
    if path.suffix != ".keras":
        tree = hdf5_tree(path, error=CheckpointError)
        text = tree.attributes[""].get("model_config")
        if not isinstance(text, str):
            raise CheckpointError(f"{path}: holds weights without a model; save the whole model with model.save")
        return json_in(text, path, CheckpointError), tree
    refusal = "truncated, damaged or not a .keras file"
    with Archive(path, refusal, CheckpointError) as archive, tempfile.TemporaryDirectory() as folder:
        if not {CONFIG, WEIGHTS} <= set(archive.names):
            raise CheckpointError(f"{path}: a zip archive, but not one that Keras wrote")
        config = json_in(archive.read(CONFIG, LARGEST_TEXT + path.stat().st_size), path, CheckpointError)
        inner = Path(folder, "weights.h5")
        inner.write_bytes(archive.read(WEIGHTS))
        try:
            return config, hdf5_tree(inner, refusal, CheckpointError)
        except CheckpointError as fault:
            raise CheckpointError(str(fault).replace(str(inner), str(path))) from None


def _written_anew(path: Path, config: Any, tree: Tree) -> Path:
    """A file with the same model, of whose bytes none are the stranger's: Keras reads it in this process."""
    import h5py

    if path.suffix != ".keras":
        with h5py.File(path, "w") as file:
            tree.write(file)
        return path
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        tree.write(file)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(CONFIG, json.dumps(config))
        archive.writestr("metadata.json", json.dumps({"keras_version": "3", "date_saved": ""}))
        archive.writestr(WEIGHTS, weights.getvalue())
    return path


@contextmanager
def _no_more_weights_than(n: int, keras: Any) -> Iterator[None]:
    """Raise a ValueError before layers made in this thread have more values than the file.

    Keras makes weights while it reads a description, and looks into the file afterwards.
    """
    layer, here, left = keras.layers.Layer, threading.get_ident(), n + SPARE
    original = layer.add_weight

    @wraps(original)
    def counted(self: Any, shape: Any = None, *args: Any, **options: Any) -> Any:
        nonlocal left
        if threading.get_ident() == here:
            left -= math.prod(shape or ())
            if left < 0:
                raise ValueError(f"it asks for more than the {n} weights that there are")
        return original(self, shape, *args, **options)

    with _patching:
        layer.add_weight = counted
        try:
            yield
        finally:
            layer.add_weight = original


_patching = threading.RLock()


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
    """Only layers of Keras and what they are made of are built, and classes that their owner has registered."""
    for part in _objects(config):
        module, name = part.get("module"), part["class_name"]
        registered = part.get("registered_name") or name
        if not all(isinstance(word, str | None) for word in (module, registered)):
            raise CheckpointError(f"{path}: names a class by something that is no text")
        if keras.saving.get_registered_object(registered) is not None or _is_plain(part, keras):
            continue
        if str(module or "keras").partition(".")[0] in ("keras", "tf_keras", "builtins"):
            raise CheckpointError(
                f"{path}: refused, because it holds {name[:60]} of {module or 'keras'}, which is no layer of Keras "
                "that computes with its weights alone; load the model yourself and give it to lyapmap.wrap"
            )
        raise CheckpointError(
            f"{path}: holds {name} of {module}, which is not registered; import the module that "
            "defines it, with keras.saving.register_keras_serializable, before the file is loaded"
        )


def _is_plain(part: dict[str, Any], keras: Any) -> bool:
    """Whether what a description names is a layer of Keras, or a part of one, and cannot run or read anything else."""
    module, name = part.get("module"), part["class_name"]
    if part.get("registered_name") not in (None, name) or name in REACHING:
        return False
    if module == "builtins" or name.startswith("__"):
        if name == "function":
            return callable(getattr(keras.activations, str(part.get("config")), None))
        return name in BUILTIN
    places = [
        keras.layers,
        keras.models,
        keras.initializers,
        keras.regularizers,
        keras.constraints,
        keras.dtype_policies,
    ]
    if module is not None:
        if module.partition(".")[0] not in ("keras", "tf_keras"):
            return False
        places = [sys.modules.get(module), *places] if module.startswith("keras.src.") else places
    if name == "Functional":  # it has no public name
        return True
    if name == "function":
        return callable(getattr(keras.activations, str(part.get("config")), None))
    kinds = (
        keras.Operation,  # layers, models, and the arithmetic between them
        keras.initializers.Initializer,
        keras.regularizers.Regularizer,
        keras.constraints.Constraint,
        keras.dtype_policies.DTypePolicy,
    )
    known = next((getattr(place, name) for place in places if hasattr(place, name)), None)
    return isinstance(known, type) and issubclass(known, kinds)


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Everything in a description that names a class."""
    waiting = [config]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if isinstance(part.get("class_name"), str):
                yield part
            # What only training needs is not made.
            waiting += reversed([value for key, value in part.items() if key != "compile_config"])
        elif isinstance(part, list):
            waiting += reversed(part)


def _extras(path: Path) -> tuple[dict[str, Any], NDArray[Any] | None]:
    """What `write` put beside the model; empty in files of others."""
    nothing: dict[str, Any] = {"model": "", "config": {}, "training": {}}
    if path.suffix != ".keras":
        return nothing, None
    refusal = "damaged record or sample states"
    with Archive(path, refusal, CheckpointError) as archive:
        if RECORD not in archive.names:
            return nothing, None
        about = json_in(archive.read(RECORD, LARGEST_TEXT + path.stat().st_size), path, CheckpointError)
        packed = archive.read(SAMPLES)
    with parsing(path, refusal, CheckpointError):
        states = npy(packed)
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise CheckpointError(f"{path}: {RECORD} is not of the format {FORMAT!r}")
    kinds = {"model": str, "config": dict, "training": dict}
    wrong = [name for name, kind in kinds.items() if not isinstance(about.get(name), kind)]
    if wrong:
        raise CheckpointError(f"{path}: {RECORD} has no {wrong[0]!r} that can be used")
    return {name: about[name] for name in kinds}, states
