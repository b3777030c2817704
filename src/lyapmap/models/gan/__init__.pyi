"""Public names and their types; read when they are loaded, too (`lazy_loader`)."""

import lyapmap.files.papers

from .config import DcganConfig as DcganConfig
from .config import GranConfig as GranConfig
from .dcgan import Dcgan as Dcgan
from .gran import Gran as Gran

PAPER: lyapmap.files.papers.Paper
