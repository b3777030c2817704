"""Files that appear whole or not at all: written beside their place, flushed, and moved there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """A name to write to, which is moved to `path` where the block ends well, and removed where it does not.

    It has the same suffix, by which many libraries choose a format. A link is followed; what is no regular file, such
    as a pipe, is written to directly.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with written_whole(Path(folder, "numbers.txt")) as beside:
    ...         _ = beside.write_text("1 2 3")
    ...     sorted(os.listdir(folder)), Path(folder, "numbers.txt").read_text()
    (['numbers.txt'], '1 2 3')
    """
    place = Path(os.path.realpath(path))
    if place.exists() and not place.is_file():
        yield place
        return
    # The process is part of the name: two that write the same file at once must not meet.
    beside = place.with_name(f"{place.stem}.{os.getpid()}.part{place.suffix}")
    try:
        yield beside
        with beside.open("rb") as file:
            os.fsync(file.fileno())  # else a crash of the machine may leave the new name on an empty file
        os.replace(beside, place)
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> Path:
    """Write a text in UTF-8, whole or not at all; what has no UTF-8, as in some names of files, by its number."""
    with written_whole(path) as beside:
        beside.write_text(text, encoding="utf-8", errors="backslashreplace")
    return Path(path)
