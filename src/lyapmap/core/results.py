"""What every result shares: status, settings, provenance, saving and loading.

A result is a frozen dataclass of NumPy arrays and plain values. An array is a field made by `dims`, which names its
dimensions; everything else (dict, JSON, pandas, xarray, files) follows from the fields.
"""

from __future__ import annotations

import json
import platform
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from html import escape
from importlib import import_module
from importlib.metadata import version
from inspect import signature
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self, cast

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.canvas import canvas
from lyapmap.core.errors import LyapmapError, RunError
from lyapmap.core.map import TangentMap
from lyapmap.core.plain import plain, restored, with_error
from lyapmap.core.reading.arrays import Arrays
from lyapmap.core.reading.bounded import FACTOR, json_in, parsing, text
from lyapmap.core.reading.hdf5 import hdf5_tree
from lyapmap.core.writing import written_whole


class Status(StrEnum):
    """How an analysis ended; `remedy` says what to do about it."""

    OK = "ok"
    NOT_CONVERGED = "not_converged"
    COLLAPSED = "collapsed"
    ESCAPED = "escaped"
    UNRESOLVED = "unresolved"

    @property
    def remedy(self) -> str:
        """What would help, in words."""
        return _REMEDIES[self]

    @property
    def failed(self) -> bool:
        """Whether the numbers asked for are not there, so that an analysis raises by default.

        An unresolved spectrum is not a failure: what could not be resolved is NaN, the rest stands.
        """
        return self in (Status.NOT_CONVERGED, Status.COLLAPSED, Status.ESCAPED)


class Cause(StrEnum):
    """Why an analysis did not come to numbers that can be vouched for, where its status has several causes."""

    NONE = ""
    TOO_SHORT = "too_short"
    TOLERANCE = "tolerance"
    INTERRUPTED = "interrupted"
    CROSS_CHECK = "cross_check"
    RAISED = "raised"


_CAUSE_REMEDIES = {
    Cause.TOO_SHORT: "raise n_steps or the number of trajectories",
    Cause.TOLERANCE: "raise n_steps or the number of trajectories, or ask for a larger tolerance",
    Cause.INTERRUPTED: "let it run to its end; what was done until then stands in the result",
    Cause.RAISED: "mend the map, or start elsewhere; what was done until then stands in the result",
    Cause.CROSS_CHECK: "look whether the derivative belongs to the map (wrap checks it unless verify=False), whether "
    "the map gives the same image twice, or use float64",
}
_REMEDIES = {
    Status.OK: "",
    Status.NOT_CONVERGED: _CAUSE_REMEDIES[Cause.TOO_SHORT],
    Status.COLLAPSED: "the orbit died of rounding: start elsewhere, run fewer steps, use float64 or add noise",
    Status.ESCAPED: "start within the basin of an attractor, or look whether the map overflows",
    Status.UNRESOLVED: "use float64 or fewer exponents, or re-orthonormalize more often (qr_every)",
}


class Verdict(NamedTuple):
    """How a run ended: its status, one line on what happened, and the cause where a status has several."""

    status: Status = Status.OK
    message: str = ""
    cause: Cause = Cause.NONE


@lru_cache(maxsize=1)
def _installed() -> str:
    # Read from a file, which takes longer than a short run.
    return version("lyapmap")


