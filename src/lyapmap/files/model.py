"""What a trained model is, whatever framework and file it comes from."""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from lyapmap.core.errors import CheckpointError, LyapmapError, by_user
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


@dataclass(frozen=True)
class Wanted:
    """What a user says of a file beside its name; see `lyapmap.load_model`."""

    part: str | None = None
    trust: bool = False
    network: Any = None
    network_args: Mapping[str, Any] = field(default_factory=dict)


class Reader(Protocol):
    """What a module that reads one kind of file offers."""

    def read(self, path: Path, label: str, wanted: Wanted) -> Saved:
        """The network of a file; `label` names it in results."""

    def as_map(self, saved: Saved, **options: Any) -> TangentMap:
        """Its map; `dtype`, `device`, `memory_limit`, and what describes its states, as far as they are given."""

    def record(self, path: Path) -> dict[str, Any]:
        """How it was trained; empty where the file does not say so."""


def imported(text: str, option: str) -> Any:
    """What "package.module:name" stands for; modules of the current folder come after those that are installed.

    Raises
    ------
    LyapmapError
        That begins with the name of the option.
    """
    module_name, colon, attribute = text.partition(":")
    if not colon or not module_name or not attribute:
        raise LyapmapError(f"{option}: expected pkg.module:NAME, e.g. mynet:Net for Net in mynet.py, got {text!r}")
    if module_name.endswith(".py") or "/" in module_name:
        dotted = module_name.removesuffix(".py").strip("./").replace("/", ".")
        raise LyapmapError(f"{option}: expected a module and no file; {dotted}:{attribute} would do in its folder")
    if "" not in sys.path:
        sys.path.append("")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        raise LyapmapError(f"{option}: no module named {error.name!r}") from None
    except Exception as error:  # the module's own code may raise anything
        raise LyapmapError(f"{option}: {module_name} failed to import: {by_user(error)}") from error
    target: Any = module
    for part in attribute.split("."):
        if not hasattr(target, part):
            near = difflib.get_close_matches(part, [name for name in dir(target) if name[0] != "_"], 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise LyapmapError(f"{option}: {module_name} has no {attribute!r}{hint}")
        target = getattr(target, part)
    return target


def made(network: Any, arguments: Mapping[str, Any], kind: type) -> Any:
    """The network that a user names: a class or function with its arguments, "package.module:name", or a network.

    Parameters
    ----------
    network : class, callable, str or object of `kind`
    arguments : dict
    kind : type
        What it must be.

    Raises
    ------
    CheckpointError
        If it cannot be imported or made, or is nothing of the kind.
    """
    name = network if isinstance(network, str) else getattr(network, "__qualname__", type(network).__name__)
    if isinstance(network, str):
        network = imported(network, "network")
    if isinstance(network, kind) and not isinstance(network, type):
        if arguments:
            raise CheckpointError(f"network_args: {name} is a network already, and takes none")
        return network
    if not callable(network):
        raise CheckpointError(f"network: expected a class, a function or a network, got {type(network).__name__}")
    try:
        network_made = network(**arguments)
    except Exception as error:
        parameters = ", ".join(map(str, parameters_of(network)))
        hint = (
            f"; give its arguments ({parameters}) as network_args"
            if isinstance(error, TypeError) and parameters
            else ""
        )
        raise CheckpointError(f"network: {name} cannot be made: {by_user(error)}{hint}") from error
    if not isinstance(network_made, kind):
        library = kind.__module__.partition(".")[0]
        raise CheckpointError(f"network: {name} gave a {type(network_made).__name__}, expected a {library} module")
    return network_made


def parameters_of(network: Any) -> list[inspect.Parameter]:
    """Parameters of a class or function; none where it does not say."""
    try:
        return list(inspect.signature(network).parameters.values())
    except (TypeError, ValueError):
        return []
