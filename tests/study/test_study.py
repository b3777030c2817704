"""One class runs every study."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lyapmap.core.errors import LyapmapError
from lyapmap.study.protocol import Sizes, size
from lyapmap.study.stages import Stage, Workspace
from lyapmap.study.study import Study


@dataclass(frozen=True)
class Protocol(Sizes):
    count: int = size(3, "How many.")
    hidden: int = size(1, "Not shown.")


class Subject:
    def mark(self, name: str) -> str:
        return name


def counted(subject: Any, work: Workspace) -> dict[str, Any]:
    return {"count": work.sizes.count}


STUDY = Study(
    stages=lambda subject, protocol: [
        Stage("first", "First", counted, ("count",)),
        *(Stage(f"part-{i}", f"Part {i}", counted, ("count",), needs=("first",)) for i in range(2)),
        Stage("part", "Of all", counted, ("count",)),
    ],
    title=lambda subject: "A study",
    about=lambda subject: {"features": "none"},
    tables=lambda subject, records: [("Table", [("what", "value"), ("stages", str(len(records)))])],
    names=("first",),
    families=("part",),
    settings=lambda sizes: {"count": sizes["count"]},
)


@pytest.mark.parametrize(
    ("only", "done"),
    [
        ((), ["first", "part-0", "part-1", "part"]),
        (("first",), ["first"]),
        (("part-1",), ["first", "part-1"]),
        (("part",), ["first", "part-0", "part-1", "part"]),
    ],
)
def test_stages_and_families_by_name(only: tuple[str, ...], done: list[str], tmp_path: Path) -> None:
    findings = STUDY.run(Subject(), tmp_path, protocol=Protocol(), only=only)
    assert list(findings.records) == done
    assert findings.numbers == json.loads((tmp_path / "study.json").read_text())
    assert findings.numbers["settings"] == {"count": 3}
    assert findings.numbers["table"] == [{"what": "stages", "value": str(len(done))}]
    assert "A study" in (tmp_path / "index.html").read_text()


def test_what_is_done_is_kept_until_its_sizes_change(tmp_path: Path) -> None:
    STUDY.run(Subject(), tmp_path, protocol=Protocol())
    heard: list[str] = []
    STUDY.run(Subject(), tmp_path, protocol=Protocol(hidden=2), on_stage=lambda what, *_: heard.append(what))
    assert set(heard) == {"kept"}
    found = STUDY.run(Subject(), tmp_path, protocol=Protocol(count=4))
    assert {record.numbers["count"] for record in found.records.values()} == {4}


@pytest.mark.parametrize("name", ["second", "par", "first-1"])
def test_names_that_there_are_not(name: str, tmp_path: Path) -> None:
    with pytest.raises(LyapmapError, match=f"only: there is no stage '{name}'"):
        STUDY.check_names([name])
    with pytest.raises(LyapmapError, match=f"only: there is no stage '{name}'"):
        STUDY.run(Subject(), tmp_path, protocol=Protocol(), only=[name])


def test_a_part_that_could_be_and_is_not(tmp_path: Path) -> None:
    STUDY.check_names(["part-7"])
    with pytest.raises(LyapmapError, match="there is no stage 'part-7'"):
        STUDY.run(Subject(), tmp_path, protocol=Protocol(), only=["part-7"])
