"""Models by name: the index that is read without a framework says what their files say."""

from __future__ import annotations

import json

import pytest

from lyapmap.core.errors import CheckpointError
from lyapmap.files import zoo

pytest.importorskip("torch", reason="needs torch: pip install 'lyapmap[torch]'")

from shipped_index import described


def test_the_index_says_what_the_files_say() -> None:
    assert zoo.index() == json.loads(json.dumps(described())), "write it again: make shipped"


@pytest.mark.parametrize("suffix", [".csv", ".npy", ".parquet"])
def test_a_table_is_no_network_and_says_where_it_belongs(tmp_path, suffix):
    path = tmp_path / f"values{suffix}"
    path.write_bytes(b"1")
    with pytest.raises(CheckpointError, match="it holds numbers, not a network; give values with --series"):
        zoo.kind_of(path)
