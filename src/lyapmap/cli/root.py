"""The command `lyapmap`: all commands by name, found and built when they are called."""

from __future__ import annotations

import codecs
import ctypes
import difflib
import io
import re
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from lyapmap._version import __version__
from lyapmap.cli.command import (
    PANELS,
    Command,
    Numbers,
    Option,
    as_function,
    complain,
    listed,
)
from lyapmap.cli.show import BAD_INPUT
from lyapmap.cli.signature import REQUIRED
from lyapmap.files.papers import papers, place

if TYPE_CHECKING:
    from cyclopts import App

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of `mallopt`, in GNU's malloc.h."""
COMMANDS = {
    "exponents": "spectrum divergence finite-time covariant alignment entropy sweep",
    "series": "series zero-one",
    "dimension": "dimension correlation-dimension",
    "manifold": "manifold embed transitions memorization",
    "battle": "battle",
    "orbits": "trajectory orbits continuation limit-cycle settling burn-in",
    "dynamics": "compare-dynamics attractors",
    "catalogue": "check maps models",
    "doctor": "doctor plan",
    "explore": "explore",
}
"""Files of this folder, and the commands in them."""
GROUPS = {
    "measure": "Measure",
    "look": "Look at states",
    "train": "Train",
    "study": "Reproduce papers",
    "data": "Maps, models, files",
}
"""Headings in the list of commands, in their order."""
TRAIN = "Train the networks of the papers."
STUDY = "Whole protocols of papers, stage by stage; what is done is kept."
HELP = "Chaos analysis of iterated networks and maps: Lyapunov spectra, dimensions, pictures."
WIDTH = 74
EXAMPLES = """
lyapmap spectrum henon
lyapmap spectrum cycle-mnist-012 --out report
lyapmap spectrum --help
"""


def commands() -> Iterator[tuple[tuple[str, ...], str, Any]]:
    """The path of each command, the heading that its first part stands under, and its function."""
    for file, names in COMMANDS.items():
        for name in names.split():
            function = _function(f"lyapmap.cli.{file}", name)
            yield (name,), function.command.group, function
    for key, paper in papers().items():
        kinds: list[tuple[tuple[str, ...], str, Any]] = [
            ((), "data", paper.commands),
            (("train",), "train", paper.train),
            (("study",), "study", paper.study),
            ((paper.group,), "study", paper.group_commands),
        ]
        for above, group, files in kinds:
            for name, file in files.items():
                yield (*above, name), group, _function(place(key, file), name)


def _function(text: str, name: str) -> Any:
    """The function of a command: "module:function", or "module" where it is called like the command."""
    module, _, function = text.partition(":")
    return getattr(import_module(module), function or name.replace("-", "_"))


def main(tokens: Sequence[str] | None = None) -> None:
    """Run the command line; leaves with an exit code, as a program does.

    Parameters
    ----------
    tokens : sequence of str, optional
        What was typed; that of this program by default.
    """
    keep_memory()
    plain_letters()
    before = signal.getsignal(signal.SIGTERM)
    if before is signal.SIG_DFL and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what batch systems send before the end
    try:
        raise SystemExit(run(sys.argv[1:] if tokens is None else [*tokens]))
    finally:
        if before is signal.SIG_DFL and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


PLAIN = {"±": "+-", "·": "-", "→": "->", "≥": ">=", "≤": "<=", "λ": "lambda", "…": "..."}
"""Signs in what commands print, for terminals that do not know them."""


def plain_letters() -> None:
    """Let output that cannot be written in the terminal's own letters be written in others, not end the command."""

    def other(fault: UnicodeError) -> tuple[str, int]:
        if not isinstance(fault, UnicodeEncodeError):
            raise fault
        letters = fault.object[fault.start : fault.end]
        plain = "".join(PLAIN.get(letter, ascii(letter)[1:-1]) for letter in letters)
        return plain, fault.end

    codecs.register_error("lyapmap", other)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="lyapmap")


def keep_memory() -> None:
    """Let the C library keep memory that arrays have given back, where it is GNU's.

    By default it hands blocks of a few hundred kilobytes, as the tangents of a layer are, back to the
    system and asks for them again at every operation: a sixth of the time of a run of the shipped networks.
    """
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        if hasattr(library, "mallopt"):
            for parameter in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
                library.mallopt(parameter, 2**30)


app = main


