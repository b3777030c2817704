"""What makes a command of a function: options from signatures, a run of the analysis, errors in one line.

The body of a command loads what the analysis is about, calls it, and says how the result is shown. The rest is
read: an option's name, default and help stand in the signature and docstring of the function that takes it. One long
file, for whoever adds a command needs all of it: the options, the run, and what is said of mistakes.
"""

from __future__ import annotations

import inspect
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lyapmap.cli.options import AsImages
from lyapmap.cli.show import BAD_INPUT, BAD_STATUS, INTERRUPTED, conclude
from lyapmap.cli.signature import REQUIRED, Parameter, parameters, summary
from lyapmap.core.demand import planning
from lyapmap.core.errors import Interrupted, LyapmapError, RunError, by_user
from lyapmap.core.progress import phase
from lyapmap.core.reading.bounded import first_line

if TYPE_CHECKING:
    from lyapmap.cli.folder import OutFolder
    from lyapmap.cli.source import Source

KINDS = ("map", "callable", "model")
"""Kinds of sources, whose usual numbers of steps may differ."""
SEVERAL = {
    *("tuple[int, int]", "tuple[int, ...]", "Sequence[int]"),
    *("tuple[float, float]", "tuple[float, ...]", "Sequence[float]"),
}
MANY = {"list[str]", "Sequence[str]", "list[Path]"}
PLAIN = {"bool", "int", "float", "str", "Path", *SEVERAL, *MANY}
"""Annotations of what can be typed."""
WHOLE_COMMAND = "COMMAND"
"""What stands for a command with all of its options, which are not those of the command that takes it."""
OPTIONS = "Options"
MAP_OPTIONS = "lyapmap.cli.options:MapOptions"
SOURCE = "Map and initial states"
SAMPLES = "Samples"
LAYOUT = "Layout"
SIZES = "Sizes, over those of the protocol"
FIT = "Fit"
TRAINING = "Run of the training"
PANELS = (OPTIONS, SAMPLES, LAYOUT, FIT, TRAINING, SOURCE, SIZES)
"""Headings of options in help, in their order."""
PANEL_OF = dict.fromkeys(("lyapmap.training.loop:train", "lyapmap.training.distributed:launch"), TRAINING)
"""Functions whose options have a heading of their own."""

DEBUG = "LYAPMAP_DEBUG"
"""Variable of the environment with which unforeseen errors show their traceback."""

PROVIDED = {"progress", "throw", "seed", "device", "journal", "client"}
"""Parameters of analyses that each command provides itself."""
LAST = {"device", "threads", "seed"}
"""Options that stand after the others of a command."""
RESUMED = {"TrainingRun", "StudyRun"}
"""Shared options of commands that go on where an earlier call ended."""
JOURNAL = "journal"
INCIDENTAL = {"out", "as_json", "threads", "workers", "scheduler"}
"""Options that are no part of what a run is."""
ARGUMENTS = {"subject"}
"""Fields of shared options that are given by their place."""
SHORT = {"n_steps": "-n", "n_exponents": "-k", "n_vectors": "-k", "trajectories": "-b", "parameter": "-p"}
SHOWN = {"trajectories": "8; 4 of a model"}
NAMES = {"as_json": "--json", "map_name": "--map", "function": "--callable"}
"""Names of options that are not those of their parameters, for all commands alike."""


class UsageError(LyapmapError):
    """What was typed does not fit the options of a command."""


@dataclass(frozen=True)
class Numbers:
    """How an option takes several numbers: ``0,1,2`` or ``0 1 2``.

    Attributes
    ----------
    kind : type
        int or float.
    metavar : str
    words : tuple of str
        That may stand in their place.
    """

    kind: type = int
    metavar: str = "N[,N...]"
    words: tuple[str, ...] = ()

    def __call__(self, text: str) -> Any:
        """The numbers; one that is left out is an error."""
        if text in self.words:
            return text
        try:
            return tuple(self.kind(part) for part in re.split(r"\s*,\s*|\s+", text.strip()))
        except ValueError:
            kind = "whole numbers" if self.kind is int else "numbers"
            raise UsageError(f"expected {listed([f'{kind} separated by commas', *self.words])}, got {text!r}") from None


