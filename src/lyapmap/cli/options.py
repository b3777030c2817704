"""Options that commands share, one dataclass for each subject; their docstrings are the help."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHANNELS = {"grey": 1, "rgb": 3}


@dataclass(frozen=True)
class AsImages:
    """How the images of a data set are changed.

    Attributes
    ----------
    resize : bool
        To the size and colour of a map's states.
    image_size : int or None
        To this height and width.
    colour : "grey", "rgb" or None
    """

    resize: bool = False
    image_size: int | None = None
    colour: str | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> AsImages:
        """What was typed, of a command that has these options or not."""
        return cls(bool(options.get("resize")), options.get("image_size"), options.get("colour"))

    def given(self) -> dict[str, int]:
        """Size and channels as `lyapmap.data.load` takes them."""
        wanted = {"image_size": self.image_size, "channels": CHANNELS.get(self.colour or "")}
        return {name: value for name, value in wanted.items() if value is not None}


AS_THEY_ARE = AsImages()


@dataclass(frozen=True)
class MapOptions:
    """Which map, and where to start.

    Parameters
    ----------
    subject : MAP
        A reference map, a shipped model, the file of a network, or PKG.MODULE:FUNCTION; or one of --model, --map and
        --callable.
    model : NAME|FILE
        A shipped model, or the file or folder of a network, of torch, Keras, TensorFlow, ONNX, flax, equinox or
        Hugging Face.
    network : PKG.MODULE:CLASS
        The network that the weights of --model belong to.
    network_args : JSON
        Arguments that it is made with, e.g. '{"width": 32}'.
    inputs : JSON
        What the network takes beside its state, by name or as a list, e.g. '{"timestep": 10}'. What changes is
        {"each_step": [...] or "FILE.npy", "repeat": true}; what is drawn anew {"drawn": "normal", "shape": 8}.
    output : NAME|INDEX
        Which part of the network's answer is the next state; the only array by default.
    sequence_window : N, at least 1
        Elements of a sequence that are a state together, along an axis of --state-shape; the network gives the next.
    constraint : "sphere" or "simplex"
        Where states lie: unit vectors, or shares that add up to one, along their last axis.
    part : NAME
        Which network of a file that holds several.
    trust
        Load a pickled module, TorchScript, an exported program or a SavedModel, which may do anything when they run.
    map_name : NAME
        A reference map; see `lyapmap maps`.
    parameter : NAME=VALUE
        Parameter of the map; repeatable.
    function : PKG.MODULE:FUNCTION
        A function or network that can be imported.
    state_shape : N[,N...]
        Shape of one state, e.g. 1,28,28, of --callable or of a --model that does not say it.
    section : I=X[:up|down|both]|max:I|min:I|time:T
        See a flow where component I is X, at its maxima or minima, or every T units of time.
    x0 : FILE.npy
        Initial states, one per row.
    data : NAME|FOLDER
        Start from test images of a data set.
    classes : N[,N...]
        Only these classes of --data, e.g. 0 or 0,1,2.
    resize
        Give images the size and colour of the map's states.
    image_size : N, at least 1
        Give images this height and width.
    colour : "grey" or "rgb"
        Make images grey, or give them three channels.
    trajectories : N, at least 1
        Number of trajectories.
    dtype : "float32", "float64", "complex64" or "complex128"
        Precision; the map's own by default.
    device : NAME
        Where a torch map computes, e.g. cuda; the CPU by default.
    seed : N, at least 0
        Of everything that is random.
    """

    subject: str | None = None
    model: str | None = None
    network: str | None = None
    network_args: str | None = None
    inputs: str | None = None
    output: str | None = None
    sequence_window: int | None = None
    constraint: str | None = None
    part: str | None = None
    trust: bool = False
    map_name: str | None = None
    parameter: list[str] | None = None
    function: str | None = None
    state_shape: tuple[int, ...] | None = None
    section: str | None = None
    x0: Path | None = None
    data: str | None = None
    classes: tuple[int, ...] | None = None
    resize: bool = False
    image_size: int | None = None
    colour: str | None = None
    trajectories: int | None = None
    dtype: str | None = None
    device: str | None = None
    seed: int = 0

    @property
    def named(self) -> str:
        """What names the map; empty where nothing does."""
        return str(self.subject or self.model or self.map_name or self.function or "")

    @property
    def as_images(self) -> AsImages:
        """How images of data are changed."""
        return AsImages(self.resize, self.image_size, self.colour)


@dataclass(frozen=True)
class Plane:
    """A grid of states to start from.

    Parameters
    ----------
    grid : N[,N]
        Start from a grid of so many states, along 1 or 2 axes.
    low : X[,X]
        Lower ends of the grid; those of the map's region by default.
    high : X[,X]
        Upper ends of the grid; those of the map's region by default.
    axes : I[,I]
        Components that vary along the grid.
    """

    grid: tuple[int, ...] | None = None
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    axes: tuple[int, ...] = (0, 1)


@dataclass(frozen=True)
class SeriesFile:
    """A file of measured values.

    Parameters
    ----------
    series : FILE
        .csv, .tsv, .txt, .dat, .npy, .npz, .parquet, or an array of a file as run.h5:/states (.h5, .nc, .zarr), one
        row per step.
    column : NAME
        Name or number (from 0) of the column; all by default.
    sep : SIGN
        What separates columns; found out by default.
    decimal : SIGN
        Decimal sign, . or a comma; found out by default.
    component : N, at least 0
        Component of a map's states.
    """

    series: Path | None = None
    column: str | None = None
    sep: str | None = None
    decimal: str | None = None
    component: int = 0


@dataclass(frozen=True)
class Machine:
    """Where a command without a map computes.

    Parameters
    ----------
    device : NAME
        Where torch computes, e.g. cuda; the CPU by default.
    seed : N, at least 0
        Of everything that is random.
    """

    device: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class Output:
    """Where results are written.

    Parameters
    ----------
    out : DIR
        Write the result and its picture there.
    """

    out: Path | None = None


@dataclass(frozen=True)
class Cluster:
    """Who computes, where trajectories or values can be divided.

    Parameters
    ----------
    workers : N, at least 1
        Processes of this machine that share the work, to the same bits; 1 is this one.
    scheduler : ADDRESS
        A dask cluster that shares it, e.g. tcp://10.0.0.1:8786.
    """

    workers: int | None = None
    scheduler: str | None = None


@dataclass(frozen=True)
class Printed:
    """What is printed.

    Parameters
    ----------
    as_json
        Print one JSON object and nothing else.
    """

    as_json: bool = False


@dataclass(frozen=True)
class TrainingRun:
    """What a network is trained on, where, and the folder.

    Parameters
    ----------
    data : NAME|FOLDER|FILE
        A data set (digits, mnist, fashion_mnist, cifar10), a folder or an .npz file.
    out : DIR
        Folder of the run.
    image_size : N, at least 1
        Resize images; as they are by default.
    device : NAME
        Where torch computes, e.g. cuda; the CPU by default.
    threads : N, at least 1
        Threads of torch; all cores by default.
    seed : N, at least 0
        Of everything that is random.
    """

    data: str
    out: Path
    image_size: int | None = None
    device: str | None = None
    threads: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class StudyRun:
    """The folder of a study, its stages, and what images are compared by.

    Parameters
    ----------
    out : DIR
        Folder of the study.
    only : STAGE
        Only this stage; repeatable.
    features : NAME|FILE
        For precision and recall: pixels, classifier, random-vgg, vgg16, or a trained classifier; by default a
        classifier if one is shipped, else pixels.
    classifier : NAME|FILE
        Names the categories of images; the shipped one of the data by default.
    weights : FILE
        File of weights for vgg16.
    device : NAME
        Where torch computes, e.g. cuda; the CPU by default.
    seed : N, at least 0
        Of everything that is random.
    """

    out: Path
    only: list[str] | None = None
    features: str | None = None
    classifier: str | None = None
    weights: Path | None = None
    device: str | None = None
    seed: int = 0

    @property
    def subject(self) -> dict[str, Any]:
        """What `load_subject` of a paper takes of them."""
        names = ("features", "classifier", "weights", "device", "seed")
        return {name: getattr(self, name) for name in names}
