"""What a trained model is, whatever framework and file it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from lyapmap.core.map import TangentMap


@dataclass(frozen=True)
class Model:
    """A trained network, ready to be iterated.

    Attributes
    ----------
    name : str
        Name, or file it came from.
    map : TangentMap
    module : object
        The network as it was saved: a torch.nn.Module in evaluation mode on the CPU, a keras.Model,
        or what a SavedModel holds.
    sample_states : (m, *state_shape)
        States to start from; m is 0 where the file has none.
    architecture : str
        Name of the architecture, e.g. "cycle"; empty for one that is not of this project.
    config : dict
        The arguments that rebuild it.
    training : dict
        How it was trained, as far as the file says so.
    """

    name: str
    map: TangentMap
    module: Any
    sample_states: NDArray[Any]
    architecture: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Saved:
    """A network as its file has it, not yet a map; see `Model` for what the fields are.

    Attributes
    ----------
    sample_states : array or None
        None where the file has none.
    origin : dict
        Plain values that results record.
    """

    module: Any
    origin: dict[str, Any]
    sample_states: NDArray[Any] | None = None
    architecture: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)


class Reader(Protocol):
    """What a module that reads one kind of file offers."""

    def read(self, path: Path, label: str, part: str | None, trust: bool) -> Saved:
        """The network of a file; `label` names it in results."""

    def as_map(self, saved: Saved, **options: Any) -> TangentMap:
        """Its map; `dtype`, `device` and `memory_limit` as far as they were chosen."""

    def record(self, path: Path) -> dict[str, Any]:
        """How it was trained; empty where the file does not say so."""
