"""lyapmap: chaos analysis of iterated networks and maps.

>>> import lyapmap as lm
>>> spectrum = lm.lyapunov_spectrum(lm.systems.henon(), [0.1, 0.1], n_steps=20_000, transient=1000, seed=0)
>>> bool(abs(spectrum.exponents[0] - 0.4193) < 0.02)
True

Public names are loaded at first use, so that importing the package brings in no framework.
"""

from __future__ import annotations

import lazy_loader

from lyapmap import _late, _moved

_moved.install()
__getattr__, __dir__, __all__ = _late.suggesting(__name__, *lazy_loader.attach_stub(__name__, __file__))
