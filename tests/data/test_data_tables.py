"""Tables as spreadsheets, instruments and people write them: read alike, or named in the error."""

from __future__ import annotations

import numpy as np
import pytest

from lyapmap.core.errors import LyapmapError
from lyapmap.core.points import regular_times, with_gaps
from lyapmap.data.tables import read_table
from series_samples import logistic_series

X = np.round(logistic_series(60), 6)


def comma(value: float) -> str:
    return f"{value:.6f}".replace(".", ",")


def rows(form, head: str = "", end: str = "\n") -> str:
    return head + "".join(form(i, x) + end for i, x in enumerate(X))


WRITTEN = {
    "plain.txt": rows(lambda i, x: f"{x:.6f}"),
    "blanks.dat": rows(lambda i, x: f"  {0.5 * i:8.2f}   {x:.6f}"),
    "comma.csv": rows(lambda i, x: f"{0.5 * i},{x:.6f}", "t,x\n"),
    "tab.tsv": rows(lambda i, x: f"{0.5 * i}\t{x:.6f}", "time (s)\tpressure\n"),
    "excel.csv": "\ufeff" + rows(lambda i, x: f"{comma(0.5 * i)};{comma(x)}", "Zeit;Druck\r\n", "\r\n"),
    "sep.csv": rows(lambda i, x: f"{0.5 * i};{x:.6f}", "sep=;\r\nt;x\r\n", "\r\n"),
    "quoted.csv": rows(lambda i, x: f'"{comma(0.5 * i)}","{comma(x)}"', '"Zeit","Wert"\n'),
    "decimal comma.txt": rows(lambda i, x: comma(x)),
    "fortran.txt": rows(lambda i, x: f"{x:.6e}".replace("e", "D")),
    "units.csv": rows(lambda i, x: f"{0.5 * i},{x:.6f}", "time,x\ns,mV\n"),
    "title.txt": rows(lambda i, x: f"{0.5 * i} {x:.6f}", "Instrument 7, 2024\nserial 12\n\nt x\n"),
    "comments.dat": rows(lambda i, x: f"{0.5 * i} {x:.6f}  # fine", "# t x\n% more\n"),
    "trailing.csv": rows(lambda i, x: f"{0.5 * i},{x:.6f},", "t,x,\n"),
    "dates.csv": rows(lambda i, x: f"2024-01-{1 + i // 24:02d} {i % 24:02d}:00,{x:.6f}", "date,x\n"),
    "german dates.csv": rows(lambda i, x: f"{1 + i // 24:02d}.01.2024 {i % 24:02d}:00;{comma(x)}", "Datum;Wert\n"),
    "iso.csv": rows(lambda i, x: f"2024-01-01T00:00:{i:02d}Z,{x:.6f}", "timestamp,x\n"),
    "old mac.csv": rows(lambda i, x: f"{0.5 * i},{x:.6f}", "t,x\r", "\r"),
    "double spaced.txt": rows(lambda i, x: f"{x:.6f}\n"),
}
STEPS = {"dates.csv": 3600.0, "german dates.csv": 3600.0, "iso.csv": 1.0}
WITHOUT_CLOCK = ("plain.txt", "decimal comma.txt", "fortran.txt", "double spaced.txt")


