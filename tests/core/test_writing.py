"""Files appear whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lyapmap.core.writing import WriteError, append_line, write_text, written_whole


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = write_text(tmp_path / "notes.txt", "old")

    def stopped() -> None:
        with written_whole(path) as beside:
            beside.write_text("half of the ne")
            assert path.read_text() == "old"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_the_suffix_is_that_of_the_file(tmp_path: Path) -> None:
    with written_whole(tmp_path / "picture.png") as beside:
        assert beside.suffix == ".png"
        beside.write_bytes(b"")
    assert (tmp_path / "picture.png").is_file()


def test_links_are_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "target.txt", tmp_path / "link.txt"
    target.write_text("old")
    link.symlink_to(target)
    write_text(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_pipe_is_written_to_directly(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[str] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_text()))
    reader.start()
    write_text(pipe, "through")
    reader.join(10)
    assert received == ["through"]
    assert pipe.is_fifo()


def test_nothing_is_left_where_nothing_was_written(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match=r"empty\.txt: cannot be written"), written_whole(tmp_path / "empty.txt"):
        pass
    assert not list(tmp_path.iterdir())


FULL = """
import resource, sys
from lyapmap.core.writing import append_line
path = sys.argv[1]
append_line(path, "first")
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
try:
    append_line(path, "a line that is too long for the disk")
except OSError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_a_line_that_does_not_fit_on_the_disk_is_not_begun(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    done = subprocess.run([sys.executable, "-c", FULL, path], capture_output=True, text=True, check=True)
    assert "log.jsonl: cannot be written (File too large)" in done.stdout
    assert path.read_text() == "first\n"
    append_line(path, "second")
    assert path.read_text() == "first\nsecond\n"
