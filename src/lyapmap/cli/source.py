"""Which map a command is about, and where its trajectories start."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.cli.common import integers
from lyapmap.cli.image_data import images_like
from lyapmap.core.errors import LyapmapError, MissingExtraError, ShapeError
from lyapmap.core.map import TangentMap, dimension, resembles_map
from lyapmap.core.points import image_shape

_Start = tuple[NDArray[Any], str]
"""Initial states (b, n), and where they come from in words."""

TRAJECTORIES = {"map": 8, "callable": 8, "model": 4}
"""Default number by kind of source: a step of a network costs far more than one of a formula."""


@dataclass(frozen=True)
class Source:
    """A map with initial states.

    Attributes
    ----------
    name : str
    kind : "model", "map" or "callable"
    map : TangentMap
    x0 : (b, n)
    started_from : str
        Where the initial states come from, in words.
    seed : int
        Of everything that is random.
    resize : bool
        Whether images are given the size and colour of its states.
    """

    name: str
    kind: str
    map: TangentMap
    x0: NDArray[Any]
    started_from: str
    seed: int = 0
    resize: bool = False

    @property
    def shows_images(self) -> bool:
        """Whether a state is an image."""
        return image_shape(tuple(self.map.state_shape)) is not None


def load_source(
    *,
    model: str | None,
    part: str | None,
    trust: bool,
    map_name: str | None,
    parameters: list[str] | None,
    function: str | None,
    state_shape: str | None,
    x0: Path | None,
    data: str | None,
    classes: str | None,
    resize: bool,
    trajectories: int | None,
    dtype: str | None,
    device: str | None,
    seed: int,
) -> Source:
    """Load what `--model`, `--map` or `--callable` names, and choose its initial states."""
    given = [option for option, value in (("--model", model), ("--map", map_name), ("--callable", function)) if value]
    if len(given) != 1:
        got = " and ".join(given) or "none"
        raise LyapmapError(f"expected one of --model, --map and --callable, got {got}")
    if parameters and not map_name:
        raise LyapmapError("-p: only a reference map (--map) takes parameters")
    if (part or trust) and not model:
        raise LyapmapError(f"{'--part' if part else '--trust'}: only together with --model")
    if state_shape and not function:
        raise LyapmapError("--state-shape: only --callable needs it")
    kind = given[0].removeprefix("--")
    b = trajectories or TRAJECTORIES[kind]
    usual: Callable[[], _Start]  # where the states start that nobody gives
    if model:
        name, tangent_map, usual = _model(model, part, trust, dtype, device, b, seed)
    elif map_name:
        name, tangent_map, usual = _reference(map_name, parameters or [], dtype, device, b, seed)
    else:
        name, tangent_map, usual = _callable(str(function), state_shape, dtype, device, b, seed)
    if x0 is not None:
        states = _from_file(x0, tangent_map)
        if trajectories is not None:
            states = states[:trajectories]
        return Source(name, kind, tangent_map, states, str(x0), seed, resize)
    if data is not None:
        states, words = _from_data(data, classes, tangent_map, b, seed, resize)
        return Source(name, kind, tangent_map, states, words, seed, resize)
    if classes is not None:
        raise LyapmapError("--classes: only together with --data")
    return Source(name, kind, tangent_map, *usual(), seed, resize)


def require_torch(purpose: str) -> None:
    """Raise an error with the pip command where torch is not installed."""
    if find_spec("torch") is None:
        raise MissingExtraError("torch", "torch", purpose)


def _model(
    model: str, part: str | None, trust: bool, dtype: str | None, device: str | None, b: int, seed: int
) -> tuple[str, TangentMap, Callable[[], _Start]]:
    from lyapmap.files.zoo import load_model

    loaded = load_model(model, dtype=dtype, device=device, part=part, trust=trust)

    def samples() -> _Start:
        states = loaded.sample_states
        if len(states) == 0:
            shape = (b, dimension(loaded.map.state_shape))
            words = "random numbers in [-1, 1), since the model brings no sample states; see --data and --x0"
            return np.random.default_rng(seed).uniform(-1, 1, shape), words
        if b > len(states):
            raise LyapmapError(
                f"--trajectories: {loaded.name} comes with {len(states)} sample states, got {b}; "
                "start more from --data or --x0"
            )
        return states[:b].reshape(b, -1), "the model's sample states"

    return loaded.name, loaded.map, samples


def _reference(
    name: str, parameters: list[str], dtype: str | None, device: str | None, b: int, seed: int
) -> tuple[str, TangentMap, Callable[[], _Start]]:
    from lyapmap import systems

    values = dict(_parameter(text) for text in parameters)
    info = systems.catalogue().get(name)
    for option, value in (("dtype", dtype), ("device", device)):
        if value is None or info is None:
            continue
        if option in info.parameters:
            values[option] = value
        elif value not in ("float64", "cpu"):
            raise LyapmapError(f"--{option}: the map {name} computes in float64 on the CPU, got {value}")
    tangent_map = systems.create(name, **values)
    words = "random states of the map's safe region"
    return name, tangent_map, lambda: (tangent_map.initial_states(b, seed), words)


def _parameter(text: str) -> tuple[str, Any]:
    """NAME=VALUE; the value is a number, a list of numbers separated by commas, or a word."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise LyapmapError(f"-p: expected NAME=VALUE, got {text!r}")
    parts = [_number(part) for part in value.split(",")]
    return name.strip(), parts[0] if len(parts) == 1 else parts


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)