@pytest.mark.parametrize("name", WRITTEN)
def test_the_same_numbers_however_written(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(WRITTEN[name].encode("utf-8"))
    table = read_table(path, in_time=True)
    np.testing.assert_allclose(table.values, X, atol=1e-9)
    assert table.step == (None if name in WITHOUT_CLOCK else STEPS.get(name, 0.5))
    assert (table.clock == "") == (table.step is None)


def test_other_encodings(tmp_path):
    text = rows(lambda i, x: f"{0.5 * i}\t{x:.6f}", "Zeit\tGr\u00f6\u00dfe\n")
    for encoding in ("utf-16", "cp1252"):
        (tmp_path / "x.txt").write_bytes(text.encode(encoding))
        assert read_table(tmp_path / "x.txt", in_time=True).names == ("Gr\u00f6\u00dfe",)


def test_columns_by_name_and_number(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(rows(lambda i, x: f"{i},{x},{2 * x},sensor a", "step,x,y,place\n"))
    assert read_table(path, column="y", in_time=True).values[3] == pytest.approx(2 * X[3])
    assert read_table(path, column="1").values[3] == pytest.approx(X[3])
    assert read_table(path, column="x", in_time=True).step is None  # an index is no clock
    with pytest.raises(LyapmapError, match=r"line 2, column 'place' holds 'sensor a'"):
        read_table(path)
    with pytest.raises(LyapmapError, match=r"step, x, y, place, or 0 to 3, got z"):
        read_table(path, column="z")


def test_gaps_stay_gaps(tmp_path):
    lines = [f"{i},{x}" for i, x in enumerate(X)]
    blocks, missing, left_out = lines.copy(), lines.copy(), lines[:20] + lines[25:]
    blocks[20] = ""
    missing[20] = "20,NA"
    for some in (blocks, missing, left_out):
        path = tmp_path / "x.csv"
        path.write_text("t,x\n" + "\n".join(some) + "\n\n")
        values = read_table(path, in_time=True).values
        assert np.flatnonzero(np.isnan(values)).tolist() == [20]
        assert values[19] == X[19]
    (tmp_path / "x.csv").write_text("\n".join(blocks))
    assert read_table(tmp_path / "x.csv").values.shape == (59, 2)  # of points a blank line is nothing


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no array of numbers"),
        ("t,x\n", "no line holds numbers"),
        ("one\ntwo\n", "not a readable file of numbers"),
        ("1,2\n3\n", "different numbers of columns"),
        ("a,b\n1,2\n3\n4,5\n", r"line 3: the rows have different numbers of columns, 1 for 2"),
        ("1,2\n3,4\n", "decimal comma or two columns; say which"),
        (rows(lambda i, x: f"{i + 0.4 * (i == 9)},{x}", "t,x\n"), r"after line 10, 1 as a rule"),
        (rows(lambda i, x: f"{i // 2},{x}", "t,x\n"), r"time column 't': expected ascending times; line 3"),
        (rows(lambda i, x: f"{i},{'bad' if i == 5 else x}", "t,x\n"), r"line 7, column 'x' holds 'bad'"),
        ("\0\1\2", "no text"),
    ],
)
def test_errors_name_the_place_and_the_mend(text, words, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(LyapmapError, match=words):
        read_table(path, in_time=True)


def test_what_cannot_be_told_can_be_said(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("1,2\n3,4\n")
    assert read_table(path, decimal=",").values.tolist() == [1.2, 3.4]
    assert read_table(path, separator=",").values.tolist() == [[1, 2], [3, 4]]


def test_arrays(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((5, 2)))
    np.savez(tmp_path / "one.npz", x=X)
    np.savez(tmp_path / "two.npz", x=X, y=2 * X)
    np.save(tmp_path / "named.npy", np.zeros(3, dtype=[("p", float), ("q", float)]))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    assert read_table(tmp_path / "a.npy", column=1).values.shape == (5,)
    assert read_table(tmp_path / "one.npz").values[1] == X[1]
    assert read_table(tmp_path / "two.npz", column="y").values[1] == 2 * X[1]
    assert read_table(tmp_path / "named.npy", column="q").values.shape == (3,)
    for name, words in {
        "two.npz": "arrays x, y",
        "named.npy": "columns p, q",
        "objects.npy": "not a readable file",
        "none.npy": "no file",
    }.items():
        with pytest.raises(LyapmapError, match=words):
            read_table(tmp_path / name)


def test_clocks():
    step, places = regular_times([0, 1, 2, 4, 5])
    assert step == 1.0
    np.testing.assert_array_equal(with_gaps(np.arange(5.0), places), [0, 1, 2, np.nan, 3, 4])
    assert regular_times(0.1 * np.arange(2000) + 7)[0] == 0.1
    for times in ([0, 1, 1], [2, 1, 0], [0, 1, 2.5, 3], [0, np.nan, 2]):
        with pytest.raises(LyapmapError, match="time"):
            regular_times(times)
