"""What the papers bring: networks, readers, commands and public names, as each says itself in `PAPER` of its folder.

`lyapmap.models` stands above this package. It is looked at here and nowhere else below it, by name and late, so
that no table outside a paper's folder names the paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Network:
    """An architecture that checkpoints name.

    Attributes
    ----------
    module : str
        Its class as "file:Class" of the paper's folder; takes the config.
    config : str
        The class of its config, which knows `state_shape`; empty where the network takes the dictionary of a
        checkpoint and has `state_shape` itself.
    no_map : str
        For a network that does not make states of states: the end of a sentence that says so, and what it is good for.
    serves : str
        The commands or options that take such a network.
    uses : tuple of str
        "features" and "labels", where it gives them.
    from_noise : bool
        Whether its sample states are noise that it makes images of.
    """

    module: str
    config: str = ""
    no_map: str = ""
    serves: str = ""
    uses: tuple[str, ...] = ()
    from_noise: bool = False


@dataclass(frozen=True)
class Paper:
    """What belongs to one paper, by files of its folder.

    Attributes
    ----------
    networks : mapping of str to Network
        By the name that checkpoints have for it.
    train, study, commands : mapping of str to str
        Commands of `lyapmap train`, of `lyapmap study` and of `lyapmap` itself: their names, and the files
        with a function of this name and an EPILOG.
    group, group_help, group_commands : str, str, mapping of str to str
        A group of commands of its own.
    readers : mapping of str to str
        Kinds of `lyapmap.files.zoo.KINDS` that this paper's own file reads.
    keras_layers : str
        File whose import registers layers that Keras does not have.
    names : mapping of str to mapping
        Public names of `lyapmap.training` and `lyapmap.views`, and their files.
    """

    networks: Mapping[str, Network] = field(default_factory=dict)
    train: Mapping[str, str] = field(default_factory=dict)
    study: Mapping[str, str] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    group_help: str = ""
    group_commands: Mapping[str, str] = field(default_factory=dict)
    readers: Mapping[str, str] = field(default_factory=dict)
    keras_layers: str = ""
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def papers() -> dict[str, Paper]:
    """All papers by the name of their folder.

    >>> papers()["cycle"].networks["cycle"].module
    'network:Generator'
    """
    models = import_module("lyapmap.models")
    return {name: import_module(f"lyapmap.models.{name}").PAPER for name in models.PAPERS}


def place(paper: str, file: str) -> str:
    """The module of a file of a paper's folder."""
    return f"lyapmap.models.{paper}.{file}"


def networks() -> dict[str, tuple[str, Network]]:
    """Architectures by name, each with its paper."""
    return {name: (paper, network) for paper, own in papers().items() for name, network in own.networks.items()}


def loaded(paper: str, text: str) -> Any:
    """What "file:name" of a paper's folder stands for."""
    file, _, name = text.partition(":")
    return getattr(import_module(place(paper, file)), name)


def public_names(package: str) -> dict[str, str]:
    """Names that papers bring to a package, and the modules in which they are.

    >>> public_names("training")["load_gan"]
    'lyapmap.models.gan.pair'
    """
    return {
        name: place(paper, file) for paper, own in papers().items() for name, file in own.names.get(package, {}).items()
    }


def reader_of(kind: str) -> str:
    """The module that reads a kind of file which only a paper knows; empty where none does."""
    readers = (place(paper, own.readers[kind]) for paper, own in papers().items() if kind in own.readers)
    return next(readers, "")
