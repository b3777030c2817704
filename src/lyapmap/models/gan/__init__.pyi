"""Public names and their types; read when they are loaded, too (`lazy_loader`)."""

import lyapmap.files.papers

from .dcgan import Dcgan as Dcgan
from .dcgan import DcganConfig as DcganConfig
from .gran import Gran as Gran
from .gran import GranConfig as GranConfig

PAPER: lyapmap.files.papers.Paper
