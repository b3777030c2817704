"""Names, defaults and help of a function's parameters, read from its source.

Nothing is imported for it: a function of a file that loads torch is read as fast as any other, so that
`lyapmap train cycle --help` costs no framework.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

from lyapmap.report.glossary import documented

REQUIRED: Any = inspect.Parameter.empty
LONGEST_HELP = 170
"""Characters up to which further sentences of a description are taken into the help of an option."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a function, or a field of a dataclass.

    Attributes
    ----------
    name : str
    annotation : str
        As it is written.
    kind : str
        The type in the docstring, such as ``int or "auto"``.
    help : str
        Its description there.
    default : object
        `REQUIRED` without one; an `ast` node where it is no plain value.
    place : "place", "either" or "name"
        How it can be given: by its place, by its name, or either.
    """

    name: str
    annotation: str
    kind: str
    help: str
    default: Any
    place: str

    @property
    def words(self) -> tuple[str, ...]:
        """Words that may be given, in quotes in the docstring's type."""
        return tuple(re.findall(r'"([^"]*)"', self.kind))

    @property
    def brief(self) -> str:
        """The first sentences of the help, without those about code."""
        plain = re.sub(r"[;,] see `(?!lyapmap )[^`]+`| \((?:see|calls of) `(?!lyapmap )[^`]+`\)", "", self.help)
        sentences = re.split(r"(?<!Eq\.)(?<!Fig\.)(?<=\.)\s+(?=[A-Z0-9\"`(])", plain)
        text = sentences[0]
        for sentence in sentences[1:]:
            if len(text) + len(sentence) > LONGEST_HELP or re.search(r"[`\[]|^\(|\w\(|lm\.", sentence):
                break
            text += f" {sentence}"
        return text.replace("`", "")


@cache
def parameters(place: str) -> dict[str, Parameter]:
    """Parameters of "package.module:function", or fields of a dataclass there, by their names.

    >>> parameters("lyapmap.analysis.tangents.alignment:alignment")["k"].default
    2
    """
    module, _, name = place.partition(":")
    tree = _parsed(module)
    node = next(part for part in tree.body if getattr(part, "name", None) == name)
    described: dict[str, tuple[str, str]] = {}
    for part in _with_bases(node, tree):
        described |= documented(ast.get_docstring(part) or "")
    by_name = {}
    for key, annotation, default, how in _declared(node, tree):
        kind, words = described.get(key, ("", ""))
        value = default if default is REQUIRED else _value(default, tree)
        by_name[key] = Parameter(key, annotation, kind, words, value, how)
    return by_name


def summary(docstring: str) -> str:
    """What stands in a docstring before its sections, one line for each paragraph."""
    text = re.split(r"^\w+\n---", inspect.cleandoc(docstring), maxsplit=1, flags=re.MULTILINE)[0]
    return "\n\n".join(" ".join(part.split()) for part in text.strip().replace("`", "").split("\n\n"))


@cache
def _parsed(module: str) -> ast.Module:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"no module named {module!r}", name=module)
    with open(spec.origin, encoding="utf-8") as file:
        return ast.parse(file.read())


def _declared(node: Any, tree: ast.Module) -> Iterator[tuple[str, str, Any, str]]:
    """Name, annotation and default of each, and how it is given, in their order."""
    if isinstance(node, ast.ClassDef):
        first = next((p for p in node.body if isinstance(p, ast.FunctionDef) and p.name == "__init__"), None)
        if first is None:
            for part in (part for owner in _with_bases(node, tree) for part in owner.body):
                if isinstance(part, ast.AnnAssign) and "ClassVar" not in ast.unparse(part.annotation):
                    yield ast.unparse(part.target), ast.unparse(part.annotation), part.value or REQUIRED, "name"
            return
        node = first
    arguments = node.args
    plain = [*((a, "place") for a in arguments.posonlyargs), *((a, "either") for a in arguments.args)]
    named = [(a, "name") for a in arguments.kwonlyargs]
    defaults = [None] * (len(plain) - len(arguments.defaults)) + arguments.defaults + arguments.kw_defaults
    for (argument, how), default in zip([*plain, *named], defaults, strict=True):
        if argument.arg != "self":
            annotation = ast.unparse(argument.annotation) if argument.annotation else ""
            yield argument.arg, annotation, REQUIRED if default is None else default, how


def _with_bases(node: Any, tree: ast.Module) -> Iterator[Any]:
    """A function or class, after the classes that it is derived from, of this file or of one that it imports from."""
    for base in map(ast.unparse, getattr(node, "bases", ())):
        for part in tree.body:
            if isinstance(part, ast.ClassDef) and part.name == base:
                yield from _with_bases(part, tree)
            elif isinstance(part, ast.ImportFrom) and part.module and base in {alias.name for alias in part.names}:
                other = _parsed(part.module)
                yield from (
                    owner for p in other.body if getattr(p, "name", "") == base for owner in _with_bases(p, other)
                )
    yield node


def _value(node: Any, tree: ast.Module) -> Any:
    """The plain value of an expression; a name is looked up in its file, or in the file that it is imported from."""
    if isinstance(node, ast.Name):
        for part in tree.body:
            if isinstance(part, ast.Assign) and node.id in map(ast.unparse, part.targets):
                return _value(part.value, tree)
            if isinstance(part, ast.ImportFrom) and part.module and node.id in {alias.name for alias in part.names}:
                return _value(node, _parsed(part.module))
    try:
        return ast.literal_eval(node)
    except ValueError:
        return node
