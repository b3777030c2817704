"""Stages of a study: each is kept when it is done, so that a study goes on where it was stopped.

A finished stage leaves stages/NAME.json with its numbers and a fingerprint of everything they depend
on: its settings, what it uses (weights, data, features), the stages that it needs, and the version.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

from lyapmap._version import __version__
from lyapmap.core.errors import LyapmapError
from lyapmap.core.plain import plain
from lyapmap.core.reading.bounded import inside, json_in, parsing, text
from lyapmap.core.results import Result
from lyapmap.core.run import Report
from lyapmap.core.writing import write_text
from lyapmap.report.interactive import panels_of
from lyapmap.report.style import save_figure

DONE, FAILED, LEFT_OUT = "done", "failed", "left out"
DOTS_PER_INCH = 130


class LeftOut(Exception):  # noqa: N818  # no error: there is nothing to measure, and the message says why
    """Raised by a stage that does not apply."""


class Context(Protocol):
    """What all stages of a study share."""

    def mark(self, name: str) -> str:
        """What tells one state of a thing that stages use from another, such as a checksum."""


@dataclass(frozen=True)
class Picture:
    """A figure of a stage, by the name of its file within the study's folder."""

    file: str
    title: str
    sentence: str


@dataclass(frozen=True)
class Record:
    """What is known of a stage that ran.

    Attributes
    ----------
    status : "done", "failed" or "left out"
    message : str
        Why it failed or was left out.
    fingerprint : str
    numbers : dict
        Plain values.
    pictures : tuple of Picture
    files : tuple of str
        Everything that it wrote, by names within the study's folder.
    settings : dict
        Those that it depends on.
    seconds, cpu_seconds : float
        Passed on the clock, and of all cores.
    """

    name: str
    title: str
    status: str
    message: str
    fingerprint: str
    numbers: dict[str, Any]
    pictures: tuple[Picture, ...]
    files: tuple[str, ...]
    settings: dict[str, Any]
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Stage:
    """One part of a study.

    Attributes
    ----------
    name, title : str
    run : callable
        Takes the context and a `Workspace`; returns plain numbers by name.
    settings : tuple of str
        Names of the settings that it may read, and depends on.
    uses : tuple of str
        Names of things of the context that it depends on, see `Context.mark`.
    needs : tuple of str
        Names of stages before it whose numbers or files it reads.
    """

    name: str
    title: str
    run: Callable[[Any, Workspace], dict[str, Any]]
    settings: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


@dataclass
class Workspace:
    """Where a stage finds its settings and puts its results.

    Attributes
    ----------
    folder : Path
        Of the study.
    sizes : namespace
        The settings that the stage named, and no others.
    progress : bool or callable
        For analyses.
    """

    folder: Path
    sizes: Any
    progress: bool | Report = False
    before: Mapping[str, Record] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)

    def keep(self, result: Result, name: str) -> Path:
        """Write a result to results/NAME.nc."""
        path = self._path("results", f"{name}.nc")
        return result.save(path)

    def show(self, figure: Any, name: str, title: str, sentence: str) -> Path:
        """Write a figure to figures/NAME.png, and as plots to figures/NAME.json, for the study's page."""
        path = self.picture_path(name, title, sentence)
        with warnings.catch_warnings():
            # Matplotlib's advice where a busy machine takes a second to place a legend.
            warnings.filterwarnings("ignore", 'Creating legend with loc="best" can be slow')
            save_figure(figure, path, dpi=DOTS_PER_INCH)
            write_text(self._path("figures", f"{name}.json"), json.dumps(plain(panels_of(figure)), allow_nan=False))
        return path

    def picture_path(self, name: str, title: str, sentence: str) -> Path:
        """Where a picture that is no figure of matplotlib goes."""
        path = self._path("figures", f"{name}.png")
        self.pictures.append(Picture(path.relative_to(self.folder).as_posix(), title, sentence))
        return path

    def numbers(self, stage: str) -> dict[str, Any]:
        """Numbers of a stage before; none where it failed or was left out."""
        record = self.before.get(stage)
        return record.numbers if record is not None and record.status == DONE else {}

    def result_of(self, stage: str, name: str) -> Path:
        """The file of a result that a stage before kept.

        Raises
        ------
        LyapmapError, LeftOut
            If that stage failed or was left out.
        """
        record = self.before.get(stage)
        if record is not None and record.status == LEFT_OUT:
            raise LeftOut(f"stage {stage} was left out: {record.message}")
        if record is None or record.status != DONE:
            raise LyapmapError(f"stage {stage} failed, and this one needs it")
        return self.folder / "results" / f"{name}.nc"

    def _path(self, kind: str, name: str) -> Path:
        path = self.folder / kind / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self.files.append(path.relative_to(self.folder).as_posix())
        return path


OnStage = Callable[[str, Stage, Record | None], None]
"""Takes "kept", "begins" or "ends", the stage, and its record where there is one."""
Assembled = Callable[[dict[str, Record]], None]


