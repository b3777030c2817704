"""Adversarial networks: DCGAN, and GRAN with its canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lyapmap._late import late

if TYPE_CHECKING:
    from lyapmap.models.gan.config import DcganConfig as DcganConfig
    from lyapmap.models.gan.config import GranConfig as GranConfig
    from lyapmap.models.gan.dcgan import Dcgan as Dcgan
    from lyapmap.models.gan.gran import Gran as Gran

_NAMES = {
    "DcganConfig": ".config",
    "GranConfig": ".config",
    "Dcgan": ".dcgan",
    "Gran": ".gran",
}
__all__ = [*_NAMES]  # loaded late, and torch with them
__getattr__, __dir__ = late(__name__, _NAMES)
