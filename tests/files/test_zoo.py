"""Models by name: the index that is read without a framework says what their files say."""

from __future__ import annotations

import json

import pytest

from lyapmap.files import zoo

pytest.importorskip("torch", reason="needs torch: pip install 'lyapmap[torch]'")

from shipped_index import described


def test_the_index_says_what_the_files_say() -> None:
    assert zoo.index() == json.loads(json.dumps(described())), "write it again: make shipped"
