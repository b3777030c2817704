"""Names of a package that lie elsewhere and are loaded at first use.

`lazy_loader` does this where names lie within their package; `lyapmap.training` and `lyapmap.views` gather theirs
from several, and from the papers.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any


def gathered(
    package: str, file: str, brought: Mapping[str, str] | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package: the names of its stub, and those that are brought.

    Parameters
    ----------
    package, file : str
        Its `__name__` and `__file__`. The stub beside the file has lines like
        `from lyapmap.report.images import sheet as sheet`.
    brought : mapping of str to str, optional
        Further names and the modules in which they are.
    """
    stub = ast.parse(Path(file).with_suffix(".pyi").read_text(encoding="utf-8"))
    places = {
        alias.name: "." * node.level + (node.module or "")
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    } | dict(brought or {})

    def find(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=sys.modules[package])
        value = getattr(import_module(places[name], package), name)
        setattr(sys.modules[package], name, value)
        return value

    return find, lambda: sorted(places), sorted(places)


def suggesting(
    package: str, find: Callable[[str], Any], listed: Callable[[], list[str]], names: list[str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """The same three of a package, whose `__getattr__` says which name was perhaps meant.

    Examples
    --------
    >>> import lyapmap as lm
    >>> lm.lyapunov_spectra
    Traceback (most recent call last):
    ...
    AttributeError: module 'lyapmap' has no attribute 'lyapunov_spectra'; did you mean 'lyapunov_spectrum'?
    """

    def get(name: str) -> Any:
        try:
            return find(name)
        except AttributeError:
            if name in names or name.startswith("__"):
                raise
            from difflib import get_close_matches

            close = get_close_matches(name, names, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise AttributeError(f"module {package!r} has no attribute {name!r}{hint}") from None

    return get, listed, names
