"""`lyapmap spectrum`: what it prints and writes, and how it refuses."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import lyapmap as lm
from command_line import run

DIGITS = ["--model", "cycle-digits-012", "--steps", "20", "--transient", "10", "-k", "2"]
FEW = ["--steps", "300", "--transient", "50", "--trajectories", "3"]


@pytest.fixture
def importable(tmp_path, monkeypatch):
    """A module of the current folder with maps in it."""
    (tmp_path / "mymaps.py").write_text(
        "import numpy as np\n"
        "def henon(s):\n"
        "    return np.stack([1 - 1.4 * s[:, 0] ** 2 + s[:, 1], 0.3 * s[:, 0]], axis=1)\n"
        "def explode(s):\n"
        "    return 10 * s\n"
        "class Given:\n"
        "    state_shape = (1,)\n"
        "    def apply(self, x): return 3.9 * x * (1 - x)\n"
        "    def jacobian(self, x): return (3.9 - 7.8 * x)[:, :, None]\n"
        "given = Given()\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_table_shows_exponents_dimension_and_status():
    result = run("spectrum", "--map", "henon", *FEW)
    assert result.exit_code == 0
    for words in (
        "Lyapunov spectrum of henon",
        "Kaplan-Yorke dim.",
        "certified",
        "chaotic",
        "sum rule",
        "status",
        "ok",
    ):
        assert words in result.stdout


def test_json_carries_the_attributes_of_the_result():
    result = run("spectrum", "--map", "henon", "-p", "a=1.2", "--json", *FEW)
    values = json.loads(result.stdout)
    assert result.exit_code == 0
    assert values["provenance"]["parameters"] == {"a": 1.2, "b": 0.3}
    assert sum(values["exponents"]) == pytest.approx(np.log(0.3), abs=1e-9)
    assert {"exponents", "stderr", "per_trajectory", "kaplan_yorke", "entropy", "n_positive", "status"} <= set(values)
    assert set(values) == {field.name for field in dataclasses.fields(lm.LyapunovSpectrum)}


def test_json_equals_the_library_with_the_same_seed():
    values = json.loads(run("spectrum", "--map", "ikeda", "--json", "--seed", "5", *FEW).stdout)
    ikeda = lm.systems.ikeda()
    direct = lm.lyapunov_spectrum(ikeda, ikeda.initial_states(3, 5), n_steps=300, transient=50, seed=5)
    assert values["exponents"] == direct.exponents.tolist()


def test_out_writes_data_pictures_and_a_report(tmp_path):
    out = tmp_path / "new" / "folder"
    result = run("spectrum", *DIGITS, "--out", str(out))
    assert result.exit_code == 0, result.output
    assert {p.name for p in out.iterdir()} == {
        "run.json",
        "spectrum.nc",
        "spectrum.json",
        "spectrum.png",
        "convergence.png",
        "trajectory.png",
        "report.html",
    }
    loaded = lm.LyapunovSpectrum.load(out / "spectrum.nc")
    assert loaded.exponents.tolist() == json.loads((out / "spectrum.json").read_text())["exponents"]
    assert loaded.provenance["model"] == "cycle-digits-012"
    page = (out / "report.html").read_text()
    assert page.count("<img") == 3
    assert "<h1>Lyapunov spectrum of cycle-digits-012</h1>" in page
    assert "<code>lyapmap spectrum --steps 20 " in page, "the line that makes it again"


def test_function_of_a_module_in_the_current_folder(importable):
    result = run("spectrum", "--callable", "mymaps:henon", "--state-shape", "2", "--json", *FEW)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["provenance"]["derivative"] == "complex step"


def test_object_that_is_a_map_needs_no_shape(importable):
    result = run("spectrum", "--callable", "mymaps:given", "--json", *FEW)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["exponents"][0] == pytest.approx(0.496, abs=0.1)


def test_initial_states_from_a_file(importable):
    np.save("x0.npy", np.full((2, 2), 0.1))
    result = run("spectrum", "--map", "henon", "--x0", "x0.npy", "--steps", "200", "--json")
    assert len(json.loads(result.stdout)["per_trajectory"]) == 2


def test_initial_states_from_a_data_set():
    result = run(
        "spectrum",
        "--model",
        "cycle-digits-012",
        "--data",
        "digits",
        "--classes",
        "1",
        "-b",
        "2",
        "-n",
        "20",
        "-k",
        "2",
        "--json",
    )
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)["per_trajectory"]) == 2


def test_data_may_give_more_states_than_a_model_brings():
    result = run("spectrum", *DIGITS, "-n", "5", "--data", "digits", "-b", "40", "--json")
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)["per_trajectory"]) == 40


def test_exponents_can_be_chosen():
    for choice, count in (("1", 1), ("all", 8)):
        result = run("spectrum", "--map", "coupled_map_lattice", "-p", "n=8", "-k", choice, "--json", *FEW)
        assert len(json.loads(result.stdout)["exponents"]) == count


def test_float64_of_a_float32_model():
    result = run(
        "spectrum", "--model", "cycle-digits-012", "--dtype", "float64", "-n", "20", "-k", "1", "-b", "1", "--json"
    )
    assert json.loads(result.stdout)["provenance"]["dtype"] == "float64"


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--map", "tent"], "collapsed"),
        (["--map", "henon", "--tolerance", "1e-9", *FEW], "not_converged"),
        (["--callable", "mymaps:explode", "--state-shape", "2"], "escaped"),
    ],
)
def test_bad_status_exits_with_1_and_names_it(importable, arguments, status):
    result = run("spectrum", *arguments)
    assert result.exit_code == 1
    assert status in result.stdout
    shown = run("spectrum", *arguments, "--json")
    assert json.loads(shown.stdout)["status"] == status


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "expected one of --model, --map and --callable, got none"),
        (["--map", "henon", "--model", "cycle-digits-012"], "got --model and --map"),
        (["--map", "henno"], "henon"),
        (["--map", "henon", "-p", "z=1"], "z"),
        (["--map", "henon", "-p", "a"], "expected NAME=VALUE, got 'a'"),
        (["--map", "henon", "-p", "a=x"], "a: expected"),
        (["--map", "henon", "--dtype", "float32"], "--dtype"),
        (["--map", "henon", "--exponents", "many"], "--exponents: expected a whole number, auto or all, got 'many'"),
        (["--map", "henon", "--exponents", "3"], "--exponents: expected 1 to 2"),
        (["--map", "henon", "--data", "digits"], "are no images"),
        (["--map", "henon", "--x0", "missing.npy"], "--x0: no file missing.npy"),
        (["--map", "henon", "--state-shape", "2"], "--state-shape: only together with --model or --callable"),
        (["--map", "henon", "--tolerance", "-1"], "tolerance: expected a positive number, got -1"),
        (["--model", "cycle-digits-01"], "did you mean cycle-digits-012?"),
        (["--model", "missing.pt"], "missing.pt: no such file"),
        (["--model", "cycle-digits-012", "--device", "quantum"], "device: quantum cannot be used"),
        (["--model", "cycle-digits-012", "-p", "a=1"], "only a reference map (--map) takes parameters"),
        (["--model", "cycle-digits-012", "-b", "1000"], "sample states, got 1000"),
        (["--model", "cycle-digits-012", "--data", "digits", "--classes", "17"], "no class 17"),
        (["--model", "cycle-digits-012", "--classes", "0"], "--classes: only together with --data"),
        (["--callable", "mymaps:henon"], "--state-shape: mymaps:henon needs the shape"),
        (["--callable", "mymaps", "--state-shape", "2"], "expected pkg.module:NAME"),
        (["--callable", "nowhere:f", "--state-shape", "2"], "no module named 'nowhere'"),
        (["--callable", "mymaps:nothing", "--state-shape", "2"], "has no 'nothing'"),
        (["--callable", "mymaps:henon", "--state-shape", "two"], "expected whole numbers separated by commas"),
        (["--callable", "mymaps:henon", "--state-shape", "3"], "--callable: "),
    ],
)
def test_bad_input_exits_with_2_and_one_line(importable, arguments, words):
    result = run("spectrum", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("lyapmap: ")
    assert words in result.stderr


def test_x0_of_the_wrong_kind(importable):
    np.save("bad.npy", np.zeros((4, 3)))
    assert (
        "expected one state (2,) or a batch (b, 2), got (4, 3)"
        in run("spectrum", "--map", "henon", "--x0", "bad.npy").stderr
    )
    (importable / "text.npy").write_text("hello")
    result = run("spectrum", "--map", "henon", "--x0", "text.npy")
    assert result.exit_code == 2
    assert "not a readable .npy file" in result.stderr
    np.save("objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    assert run("spectrum", "--map", "henon", "--x0", "objects.npy").exit_code == 2


def test_interrupt_prints_what_there_is_and_exits_with_130(monkeypatch):
    from lyapmap.analysis.exponents import tangent_run

    carry, calls = tangent_run.propagate_blocks, []

    def stop_at_the_tenth(*arguments, **options):
        calls.append(1)
        if len(calls) == 10:
            raise KeyboardInterrupt
        return carry(*arguments, **options)

    monkeypatch.setattr(tangent_run, "propagate_blocks", stop_at_the_tenth)
    result = run("spectrum", "--map", "henon", *FEW)
    assert result.exit_code == 130
    assert "interrupted after" in result.stdout


COMMANDS = (
    "spectrum",
    "trajectory",
    "divergence",
    "finite-time",
    "covariant",
    "alignment",
    "orbits",
    "entropy",
    "sweep",
    "correlation-dimension",
    "series",
    "zero-one",
    "check",
    "maps",
    "models",
    "train cycle",
)


def test_every_command_has_help_with_examples():
    for command in COMMANDS:
        result = run(*command.split(), "--help")
        assert result.exit_code == 0
        assert f"lyapmap {command}" in result.stdout
        if command != "train cycle":
            assert "--json" in result.stdout


def test_version():
    assert run("--version").stdout.strip() == f"lyapmap {lm.__version__}"