def provenance(tangent_map: TangentMap | None, *, seed: int | None, seconds: float) -> dict[str, Any]:
    """Where a number comes from: versions, device, dtype, seed, map (None: from data alone), time."""
    if tangent_map is None:
        origin: dict[str, Any] = {"library": f"numpy {np.__version__}"}
    else:
        ops = tangent_map.ops
        # What the map says of itself comes first: it cannot overrule what is known of this run.
        origin = {
            **tangent_map.provenance,
            "library": ops.library,
            "device": ops.device,
            "dtype": ops.dtype,
            "derivative": tangent_map.derivative,
        }
    return {
        **origin,
        "lyapmap": _installed(),
        "python": platform.python_version(),
        "seed": seed,
        "seconds": round(seconds, 4),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def dims(*names: str, **options: Any) -> Any:
    """A field that holds an array with these dimensions; `options` are those of `dataclasses.field`."""
    return field(metadata={"dims": names}, **options)


class _Dimensions:
    """The dimensions of a result's arrays by the names of its fields."""

    def __get__(self, result: object, kind: Any) -> dict[str, tuple[str, ...]]:
        known = getattr(kind, "__dataclass_fields__", {})  # not there yet while the class is being made
        return {name: field_.metadata["dims"] for name, field_ in known.items() if "dims" in field_.metadata}


@dataclass(frozen=True, kw_only=True)
class Result:
    """Base of all results.

    Attributes
    ----------
    status : Status
        How the run ended.
    message : str
        One line on what happened, empty where all went well.
    cause : Cause
        Why, where several things lead to the same status; `remedy` goes by it.
    settings : dict
        What was asked for.
    provenance : dict
        Versions, device, dtype, seed, source of the map, seconds.
    """

    DIMS: ClassVar[dict[str, tuple[str, ...]]] = cast(Any, _Dimensions())
    DRAWN_BY: ClassVar[str] = ""
    SUMMARY: ClassVar[tuple[str, ...]] = ()
    """Fields that a few lines on the result show, in this order; all numbers and words of it where none are named."""
    REMEDIES: ClassVar[Mapping[Any, str]] = {}
    """What would help after a status or a cause, where that is not what the analyses have in common."""

    status: Status
    message: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    cause: Cause = Cause.NONE

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.__repr__ = Result.__repr__  # type: ignore[method-assign]  # a dataclass keeps one that is there already

    def __repr__(self) -> str:
        """A few lines: the numbers with their errors, what else is there, and the status."""
        return str(Table(self))

    def _repr_html_(self) -> str:
        return Table(self).html()

    @property
    def failed(self) -> bool:
        """Whether there is no number to use, so that an analysis raises by default."""
        return self.status.failed

    @property
    def remedy(self) -> str:
        """What would help, in words; empty where nothing is wrong."""
        if self.cause:
            return self.REMEDIES.get(self.cause, _CAUSE_REMEDIES[self.cause])
        return self.REMEDIES.get(self.status, self.status.remedy)

    @property
    def sentence(self) -> str:
        """The result in one sentence that a student understands; where there is none to rely on, why."""
        if self.failed:
            return f"There is no result to rely on: {self.message or str(self.status).replace('_', ' ')}."
        return self._finding()

    def _finding(self) -> str:
        """What was measured, of a result that can be relied on; classes say it in their own words."""
        lines = [(name, text) for name, text in Table(self).lines if name not in ("arrays", "status")]
        parts = [f"{name.replace('_', ' ')} {text}" for name, text in lines[:3]]
        text = ", ".join(parts) or "the run ended well"
        return f"{text[:1].upper()}{text[1:]}."

    def film(self) -> NDArray[Any] | None:
        """States in their own shape along trajectories, (b, steps, *state_shape), of results that hold some."""
        return None

    def checked(self, throw: bool) -> Self:
        """The result itself; if `throw` and the run failed, an error with the remedy instead."""
        if throw and self.failed:
            raise RunError("; ".join(part for part in (f"{self.status}: {self.message}", self.remedy) if part), self)
        return self

    def to_dict(self) -> dict[str, Any]:
        """Every field as plain values; NaN and infinities become None."""
        return {f.name: plain(getattr(self, f.name)) for f in fields(self)}

    def to_json(self) -> str:
        """The same names as the attributes, in one JSON object."""
        return json.dumps(self.to_dict(), allow_nan=False)

    def to_xarray(self) -> Any:
        """An `xarray.Dataset`: arrays with named dimensions, everything else as attributes.

        Exponents are numbered from 1; records, steps, radii and their like have the values that they belong to as
        coordinates.

        Examples
        --------
        >>> import lyapmap as lm
        >>> spectrum = lm.lyapunov_spectrum(lm.systems.henon(), [0.1, 0.1], n_steps=500, seed=0).to_xarray()
        >>> float(spectrum.exponents.sel(exponent=1)) > 0 > float(spectrum.exponents.sel(exponent=2))
        True
        """
        import xarray

        arrays = {name: (dims, getattr(self, name)) for name, dims in self.DIMS.items()}
        sizes = {dim: size for dims, array in arrays.values() for dim, size in zip(dims, np.shape(array), strict=True)}
        places: dict[str, Any] = {dim: np.arange(1, size + 1) for dim, size in sizes.items() if dim == "exponent"}
        for name, (dims, array) in arrays.items():
            if name in COORDINATES and len(dims) == 1:
                places.setdefault(dims[0], array)
        others = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in self.DIMS}
        attributes = {name: json.dumps(plain(value, exact=True)) for name, value in others.items()}
        coordinates = {dim: (dim, values) for dim, values in places.items() if dim not in arrays}
        return xarray.Dataset(arrays, coordinates, attrs={"kind": type(self).__name__} | attributes)

    def to_pandas(self, dimension: str | None = None) -> Any:
        """A `pandas.DataFrame` of the arrays along one dimension, such as one row for each exponent.

        Parameters
        ----------
        dimension : str, optional
            One of those in `DIMS`; that of the first array by default. An array with a second dimension gives a column
            for each of its places, NAME_0, NAME_1, ...

        Raises
        ------
        LyapmapError
            If no array has that dimension first.

        Examples
        --------
        >>> import lyapmap as lm
        >>> lm.lyapunov_spectrum(lm.systems.henon(), [0.1, 0.1], n_steps=500, seed=0).to_pandas().columns.tolist()
        ['exponents', 'stderr', 'effective_samples']
        """
        import pandas

        dimension = dimension or next((dims[0] for dims in self.DIMS.values()), "")
        columns: dict[str, Any] = {}
        for name, dims in self.DIMS.items():
            if dims[0] != dimension or len(dims) > 2:
                continue
            array = np.asarray(getattr(self, name))
            columns |= {name: array} if len(dims) == 1 else {f"{name}_{i}": column for i, column in enumerate(array.T)}
        if not columns:
            known = dict.fromkeys(dims[0] for dims in self.DIMS.values())
            raise LyapmapError(f"dimension: expected one of {', '.join(known)}, got {dimension!r}")
        return pandas.DataFrame(columns).rename_axis(dimension)

    def save(self, path: str | Path) -> Path:
        """Write to `.nc` (everything, opens in xarray), `.npz` (everything), `.json` or `.csv`.

        JSON knows no infinities and no types of arrays: `load` makes NaN of them, int64 and float64. A `.csv` has the
        table of `to_pandas`.
        """
        path = Path(path)
        if path.suffix not in (*_READERS, ".csv"):
            raise LyapmapError(f"path: expected a file that ends in .nc, .npz, .json or .csv, got {path.name!r}")
        with written_whole(path) as beside:
            if path.suffix == ".nc":
                self.to_xarray().to_netcdf(beside, engine="h5netcdf")
            elif path.suffix == ".npz":
                arrays = {name: getattr(self, name) for name in self.DIMS}
                attributes = json.dumps(self.to_xarray().attrs)
                np.savez_compressed(beside, attributes=attributes, **arrays)
                if FACTOR * beside.stat().st_size < sum(np.asarray(array).nbytes for array in arrays.values()):
                    np.savez(beside, attributes=attributes, **arrays)  # else it would be refused as a bomb
            elif path.suffix == ".csv":
                self.to_pandas().to_csv(beside)
            else:
                content = {"kind": type(self).__name__, **self.to_dict()}
                beside.write_text(json.dumps(content, allow_nan=False) + "\n", encoding="utf-8")
        return path

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote as `.nc`, `.npz` or `.json`.

        Raises
        ------
        LyapmapError
            If the file is missing, of another kind, or holds another result.
        """
        path = Path(path)
        known = cls if cls is not Result else None
        result = _stored(path, known).made(path, known)
        if not isinstance(result, cls):
            raise LyapmapError(f"{path}: holds a {type(result).__name__}, expected a {cls.__name__}")
        return result

    def plot(self, *, ax: Any = None, figsize: Sequence[float] | None = None, **options: Any) -> Any:
        """Draw the result with matplotlib; the figure.

        The drawing lives in `lyapmap.views`, which stands above this package; it is reached by
        name, so that computing needs no plotting library.

        Parameters
        ----------
        ax : matplotlib axes, optional
            Draw the main panel into these axes of your own figure, or all panels into as many.
        figsize : two numbers, optional
            Width and height of the figure in inches. On a narrow one the panels stand below each other.
        **options
            Those of the drawing, such as kind="convergence" of a spectrum.

        Returns
        -------
        matplotlib.figure.Figure
            That of `ax` if given. A notebook shows it; `figure.savefig(path)` writes it.

        Raises
        ------
        LyapmapError
            If the result has no picture, or the picture no such option or no single panel.

        Examples
        --------
        >>> import lyapmap as lm
        >>> spectrum = lm.lyapunov_spectrum(lm.systems.henon(), [0.1, 0.1], n_steps=500, seed=0)
        >>> [axes.get_title(loc="left") for axes in spectrum.plot(figsize=(4, 9)).axes]
        ['Spectrum', 'Convergence', 'Kaplan-Yorke dimension']
        """
        if not self.DRAWN_BY:
            raise LyapmapError(f"plot: there is no picture of a {type(self).__name__}")
        module, function = self.DRAWN_BY.rsplit(".", 1)
        draw = getattr(import_module(module), function)
        known = list(signature(draw).parameters)[1:]
        for name in options:
            if name not in known:
                options_of = ", ".join([*known, "ax", "figsize"])
                raise LyapmapError(f"plot: a {type(self).__name__} has no option {name!r}; it has {options_of}")
        with canvas(ax, figsize) as place:
            figure = draw(self, **options)
        return place.axes[0].get_figure(root=True) if place.axes else figure

    def report(self, path: str | Path, *, title: str = "") -> Path:
        """Write the result as one HTML page that needs nothing beside it: in words, as plots, with its provenance.

        Parameters
        ----------
        path : path
            Of the page, such as ``report.html``.
        title : str
            Its heading; the kind of result and its map by default.

        Examples
        --------
        >>> import lyapmap as lm, tempfile
        >>> spectrum = lm.lyapunov_spectrum(lm.systems.henon(), [0.1, 0.1], n_steps=500, seed=0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     page = spectrum.report(Path(folder, "henon.html")).read_text()
        >>> "the attractor has dimension" in page
        True
        """
        write: Any = getattr(import_module(PAGES), "result_report")  # noqa: B009  # stands above this package
        return cast(Path, write(self, path, title=title))


PAGES = ".".join(("lyapmap", "report", "page"))
COORDINATES = frozenset(
    {"at", "axis", "categories", "depths", "dimensions", "error_steps", "frequencies", "history_steps", "k", "lags"}
    | {"n_points", "radii", "sampled_after", "scales", "step", "steps", "values", "widths", "window_starts", "x"}
)
"""Fields that say where along its dimension each value of the others stands."""

SHOWN = 4
"""Values of an array that a line holds."""
NAMED = 8
"""Arrays that are named with their sizes."""
THUMBNAIL = 72
"""Dots per inch of the picture beside a result in a notebook."""


class Table:
    """A result in a few lines, as text and as HTML.

    Parameters
    ----------
    result : Result
    """

    def __init__(self, result: Result) -> None:
        self.result = result
        origin = result.provenance
        name = next((str(origin[key]) for key in ("model", "map") if origin.get(key)), "")
        self.title = type(result).__name__ + (f" of {name}" if name else "")
        values = {f.name: getattr(result, f.name) for f in fields(result)}
        own = [name for name in values if name not in _SHARED]
        texts = {name: self._text(name, values, own[0]) for name in own}
        self.lines = [(name, texts[name]) for name in result.SUMMARY or own if texts[name]]
        shown = {name for name, _ in self.lines}
        others = [name for name in result.DIMS if name not in shown and not name.endswith((*_ERRORS, "stderr"))]
        others = [name for name in others if np.size(values[name])]
        if others:
            sizes = [f"{name} ({' x '.join(map(str, values[name].shape))})" for name in others[:NAMED]]
            more = f", and {len(others) - NAMED} more" if len(others) > NAMED else ""
            self.lines.append(("arrays", ", ".join(sizes) + more))
        status = str(result.status)
        words = "; ".join(part for part in (result.message, result.remedy) if part)
        self.lines.append(("status", f"{status}: {words}" if words else status))

    @staticmethod
    def _text(name: str, values: dict[str, Any], main: str) -> str:
        """A field's value with its error or interval; empty for what is no number or word, and for errors themselves.

        A field called `stderr` belongs to the `main` one.
        """
        value = values[name]
        if name.endswith(_ERRORS) or name in ("stderr", "unit"):
            return ""
        error: Any = values.get(f"{name}_stderr", values.get("stderr") if name == main else None)
        unit = f" {values['unit']}" if name in _RATES and values.get("unit") else ""
        if isinstance(value, str | bool | int | np.integer):
            return str(value)
        if isinstance(value, tuple) and value and all(isinstance(word, str) for word in value):
            counts = Counter(value).most_common()
            return _listed(
                value if len(value) <= SHOWN else [f"{word} ({count})" if count > 1 else word for word, count in counts]
            )
        if isinstance(value, float | np.floating):
            interval = values.get(f"{name}_interval")
            if interval is not None and value == value:
                return f"{value:.4g} [{interval[0]:.4g}, {interval[1]:.4g}]"
            # What a run had no reason to look at is left out.
            return _measured(float(value), error) + unit if name == main or value == value else ""
        if name == main and isinstance(value, np.ndarray) and value.ndim == 1 and np.shape(error) == value.shape:
            return _listed([_measured(float(v), e) for v, e in zip(value, error, strict=True)]) + unit
        return ""

    def __str__(self) -> str:
        width = 2 + max(len(label) for label, _ in self.lines)
        return "\n".join([self.title, *(f"  {label:<{width}}{text}" for label, text in self.lines)])

    def html(self) -> str:
        """A table, with a small picture beside it where the result can be drawn."""
        rows = "".join(
            f'<tr><th style="text-align:left">{escape(label)}</th><td style="text-align:left">{escape(text)}</td></tr>'
            for label, text in self.lines
        )
        table = f"<table><caption><b>{escape(self.title)}</b></caption>{rows}</table>"
        return f'<div style="display:flex;flex-wrap:wrap;gap:1em;align-items:start">{table}{self._picture()}</div>'

    def _picture(self) -> str:
        if self.result.failed:
            return ""
        drawn = BytesIO()
        try:
            self.result.plot().savefig(drawn, format="png", dpi=THUMBNAIL)
        except LyapmapError:  # some can only be drawn with more than they hold, those of others perhaps not at all
            return ""
        data = b64encode(drawn.getvalue()).decode()
        return f'<img alt="{escape(self.title)}" src="data:image/png;base64,{data}">'


_SHARED = frozenset(f.name for f in fields(Result))
_ERRORS = ("_stderr", "_interval")
_RATES = ("exponent", "exponents", "entropy", "entropy_rate", "qr_exponents")
"""Fields that are counted per step or per unit of time."""


def _listed(words: Sequence[str]) -> str:
    more = f", ... ({len(words)} in all)" if len(words) > SHOWN else ""
    return ", ".join(words[:SHOWN]) + more


def _measured(value: float, error: Any) -> str:
    if value != value:
        return "not determined"
    return f"{value:.6g}" if error is None else with_error(value, float(error))


def load(path: str | Path) -> Result:
    """A result that `Result.save` wrote as `.nc`, `.npz` or `.json`, of whatever kind.

    Raises
    ------
    LyapmapError
        If the file is missing, damaged, or no result.

    Examples
    --------
    >>> import tempfile
    >>> import lyapmap as lm
    >>> spectrum = lm.lyapunov_spectrum(lm.systems.henon(), [0.1, 0.1], n_steps=500, seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     back = load(spectrum.save(Path(folder, "henon.json")))
    >>> type(back).__name__, bool((back.exponents == spectrum.exponents).all())
    ('LyapunovSpectrum', True)
    """
    return Result.load(path)


class _Stored(NamedTuple):
    """Kind, arrays by name and other values of a file."""

    kind: str
    arrays: Mapping[str, Any]
    values: dict[str, Any]

    def made(self, path: Path, cls: type[Result] | None) -> Result:
        """The result, of a class or of the one that the file names."""
        kind = cls or _class(self.kind)
        if kind is None:
            raise LyapmapError(f"{path}: holds a {self.kind[:60]!r}, which is no result of lyapmap")
        if self.kind != kind.__name__:
            raise LyapmapError(f"{path}: holds a {self.kind[:60]}, expected a {kind.__name__}")
        with parsing(path, REFUSED):
            values = {f.name: self.values[f.name] for f in fields(kind) if f.name in self.values}
            for f in fields(kind):
                if f.name in values and not isinstance(values[f.name], _PLAIN.get(f.type, object)):
                    raise TypeError(f"{f.name} is a {type(values[f.name]).__name__}, expected {f.type}")
            values["status"] = Status(values["status"])
            values["cause"] = Cause(values.get("cause", ""))
            sizes: dict[str, int] = {}
            for name, dims in kind.DIMS.items():
                array = np.asarray(self.arrays[name])
                if array.ndim != len(dims) or array.dtype.kind not in "biufcU":
                    raise TypeError(f"{name} has shape {array.shape} and type {array.dtype}")
                if array.size and any(sizes.setdefault(d, n) != n for d, n in zip(dims, array.shape, strict=True)):
                    raise ValueError(f"{name} has another size than the arrays before it")
                values[name] = array
            return kind(**values)


_PLAIN: dict[Any, Any] = {
    "float": (float, int),
    "int": int,
    "str": str,
    "bool": bool,
    "dict[str, Any]": dict,
    "tuple[str, ...]": tuple,
}
"""Python's types for what fields are said to hold."""


def _class(name: str) -> type[Result] | None:
    """The class of a result: one that is loaded, whoever has defined it, or one of the package."""
    waiting = [Result]
    while waiting:
        kind = waiting.pop()
        if kind.__name__ == name:
            return kind
        waiting += kind.__subclasses__()
    package = import_module("lyapmap")
    public = getattr(package, name) if name in package.__all__ else None
    return public if isinstance(public, type) and issubclass(public, Result) else None


REFUSED = "is damaged, or no result of lyapmap"


def _stored(path: Path, cls: type[Result] | None) -> _Stored:
    if path.suffix not in _READERS:
        raise LyapmapError(f"path: expected a file that ends in {', '.join(_READERS)}, got {path.name!r}")
    if not path.exists():
        raise LyapmapError(f"{path}: no such file")
    with parsing(path, REFUSED):
        return _READERS[path.suffix](path, cls)


def _read_nc(path: Path, cls: type[Result] | None) -> _Stored:
    tree = hdf5_tree(path, REFUSED)
    arrays = {name: _as_saved(array, tree.attributes[name]) for name, array in tree.arrays.items()}
    attributes = {name: value for name, value in tree.attributes[""].items() if isinstance(value, str)}
    return _Stored(attributes.pop("kind"), arrays, _values(attributes))


def _as_saved(array: Any, about: Mapping[str, Any]) -> NDArray[Any]:
    return np.asarray(array, bool if about.get("dtype") == "bool" else None)


def _read_npz(path: Path, cls: type[Result] | None) -> _Stored:
    with Arrays(path, REFUSED) as stored:
        arrays = {name: stored[name] for name in stored.names}
    attributes = json.loads(str(arrays.pop("attributes")))
    return _Stored(attributes.pop("kind"), arrays, _values(attributes))


def _values(attributes: Mapping[str, str]) -> dict[str, Any]:
    values = {}
    for name, written in attributes.items():
        with suppress(json.JSONDecodeError):  # what somebody added, as xarray's _NCProperties
            values[name] = restored(json.loads(written))
    return values


def _read_json(path: Path, cls: type[Result] | None) -> _Stored:
    content = json_in(text(path), path)
    kind = content.pop("kind", cls.__name__ if cls else "")  # older files do not name it
    known = cls or _class(kind)
    if known is None:
        return _Stored(kind, {}, {})
    arrays = {}
    for name, dims in known.DIMS.items():
        array = np.array(content.pop(name))
        array = array.astype(np.float64) if array.dtype.kind == "O" else array  # None, where there was no number
        arrays[name] = array if array.size else np.zeros((0,) * len(dims))
    tuples = {f.name for f in fields(known) if str(f.type).startswith("tuple")}
    numbers = {f.name for f in fields(known) if f.type in ("float", float)}
    values = {}
    for name, value in content.items():
        value = float("nan") if value is None and name in numbers else value
        values[name] = tuple(value) if name in tuples and isinstance(value, list) else value
    return _Stored(kind, arrays, values)


_READERS = {".nc": _read_nc, ".npz": _read_npz, ".json": _read_json}
