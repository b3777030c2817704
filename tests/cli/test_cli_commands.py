"""Options of all commands: read from signatures, with help and the function's default; mistakes are one line."""

from __future__ import annotations

import dataclasses
import inspect
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module

import pytest

from command_line import run
from lyapmap.cli.command import PROVIDED, Command, Number, in_options
from lyapmap.cli.root import commands, examples
from lyapmap.cli.signature import REQUIRED, documented, parameters, summary

ALL: dict[str, Command] = {" ".join(path): function.command for path, _, function in commands()}
CALLED = sorted({place for made in ALL.values() for place in made.calls})


@pytest.mark.parametrize("name", ALL)
def test_every_option_has_help_and_no_words_of_code(name):
    assert ALL[name].help
    assert ALL[name].examples.strip(), "and the command examples"
    for option in ALL[name].options():
        assert option.help.endswith((".", "?")), f"{option.name}: {option.help!r}"
        assert len(option.help) < 400, option.name
        # `_` stands in names of Python; shown as x_i it is mathematics.
        assert not re.search(r"`|\blm\.|\b[a-z]{2,}_[a-z]{2,}\b", option.help.replace("fashion_mnist", "")), option.help
        assert not (option.read and option.place != "place" and not option.metavar), option.name


def signature_of(place):
    """Names and defaults as Python itself tells them."""
    module, _, name = place.partition(":")
    function = getattr(import_module(module), name)
    if dataclasses.is_dataclass(function):
        return {field.name: field.default for field in dataclasses.fields(function) if field.init}
    return {
        key: REQUIRED if parameter.default is inspect.Parameter.empty else parameter.default
        for key, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }


@pytest.mark.parametrize("place", CALLED)
def test_what_is_read_from_the_source_is_what_python_says(place):
    pytest.importorskip("torch")
    read, real = parameters(place), signature_of(place)
    assert list(read) == list(real)
    for name, parameter in read.items():
        if real[name] is dataclasses.MISSING or not isinstance(parameter.default, type(real[name])):
            assert parameter.default is REQUIRED or hasattr(parameter.default, "lineno"), name
        else:
            assert parameter.default == real[name], name


@pytest.mark.parametrize("name", ALL)
def test_the_default_of_an_option_is_that_of_its_function(name):
    """But for those that the command states itself, in `usual`."""
    made = ALL[name]
    options = {option.key: option for option in made.options()}
    own = set(parameters(f"{made.function.__module__}:{made.function.__name__}"))
    seen = set(own)
    for place in made.calls:
        for key, parameter in parameters(place).items():
            if key in options and key in made.parameters_of(place) and key not in seen and key not in made.usual:
                seen.add(key)
                assert options[key].default == parameter.default, key
                assert key not in PROVIDED
    for key, usual in made.usual.items():
        if isinstance(usual, Mapping):
            assert set(usual) == {"map", "callable", "model"}
            assert options[key].default is None
        else:
            assert options[key].default == usual


def filled(option):
    """What has to be typed for an option that is needed."""
    if option.default is not REQUIRED:
        return []
    return ["x"] if option.place != "name" else [option.name, "1"]


@pytest.mark.parametrize("name", ALL)
def test_mistakes_are_one_line_that_names_the_option(name):
    unknown = run(*name.split(), "--stepz", "3")
    needed = [part for option in ALL[name].options() for part in filled(option)]
    assert (unknown.exit_code, unknown.stdout, unknown.stderr.count("\n")) == (2, "", 1)
    assert "--stepz" in unknown.stderr
    for option in ALL[name].options():
        if isinstance(option.read, Number):
            wrong = run(*name.split(), *needed, option.name, "1x")
            assert (wrong.exit_code, wrong.stderr.count("\n")) == (2, 1)
            assert wrong.stderr.startswith(f"lyapmap: {option.name}: expected a")
        elif option.choices and option.place == "name":
            wrong = run(*name.split(), *needed, option.name, "zzz")
            assert (wrong.exit_code, wrong.stderr.count("\n")) == (2, 1)
            assert wrong.stderr.startswith(f"lyapmap: {option.name}: expected {option.choices[0]}")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["spectrm"], 'unknown command "spectrm". Did you mean "spectrum"?'),
        (["spectrum", "henon", "--step", "3"], "unknown option: --step. Did you mean --steps?"),
        (["spectrum", "henon", "ikeda"], "unexpected argument 'ikeda'"),
        (["spectrum", "henon", "--steps"], "--steps: expected a value"),
        (["spectrum", "henno"], "MAP: no reference map, shipped model or file is called 'henno'; did you mean henon?"),
        (["spectrum", "henon", "--map", "ikeda"], "MAP: expected it, or --map, got both: henon and ikeda"),
        (["spectrum", "henon", "--seed", "-1"], "--seed: expected 0 or more, got -1"),
        (["divergence", "henon", "--method", "rescale"], "--method: expected fit or rescaled, got 'rescale'; did you"),
        (["entropy", "henon", "--low", "0"], "--high: needed, and not given"),
        (["orbits", "henon", "--low", "0,"], "--low: expected numbers separated by commas, got '0,'"),
        (["train", "cycle", "--data", "digits"], "--out: needed, and not given"),
        (["train", "cycle", "--dat", "digits"], "unknown option: --dat; did you mean --data?"),
        (["train"], None),
    ],
)
def test_what_is_said_of_a_mistake(arguments, words):
    done = run(*arguments)
    if words is None:
        assert "cycle" in done.stdout
        return
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"lyapmap: {words}")


