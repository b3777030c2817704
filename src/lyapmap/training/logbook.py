"""The log of a training run: a line of JSON for each epoch, and curves for TensorBoard if asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from lyapmap.core.errors import MissingExtraError
from lyapmap.core.reading.bounded import inside
from lyapmap.core.writing import append_line, write_text
from lyapmap.training.exponents import scalars

LOG = "log.jsonl"


class Logbook:
    """Entries of epochs, in `log.jsonl` and, with `tensorboard`, in event files beside it.

    Parameters
    ----------
    folder : Path
        Of the run.
    tensorboard : bool
        Whether to write event files.

    Raises
    ------
    MissingExtraError
        If event files are asked for and tensorboard is not installed.
    """

    def __init__(self, folder: Path, *, tensorboard: bool = False) -> None:
        if tensorboard and find_spec("tensorboard") is None:
            raise MissingExtraError("tensorboard", "train", "writing event files")
        self._path = inside(folder, LOG)
        self._wanted = tensorboard
        self._events: Any = None

    def restart(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Hold these entries and no others: those after a checkpoint are trained, and logged, again."""
        if history:
            write_text(self._path, "".join(json.dumps(entry) + "\n" for entry in history))
        else:
            self._path.unlink(missing_ok=True)
        if self._wanted:
            # Viewers leave out what an earlier call wrote from this epoch on.
            purge = len(history) + 1 if any(self._path.parent.glob("events.out.tfevents.*")) else None
            self._events = _summary_writer()(str(self._path.parent), purge_step=purge)

    def add(self, entry: Mapping[str, Any]) -> None:
        """Add the entry of an epoch."""
        append_line(self._path, json.dumps(entry))
        if self._events is None:
            return
        watched = entry.get("monitor")
        watched = watched if isinstance(watched, Mapping) else {}
        numbers = {name: value for name, value in watched.items() if type(value) in (int, float)}
        curves = {"seconds": entry["seconds"]}
        curves |= {f"losses/{name}": value for name, value in entry["losses"].items()}
        curves |= {f"monitor/{name}": value for name, value in (numbers | scalars(dict(watched))).items()}
        for name, value in curves.items():
            self._events.add_scalar(name, value, entry["epoch"])
        self._events.flush()

    def close(self) -> None:
        """Finish the event file."""
        if self._events is not None:
            self._events.close()


def _summary_writer() -> Any:
    # tensorboard takes TensorFlow in where it is installed, for file systems of which none is used here.
    if "tensorflow" not in sys.modules:
        sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter
