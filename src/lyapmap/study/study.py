"""A study: stages over one subject, run in their order and resumed, and the page and numbers that they leave."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.orbits.settling import Settling
from lyapmap.analysis.proportions import wilson
from lyapmap.core.errors import LyapmapError
from lyapmap.study.page import save_study
from lyapmap.study.protocol import Sizes
from lyapmap.study.stages import OnStage, Record, Stage, run_stages

SAME = 1e-3
"""Distance, relative to the norm of a fixed point, within which a trajectory's end belongs to it."""
SHOWN = 16
"""Basins whose fixed points are drawn."""
LEVEL = 0.95


def basins(
    rest: Settling, points: NDArray[np.float64], multipliers: NDArray[np.complex128]
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Part of the trajectories that end on each fixed point, its limits, and how many ends are fixed points.

    Parameters
    ----------
    rest : Settling
    points : (m, n)
    multipliers : (m, k)
        A trajectory cannot end on a point that repels: of two points that are close, it is given to the stable one.
    """
    counts = np.zeros(len(points))
    confirmed = 0
    attracts = np.flatnonzero(np.abs(multipliers[:, 0]) <= 1) if len(points) else np.zeros(0, np.int64)
    for end, period, share in zip(rest.points, rest.period, rest.share, strict=True):
        if period != 1 or not len(attracts):
            continue
        gaps = np.linalg.norm(points[attracts] - end, axis=1)
        best = int(gaps.argmin())
        if gaps[best] <= SAME * max(1.0, float(np.linalg.norm(points[attracts[best]]))):
            counts[attracts[best]] += share
            confirmed += 1
    return counts, wilson(counts, len(rest.attractor), LEVEL), confirmed


Tables = list[tuple[str, Sequence[Sequence[str]]]]


@dataclass(frozen=True)
class Findings:
    """What a study found.

    Attributes
    ----------
    folder : Path
        With study.json, index.html, and stages/, results/ and figures/.
    numbers : dict
        What study.json holds.
    records : dict of str to Record
    """

    folder: Path
    numbers: dict[str, Any]
    records: dict[str, Record]


@dataclass(frozen=True)
class Study:
    """The study of a paper.

    Attributes
    ----------
    stages : callable
        Subject and protocol to the list of all stages.
    title, about : callable
        Subject to a line, and to plain facts by name.
    tables : callable
        Subject and records to pairs of (title, rows of text); the first is printed by the command.
    names : tuple of str
        Stages that are known before there is a subject.
    families : tuple of str
        Beginnings of the names of stages that depend on the subject, as "epoch" of "epoch-0010". `only` may name
        one for all stages of that family.
    settings : callable, optional
        The protocol's settings to those that the page shows.
    """

    stages: Callable[[Any, Any], list[Stage]]
    title: Callable[[Any], str]
    about: Callable[[Any], dict[str, Any]]
    tables: Callable[[Any, dict[str, Record]], Tables]
    names: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    settings: Callable[[dict[str, Any]], dict[str, Any]] = dict

    def check_names(self, only: Sequence[str]) -> None:
        """Complain of names of stages that there cannot be, before anything is loaded or trained."""
        for name in only:
            if name not in (*self.names, *self.families) and not name.startswith(tuple(f"{f}-" for f in self.families)):
                known = self.names or self.families
                raise LyapmapError(f"only: there is no stage {name!r}; expected some of {', '.join(known)}")

    def run(
        self,
        subject: Any,
        folder: str | Path,
        *,
        protocol: Sizes,
        only: Sequence[str] = (),
        progress: bool = False,
        on_stage: OnStage | None = None,
        command: str = "",
    ) -> Findings:
        """Run the study, or go on where an earlier call in the same folder stopped.

        Parameters
        ----------
        subject : ImageSubject
            What it is about, as `load_subject` of the paper makes it.
        folder : path
            Receives everything.
        protocol : Sizes
            That of the paper.
        only : sequence of str
            Names of the stages to run, or of families of them, with those that they need; all by default.
        progress : bool
            Show bars on a terminal.
        on_stage : callable, optional
            Hears of every stage.
        command : str
            The line that makes it again, for its page.

        Returns
        -------
        Findings
            Stages that could not be done are recorded with the reason.

        Raises
        ------
        LyapmapError
            If `only` names a stage that there is not.
        KeyboardInterrupt
            On Ctrl-C; what was finished is kept, in study.json and index.html too.
        """
        folder = Path(folder)
        stages = self.stages(subject, protocol)
        settings = protocol.settings()
        numbers: dict[str, Any] = {}

        def assemble(records: dict[str, Record]) -> None:
            (table_title, table), *further = self.tables(subject, records)
            numbers.update(
                save_study(
                    folder,
                    title=self.title(subject),
                    about=self.about(subject),
                    settings=self.settings(settings),
                    table=table,
                    table_title=table_title,
                    records=records,
                    further=further,
                    command=command,
                )
            )

        records = run_stages(
            stages,
            subject,
            folder,
            settings=settings,
            only=self._named(stages, only),
            progress=progress,
            on_stage=on_stage,
            assemble=assemble,
        )
        return Findings(folder, numbers, records)

    def _named(self, stages: Sequence[Stage], only: Sequence[str]) -> list[str]:
        """Names of single stages for those and for families."""
        names: list[str] = []
        for name in only:
            family = [stage.name for stage in stages if name in self.families and stage.name.startswith(f"{name}-")]
            single = [stage.name for stage in stages if stage.name == name]
            if not family and not single:
                self.check_names([name])
            names += [*single, *family] or [name]
        return names
