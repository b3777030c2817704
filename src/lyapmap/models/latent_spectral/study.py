"""The study of latent spectral decomposition: every figure of the paper, denoising measured, and its dynamics.

J. Q. Toledo-Marin, J. A. Glazier, "Using deep LSD to build operators in GANs latent space with meaning in real space",
PLoS ONE 18 (2023) e0287736.
"""

from __future__ import annotations

from lyapmap.models.latent_spectral import basis as bases
from lyapmap.models.latent_spectral import dynamics
from lyapmap.models.latent_spectral.against import image_stages
from lyapmap.models.latent_spectral.denoising import denoising
from lyapmap.models.latent_spectral.rotation import rotation
from lyapmap.models.latent_spectral.summary import about, side_by_side, summary
from lyapmap.models.latent_spectral.summary import denoising as denoising_tables
from lyapmap.study.stages import Stage
from lyapmap.study.study import Study

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

STUDY = Study(
    stages=lambda subject, _: [*STAGES, *image_stages(subject)],
    title=lambda subject: f"Latent spectral decomposition: {subject.name} on {subject.train.name}",
    about=about,
    tables=lambda _, records: [
        ("Beside the paper", summary(records)),
        ("Cyclic generators side by side", side_by_side(records)),
        *denoising_tables(records),
    ],
    names=(
        *(stage.name for stage in STAGES),
        *("image-rotation", "image-rotation-noisy", "image-shift", "side-by-side"),
    ),
    families=("against",),
)
lsd_study = STUDY.run
