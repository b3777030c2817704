"""The study of a kaleidoscopic network: its samples, and the dynamics behind them, stage by stage.

H. Shrivastava, "Generative Kaleidoscopic Networks" (2024), Sect. 3 and Fig. 7.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lyapmap.core.errors import LyapmapError
from lyapmap.models.kaleidoscope import noise as noise
from lyapmap.models.kaleidoscope import stages as samples
from lyapmap.models.kaleidoscope.against import model_stages
from lyapmap.models.kaleidoscope.points import fixed_points
from lyapmap.models.kaleidoscope.protocol import KaleidoscopeProtocol
from lyapmap.models.kaleidoscope.subject import KaleidoscopeSubject
from lyapmap.models.kaleidoscope.summary import about, side_by_side, summary
from lyapmap.study.page import Study, save_study
from lyapmap.study.stages import Record, Stage, Told, run_stages

_SAMPLES = ("samples", "at", "noise")
_START = ("samples", "sample_steps")

STAGES = (
    Stage("samples", "Samples and their confidence", samples.samples, _SAMPLES, ("model", "data", "classifier")),
    Stage(
        "burn-in",
        "Settling and burn-in",
        samples.burn_in,
        ("samples", "noise", "settle_steps", "burn_in_samples", "burn_in_steps", "burn_in_every"),
        ("model", "features"),
    ),
    Stage(
        "fixed-points",
        "Fixed points and basins",
        fixed_points,
        ("guesses",),
        ("model", "data"),
        needs=("burn-in",),
    ),
    Stage(
        "exponents",
        "Largest exponent and wandering against noise",
        noise.exponents,
        (
            *_START,
            "noise_levels",
            "exponent_trajectories",
            "exponent_transient",
            "exponent_steps",
            "wander_steps",
            "quench_steps",
        ),
        ("model",),
    ),
    Stage(
        "categories",
        "Categories under noise",
        noise.categories,
        (*_START, "category_levels", "category_trajectories", "category_steps"),
        ("model", "classifier"),
    ),
    Stage(
        "dimension",
        "Dimension of samples and data",
        noise.dimension,
        (*_START, "dimension_points", "dimension_noise", "exponent_transient"),
        ("model", "data"),
        needs=("burn-in",),
    ),
    Stage(
        "memorization",
        "Memorization",
        samples.memorization,
        (*_START, "noise", "real"),
        ("model", "data"),
    ),
    Stage(
        "manifold",
        "Precision and recall over n",
        samples.manifold,
        (*_SAMPLES, "real", "k"),
        ("model", "data", "features"),
    ),
)


def kaleidoscope_study(
    subject: KaleidoscopeSubject,
    folder: str | Path,
    *,
    protocol: KaleidoscopeProtocol,
    only: Sequence[str] = (),
    progress: bool = False,
    told: Told | None = None,
) -> Study:
    """Run the study, or go on where an earlier call in the same folder stopped.

    Parameters
    ----------
    subject : KaleidoscopeSubject
        See `lyapmap.models.kaleidoscope.subject.load_subject`.
    folder : path
        Receives everything.
    protocol : KaleidoscopeProtocol
    only : sequence of str
        Names of the stages to run, with those that they need; all by default.
    progress : bool
        Show bars on a terminal.
    told : callable, optional
        Hears of every stage.

    Returns
    -------
    Study
        Stages that could not be done are recorded with the reason.

    Raises
    ------
    LyapmapError
        If `only` names a stage that there is not.
    KeyboardInterrupt
        On Ctrl-C; what was finished is kept, in study.json and index.html too.
    """
    folder = Path(folder)
    found: dict[str, Any] = {}

    def assemble(records: dict[str, Record]) -> None:
        found.update(
            save_study(
                folder,
                title=f"Kaleidoscopic network: {subject.name} on {subject.train.name}",
                about=about(subject),
                settings=protocol.settings(),
                table=summary(records),
                table_title="What was found",
                records=records,
                further=[("Networks side by side", side_by_side(records))],
            )
        )

    records = run_stages(
        [*STAGES, *model_stages(subject)],
        subject,
        folder,
        settings=protocol.settings(),
        only=only,
        progress=progress,
        told=told,
        assemble=assemble,
    )
    return Study(folder, found, records)


def check_names(only: Sequence[str]) -> None:
    """Complain of names of stages that there are not, before anything is trained."""
    names = [*(stage.name for stage in STAGES), "depth", "variants"]
    for name in only:
        if name not in names and name != "model" and not name.startswith("against-"):
            raise LyapmapError(f"only: there is no stage {name!r}; expected some of {', '.join(names)}")
