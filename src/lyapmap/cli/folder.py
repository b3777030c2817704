"""The folder of `--out`: of one run, and of one process at a time.

`run.json` in it says which command with which options it belongs to. The same command may come again; another is
refused, so that no folder holds the files of two runs. The lock is that of the system on the folder itself: it ends
with the process, however that ends, and leaves no file behind.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lyapmap.core.errors import LyapmapError
from lyapmap.core.plain import plain
from lyapmap.core.writing import WriteError, remove_leftovers, write_text

RECORD, REPORT = "run.json", "report.html"
MOST_NAMES = 10_000


class OutFolder:
    """A folder that a run has for itself, made if it does not exist.

    Parameters
    ----------
    path : Path
    command : str
        Name of the command.
    options : mapping of str to object
        What makes the run the one it is; empty for a command that goes on with what lies there, or looks itself
        whether it fits.
    renames : bool
        Take a free name, PATH-2, PATH-3 and so on, where the folder is another run's; else refuse.

    Raises
    ------
    LyapmapError
        If it cannot be made or written to, holds another run's results, or another process writes to it.
    """

    def __init__(self, path: Path, command: str, options: Mapping[str, Any] = {}, *, renames: bool = False) -> None:
        self.record = {"command": command, "options": {key: plain(value) for key, value in options.items()}}
        self._lock: int | None = None
        for number in range(1, MOST_NAMES):
            self.path = path if number == 1 else path.with_name(f"{path.name}-{number}")
            refusal = self._claim()
            if not refusal:
                return
            if not renames:
                break
        raise LyapmapError(f"--out: {self.path} {refusal}")

    def _claim(self) -> str:
        """Lock the folder and leave the record in it; why not, if not."""
        path = self.path
        try:
            path.mkdir(parents=True)
            self._made = True
        except FileExistsError:
            self._made = False
        except OSError as error:
            return f"cannot be made a folder ({error.strerror})"
        if not path.is_dir():
            return "cannot be made a folder (File exists)"
        if not self._take_lock():
            return "is being written to by another process; wait for it, or give another folder"
        refusal = self._other_run()
        if not refusal:
            try:
                if not (path / RECORD).exists():
                    write_text(path / RECORD, json.dumps(self.record, indent=1, allow_nan=False) + "\n")
            except WriteError as error:
                refusal = f"cannot be written to ({error.reason})"
        if refusal:
            self.release()
        else:
            remove_leftovers(path)  # of a process that was killed: nobody else writes here
        return refusal

    def _other_run(self) -> str:
        """What stands against this run in the folder; empty if nothing does."""
        others = [name for name in os.listdir(self.path) if name != RECORD]
        if not others:
            (self.path / RECORD).unlink(missing_ok=True)  # of a run that left nothing
            return ""
        if not (self.path / RECORD).exists():
            # Without a record it may hold anything, a training or a user's own files, but for what would be replaced.
            replaced = REPORT in others and self.record["options"]
            return "holds the results of another run; give another folder" if replaced else ""
        try:
            known = json.loads((self.path / RECORD).read_text(encoding="utf-8"))
            command, options = str(known["command"]), dict(known["options"])
        except (OSError, ValueError, TypeError, KeyError):
            return f"holds a damaged {RECORD}; give another folder"
        if command != self.record["command"]:
            return f"holds the results of another run ({command}); give another folder"
        ours: Any = json.loads(json.dumps(self.record["options"]))
        differing = sorted(key for key in {*options, *ours} if options.get(key) != ours.get(key))
        if differing:
            return f"holds the results of a run with other options ({', '.join(differing)}); give another folder"
        return ""

    def _take_lock(self) -> bool:
        """Whether no other process has the lock; systems and disks that know no locks of folders say yes."""
        try:
            import fcntl
        except ImportError:  # Windows
            return True
        try:
            self._lock = os.open(self.path, os.O_RDONLY)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release(tidy=False)
            return False
        except OSError:
            return True
        return True

    def release(self, *, tidy: bool = True) -> None:
        """Give the folder back; one in which nothing was written is as it was before."""
        if tidy:
            with suppress(OSError):  # it is gone, or cannot be written to
                if {*os.listdir(self.path)} <= {RECORD}:
                    (self.path / RECORD).unlink(missing_ok=True)
                    if self._made:
                        self.path.rmdir()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
