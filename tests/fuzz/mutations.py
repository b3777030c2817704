"""Damage to files: bytes flipped, cut, moved and overwritten, also within the members of archives."""

from __future__ import annotations

import gzip
import io
import random
import re
import zipfile

NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
WORDS = (b"99999999999999", b"-1", b"1e999", b"NaN", b"../../", b"/etc/passwd", b"\0", b"\xff\xfe", b"[" * 3000, b"{}")
HEADER = 400
"""Bytes in which most formats say what follows."""


def damaged(data: bytes, rng: random.Random) -> bytes:
    """The content of a file with some damage; that of an archive is also damaged inside and packed again."""
    inside = rng.random() < 0.6
    if inside and data[:2] == b"PK":
        return _repacked(data, rng)
    if inside and data[:2] == b"\x1f\x8b":
        return gzip.compress(_bytes(gzip.decompress(data), rng), 1)
    return _bytes(data, rng)


def _repacked(data: bytes, rng: random.Random) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as given, zipfile.ZipFile(packed, "w") as archive:
        names = given.namelist()
        chosen = rng.choice(names)
        for name in names:
            content = given.read(name)
            if name == chosen and rng.random() < 0.05:
                continue
            archive.writestr(name, _bytes(content, rng) if name == chosen else content)
    return packed.getvalue()


def _bytes(data: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        data = rng.choice(KINDS)(data, rng)
    return data


def _place(data: bytes, rng: random.Random) -> int:
    return rng.randrange(min(len(data), HEADER) if rng.random() < 0.5 else len(data)) if data else 0


def _flip(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8) if data else 0):
        changed[_place(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _overwrite(data: bytes, rng: random.Random) -> bytes:
    place, width = _place(data, rng), rng.choice((1, 2, 4, 8))
    number = rng.choice((rng.choice(NUMBERS), rng.getrandbits(64))) % 256**width
    return data[:place] + number.to_bytes(width, rng.choice(("little", "big"))) + data[place + width :]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: _place(data, rng)]


def _swap(data: bytes, rng: random.Random) -> bytes:
    first, second = sorted((_place(data, rng), _place(data, rng)))
    width = min(rng.choice((4, 16, 64, 512)), second - first)
    return (
        data[:first]
        + data[second : second + width]
        + data[first + width : second]
        + data[first : first + width]
        + data[second + width :]
    )


def _repeat(data: bytes, rng: random.Random) -> bytes:
    place, width = _place(data, rng), rng.choice((1, 8, 64))
    return data[:place] + data[place : place + width] * rng.choice((2, 3, 50)) + data[place + width :]


def _remove(data: bytes, rng: random.Random) -> bytes:
    place = _place(data, rng)
    return data[:place] + data[place + rng.choice((1, 4, 64)) :]


def _word(data: bytes, rng: random.Random) -> bytes:
    place, word = _place(data, rng), rng.choice(WORDS)
    return data[:place] + word + data[place + rng.choice((0, len(word))) :]


def _digits(data: bytes, rng: random.Random) -> bytes:
    numbers = list(re.finditer(rb"\d+", data[:100_000]))
    if not numbers:
        return _word(data, rng)
    one = rng.choice(numbers)
    other = rng.choice((b"0", b"-1", b"1.5", b"10000000", b"99999999999999999999", b'"x"', b"null", b"[]", b"true"))
    return data[: one.start()] + other + data[one.end() :]


KINDS = (_flip, _overwrite, _overwrite, _cut, _swap, _repeat, _remove, _word, _digits)
