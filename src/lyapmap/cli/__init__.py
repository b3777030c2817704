"""The command line: one file per subject; commands take their options from the functions that they call."""

from __future__ import annotations

import lazy_loader

# Commands lie in the folders of papers too and import this package: it must not import them in turn.
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"root": ["app", "main"]})
