"""Which map a command is about, and where its trajectories start."""

from __future__ import annotations

import difflib
import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.cli.options import AS_THEY_ARE, AsImages, MapOptions, Plane
from lyapmap.core.combined.driven import each_step, random_inputs
from lyapmap.core.demand import require_room_of_states
from lyapmap.core.errors import LyapmapError, MissingExtraError, ShapeError
from lyapmap.core.flows.sections import SectionMap
from lyapmap.core.map import TangentMap, dimension, resembles_map
from lyapmap.core.points import image_shape, laid_out
from lyapmap.core.reading.arrays import one_array
from lyapmap.files.model import imported

if TYPE_CHECKING:
    from lyapmap.analysis.exponents.finite_time import Grid
    from lyapmap.data import ImageSet

_Start = tuple[NDArray[Any], str]
"""Initial states (b, n), and where they come from in words."""

CHANGING = {"each_step", "drawn"}
"""What an input that changes from step to step begins with."""
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
    typed : str
        What names it on the command line.
    """

    name: str
    kind: str
    map: TangentMap
    x0: NDArray[Any]
    started_from: str
    seed: int = 0
    typed: str = ""

    @property
    def shows_images(self) -> bool:
        """Whether a state is an image."""
        return image_shape(tuple(self.map.state_shape)) is not None


def load_source(options: MapOptions) -> Source:
    """Load what `--model`, `--map`, `--callable` or the first argument names, and choose its initial states."""
    options = _resolved(options)
    model, map_name, function = options.model, options.map_name, options.function
    given = [option for option, value in (("--model", model), ("--map", map_name), ("--callable", function)) if value]
    if len(given) != 1:
        got = " and ".join(given) or "none"
        raise LyapmapError(f"expected one of --model, --map and --callable, got {got}")
    if options.parameter and not map_name:
        raise LyapmapError("-p: only a reference map (--map) takes parameters")
    of_model = {"--part": options.part, "--trust": options.trust, "--network": options.network}
    of_networks: dict[str, Any] = {"--state-shape": options.state_shape, "--inputs": options.inputs}
    of_networks |= {
        "--output": options.output,
        "--sequence-window": options.sequence_window,
        "--constraint": options.constraint,
    }
    for options_of, fits, words in ((of_model, model, "--model"), (of_networks, not map_name, "--model or --callable")):
        for option, value in options_of.items():
            if value and not fits:
                raise LyapmapError(f"{option}: only together with {words}")
    if options.network_args and not options.network:
        raise LyapmapError("--network-args: only together with --network")
    kind = given[0].removeprefix("--")
    b = options.trajectories or TRAJECTORIES[kind]
    usual: Callable[[], _Start]  # where the states start that nobody gives
    if model:
        name, tangent_map, usual = _model(options, b)
    elif map_name:
        name, tangent_map, usual = _reference(options, b)
    else:
        name, tangent_map, usual = _callable(options, b)
    if options.x0 is not None:
        states = _from_file(options.x0, tangent_map)[: options.trajectories]
        words = str(options.x0)
    elif options.data is not None:
        states, words = _from_data(options, tangent_map, b)
    elif options.classes is not None:
        raise LyapmapError("--classes: only together with --data")
    else:
        states, words = usual()
    if options.section is not None:
        tangent_map = _sectioned(tangent_map, options.section)
        if isinstance(tangent_map, SectionMap):
            states = tangent_map.starts(states)
            states, words = states[np.isfinite(states).all(axis=1)], f"{words}, carried to the section"
            if not len(states):
                raise LyapmapError(f"--section: no orbit comes to {options.section}")
    return Source(name, kind, tangent_map, states, words, options.seed, str(model or map_name or function))


def _resolved(options: MapOptions) -> MapOptions:
    """With the first argument as what it names: a reference map, a function that can be imported, or a model."""
    subject = options.subject
    if subject is None:
        return options
    others = (("--model", options.model), ("--map", options.map_name), ("--callable", options.function))
    for option, value in others:
        if value:
            raise LyapmapError(f"MAP: expected it, or {option}, got both: {subject} and {value}")
    from lyapmap.systems import catalogue

    if subject in catalogue():
        return replace(options, subject=None, map_name=subject)
    if re.fullmatch(r"[\w.]+:[\w.]+", subject) and not Path(subject).exists():
        return replace(options, subject=None, function=subject)
    # A TensorFlow checkpoint is called by the beginning of its files' names, with no file of just that name.
    path = Path(subject)
    if not (path.suffix or path.exists() or path.parent.name or path.with_name(f"{path.name}.index").exists()):
        from lyapmap.files.zoo import shipped

        known = [*catalogue(), *shipped()]
        if subject not in known:
            near = difflib.get_close_matches(subject, known, 1)
            hint = f"; did you mean {near[0]}?" if near else "; see lyapmap maps and lyapmap models"
            raise LyapmapError(f"MAP: no reference map, shipped model or file is called {subject!r}{hint}")
    return replace(options, subject=None, model=subject)


def _sectioned(flow: TangentMap, text: str) -> TangentMap:
    """The map of a flow that `--section` describes."""
    from lyapmap.backends.flows.sections import DIRECTIONS, maxima_map, poincare_map, stroboscopic_map

    number = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
    plane = re.fullmatch(rf"(-?\d+)=({number})(?::({'|'.join(DIRECTIONS)}))?", text)
    other = re.fullmatch(rf"(max|min|time):({number})", text)
    if plane:
        return poincare_map(flow, {int(plane[1]): float(plane[2])}, direction=plane[3] or "up")
    if other and other[1] == "time":
        return stroboscopic_map(flow, float(other[2]))
    if other and re.fullmatch(r"-?\d+", other[2]):
        return maxima_map(flow, int(other[2]), kind=other[1])
    raise LyapmapError(f"--section: expected I=X[:up|down|both], max:I, min:I or time:T, got {text!r}")


def require_torch(purpose: str) -> None:
    """Raise an error with the pip command where torch is not installed."""
    if find_spec("torch") is None:
        raise MissingExtraError("torch", "torch", purpose)


def _model(options: MapOptions, b: int) -> tuple[str, TangentMap, Callable[[], _Start]]:
    from lyapmap.files.zoo import load_model

    loaded = load_model(
        str(options.model),
        network=options.network,
        network_args=_json(options.network_args, "--network-args", {}),
        state_shape=options.state_shape,
        dtype=options.dtype,
        device=options.device,
        part=options.part,
        trust=options.trust,
        **_answers(options),
    )

    def samples() -> _Start:
        states = loaded.sample_states
        if len(states) == 0:
            shape = (b, dimension(loaded.map.state_shape))
            words = "random numbers in [-1, 1), since the model brings no sample states; see --data and --x0"
            return _scattered(options.seed, -1, *shape), words
        if b > len(states):
            raise LyapmapError(
                f"--trajectories: {loaded.name} comes with {len(states)} sample states, got {b}; "
                "start more from --data or --x0"
            )
        return states[:b].reshape(b, -1), "the model's sample states"

    return loaded.name, loaded.map, samples


def _answers(options: MapOptions) -> dict[str, Any]:
    """What a network takes beside its state, and what is taken of its answer."""
    output: Any = options.output
    if output is not None and re.fullmatch(r"-?\d+", output):
        output = int(output)
    inputs = _json(options.inputs, "--inputs", None)
    if isinstance(inputs, dict) and not CHANGING & inputs.keys():
        inputs = {name: _input(value) for name, value in inputs.items()}
    elif inputs is not None:
        inputs = tuple(_input(value) for value in (inputs if isinstance(inputs, list) else [inputs]))
    return {"inputs": inputs, "output": output, "window": options.sequence_window, "constraint": options.constraint}


def _input(value: Any) -> Any:
    """One input: a number, an array, or one that changes from step to step."""
    if not isinstance(value, dict):
        return np.asarray(value) if isinstance(value, list) else value
    options = dict(value)
    try:
        if "each_step" in options:
            values = options.pop("each_step")
            if isinstance(values, str):
                values = one_array(Path(values), "is not a readable .npy file of numbers", option="--inputs: ")
            return each_step(values, **options)
        if "drawn" in options:
            return random_inputs(options.pop("shape", 1), kind=options.pop("drawn"), **options)
    except TypeError as error:
        raise LyapmapError(f"--inputs: {error}") from None
    raise LyapmapError(f"--inputs: expected numbers, or each_step or drawn among {', '.join(value)}")


def _json(text: str | None, option: str, empty: Any) -> Any:
    if text is None:
        return empty
    try:
        return json.loads(text)
    except ValueError as error:
        raise LyapmapError(f"{option}: expected JSON, e.g. '{{\"width\": 32}}', got {text!r} ({error})") from None


def _reference(options: MapOptions, b: int) -> tuple[str, TangentMap, Callable[[], _Start]]:
    from lyapmap import systems

    name = str(options.map_name)
    values = dict(_parameter(text) for text in options.parameter or ())
    info = systems.catalogue().get(name)
    for option, value in (("dtype", options.dtype), ("device", options.device)):
        if value is None or info is None:
            continue
        if option in info.parameters:
            values[option] = value
        elif value not in ("float64", "cpu"):
            raise LyapmapError(f"--{option}: the map {name} computes in float64 on the CPU, got {value}")
    tangent_map = systems.create(name, **values)
    words = "random states of the map's safe region"
    return name, tangent_map, lambda: (tangent_map.initial_states(b, options.seed), words)


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


def _callable(options: MapOptions, b: int) -> tuple[str, TangentMap, Callable[[], _Start]]:
    from lyapmap.backends import wrap
    from lyapmap.backends.frameworks import tells_shape

    text, shape, dtype = str(options.function), options.state_shape, options.dtype
    target = imported(text, "--callable")
    is_map = resembles_map(target)
    if is_map and dtype is not None:
        raise LyapmapError(f"--dtype: {text} is a map already and has its own")
    details = {k: v for k, v in (("dtype", dtype), ("device", options.device)) if v is not None and not is_map}
    if is_map:
        tangent_map = wrap(target)
    elif shape is None and not tells_shape(target):
        raise LyapmapError(f"--state-shape: {text} needs the shape of one state, e.g. --state-shape 2")
    else:
        given = {name: value for name, value in _answers(options).items() if value is not None}
        tangent_map = wrap(target, state_shape=shape, **given, **details)
    n = dimension(tangent_map.state_shape)
    words = "random numbers in [0, 1); give others with --x0"
    return text, tangent_map, lambda: (_scattered(options.seed, 0, b, n), words)


def _scattered(seed: int, low: float, b: int, n: int) -> NDArray[np.float64]:
    """Random states (b, n) in [low, 1), if there is room for them."""
    require_room_of_states("initial states", b, n)
    return np.random.default_rng(seed).uniform(low, 1, (b, n))


def _from_file(path: Path, tangent_map: TangentMap) -> NDArray[Any]:
    if not path.is_file():
        raise LyapmapError(f"--x0: no file {path}")
    states = one_array(path, "is not a readable .npy file of numbers", option="--x0: ")
    shape, structure = tuple(tangent_map.state_shape), tangent_map.structure
    if structure is not None and structure.is_complex and np.iscomplexobj(states):
        states = np.atleast_2d(structure.flatten(states, "--x0"))
    n = dimension(shape)
    if states.shape in (shape, (n,)):
        return states.reshape(1, n)
    if states.ndim < 2 or states.shape[1:] not in (shape, (n,)) or len(states) == 0:
        raise ShapeError(f"--x0: expected one state {shape} or a batch (b, {n}), got {states.shape}")
    return states.reshape(-1, n)


def _from_data(options: MapOptions, tangent_map: TangentMap, b: int) -> _Start:
    shape, data = tuple(tangent_map.state_shape), str(options.data)
    if image_shape(shape) is None:
        raise LyapmapError(f"--data: the states of this map have shape {shape} and are no images")
    images = images_like(data, tangent_map, split="test", classes=options.classes, changed=options.as_images)
    if len(images) < b:
        raise LyapmapError(f"--trajectories: {data} has {len(images)} such test images, got {b}")
    rows = np.sort(np.random.default_rng(options.seed).choice(len(images), b, replace=False))
    return images.states[rows], f"test images of {data}{of_classes(options.classes)}"


def of_classes(classes: Sequence[int] | None) -> str:
    """The end of a description of data."""
    return f", classes {','.join(map(str, classes))}" if classes else ""


def images_like(
    data: str,
    tangent_map: TangentMap | None,
    *,
    split: str,
    classes: Sequence[int] | None,
    changed: AsImages = AS_THEY_ARE,
    option: str = "--data",
) -> ImageSet:
    """Images of a data set, in the layout of the map's states.

    Without a map whose states are images they come as they are. With one they must have the size and
    number of channels of its states, or be given them.
    """
    from lyapmap.data import load

    size: dict[str, Any] = changed.given()

    shape = () if tangent_map is None else tuple(tangent_map.state_shape)
    wanted = image_shape(shape)
    if wanted is None:
        if changed.resize:
            raise LyapmapError("--resize: there are no states of a map to resize to; give --image-size or --colour")
        return with_notes(load(data, split=split, classes=classes, **size))
    channels, height, width = wanted
    if changed.resize and size:
        raise LyapmapError(
            "--resize: gives images the size and colour of the map's states; leave out --image-size and --colour"
        )
    if changed.resize and height != width:
        raise LyapmapError(f"{option}: images are made square, and states of this map have {height} x {width} pixels")
    if changed.resize:
        size = {"image_size": height, "channels": channels}
    images = load(data, split=split, classes=classes, **size)
    if images.state_shape != wanted:
        raise LyapmapError(
            f"{option}: images of {data} have shape {images.state_shape} (channels, height, width), states of this map "
            f"{wanted}; give --resize to change the images"
        )
    return with_notes(replace(images, images=laid_out(images.images, shape)))


def with_notes(images: ImageSet) -> ImageSet:
    """The images, once what was done to them has been said on the terminal."""
    for note in images.notes:
        print(f"lyapmap: {images.name}: {note}", file=sys.stderr)
    return images


def plane(source: Source, given: Plane) -> Grid:
    """The grid of states that options describe; the first initial state gives the other components."""
    from lyapmap.analysis.exponents.finite_time import grid

    shape = given.grid or ()
    axes = given.axes[: len(shape)]
    region = source.map.region
    bounds = []
    for option, ends, end in (("--low", given.low, 0), ("--high", given.high, 1)):
        if ends is not None:
            bounds.append([*ends])
        elif region is not None and all(axis < len(region[end]) for axis in axes):
            bounds.append([float(region[end][axis]) for axis in axes])
        else:
            raise LyapmapError(f"{option}: needed together with --grid")
    return grid(bounds[0], bounds[1], shape, axes=axes, base=source.x0[0])