def _callable(
    text: str, state_shape: str | None, dtype: str | None, device: str | None, b: int, seed: int
) -> tuple[str, TangentMap, Callable[[], _Start]]:
    from lyapmap.backends import tells_shape, wrap

    target = _imported(text)
    shape = integers(state_shape, "--state-shape")
    is_map = resembles_map(target)
    if is_map and dtype is not None:
        raise LyapmapError(f"--dtype: {text} is a map already and has its own")
    options: dict[str, Any] = {k: v for k, v in (("dtype", dtype), ("device", device)) if v is not None and not is_map}
    if is_map:
        tangent_map = wrap(target)
    elif shape is None and not tells_shape(target):
        raise LyapmapError(f"--state-shape: {text} needs the shape of one state, e.g. --state-shape 2")
    else:
        tangent_map = wrap(target, state_shape=shape, **options)
    n = dimension(tangent_map.state_shape)
    words = "random numbers in [0, 1); give others with --x0"
    return text, tangent_map, lambda: (np.random.default_rng(seed).uniform(0, 1, (b, n)), words)


def _imported(text: str) -> Any:
    module_name, colon, attribute = text.partition(":")
    if not colon or not module_name or not attribute:
        raise LyapmapError(f"--callable: expected pkg.module:function, got {text!r}")
    if "" not in sys.path:
        sys.path.insert(0, "")  # modules of the current folder, as `python -m` finds them
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        raise LyapmapError(f"--callable: no module named {error.name!r}") from None
    except Exception as error:  # the module's own code may raise anything
        raise LyapmapError(f"--callable: {module_name} failed to import ({type(error).__name__}: {error})") from None
    target: Any = module
    for part in attribute.split("."):
        if not hasattr(target, part):
            raise LyapmapError(f"--callable: {module_name} has no {attribute!r}")
        target = getattr(target, part)
    return target


def _from_file(path: Path, tangent_map: TangentMap) -> NDArray[Any]:
    if not path.is_file():
        raise LyapmapError(f"--x0: no file {path}")
    try:
        states = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise LyapmapError(f"--x0: {path} is not a readable .npy file of numbers ({error})") from None
    if not isinstance(states, np.ndarray):
        raise LyapmapError(f"--x0: {path} holds several arrays, expected one .npy array")
    shape = tuple(tangent_map.state_shape)
    n = dimension(shape)
    if states.shape in (shape, (n,)):
        return states.reshape(1, n)
    if states.ndim < 2 or states.shape[1:] not in (shape, (n,)) or len(states) == 0:
        raise ShapeError(f"--x0: expected one state {shape} or a batch (b, {n}), got {states.shape}")
    return states.reshape(-1, n)


def _from_data(
    data: str, classes: str | None, tangent_map: TangentMap, b: int, seed: int, resize: bool
) -> tuple[NDArray[Any], str]:
    shape = tuple(tangent_map.state_shape)
    if image_shape(shape) is None:
        raise LyapmapError(f"--data: the states of this map have shape {shape} and are no images")
    images = images_like(data, tangent_map, split="test", classes=integers(classes, "--classes"), resize=resize)
    if len(images) < b:
        raise LyapmapError(f"--trajectories: {data} has {len(images)} such test images, got {b}")
    chosen = np.sort(np.random.default_rng(seed).choice(len(images), b, replace=False))
    return images.states[chosen], f"test images of {data}" + (f", classes {classes}" if classes else "")