def run_stages(
    stages: Sequence[Stage],
    context: Context,
    folder: str | Path,
    *,
    settings: Mapping[str, Any],
    only: Sequence[str] = (),
    progress: bool = False,
    on_stage: OnStage | None = None,
    assemble: Assembled | None = None,
) -> dict[str, Record]:
    """Run the stages that are not done yet, in their order.

    Parameters
    ----------
    stages : sequence of Stage
    context : Context
    folder : path
        Receives stages/, results/ and figures/.
    settings : mapping
        Values of all settings, by name.
    only : sequence of str
        Run these, and what they need; all by default.
    progress : bool
        Handed to the stages.
    on_stage : callable, optional
        Hears of every stage.
    assemble : callable, optional
        Takes the records of all stages that are up to date, at the end, however that comes about.

    Returns
    -------
    dict of str to Record
        Of all stages that are up to date, in the order of `stages`.

    Raises
    ------
    LyapmapError
        If `only` names a stage that there is not. One that a stage raises is recorded instead.
    KeyboardInterrupt
        On Ctrl-C, which costs the current stage only.
    """
    folder = Path(folder)
    due = _due(stages, only)
    records: dict[str, Record] = {}
    try:
        for stage in stages:
            wanted = fingerprint(stage, context, settings, records)
            kept = _kept(folder, stage, wanted)
            if kept is not None:
                records[stage.name] = kept
            if stage.name not in due:
                continue
            if kept is not None and kept.status == DONE:
                _report(on_stage, "kept", stage, kept)
                continue
            _report(on_stage, "begins", stage, None)
            # Were the old record to stay, a run cut short would leave it beside files that are not its own.
            _record_path(folder, stage.name).unlink(missing_ok=True)
            records.pop(stage.name, None)
            records[stage.name] = _run(stage, context, folder, settings, records, wanted, progress)
            _report(on_stage, "ends", stage, records[stage.name])
    finally:
        if assemble is not None:
            assemble(records)
    return records


def fingerprint(
    stage: Stage, context: Context, settings: Mapping[str, Any], before: Mapping[str, Record] | None = None
) -> str:
    """A checksum of everything that the numbers of a stage depend on."""
    known = before or {}
    needed = {name: known[name].fingerprint + known[name].status if name in known else "" for name in stage.needs}
    given = {
        "stage": stage.name,
        "lyapmap": __version__,
        "settings": {name: settings[name] for name in stage.settings},
        "uses": {name: context.mark(name) for name in stage.uses},
        "needs": needed,
    }
    return hashlib.sha256(json.dumps(plain(given), sort_keys=True).encode()).hexdigest()


def _due(stages: Sequence[Stage], only: Sequence[str]) -> set[str]:
    """Names of the stages asked for, and of all that they need."""
    by_name = {stage.name: stage for stage in stages}
    unknown = [name for name in only if name not in by_name]
    if unknown:
        raise LyapmapError(f"only: there is no stage {unknown[0]!r}; expected some of {', '.join(by_name)}")
    wanted, names = list(only or by_name), set()
    while wanted:
        name = wanted.pop()
        if name not in names:
            names.add(name)
            wanted += by_name[name].needs
    return names


def _run(
    stage: Stage,
    context: Context,
    folder: Path,
    settings: Mapping[str, Any],
    before: Mapping[str, Record],
    wanted: str,
    progress: bool,
) -> Record:
    own = {name: settings[name] for name in stage.settings}
    needed = {name: before[name] for name in stage.needs if name in before}
    work = Workspace(folder, SimpleNamespace(**own), progress, needed)
    begin, cpu = time.perf_counter(), time.process_time()
    status, message, numbers = DONE, "", {}
    try:
        numbers = plain(stage.run(context, work))
    except LeftOut as reason:
        status, message = LEFT_OUT, str(reason)
    except LyapmapError as error:
        status, message = FAILED, " ".join(str(error).split())
    record = Record(
        name=stage.name,
        title=stage.title,
        status=status,
        message=message,
        fingerprint=wanted,
        numbers=numbers,
        pictures=tuple(work.pictures),
        files=tuple(work.files),
        settings=plain(own),
        seconds=round(time.perf_counter() - begin, 2),
        cpu_seconds=round(time.process_time() - cpu, 2),
    )
    path = _record_path(folder, stage.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(asdict(record), indent=1, allow_nan=False) + "\n")
    return record


def _kept(folder: Path, stage: Stage, wanted: str) -> Record | None:
    """The record of a stage that ran under the same conditions and whose files are all there."""
    path = _record_path(folder, stage.name)
    try:
        with parsing(path, "no record of a stage"):
            stored = json_in(text(inside(folder, path.relative_to(folder).as_posix())), path)
            pictures = tuple(Picture(**picture) for picture in stored.pop("pictures"))
            record = Record(pictures=pictures, files=tuple(stored.pop("files")), **stored)
            words = [record.name, record.title, record.status, record.message, record.fingerprint, *record.files]
            words += [word for picture in pictures for word in (picture.file, picture.title, picture.sentence)]
            if not all(isinstance(word, str) for word in words) or record.name != stage.name:
                raise TypeError("expected text")
            if not all(isinstance(part, dict) for part in (record.numbers, record.settings)):
                raise TypeError("expected names with values")
            if not all(math.isfinite(seconds) and seconds >= 0 for seconds in (record.seconds, record.cpu_seconds)):
                raise ValueError("expected seconds")
            files = [inside(folder, name) for name in (*record.files, *(picture.file for picture in pictures))]
    except LyapmapError:
        return None  # not there, damaged, or pointing elsewhere: the stage runs again
    if record.fingerprint != wanted or not all(file.is_file() for file in files):
        return None
    return record


def _record_path(folder: Path, name: str) -> Path:
    return folder / "stages" / f"{name}.json"


def _report(on_stage: OnStage | None, what: str, stage: Stage, record: Record | None) -> None:
    if on_stage is not None:
        on_stage(what, stage, record)
