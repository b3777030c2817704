"""What NumPy docstrings say of parameters and attributes."""

from __future__ import annotations

import re


def documented(docstring: str) -> dict[str, tuple[str, str]]:
    """Type and description of what the section "Parameters" (or "Attributes") of a NumPy docstring names.

    >>> documented("Parameters\\n----------\\na, b : int\\n    Two\\n    numbers.")["b"]
    ('int', 'Two numbers.')
    """
    known: dict[str, tuple[str, str]] = {}
    for section in ("Attributes", "Parameters"):
        match = re.search(rf"^{section}\n-+\n(.*?)(?=^\w[^\n]*\n---|\Z)", docstring, re.MULTILINE | re.DOTALL)
        for names, kind, text in re.findall(
            r"^(\S[^:\n]*?)(?: *: *([^\n]*))?\n((?:(?:[ \t]+[^\n]*)?(?:\n|\Z))*)",
            (match[1] + "\n") if match else "",
            re.MULTILINE,
        ):
            description = " ".join(text.split("\n\n")[0].split())
            known |= {name.strip(): (kind, description) for name in names.split(",")}
    return known