@dataclass(frozen=True)
class Number:
    """How an option takes a number, or one of some words.

    Attributes
    ----------
    kind : type
        int or float.
    words : tuple of str
    least : int, optional
        The smallest number that is taken.
    """

    kind: type = int
    words: tuple[str, ...] = ()
    least: int | None = None

    @property
    def metavar(self) -> str:
        """As help shows it."""
        return "|".join(("N" if self.kind is int else "X", *self.words))

    def __call__(self, text: str) -> Any:
        """The number, or the word."""
        if text in self.words:
            return text
        try:
            number = self.kind(text)
        except ValueError:
            what = "a whole number" if self.kind is int else "a number"
            raise UsageError(f"expected {listed([what, *self.words])}, got {text!r}") from None
        if self.least is not None and not number >= self.least:
            raise UsageError(f"expected {self.least} or more, got {text}")
        return number


WHOLE = Numbers(int)
NUMBER = Number(int)
REAL = Numbers(float, "X[,X...]")


@dataclass(frozen=True)
class Option:
    """An option or argument of a command.

    Attributes
    ----------
    key : str
        Name of the parameter that takes it.
    names : tuple of str
        As they are typed; for an argument, how it is shown.
    help : str
    default : object
        `REQUIRED` without one.
    shown : str
        The default in words; empty where nothing is to be said.
    read : callable, optional
        Turns a text into a value; none for a switch.
    metavar : str
        What stands for the value in help.
    choices : tuple of str
    place : "place", "either" or "name"
        How it is given: by its place, by its name, or either.
    repeats : bool
        Whether it may be given several times.
    panel : str
        The heading in help.
    """

    key: str
    names: tuple[str, ...]
    help: str
    default: Any = None
    shown: str = ""
    read: Callable[[str], Any] | None = None
    metavar: str = ""
    choices: tuple[str, ...] = ()
    place: str = "name"
    repeats: bool = False
    panel: str = OPTIONS

    @property
    def name(self) -> str:
        """As it is called in messages."""
        return self.names[0]

    def as_parameter(self, groups: Mapping[str, Any]) -> inspect.Parameter:
        """As the command-line library takes it."""
        from typing import Annotated

        from cyclopts import Parameter as Typed

        switch = self.read is None
        # Values are checked here, so that the library needs to know no more than how many words an option takes.
        rest = self.repeats and self.place == "place"
        hint: Any = bool if switch else list[Any] | None if self.repeats and not rest else Any
        details = Typed(
            name=self.names,
            help=self.help,
            negative=(f"--no-{self.name.lstrip('-')}",) if switch and self.default is True else (),
            group=groups[self.panel],
            converter=None if switch else self._convert,
            n_tokens=None if switch or self.repeats else 1,
            metavar=None if self.place == "place" else self.metavar or None,
            show_default=self.shown or False,
            choices=self.choices or None,
            allow_repeating=None if self.repeats else True,
            show_choices="|" not in self.metavar,
            allow_leading_hyphen=isinstance(self.read, Number | Numbers) or self.metavar == WHOLE_COMMAND,
            required=self.default is REQUIRED,
        )
        kind: Any = {
            "place": inspect.Parameter.POSITIONAL_ONLY,
            "either": inspect.Parameter.POSITIONAL_OR_KEYWORD,
            "name": inspect.Parameter.KEYWORD_ONLY,
        }[self.place]
        if rest:
            kind = inspect.Parameter.VAR_POSITIONAL
        return inspect.Parameter(self.key, kind, default=self.default, annotation=Annotated[hint, details])

    def _convert(self, tokens: Sequence[Any]) -> Any:
        assert self.read is not None
        values = [self.read(token.value) for token in tokens]
        return values if self.repeats and self.place != "place" else values[0]


