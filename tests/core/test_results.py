"""What every result shares: status, settings, provenance, files."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from dataclasses import dataclass, field, fields, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas
import pytest
import xarray
from PIL import Image

import lyapmap as lm
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.errors import Interrupted, LyapmapError, MissingExtraError, RunError, install_command
from lyapmap.core.plain import with_error
from lyapmap.core.results import Cause, Result, Status, dims, load, provenance
from sample_maps import Henon

SETTINGS: dict[str, Any] = {
    "nothing": None,
    "nan": float("nan"),
    "inf": float("inf"),
    "bounds": (-1.0, float("inf")),
    "nested": {"shape": (1, 28, 28), "list": [1, 2.5, "three"]},
    "empty": (),
    "flag": True,
    "text": "größer als ½",
}


@dataclass(frozen=True, kw_only=True)
class Sample(Result):
    values: np.ndarray = dims("row", "column")
    steps: np.ndarray = dims("row")
    none: np.ndarray = dims("nothing")
    number: float = float("nan")
    shape: tuple[int, ...] = (1, 2)
    rule: dict[str, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Other(Result):
    extra: int = 0


@pytest.fixture
def sample() -> Sample:
    return Sample(
        status=Status.UNRESOLVED,
        message="2 exponents",
        settings=SETTINGS,
        provenance={"seed": 3, "parameters": {"a": 1.4}},
        values=np.array([[1.5, np.nan], [np.inf, -np.inf]]),
        steps=np.array([1, 2**40]),
        none=np.zeros(0, np.float32),
    )


@pytest.mark.parametrize("suffix", [".nc", ".npz"])
def test_a_result_comes_back_from_its_file_as_it_was(sample: Sample, suffix: str, tmp_path: Path) -> None:
    back = Sample.load(sample.save(tmp_path / f"sample{suffix}"))
    assert isinstance(back, Sample)
    assert back.status is Status.UNRESOLVED
    for f in fields(Sample):
        wanted, got = getattr(sample, f.name), getattr(back, f.name)
        assert repr(got) == repr(wanted), f.name
        assert type(got) is type(wanted), f.name
    for name in Sample.DIMS:
        assert getattr(back, name).dtype == getattr(sample, name).dtype


def test_a_spectrum_comes_back_from_its_file(tmp_path: Path) -> None:
    spectrum = lm.lyapunov_spectrum(Henon(), [0.1, 0.1], n_steps=300, bounds=(-10, 10), seed=0)
    for suffix in (".nc", ".npz"):
        back = lm.LyapunovSpectrum.load(str(spectrum.save(tmp_path / f"spectrum{suffix}")))
        assert back.to_json() == spectrum.to_json()
        assert back.settings == spectrum.settings


def test_a_trajectory_comes_back_with_the_shape_of_its_states(tmp_path: Path) -> None:
    m = lm.wrap(lambda x: x / 2, state_shape=(1, 2, 2), backend="numpy")
    trajectory = lm.trajectory(m, np.ones((1, 2, 2)), n_steps=3)
    back = lm.Trajectory.load(trajectory.save(tmp_path / "t.npz"))
    assert back.state_shape == (1, 2, 2)
    assert back.images().shape == (1, 4, 1, 2, 2)


def test_json_has_the_names_of_the_attributes_and_no_nan(sample: Sample, tmp_path: Path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    text = sample.save(tmp_path / "sample.json").read_text()
    plain = json.loads(text, parse_constant=refuse)
    assert list(plain) == ["kind", *(f.name for f in fields(Sample))]
    assert plain["values"] == [[1.5, None], [None, None]]
    assert plain["status"] == "unresolved"
    assert plain["settings"]["bounds"] == [-1.0, None]
    assert plain["none"] == []


def test_values_of_numpy_become_plain_ones() -> None:
    made = Other(
        status=Status.OK,
        settings={"flag": np.bool_(True), "count": np.int64(3), "rate": np.float32(0.5), "path": Path("a"), 1: "one"},
    )
    assert json.loads(made.to_json())["settings"] == {"flag": True, "count": 3, "rate": 0.5, "path": "a", "1": "one"}


def test_an_xarray_dataset_has_named_dimensions_and_says_what_it_holds(sample: Sample) -> None:
    dataset = sample.to_xarray()
    assert isinstance(dataset, xarray.Dataset)
    assert dataset["values"].dims == ("row", "column")
    assert dataset.attrs["kind"] == "Sample"
    assert json.loads(dataset.attrs["provenance"])["seed"] == 3


def test_a_table_of_pandas_has_the_arrays_along_one_dimension(sample: Sample) -> None:
    table = sample.to_pandas()
    assert table.index.name == "row"
    assert table.columns.tolist() == ["values_0", "values_1", "steps"]
    assert table["steps"].tolist() == [1, 2**40]
    assert table["values_0"].tolist() == [1.5, np.inf]
    assert len(sample.to_pandas("nothing")) == 0
    with pytest.raises(LyapmapError, match="dimension: expected one of row, nothing, got 'column'"):
        sample.to_pandas("column")


def test_a_file_of_another_result_is_refused(sample: Sample, tmp_path: Path) -> None:
    for suffix in (".nc", ".npz"):
        path = sample.save(tmp_path / f"sample{suffix}")
        with pytest.raises(LyapmapError, match="holds a Sample, expected a Other"):
            Other.load(path)


@pytest.mark.parametrize("name", ["sample.txt", "sample", "sample.pkl"])
def test_another_ending_is_refused(sample: Sample, name: str, tmp_path: Path) -> None:
    with pytest.raises(LyapmapError, match=rf"ends in .nc, .npz, .json or .csv, got '{name}'"):
        sample.save(tmp_path / name)
    (tmp_path / name).touch()
    with pytest.raises(LyapmapError, match=r"path: expected a file that ends in .nc, .npz, .json, got"):
        Sample.load(tmp_path / name)


def test_json_comes_back_without_infinities(sample: Sample, tmp_path: Path) -> None:
    back = load(sample.save(tmp_path / "sample.json"))
    assert isinstance(back, Sample)
    assert back.values.tolist()[0][0] == 1.5
    assert np.isnan(back.values[1]).all()
    assert (back.steps.tolist(), back.none.shape, back.shape) == ([1, 2**40], (0,), (1, 2))
    assert back.status is Status.UNRESOLVED
    assert np.isnan(back.number)
    assert back.rule is None


@pytest.mark.parametrize("suffix", [".nc", ".npz", ".json"])
def test_a_file_says_which_kind_of_result_it_holds(suffix: str, tmp_path: Path) -> None:
    spectrum = lm.lyapunov_spectrum(Henon(), [0.1, 0.1], n_steps=300, seed=0)
    back = lm.load(spectrum.save(tmp_path / f"r{suffix}"))
    assert type(back) is lm.LyapunovSpectrum
    np.testing.assert_array_equal(back.exponents, spectrum.exponents)
    assert back.kaplan_yorke == spectrum.kaplan_yorke


def test_a_table_of_text_opens_in_pandas(sample: Sample, tmp_path: Path) -> None:
    table = pandas.read_csv(sample.save(tmp_path / "sample.csv"), index_col="row")
    pandas.testing.assert_frame_equal(table, sample.to_pandas())


def test_coordinates_say_where_values_stand() -> None:
    spectrum = lm.lyapunov_spectrum(Henon(), [0.1, 0.1], n_steps=300, seed=0)
    dataset = spectrum.to_xarray()
    assert dataset["exponent"].values.tolist() == [1, 2]
    assert dataset["record"].values.tolist() == spectrum.history_steps.tolist()
    assert float(dataset.exponents.sel(exponent=2)) == spectrum.exponents[1]


def test_a_further_attribute_or_a_wrong_one_of_a_file(sample: Sample, tmp_path: Path) -> None:
    path = sample.save(tmp_path / "sample.nc")
    with h5py.File(path, "a") as file:
        file.attrs["history"] = "made by somebody"
    assert Sample.load(path).message == "2 exponents"
    with h5py.File(path, "a") as file:
        file.attrs["message"] = "[1, 2]"
    with pytest.raises(LyapmapError, match="message is a list, expected str"):
        Sample.load(path)


def test_an_array_of_equal_numbers_is_no_bomb_of_our_own(tmp_path: Path) -> None:
    flat = Sample(status=Status.OK, values=np.zeros((3000, 3000)), steps=np.zeros(3000), none=np.zeros(0))
    assert Sample.load(flat.save(tmp_path / "flat.npz")).values.shape == (3000, 3000)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LyapmapError, match=r"lost.nc: no such file"):
        Sample.load(tmp_path / "lost.nc")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def without_values(path: Path) -> None:
    with np.load(path) as stored:
        rest = {name: stored[name] for name in stored.files if name != "values"}
    np.savez(path, **rest)


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("a.nc", lambda path: path.write_text("junk")),
        ("a.nc", lambda path: path.write_bytes(b"")),
        ("a.nc", lambda path: xarray.Dataset({"a": ("x", [1.0])}).to_netcdf(path, engine="h5netcdf")),
        ("a.npz", lambda path: path.write_text("junk")),
        ("a.npz", lambda path: path.write_bytes(b"")),
        ("a.npz", lambda path: np.savez(path, a=1)),
        ("a.npz", cut),
        ("a.npz", without_values),
    ],
)
def test_a_file_that_is_damaged_or_of_another_program_is_refused(
    sample: Sample, name: str, spoil: Any, tmp_path: Path
) -> None:
    path = sample.save(tmp_path / name)
    spoil(path)
    with pytest.raises(LyapmapError, match=rf"{name}: is damaged, or no result of lyapmap"):
        Sample.load(path)


@pytest.mark.parametrize("status", Status)
def test_every_status_but_ok_has_a_remedy(status: Status) -> None:
    assert bool(status.remedy) is (status is not Status.OK)


@pytest.mark.parametrize(
    ("status", "failed"),
    [("ok", False), ("unresolved", False), ("not_converged", True), ("collapsed", True), ("escaped", True)],
)
def test_a_failed_run_raises_with_its_result_and_the_remedy(status: str, failed: bool) -> None:
    result = Other(status=Status(status), message="what happened")
    assert result.checked(throw=False) is result
    if not failed:
        assert result.checked(throw=True) is result
        return
    with pytest.raises(RunError) as raised:
        result.checked(throw=True)
    assert raised.value.result is result
    assert str(raised.value) == f"{status}: what happened; {Status(status).remedy}"


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause])
def test_the_remedy_fits_the_cause_also_after_loading(cause: Cause, tmp_path: Path) -> None:
    result = Other(status=Status.NOT_CONVERGED, cause=cause, message="what happened")
    assert result.remedy
    assert ("n_steps" in result.remedy) is (cause in ("too_short", "tolerance"))
    loaded = Other.load(result.save(tmp_path / "r.npz"))
    assert (loaded.cause, loaded.remedy) == (cause, result.remedy)


def test_a_kind_of_result_may_know_a_better_remedy() -> None:
    class Patient(Other):
        REMEDIES = {Cause.TOO_SHORT: "wait", Status.NOT_CONVERGED: "try"}  # noqa: RUF012

    assert Patient(status=Status.NOT_CONVERGED, cause=Cause.TOO_SHORT).remedy == "wait"
    assert Patient(status=Status.NOT_CONVERGED).remedy == "try"
    assert "run to its end" in Patient(status=Status.NOT_CONVERGED, cause=Cause.INTERRUPTED).remedy


def test_results_are_frozen(sample: Sample) -> None:
    with pytest.raises(AttributeError):
        sample.message = "other"  # type: ignore[misc]


def test_a_result_without_a_picture_says_so(sample: Sample) -> None:
    with pytest.raises(LyapmapError, match="plot: there is no picture of a Sample"):
        sample.plot()


def test_provenance_tells_versions_device_dtype_seed_and_time() -> None:
    origin = provenance(as_tangent_map(Henon()), seed=5, seconds=1.23456789)
    assert origin["lyapmap"] == lm.__version__
    assert origin["library"] == f"numpy {np.__version__}"
    assert origin["created"].endswith("+00:00")
    wanted = {"seed": 5, "seconds": 1.2346, "device": "cpu", "dtype": "float64", "derivative": "jacobian given"}
    assert wanted.items() <= origin.items()


def test_what_a_map_says_of_itself_cannot_overrule_the_run() -> None:
    @dataclass
    class Boasting(Henon):
        provenance: dict[str, Any] = field(default_factory=lambda: {"seed": 99, "author": "me"})

    boasting = as_tangent_map(Boasting())
    boasting.provenance = Boasting().provenance  # type: ignore[attr-defined]
    origin = provenance(boasting, seed=5, seconds=0)
    assert (origin["seed"], origin["author"]) == (5, "me")


def test_errors_can_be_caught_as_what_they_are() -> None:
    missing = MissingExtraError("torch", "torch", "wrapping a torch function")
    assert isinstance(missing, ImportError)
    assert isinstance(missing, LyapmapError)
    assert isinstance(missing, ValueError)
    assert str(missing) == "wrapping a torch function needs torch, which is not installed: " + install_command("torch")
    assert isinstance(Interrupted(None), KeyboardInterrupt)
    assert not isinstance(Interrupted(None), Exception)


def test_printed_a_result_is_its_numbers_with_errors_and_its_status() -> None:
    result = lm.lyapunov_spectrum(lm.systems.henon(), [0.1, 0.1], n_steps=2000, seed=0)
    lines = str(result).splitlines()
    assert repr(result) == str(result)
    assert lines[0] == "LyapunovSpectrum of henon"
    largest = with_error(result.exponents[0], result.stderr[0])
    assert lines[1].split(None, 1) == ["exponents", f"{largest}, {with_error(*_second(result))} per step"]
    assert lines[2].split(None, 1) == ["kaplan_yorke", with_error(result.kaplan_yorke, result.kaplan_yorke_stderr)]
    assert lines[-1].split() == ["status", "ok"]
    assert len(lines) < 10


def _second(result: lm.LyapunovSpectrum) -> tuple[float, float]:
    return result.exponents[1], result.stderr[1]


def test_printed_a_failed_result_says_why_and_what_would_help() -> None:
    result = lm.lyapunov_spectrum(lm.systems.henon(), [10.0, 10.0], n_steps=200, seed=0, throw=False)
    last = str(result).splitlines()[-1]
    assert last.split(None, 1) == ["status", f"escaped: {result.message}; {result.remedy}"]
    assert "not determined" in str(result)


def test_a_notebook_shows_a_table_with_a_picture_and_no_markup_of_strangers() -> None:
    result = lm.lyapunov_spectrum(lm.systems.henon(), [0.1, 0.1], n_steps=500, seed=0)
    html = replace(result, provenance=result.provenance | {"map": "<script>"})._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    picture = b64decode(re.search(r'base64,([^"]+)"', html).group(1))
    with Image.open(BytesIO(picture)) as image:
        assert image.width > 200
    with Image.open(BytesIO(result.plot()._repr_png_())) as image:
        assert image.width > 600


@pytest.mark.parametrize("size", [1, 4, 5, 40])
def test_long_arrays_are_cut_with_their_length(size: int) -> None:
    exponents = np.linspace(0.5, -1, size)
    result = lm.lyapunov_spectrum(lm.systems.henon(), [0.1, 0.1], n_steps=500, seed=0)
    line = str(replace(result, exponents=exponents, stderr=np.full(size, 0.1))).splitlines()[1]
    assert line.count("±") == min(size, 4)
    assert (f"({size} in all)" in line) == (size > 4)