def run(tokens: list[str]) -> int:
    """Run the command line; the exit code."""
    from cyclopts import CycloptsError

    root, made = command_line(None if tokens[:1] in (["--install-completion"], ["--show-completion"]) else tokens)
    if made is not None:
        tokens = joined(tokens, made.options())
    try:
        code = root(tokens, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        complain(Exception(in_words(error)))
        return BAD_INPUT
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    return code if isinstance(code, int) else 0


def command_line(tokens: Sequence[str] | None = None) -> tuple[App, Command | None]:
    """All commands, of which the one that is called is built (all without `tokens`), and that one."""
    from cyclopts import App, Group

    headings = {name: Group(words, sort_key=i) for i, (name, words) in enumerate(GROUPS.items())}
    panels = {name: Group(name, sort_key=i) for i, name in enumerate(PANELS)}
    other, under = Group("Other options", sort_key=99), Group("Commands")
    common: dict[str, Any] = {
        "help_format": "plaintext",
        "result_action": "return_value",
        "version_flags": (),
        "group_commands": other,
    }
    root = App(
        name="lyapmap",
        help=HELP,
        help_epilogue=examples(EXAMPLES),
        usage="Usage: lyapmap COMMAND [OPTIONS]",
        **common | {"version": f"lyapmap {__version__}", "version_flags": "--version"},
    )
    root.register_install_completion_command(help="Install completion of commands and options in this shell.")
    root.command(show_completion, name="--show-completion", help="Print the completion of this shell.")
    words = {"train": TRAIN, "study": STUDY} | {p.group: p.group_help for p in papers().values() if p.group}
    above: dict[tuple[str, ...], App] = {(): root}
    called = None
    for path, group, function in commands():
        *parent, name = path
        if tuple(parent) not in above:
            above[tuple(parent)] = App(
                name=parent,
                help=words[parent[0]],
                group=headings[group],
                usage=f"Usage: {_typed(parent)} COMMAND [OPTIONS]",
                help_epilogue=f"Options of a command: {_typed(parent)} COMMAND --help",
                **common,
            )
            root.command(above[tuple(parent)])
        made = function.command
        sub = App(name=name, help=made.help, help_epilogue=examples(made.examples), **common)
        if tokens is None or tuple(tokens[: len(path)]) == path:
            made = replace(made, path=path)
            sub.default(as_function(made, panels))
            sub.usage = f"Usage: {_typed(path)} {_arguments(made.options())}[OPTIONS]"
            called = made
        sub.group = (headings[group] if not parent else under,)
        above[tuple(parent)].command(sub)
    return root, called


def show_completion(shell: str = "bash") -> int:
    """Print the script by which a shell completes commands and options."""
    print(command_line()[0].generate_completion(shell=shell))  # type: ignore[arg-type]  # refused if unknown
    return 0


def _typed(path: Sequence[str]) -> str:
    return " ".join(["lyapmap", *path])


def _arguments(options: Sequence[Option]) -> str:
    """What is given by its place, as usage shows it."""
    text = ""
    for option in options:
        if option.place != "name":
            word = f"{option.names[0].lstrip('-').upper()}{'...' if option.repeats else ''}"
            text += f"{word} " if option.default is REQUIRED else f"[{word}] "
    return text


def examples(lines: str) -> str:
    """The end of a help page; a line that is no command is a remark."""
    parts = [line for line in lines.strip().replace("`", "").splitlines() if line]
    typed = [line for line in parts if line.startswith(("lyapmap", "torchrun"))]
    remarks = [line for line in parts if line not in typed]
    shown = [_broken(line) for line in typed]
    return "\n".join(["Examples:", *shown, *([""] if remarks else []), *remarks]) if shown else ""


def _broken(line: str) -> str:
    """A command that can be copied from a terminal of 80 columns: broken between its options."""
    text = [" "]
    for part in re.split(r" (?=--?[a-z])", line):
        if len(text[-1]) + len(part) > WIDTH:
            text.append("     ")
        text[-1] += f" {part}"
    return " \\\n".join(text)


def joined(tokens: Sequence[str], options: Sequence[Option]) -> list[str]:
    """Tokens in which numbers of one option stand in one word, `--classes 0 1 2` as `--classes 0,1,2`."""
    several = {name for option in options if isinstance(option.read, Numbers) for name in option.names}
    words: list[str] = []
    for token in tokens:
        before = words[-1].split(",") if len(words) > 1 and words[-2] in several else ()
        if before and all(map(_is_number, (*before, token))):
            words[-1] += f",{token}"
        else:
            words.append(token)
    return words


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def in_words(error: Any) -> str:
    """What the command-line library found wrong, in one line of plain English."""
    from cyclopts import exceptions as kinds

    argument = getattr(error, "argument", None)
    if isinstance(error, kinds.CoercionError) and argument is not None:
        if error.msg:
            return f"{argument.name}: {error.msg}"
        choices, value = argument.parameter.choices, error.token.value if error.token else ""
        expected = f"expected {listed(choices)}" if choices else "expected no value"
        return f"{argument.name}: {expected}, got {value!r}{nearest(value, choices)}"
    if isinstance(error, kinds.MissingArgumentError) and argument is not None:
        if any(name in (error.root_input_tokens or ()) for name in argument.names):
            return f"{argument.name}: expected a value"
        unknown = next((token for token in error.unused_tokens or () if token.startswith("--")), None)
        if unknown is not None:
            return f"unknown option: {unknown}{nearest(unknown, argument.names)}"
        return f"{argument.name}: needed, and not given"
    if isinstance(error, kinds.UnusedCliTokensError):
        return f"unexpected argument {(error.unused_tokens or [''])[0]!r}"
    if isinstance(error, kinds.RepeatArgumentError):
        return f"{error.token.keyword}: given more than once"
    text = " ".join(str(error).split()).partition(" Available commands")[0]
    return text[:1].lower() + text[1:]


def nearest(text: str, words: Iterable[str] | None) -> str:
    """The end of a message: the word that was perhaps meant."""
    near = difflib.get_close_matches(text, [*(words or ())], 1)
    return f"; did you mean {near[0]}?" if near else ""
