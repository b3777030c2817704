"""Limits of files: room, regular files, names inside a folder, gzip; whatever a parser raises is one of our errors."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from lyapmap.core.errors import DataError, LyapmapError
from lyapmap.core.reading.bounded import FACTOR, FLOOR, content, gunzipped, inside, json_in, opened, parsing, room, text


@pytest.mark.parametrize("fault", [RecursionError("deep"), MemoryError(), KeyError("a"), UnicodeError("x"), OSError(5)])
def test_what_a_parser_raises_is_one_line_of_ours(fault: Exception) -> None:
    with (
        pytest.raises(DataError, match=r"^a.bin: not readable \(") as raised,
        parsing("a.bin", "not readable", DataError),
    ):
        raise fault
    assert "\n" not in str(raised.value)


def test_interrupts_go_through() -> None:
    with pytest.raises(KeyboardInterrupt), parsing("a", "b"):
        raise KeyboardInterrupt


def test_a_pipe_and_a_folder_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(LyapmapError, match="is no regular file"):
            content(tmp_path / name)
    with pytest.raises(LyapmapError, match="no such file"), opened(tmp_path / "lost"):
        pass
    with pytest.raises(LyapmapError, match="cannot be read"):
        content("a\0b")


@pytest.mark.parametrize("name", ["../a", "b/../../a", "/etc/passwd", "link/a", "a\0b", ""])
def test_names_that_lead_out_of_a_folder(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    if name:
        with pytest.raises(LyapmapError, match=r"names '.*', which (lies outside the folder|is no name of a file)"):
            inside(folder, name)
    assert inside(folder, "b/c.png") == folder / "b" / "c.png"


def test_a_folder_may_itself_be_reached_over_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert inside(tmp_path / "link", "a").parent == tmp_path / "link"


def test_gzip_of_several_members_and_with_zeros_behind() -> None:
    packed = gzip.compress(b"one ") + gzip.compress(b"two") + bytes(20)
    assert gunzipped(packed, "a.gz", "not gzip") == b"one two"


@pytest.mark.parametrize(
    "packed", [b"", b"x", gzip.compress(b"abc", mtime=0)[:-4], gzip.compress(b"abc", mtime=0) + b"rest"]
)
def test_damaged_gzip(packed: bytes) -> None:
    with pytest.raises(LyapmapError, match=r"a.gz: not gzip \("):
        gunzipped(packed, "a.gz", "not gzip")


def test_a_gzip_bomb_is_stopped_at_its_room() -> None:
    packed = gzip.compress(bytes(FLOOR + 1), 9)
    assert room(len(packed)) == FLOOR
    with pytest.raises(LyapmapError, match=f"would unpack to more than {FLOOR} bytes"):
        gunzipped(packed, "a.gz", "not gzip")
    assert room(10 * FLOOR) == 10 * FLOOR * FACTOR


def test_json_as_deep_as_it_likes(tmp_path: Path) -> None:
    with pytest.raises(LyapmapError, match=r"a\.json: not JSON"):
        json_in("[" * 100_000, "a.json")
    (tmp_path / "a.txt").write_bytes(b"\xff")
    with pytest.raises(LyapmapError, match="not a text in UTF-8"):
        text(tmp_path / "a.txt")
