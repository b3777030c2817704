"""The study of latent spectral decomposition: every figure of the paper, denoising measured, and its dynamics.

J. Q. Toledo-Marin, J. A. Glazier, "Using deep LSD to build operators in GANs latent space with meaning in real space",
PLoS ONE 18 (2023) e0287736.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lyapmap.core.errors import LyapmapError
from lyapmap.models.latent_spectral import basis as bases
from lyapmap.models.latent_spectral import dynamics as dynamics
from lyapmap.models.latent_spectral.against import image_stages
from lyapmap.models.latent_spectral.denoising import denoising
from lyapmap.models.latent_spectral.protocol import LsdProtocol
from lyapmap.models.latent_spectral.rotation import rotation
from lyapmap.models.latent_spectral.subject import LsdSubject
from lyapmap.models.latent_spectral.summary import about, side_by_side, summary
from lyapmap.models.latent_spectral.summary import denoising as denoising_tables
from lyapmap.study.page import Study, save_study
from lyapmap.study.stages import Record, Stage, Told, run_stages

_USES = ("model", "data")
_EXPONENTS = ("trajectories", "transient", "steps")

STAGES = (
    Stage("basis", "Averages and quasi-eigenvectors (Fig. 3, 4)", bases.basis, ("vectors",), _USES),
    Stage(
        "classification",
        "Classification by the largest amplitude (Fig. 5)",
        bases.classification,
        ("trials", "test_images"),
        _USES,
        ("basis",),
    ),
    Stage("amplitudes", "Amplitudes by rank (Fig. 6)", bases.amplitudes, ("test_images",), _USES, ("basis",)),
    Stage(
        "components",
        "Images of few components (Fig. 7)",
        bases.components,
        ("components", "noisy_images", "rows"),
        _USES,
        ("basis",),
    ),
    Stage(
        "denoising",
        "Denoising measured",
        denoising,
        ("components", "gaussian", "salt_pepper", "noisy_images", "rows"),
        _USES,
        ("basis",),
    ),
    Stage(
        "rotation", "Rotation through the labels (Fig. 8)", rotation, ("rotation_steps", "rotated"), _USES, ("basis",)
    ),
    Stage(
        "round-trip",
        "The round trip as a map",
        dynamics.round_trip,
        ("starts", "settle_steps", "guesses", *_EXPONENTS),
        _USES,
    ),
    Stage(
        "rotation-cycle",
        "Rotation with round trips as a map",
        dynamics.RotationCycle(by_label=False),
        ("rotation_steps", "starts", "turns", *_EXPONENTS),
        _USES,
        ("basis",),
    ),
    Stage(
        "label-rotation-cycle",
        "The same, one step from label to label",
        dynamics.RotationCycle(by_label=True),
        ("starts", "turns", *_EXPONENTS),
        _USES,
        ("basis",),
    ),
)


def lsd_study(
    subject: LsdSubject,
    folder: str | Path,
    *,
    protocol: LsdProtocol,
    only: Sequence[str] = (),
    progress: bool = False,
    told: Told | None = None,
) -> Study:
    """Run the study, or go on where an earlier call in the same folder stopped.

    Parameters
    ----------
    subject : LsdSubject
        Of a trained model (`lyapmap.models.latent_spectral.subject.load_subject`), or of any networks (`subject_of`).
    folder : path
        Receives everything.
    protocol : LsdProtocol
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
                title=f"Latent spectral decomposition: {subject.name} on {subject.train.name}",
                about=about(subject),
                settings=protocol.settings(),
                table=summary(records),
                table_title="Beside the paper",
                records=records,
                further=[("Cyclic generators side by side", side_by_side(records)), *denoising_tables(records)],
            )
        )

    records = run_stages(
        [*STAGES, *image_stages(subject)],
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
    """Complain of names of stages that there are not, before anything is loaded."""
    names = [*(stage.name for stage in STAGES), "image-rotation", "image-rotation-noisy", "image-shift", "side-by-side"]
    for name in only:
        if name not in names and not name.startswith("against-"):
            raise LyapmapError(f"only: there is no stage {name!r}; expected some of {', '.join(names)}")