def test_a_map_may_be_given_by_its_place_or_by_its_name():
    few = ["--steps", "50", "--transient", "5", "--seed", "3", "--json"]
    first = run("divergence", "henon", "-b", "4", "--direction", "random", *few)
    other = run("divergence", "--map", "henon", "-b", "4", "--direction", "random", *few)
    without = re.compile(r'"(seconds|date|time|created)": [^,}]*')
    assert first.exit_code == other.exit_code
    assert without.sub("", first.stdout) == without.sub("", other.stdout) != ""


def test_numbers_may_be_separated_by_blanks_and_the_last_of_two_counts():
    shared = ["--samples", "100", "--steps", "5", "--seed", "0", "--json"]
    commas = run("entropy", "henon", "--low", "-2,-2", "--high", "2,2", *shared)
    blanks = run("entropy", "henon", "--low", "-2", "-2", "--high", "2", "2", "--seed", "7", *shared)
    cut = slice(0, commas.stdout.index('"provenance"'))
    assert commas.stdout[cut] == blanks.stdout[cut]


def test_parameters_in_messages_become_options():
    names = {"n_exponents": "--exponents", "window": "--window", "method": "--method"}
    assert in_options("n_exponents: expected 1", names) == "--exponents: expected 1"
    assert in_options("window: expected a window", names) == "--window: expected a window"
    assert in_options("the n_exponents of my.n_exponents", names) == "the --exponents of my.n_exponents"
    assert in_options("a window and a method", names) == "a window and a method"


def test_docstrings_are_read():
    text = "What.\n\nMore\nwords.\n\nParameters\n----------\na, b : int\n    Both.\n\n    Not this.\nc\n    See.\n"
    assert summary(text) == "What.\n\nMore words."
    assert documented(inspect.cleandoc(text)) == {"a": ("int", "Both."), "b": ("int", "Both."), "c": ("", "See.")}


def test_examples_can_be_copied():
    long = "lyapmap train cycle --data mnist --classes 0,1,2 --width 32 --epochs 30 --monitor-every 2 --out runs/mnist"
    shown = examples(f"{long}\nA remark.")
    assert all(len(line) < 80 for line in shown.splitlines())
    assert " ".join(shown.splitlines()[1:3]).replace("\\", "").split() == long.split()
    assert shown.endswith("\n\nA remark.")


def test_commands_are_grouped():
    shown = run("--help").stdout
    places = [
        shown.index(words) for words in ("Measure", "Look at states", "Train", "Reproduce papers", "Maps, models")
    ]
    assert places == sorted(places)
    assert all(shown.count(f" {name.split()[0]} ") for name in ALL)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_all_commands_and_options(shell):
    script = run("--show-completion", shell).stdout
    for words in ("finite-time", "cycle-seeds", "qr-every", "kaplan-yorke"):
        assert words in script


HELP = """
import contextlib, io, sys
from lyapmap.cli import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main({arguments!r})
print(*sorted({{"torch", "numpy", "tensorflow", "numba", "matplotlib", "scipy"}} & set(sys.modules)))
"""


@pytest.mark.parametrize("arguments", [[], ["spectrum"], ["train", "cycle"], ["study", "gan"], ["gan", "canvas"]])
def test_help_loads_no_analysis_and_no_framework(arguments):
    program = HELP.format(arguments=[*arguments, "--help"])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
