"""The study of a kaleidoscopic network: its samples, and the dynamics behind them, stage by stage.

H. Shrivastava, "Generative Kaleidoscopic Networks" (2024), Sect. 3 and Fig. 7.
"""

from __future__ import annotations

from lyapmap.models.kaleidoscope import noise
from lyapmap.models.kaleidoscope import stages as samples
from lyapmap.models.kaleidoscope.against import model_stages
from lyapmap.models.kaleidoscope.points import fixed_points
from lyapmap.models.kaleidoscope.summary import about, side_by_side, summary
from lyapmap.study.stages import Stage
from lyapmap.study.study import Study

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

STUDY = Study(
    stages=lambda subject, _: [*STAGES, *model_stages(subject)],
    title=lambda subject: f"Kaleidoscopic network: {subject.name} on {subject.train.name}",
    about=about,
    tables=lambda _, records: [
        ("What was found", summary(records)),
        ("Networks side by side", side_by_side(records)),
    ],
    names=(*(stage.name for stage in STAGES), "model", "depth", "variants"),
    families=("against",),
)
kaleidoscope_study = STUDY.run
