"""Until all commands are read from signatures."""

from __future__ import annotations

from lyapmap.cli.source import images_like as images_like
from lyapmap.cli.source import with_notes as told  # noqa: F401
