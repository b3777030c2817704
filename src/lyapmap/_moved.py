"""Modules that have another place now: the old name still imports, and warns.

>>> import warnings
>>> with warnings.catch_warnings():
...     warnings.simplefilter("ignore", DeprecationWarning)
...     from lyapmap.models.cycle_config import CycleConfig
>>> CycleConfig.__module__
'lyapmap.models.cycle.config'
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "analysis.exponents.alignment": "analysis.tangents.alignment",
    "analysis.exponents.backward": "analysis.tangents.backward",
    "analysis.exponents.covariant": "analysis.tangents.covariant",
    "analysis.exponents.pictures_tangent": "analysis.tangents.pictures_tangent",
    "analysis.exponents.singular_values": "analysis.tangents.singular_values",
    "core.flow": "core.flows.map",
    "core.flow_schemes": "core.flows.schemes",
    "core.latent": "analysis.latent_triple",
    "core.periodic": "core.combined.periodic",
    "core.stiff_flow": "core.flows.stiff",
    "models.cycle_config": "models.cycle.config",
    "models.dcgan": "models.gan.dcgan",
    "models.gan_config": "models.gan.gran",
    "models.gan_parts": "models.gan.dcgan",
    "models.gran": "models.gan.gran",
    "models.kaleidoscope_config": "models.kaleidoscope.network",
    "models.keras_cycle": "models.cycle.keras_network",
    "models.latent_spectral_config": "models.latent_spectral.network",
    "models.vgg": "files.vgg",
    "studies": "study",
    "studies.cycle": "models.cycle.study",
    "studies.cycle_protocol": "models.cycle.protocol",
    "studies.cycle_seeds": "models.cycle.epochs",
    "studies.cycle_subject": "models.cycle.subject",
    "studies.gan": "models.gan.study",
    "studies.gan_protocol": "models.gan.protocol",
    "studies.gan_subject": "models.gan.stages",
    "studies.kaleidoscope": "models.kaleidoscope.study",
    "studies.kaleidoscope_corners": "models.kaleidoscope.cube",
    "studies.kaleidoscope_depth": "models.kaleidoscope.line",
    "studies.kaleidoscope_line": "models.kaleidoscope.line",
    "studies.kaleidoscope_plane": "models.kaleidoscope.cube",
    "studies.kaleidoscope_protocol": "models.kaleidoscope.protocol",
    "studies.kaleidoscope_subject": "models.kaleidoscope.subject",
    "studies.lsd": "models.latent_spectral.study",
    "studies.lsd_protocol": "models.latent_spectral.protocol",
    "studies.lsd_subject": "models.latent_spectral.subject",
    "studies.stages": "study.stages",
    "training.canvas": "models.gan.canvas",
    "training.canvas_run": "models.gan.canvas",
    "training.checkpoint": "files.checkpoint",
    "training.classify": "models.classifier.training",
    "training.conversion": "models.cycle.conversion",
    "training.cycle": "models.cycle.recipe",
    "training.cycle_terms": "models.cycle.extra_losses",
    "training.extractors": "files.features",
    "training.gan": "models.gan.recipe",
    "training.gan_files": "models.gan.pair",
    "training.gan_line": "models.gan.line",
    "training.gan_sampling": "models.gan.pair",
    "training.kaleidoscope": "models.kaleidoscope.recipe",
    "training.kaleidoscope_fit": "models.kaleidoscope.fit",
    "training.keras_weights": "models.cycle.keras_checkpoint",
    "training.labels": "files.features",
    "training.latent_maps": "models.latent_spectral.maps",
    "training.lsd": "models.latent_spectral.training",
    "training.lsd_files": "models.latent_spectral.network",
    "training.model": "files.model",
    "training.monitor": "training.exponents",
    "training.recipe": "training.loop",
    "training.run": "training.loop",
    "training.sampling": "models.kaleidoscope.sampling",
    "training.zoo": "files.zoo",
    "views.images": "report.images",
    "views.report": "report.page",
    "views.style": "report.style",
    "views.training": "training.pictures",
}
"""Old places and new ones, below the package."""
_PACKAGE = __name__.partition(".")[0]


class _Moved(MetaPathFinder, Loader):
    """Answers for old names, before a folder can that an earlier version left behind."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, name = fullname.partition(".")
        return ModuleSpec(fullname, self, is_package=False) if package == _PACKAGE and name in MOVED else None

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__
        new = f"{_PACKAGE}.{MOVED[old.partition('.')[2]]}"
        warnings.warn(f"{old} is now {new}", DeprecationWarning, stacklevel=2)
        sys.modules[old] = import_module(new)


def install() -> None:
    """Let the old names be found, once."""
    if not any(type(finder).__name__ == _Moved.__name__ for finder in sys.meta_path):
        sys.meta_path.insert(0, _Moved())
