"""Reference maps and flows with known exponents.

>>> from lyapmap import systems
>>> systems.tent(mu=2.0).known_exponents.round(4)
array([0.6931])

Every map is a function that makes it; `catalogue` lists them as data, `create` makes one by name.
Maps are compiled when they are first used.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
