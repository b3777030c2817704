"""`lyapmap train lsd`."""

from __future__ import annotations

import json

import pytest

from command_line import run

SMALL = [
    "train", "lsd", "--data", "digits", "--classes", "0,1", "--width", "0.1", "--latent", "4", "--batch-size", "20",
    "--average", "0.9", "--gan-epochs", "1", "--classifier-epochs", "4", "--encoder-epochs", "1",
]  # fmt: skip


def test_train_and_go_on(tmp_path):
    out = tmp_path / "lsd"
    first = run(*SMALL, "--vectors", "0", "--out", str(out))
    assert first.exit_code == 0, first.stderr
    assert [line for line in first.stderr.splitlines() if line.startswith("stage")] == [
        "stage: gan", "stage: classifier", "stage: encoder"
    ]  # fmt: skip
    assert "labels of test images found: " in first.stdout
    assert f"next: lyapmap study lsd --model {out}/last.pt" in first.stdout
    for stage in ("gan", "classifier", "encoder"):
        found = {p.name for p in (out / stage).iterdir()}
        assert {"last.pt", "log.jsonl", "samples-0001.png", "training.png"} - found <= {"samples-0001.png"}
    again = run(*SMALL, "--vectors", "0", "--encoder-epochs", "2", "--out", str(out), "--json")
    assert again.exit_code == 0, again.stderr
    assert (out / "encoder" / "samples-0002.png").exists()
    values = json.loads(again.stdout)
    assert values["checkpoint"] == str(out / "last.pt")
    assert values["basis"] is None
    assert 0 <= values["accuracy"]["decoded"] <= values["accuracy"]["images"] + 0.5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--reconstruction", "l1"], "--reconstruction: expected hinge or squared"),
        (["--latent", "1"], "latent"),
        (["--image-size", "9"], "--image-size: expected a multiple of 4"),
        (["--classes", "0"], "--classes: expected 2 to 10"),
        (["--vectors", "1"], "--vectors: expected at least 2"),
        (["--gan", "cycle-digits-012"], "is a cycle model, expected a dcgan or gran"),
        (["--classifier", "unknown"], "classifier: expected classifier-"),
    ],
)
def test_bad_options_exit_with_2(arguments, said, tmp_path):
    result = run(*SMALL, *arguments, "--out", str(tmp_path / "run"))
    assert (result.exit_code, said in result.stderr) == (2, True), result.stderr