@dataclass(frozen=True)
class From:
    """The options that name a map, for a command that iterates one.

    Attributes
    ----------
    trajectories : int, optional
        Default number.
    optional : bool
        Whether the command can do without a map.
    without : tuple of str
        Options of `MapOptions` that it has not.
    """

    trajectories: int | None = None
    optional: bool = False
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Command:
    """A command, as `command` was told of it.

    Attributes
    ----------
    function : callable
        Takes a `Run`, then its own options; gives an exit code.
    calls : tuple of str
        Functions and dataclasses, "package.module:name", whose parameters become options.
    source : From, optional
    out : str, bool or None
        Default folder of `--out`; None for no files unless asked for, False for a command without it.
    group : str
        The heading in the list of commands.
    names : mapping of str to str
        Options of parameters by other names than theirs, e.g. ``{"k": "--vectors -k"}``.
    usual : mapping of str to object
        Defaults that are not those of the functions; a mapping gives one for each kind of source.
    reads : mapping of str to callable
        Parameters whose value is no single number or word.
    hides : tuple of str
        Parameters of `calls` that are not offered; of shared options as "StudyRun.only".
    shown : mapping of str to str
        Defaults in words.
    panels : mapping of str to str
        Options by headings, separated by blanks.
    examples : str
        One a line.
    path : tuple of str
        All words that it is called by.
    further : callable
        Gives options that are no parameters.
    """

    function: Callable[..., int]
    calls: tuple[str, ...] = ()
    source: From | None = None
    out: Any = None
    group: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    usual: Mapping[str, Any] = field(default_factory=dict)
    reads: Mapping[str, Callable[[str], Any]] = field(default_factory=dict)
    hides: tuple[str, ...] = ()
    shown: Mapping[str, str] = field(default_factory=dict)
    panels: Mapping[str, str] = field(default_factory=dict)
    examples: str = ""
    path: tuple[str, ...] = ()
    further: Callable[[], Iterable[Option]] = tuple

    @property
    def name(self) -> str:
        """As it is typed."""
        return self.function.__name__.rstrip("_").replace("_", "-")

    @property
    def goes_on(self) -> bool:
        """Whether it goes on with what an earlier call left in its folder, and looks itself whether that fits."""
        annotations = {parameter.annotation for parameter in parameters(self._own()).values()}
        return bool(annotations & RESUMED)

    @property
    def help(self) -> str:
        """What it does, as its docstring says before the options."""
        return summary(self.function.__doc__ or "")

    def options(self) -> list[Option]:
        """All options, in the order in which help shows them."""
        own = [option for place in (self._own(), *self.calls) for option in self._read(place)]
        own.sort(key=lambda option: option.key in LAST)
        if self.out is not False:
            own += self._read("lyapmap.cli.options:Output", out=self.out)
        if any("client" in parameters(place) for place in self.calls):
            own += self._read("lyapmap.cli.options:Cluster")
        own += [*self.further()]
        own += self._read("lyapmap.cli.options:Printed")
        if self.source is not None:
            own += [
                replace(option, panel=OPTIONS if option.place == "place" else SOURCE)
                for option in self._read(MAP_OPTIONS, trajectories=self.source.trajectories)
                if option.key not in self.source.without
            ]
        first: dict[str, Option] = {}
        for option in own:
            first.setdefault(option.key, option)
        return [*first.values()]

    def parameters_of(self, place: str) -> set[str]:
        """Names of the parameters of one of `calls` that are options."""
        return {parameter.name for parameter in parameters(place).values() if self._offers(parameter)}

    def _offers(self, parameter: Parameter) -> bool:
        """Whether a parameter of a function that is called is an option: no data, and nothing that cannot be typed."""
        if parameter.place != "name" or parameter.name in self.hides or parameter.name in PROVIDED:
            return False
        return parameter.name in self.reads or _parts(parameter) <= PLAIN

    def _own(self) -> str:
        return f"{self.function.__module__}:{self.function.__name__}"

    def _read(self, place: str, **defaults: Any) -> list[Option]:
        own, called, owner = place == self._own(), place in self.calls, place.partition(":")[2]
        options = []
        for parameter in parameters(place).values():
            if own and parameter.annotation == "Run":
                continue
            group = getattr(sys.modules[self.function.__module__], parameter.annotation, None) if own else None
            if inspect.isclass(group) and hasattr(group, "__dataclass_fields__"):
                options += self._read(f"{group.__module__}:{group.__name__}")
            elif own or (self._offers(parameter) if called else f"{owner}.{parameter.name}" not in self.hides):
                default = defaults.get(parameter.name)
                option = self._option(parameter if default is None else replace(parameter, default=default))
                options.append(replace(option, panel=PANEL_OF.get(place, option.panel)))
        return options

    def _option(self, parameter: Parameter) -> Option:
        key = parameter.name
        names = self.names.get(key, "").split()
        if not names:
            names = [NAMES.get(key, f"--{key.removeprefix('n_').replace('_', '-')}")]
            names += [SHORT[key]] if key in SHORT else []
        panel = next((panel for panel, keys in self.panels.items() if key in keys.split()), OPTIONS)
        option = Option(key, tuple(names), _sentence(parameter.brief), parameter.default, panel=panel)
        option = self._typed(option, parameter)
        if key in self.usual and not isinstance(self.usual[key], Mapping):
            option = replace(option, default=self.usual[key])
        usual = self.usual.get(key)
        if isinstance(usual, Mapping):
            option = replace(option, default=None, shown=_by_kind(usual))
        elif option.default is not REQUIRED and option.default is not None and option.read is not None:
            option = replace(option, shown=in_text(option.default))
        elif option.default is True:
            option = replace(option, shown="yes")
        shown = self.shown.get(key) or (SHOWN.get(key) if option.default is None and usual is None else None)
        return option if shown is None else replace(option, shown=shown)

    def _typed(self, option: Option, parameter: Parameter) -> Option:
        """With what reads its value, which the annotation and the docstring's type tell."""
        parts = _parts(parameter)
        metavar, words = _metavar(parameter), parameter.words
        read: Callable[[str], Any] | None
        place = "place" if parameter.name in ARGUMENTS else parameter.place
        if option.key in self.reads:
            read = self.reads[option.key]
            metavar = metavar or getattr(read, "metavar", "")
        elif parts == {"bool"}:
            read = None
        elif parts & {"int", "float"}:
            least = re.search(r"at least (\d+)", parameter.kind)
            read = Number(int if "int" in parts else float, words, None if least is None else int(least[1]))
            metavar = metavar or read.metavar
            words = ()
        elif parts & SEVERAL:
            kind, letters = (int, "N[,N...]") if "int" in parameter.annotation else (float, "X[,X...]")
            read = Numbers(kind, "|".join((letters, *words)), words)
            metavar = metavar or read.metavar
            words = ()
        elif "Path" in parts and "str" not in parts:
            read, metavar = Path, metavar or "FILE"
        else:
            read = Path if "list[Path]" in parts else str
            metavar = metavar or ("|".join(words) if words else "NAME")
        return replace(
            option,
            read=read,
            metavar=metavar,
            choices=words,
            place=place,
            repeats=bool(parts & MANY),
            names=(metavar,) if place == "place" else option.names,
        )


