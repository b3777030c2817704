"""The command line: one file per subject; commands take their options from the functions that they call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lyapmap._late import late

if TYPE_CHECKING:
    from lyapmap.cli.root import app as app
    from lyapmap.cli.root import main as main

# Commands lie in the folders of papers too and import this package: it must not import them in turn.
__getattr__, __dir__ = late(__name__, {"app": ".root", "main": ".root"})
