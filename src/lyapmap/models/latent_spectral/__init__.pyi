"""Public names and their types; read when they are loaded, too (`lazy_loader`)."""

import lyapmap.files.papers

from .network import Classifier as Classifier
from .network import Encoder as Encoder
from .network import EncoderConfig as EncoderConfig
from .network import LatentSpectral as LatentSpectral
from .network import PooledConfig as PooledConfig
from .network import described as described
from .network import sampled as sampled

PAPER: lyapmap.files.papers.Paper
