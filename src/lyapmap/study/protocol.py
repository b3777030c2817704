"""What the protocols of all studies share: sizes with their help, presets by name, single sizes over a preset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

from lyapmap.core.errors import LyapmapError


@dataclass(frozen=True)
class Sizes:
    """How much of everything a study does."""

    def settings(self) -> dict[str, Any]:
        """All sizes by name."""
        return asdict(self)


S = TypeVar("S", bound=Sizes)


def size(default: Any, help: str) -> Any:  # noqa: A002  # the word of the command line
    """A field of a protocol; the command line makes an option of it and shows `help`."""
    return field(default=default, metadata={"help": help})


def preset(presets: Mapping[str, S], name: str, sizes: Mapping[str, Any]) -> S:
    """The protocol of this name with some sizes replaced."""
    if name not in presets:
        raise LyapmapError(f"protocol: expected {' or '.join(presets)}, got {name!r}")
    return replace(presets[name], **sizes)


def check_ascending(name: str, values: tuple[float, ...], *, positive: bool = False) -> None:
    """Raise unless the values rise, from 0 or from above it."""
    listed = list(values)
    if listed and listed == sorted(set(listed)) and (listed[0] > 0 if positive else listed[0] >= 0):
        return
    kind = "positive values" if positive else "values of at least 0"
    raise LyapmapError(f"{name}: expected ascending {kind}, got {', '.join(map(str, listed)) or 'none'}")