def command(*calls: str, group: str = "", **details: Any) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Make a command of a function; see `Command` for what may be given."""

    def known(function: Callable[..., int]) -> Callable[..., int]:
        function.command = Command(function, calls, group=group, **details)  # type: ignore[attr-defined]
        return function

    return known


class Run:
    """One run of a command: what was given, the source, the call of the analysis, the end.

    Attributes
    ----------
    values : dict of str to object
        All options by the names of their parameters, defaults included.
    given : set of str
        Names of those that were typed.
    source : Source or None
        The map and its initial states.
    out : Path or None
        An existing folder.
    as_json : bool
    seed : int
    interrupted : bool
        Whether Ctrl-C cut a call short.
    """

    def __init__(self, made: Command, options: Sequence[Option], given: Mapping[str, Any]) -> None:
        self.command = made
        self.names = {option.key: option.name for option in options}
        self.values = {o.key: given.get(o.key, None if o.default is REQUIRED else o.default) for o in options}
        self.given = set(given)
        self.as_json = bool(self.values["as_json"])
        self.seed = int(self.values.get("seed") or 0)
        self.out: Path | None = None
        self.source: Source = None  # type: ignore[assignment]  # a command without one does not look
        self.interrupted = False
        self._folder: OutFolder | None = None
        self._open = ExitStack()

    def end(self, *, done: bool) -> None:
        """Give the folder back, without the journal of a run that is `done`: its results are there."""
        self._open.close()
        journal = self.journal
        if journal is not None and journal.is_dir():
            if done or not any(journal.iterdir()):
                shutil.rmtree(journal, ignore_errors=True)
            elif self.interrupted:
                print(f"lyapmap: the same command goes on from what {self.out} holds", file=sys.stderr)
        if self._folder is not None:
            self._folder.release()

    @property
    def progress(self) -> bool:
        """Whether to show bars."""
        return not self.as_json

    @property
    def journal(self) -> Path | None:
        """Folder of what an unfinished run has come to, within that of `--out`."""
        return None if self.out is None else self.out / JOURNAL

    @property
    def images(self) -> AsImages:
        """How images of data are changed."""
        return AsImages.of(self.values)

    @property
    def folder(self) -> Path:
        """The folder of `--out`, for a command that always has one."""
        assert self.out is not None
        return self.out

    def begin(self) -> None:
        """Make the folder and load the source: complain before the work, not after."""
        foretold = planning()
        if foretold is not None and self.values.get("out") is not None:  # nothing of a plan stays
            self.values["out"] = Path(foretold.folder)
        out = self.values.get("out")
        if out is not None and self.command.out is not False and not _beside_the_first():
            from lyapmap.cli.folder import OutFolder

            own = {key: value for key, value in self.values.items() if key not in INCIDENTAL}
            identity = {} if self.command.goes_on else own
            self._folder = OutFolder(Path(out), self.command.name, identity, renames="out" not in self.given)
            self.out = self._folder.path
        elif out is not None and self.command.out is not False:
            self.out = Path(out)
        if self.command.source is not None:
            from lyapmap.cli.options import MapOptions
            from lyapmap.cli.source import load_source

            names = set(parameters(MAP_OPTIONS)) - {*self.command.source.without}
            given: dict[str, Any] = {name: self.values[name] for name in names}
            options = MapOptions(**given)
            if options.named or not self.command.source.optional:
                with phase(f"loading {options.named}", self.progress):
                    self.source = load_source(options)
        for key, usual in self.command.usual.items():
            if isinstance(usual, Mapping) and self.values.get(key) is None and self.source is not None:
                self.values[key] = usual[self.source.kind]

    def options(self, callee: str = "") -> dict[str, Any]:
        """Values for one of the functions that the command calls: the first, or that of a name."""
        place = self._place(callee)
        unknown = {name for name in self.command.usual if self.values.get(name) is None}
        return {name: self.values[name] for name in self.command.parameters_of(place) - unknown}

    def _place(self, callee: str) -> str:
        return next(place for place in self.command.calls if place.endswith(f":{callee}") or not callee)

    def __call__(self, *states: Any, callee: str = "", **fixed: Any) -> Any:
        """The result of the analysis, or what there is of it after Ctrl-C.

        Without `states` it is that of the source; `fixed` are arguments that are no options. The function is the
        first that the command calls, or that of a name.
        """
        place = self._place(callee)
        module, _, name = place.partition(":")
        takes = parameters(place)
        rest = {"seed": self.seed, "progress": self.progress, "throw": False, "journal": self.journal}
        arguments = {key: value for key, value in rest.items() if key in takes} | self.options(callee) | fixed
        if "client" in takes:
            arguments["client"] = self._client()
        function = getattr(import_module(module), name)
        given = states or (self.source.map, self.source.x0)
        with phase(f"preparing {self.command.name}", self.progress and "progress" in takes):
            return self.complete(lambda: function(*given, **arguments))

    def _client(self) -> Any:
        """The cluster of --workers or --scheduler; None without one."""
        workers, scheduler = self.values.get("workers"), self.values.get("scheduler")
        if workers is None and scheduler is None:
            return None
        from lyapmap.engine.cluster import cluster

        return self._open.enter_context(cluster(workers, scheduler))

    def complete(self, call: Callable[[], Any]) -> Any:
        """The result of a call, or what there is of it after Ctrl-C; without any, go on rising."""
        try:
            return call()
        except Interrupted as stopped:
            self.interrupted = True
            if stopped.result is None:
                raise
            return stopped.result

    def show(self, result: Any, title: str, facts: Sequence[tuple[str, Any]], **details: Any) -> int:
        """Write and print a result as `lyapmap.cli.show.conclude` does; the exit code."""
        return conclude(self, result, title, facts, **({"source": self.source} | details))


def as_function(made: Command, groups: Mapping[str, Any]) -> Callable[..., int]:
    """The command as the command-line library calls it, with its options as signature."""
    options = made.options()
    by_place = [option for place in ("place", "either") for option in options if option.place == place]

    def called(*places: Any, **given: Any) -> int:
        if by_place and by_place[-1].repeats:
            last = len(by_place) - 1
            places = (*places[:last], [*places[last:]])
        keys = [option.key for option in by_place]
        return execute(made, options, dict(zip(keys, places, strict=False)) | given)

    arguments = sorted(
        (option.as_parameter(groups) for option in options), key=lambda p: (p.kind, p.default is not REQUIRED)
    )
    called.__signature__ = inspect.Signature(arguments)  # type: ignore[attr-defined]
    called.__doc__ = None
    return called


def execute(made: Command, options: Sequence[Option], given: Mapping[str, Any]) -> int:
    """Run a command; errors become one line and an exit code."""
    at, done = Run(made, options, given), False
    try:
        at.begin()
        _, *own = inspect.signature(made.function, eval_str=True).parameters.values()
        arguments = {parameter.name: _argument(parameter, at.values) for parameter in own}
        placed = [arguments.pop(p.name) for p in own if p.kind is inspect.Parameter.POSITIONAL_ONLY]
        code = made.function(at, *placed, **arguments)
        done = not at.interrupted
    except RunError as error:
        complain(error, at.names)
        return BAD_STATUS
    except LyapmapError as error:
        complain(error, at.names)
        return BAD_INPUT
    except BrokenPipeError:
        raise
    except MemoryError as error:
        what = f" ({first_line(error)})" if str(error) else ""
        complain(Exception(f"not enough memory{what}; ask for fewer or smaller states at once"), at.names)
        return BAD_INPUT
    except Exception as error:  # a library's, or a fault of ours: nobody who types a command reads tracebacks
        if os.environ.get(DEBUG):
            raise
        complain(Exception(f"{by_user(error)}; {DEBUG}=1 shows where it comes from"), at.names)
        return BAD_INPUT
    except KeyboardInterrupt as error:
        at.interrupted = True
        if not isinstance(error, Interrupted) or error.result is None:
            print(f"lyapmap: {str(error) or 'interrupted'}", file=sys.stderr)
        return INTERRUPTED
    else:
        return code
    finally:
        at.end(done=done)


def _argument(parameter: inspect.Parameter, values: Mapping[str, Any]) -> Any:
    """The value of a parameter, or a dataclass of shared options."""
    fields = getattr(parameter.annotation, "__dataclass_fields__", None)
    if fields is None:
        return values[parameter.name]
    return parameter.annotation(**{name: values[name] for name in fields if name in values})


def complain(error: Exception, names: Mapping[str, str] | None = None) -> None:
    """Say what is wrong in one line, with the options as they are typed."""
    print(f"lyapmap: {in_options(' '.join(str(error).split()), names or {})}", file=sys.stderr)


def in_options(text: str, names: Mapping[str, str]) -> str:
    """A message with options in the place of the parameters that it names.

    >>> in_options("n_exponents: expected 1 to 2, got 3", {"n_exponents": "--exponents"})
    '--exponents: expected 1 to 2, got 3'
    """
    for key, option in names.items():
        # A word such as `window` stands for itself, unless it begins the message; `n_steps` is a name anywhere.
        where = rf"(?<![\w.-]){key}(?![\w(])" if "_" in key else rf"^{key}(?=:| and \w+:)"
        text = re.sub(where, option, text)
    return text


def _beside_the_first() -> bool:
    """Whether this is one of several processes that train together, and another has the folder."""
    return any(os.environ.get(name, "0") not in ("", "0") for name in ("RANK", "LOCAL_RANK"))


def _metavar(parameter: Parameter) -> str:
    """What the docstring's type writes in capitals, as ``NAME|FILE``."""
    match = re.search(r"(?<![\w\"])[A-Z][A-Z0-9]*(?![a-z])[^ ]*", parameter.kind)
    return "" if match is None else match[0].rstrip(",")


def _parts(parameter: Parameter) -> set[str]:
    """The types of an annotation, without None."""
    return {part.strip() for part in parameter.annotation.split(" | ")} - {"None"}


def listed(words: Sequence[str]) -> str:
    """Words as a sentence lists them."""
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def in_text(value: Any) -> str:
    """A default as help shows it."""
    if isinstance(value, tuple | list):
        return ",".join(map(in_text, value))
    return "all or auto" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _by_kind(usual: Mapping[str, Any]) -> str:
    rest = usual["map"]
    others = [f"{in_text(usual[kind])} of a {kind}" for kind in KINDS if usual[kind] != rest]
    return "; ".join([in_text(rest), *others])
