"""The runner of stages: what is kept, what runs again, what a failure costs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lyapmap as lm
from lyapmap.core.errors import LyapmapError, MissingExtraError
from lyapmap.core.plain import plain
from lyapmap.study.stages import DONE, FAILED, LEFT_OUT, LeftOut, Stage, fingerprint, run_stages


@dataclass
class Context:
    marks: dict[str, str] = field(default_factory=lambda: {"model": "a", "data": "b"})
    ran: list[str] = field(default_factory=list)

    def mark(self, name: str) -> str:
        return self.marks[name]


def first(context, bench):
    context.ran.append("first")
    bench.keep(lm.trajectory(lm.systems.logistic(), [0.3], n_steps=bench.sizes.steps), "orbit")
    return {"steps": bench.sizes.steps, "array": np.arange(2), "unknown": float("nan")}


def second(context, bench):
    context.ran.append("second")
    return {"doubled": 2 * bench.numbers("first").get("steps", 0)}


def third(context, bench):
    context.ran.append("third")
    return {"size": bench.sizes.size}


STAGES = [
    Stage("first", "First", first, ("steps",), ("model",)),
    Stage("second", "Second", second, needs=("first",)),
    Stage("third", "Third", third, ("size",), ("data",)),
]
SETTINGS = {"steps": 3, "size": 5}


def run(folder, context, stages=STAGES, settings=SETTINGS, **options):
    context.ran.clear()
    return run_stages(stages, context, folder, settings=settings, **options)


def test_numbers_are_plain_and_results_can_be_loaded(tmp_path):
    records = run(tmp_path, Context())
    assert records["first"].numbers == {"steps": 3, "array": [0, 1], "unknown": None}
    assert records["second"].numbers == {"doubled": 6}
    assert lm.Trajectory.load(tmp_path / "results" / "orbit.nc").states.shape == (1, 4, 1)
    stored = json.loads((tmp_path / "stages" / "first.json").read_text())
    assert stored["status"] == DONE
    assert stored["files"] == ["results/orbit.nc"]
    assert stored["settings"] == {"steps": 3}


def test_what_is_done_is_not_done_again(tmp_path):
    context = Context()
    before = run(tmp_path, context)
    assert context.ran == ["first", "second", "third"]
    told = []
    assert run(tmp_path, context, on_stage=lambda what, stage, record: told.append((what, stage.name))) == before
    assert context.ran == []
    assert told == [("kept", name) for name in ("first", "second", "third")]


@pytest.mark.parametrize(
    ("change", "again"),
    [
        (lambda s, c: s.update(steps=4), ["first", "second"]),
        (lambda s, c: s.update(size=6), ["third"]),
        (lambda s, c: c.marks.update(model="other"), ["first", "second"]),
        (lambda s, c: c.marks.update(data="other"), ["third"]),
    ],
)
def test_changed_conditions_run_what_depends_on_them(tmp_path, change, again):
    context, settings = Context(), dict(SETTINGS)
    run(tmp_path, context, settings=settings)
    change(settings, context)
    run(tmp_path, context, settings=settings)
    assert context.ran == again


def test_another_version_runs_all_again(tmp_path, monkeypatch):
    context = Context()
    run(tmp_path, context)
    monkeypatch.setattr("lyapmap.study.stages.__version__", "0.0.0")
    run(tmp_path, context)
    assert context.ran == ["first", "second", "third"]


@pytest.mark.parametrize("harm", ["results/orbit.nc", "stages/first.json"])
def test_a_missing_or_damaged_file_runs_the_stage_again(tmp_path, harm):
    context = Context()
    run(tmp_path, context)
    path = tmp_path / harm
    path.write_text("{") if harm.endswith("json") else path.unlink()
    run(tmp_path, context)
    assert context.ran == ["first"]


def test_only_some_stages_with_what_they_need(tmp_path):
    context = Context()
    assert list(run(tmp_path, context, only=["second"])) == ["first", "second"]
    assert context.ran == ["first", "second"]
    # What is up to date is told too, though it was not asked for.
    assert list(run(tmp_path, context, only=["third"])) == ["first", "second", "third"]
    assert context.ran == ["third"]
    with pytest.raises(LyapmapError, match="no stage 'fourth'; expected some of first, second, third"):
        run(tmp_path, context, only=["fourth"])


def test_a_setting_that_was_not_named_cannot_be_read(tmp_path):
    stages = [Stage("secret", "Secret", lambda context, bench: {"size": bench.sizes.size})]
    with pytest.raises(AttributeError, match="size"):
        run(tmp_path, Context(), stages)


@pytest.mark.parametrize("error", [LyapmapError("of no\nuse"), MissingExtraError("umap-learn", "umap", "embed")])
def test_a_stage_that_fails_is_recorded_and_the_others_go_on(tmp_path, error):
    broken = []

    def fail(context, bench):
        broken.append(1)
        raise error

    context = Context()
    stages = [STAGES[0], Stage("broken", "Broken", fail), Stage("after", "After", second, needs=("broken",)), STAGES[2]]
    records = run(tmp_path, context, stages)
    assert records["broken"].status == FAILED
    assert records["broken"].message == " ".join(str(error).split())
    assert records["after"].numbers == {"doubled": 0}
    assert context.ran == ["first", "second", "third"]
    run(tmp_path, context, stages)
    assert broken == [1, 1]  # a failure is tried again
    assert context.ran == []


def test_what_needs_files_of_a_stage_that_failed_fails_and_of_one_left_out_is_left_out(tmp_path):
    def fail(context, bench):
        raise LyapmapError("broken")

    def leave(context, bench):
        raise LeftOut("no classifier")

    def use(name):
        return lambda context, bench: {"path": bench.result_of(name, "orbit")}

    stages = [
        STAGES[0],
        Stage("fails", "", fail),
        Stage("leaves", "", leave),
        *(Stage(f"needs-{name}", "", use(name), needs=(name,)) for name in ("first", "fails", "leaves")),
    ]
    records = run(tmp_path, Context(), stages)
    assert records["needs-first"].numbers == {"path": str(tmp_path / "results" / "orbit.nc")}
    assert (records["needs-fails"].status, records["leaves"].status) == (FAILED, LEFT_OUT)
    assert "stage fails failed" in records["needs-fails"].message
    assert records["needs-leaves"].status == LEFT_OUT
    assert "no classifier" in records["needs-leaves"].message


def test_ctrl_c_costs_the_current_stage_only(tmp_path):
    stops = [True]

    def stop(context, bench):
        context.ran.append("stop")
        bench.keep(lm.trajectory(lm.systems.logistic(), [0.3], n_steps=1), "half")
        if stops:
            raise KeyboardInterrupt
        return {}

    context, assembled = Context(), []
    stages = [STAGES[0], Stage("stop", "Stop", stop), STAGES[2]]
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, context, stages, assemble=lambda records: assembled.append(list(records)))
    assert assembled == [["first"]]
    assert {p.name for p in (tmp_path / "stages").iterdir()} == {"first.json"}
    stops.clear()
    run(tmp_path, context, stages, assemble=lambda records: assembled.append(list(records)))
    assert context.ran == ["stop", "third"]
    assert assembled[-1] == ["first", "stop", "third"]


def test_ctrl_c_takes_away_an_older_record_whose_files_it_may_have_replaced(tmp_path):
    context = Context()
    run(tmp_path, context)

    def stop(context, bench):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, context, [Stage("first", "First", stop, ("steps",), ("model",))], SETTINGS | {"steps": 9})
    run(tmp_path, context)
    assert "first" in context.ran


@given(
    st.dictionaries(st.text(max_size=4), st.integers() | st.floats() | st.lists(st.floats()), max_size=4),
    st.dictionaries(st.text(max_size=4), st.integers() | st.floats() | st.lists(st.floats()), max_size=4),
)
def test_fingerprints_agree_just_where_plain_settings_do(one, other):
    prints = []
    for settings in (one, other):
        stage = Stage("any", "", third, ("settings",))
        prints.append(fingerprint(stage, Context(), {"settings": settings}))
    same = json.dumps(plain(one), sort_keys=True) == json.dumps(plain(other), sort_keys=True)
    assert (prints[0] == prints[1]) == same


def test_plain_values_of_everything():
    given = {"a": np.float32(0.5), "b": np.array([[1, 2]]), "c": (1.0, float("inf")), 3: Path("x"), "n": None}
    assert plain(given) == {"a": 0.5, "b": [[1, 2]], "c": [1.0, None], "3": "x", "n": None}
