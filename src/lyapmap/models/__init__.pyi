"""Public names and their types; read when they are loaded, too (`lazy_loader`)."""

from . import classifier as classifier
from . import cycle as cycle
from . import gan as gan
from . import kaleidoscope as kaleidoscope
from . import latent_spectral as latent_spectral

PAPERS: tuple[str, ...]
