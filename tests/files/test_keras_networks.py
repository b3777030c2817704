"""Keras models and TensorFlow checkpoints in files: what is read, what is refused, what is converted."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

import lyapmap as lm
from command_line import run
from keras_samples import both, needs_keras
from lyapmap.core.errors import CheckpointError
from lyapmap.files import checkpoint as checkpoints
from lyapmap.files import zoo
from lyapmap.models.cycle.config import CycleConfig
from lyapmap.training import convert

pytestmark = needs_keras

SMALL = CycleConfig(image_size=8, width=4)


def refused(path, **options):
    """What the error says after the file's name."""
    with pytest.raises(CheckpointError) as caught:
        zoo.load_saved(path, **options)
    return str(caught.value).removeprefix(str(path))


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    """The shipped generator of digits as a .keras file."""
    path = tmp_path_factory.mktemp("keras") / "generator.keras"
    convert("cycle-digits-012", path)
    return path


@pytest.fixture(scope="module")
def network():
    """A generator of Keras with weights that were not trained."""
    return both(SMALL)[1]


def through(network, seed=0):
    x = np.random.default_rng(seed).uniform(-1, 1, (2, *network.input_shape[1:])).astype("float32")
    return np.asarray(network(x, training=False))


def test_there_and_back_everything_is_the_same(generator, tmp_path):
    done = convert(generator, tmp_path / "back.safetensors")
    assert done.difference < 1e-5
    assert done.images == 32
    ours, again = checkpoints.load(zoo.shipped()["cycle-digits-012"]), checkpoints.load(tmp_path / "back.safetensors")
    assert again.config == ours.config
    assert again.training == {key: value for key, value in ours.training.items() if key != "state"}
    assert np.array_equal(again.sample_states, ours.sample_states)
    assert list(again.state_dict) == list(ours.state_dict)
    assert all(np.array_equal(again.state_dict[name], ours.state_dict[name]) for name in ours.state_dict)
    assert zoo.record(generator)["settings"]["data"] == "digits"


def test_spectrum_of_a_keras_file_from_the_command_line(generator, tmp_path):
    steps = ["--steps", "20", "--transient", "0", "-k", "2", "--json", "--seed", "1"]
    result = run("spectrum", "--model", str(generator), *steps, "--out", str(tmp_path))
    assert result.exit_code == 0, result.output
    values = json.loads(result.stdout)
    ours = json.loads(run("spectrum", "--model", "cycle-digits-012", *steps).stdout)
    assert values["provenance"]["model"] == "generator.keras"
    assert len(values["provenance"]["sha256"]) == 64
    assert values["exponents"] == pytest.approx(ours["exponents"], abs=0.02)
    assert {"spectrum.nc", "trajectory.png", "report.html"} <= {path.name for path in tmp_path.iterdir()}


def test_convert_says_what_it_did(tmp_path):
    target = tmp_path / "g.keras"
    result = run("convert", "cycle-digits-012", str(target))
    assert result.exit_code == 0, result.output
    assert "27 sample states" in result.stdout
    assert "largest difference" in result.stdout
    again = run("convert", "cycle-digits-012", str(target))
    assert again.exit_code == 2
    assert "is there already; replace it with --force" in again.stderr
    values = json.loads(run("convert", str(target), str(target), "--force", "--json").stdout)
    assert values["difference"] == 0
    assert values["config"]["image_size"] == 8


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("cycle-digits-012", "g.onnx", "target: expected a file that ends in .keras, .pt, .safetensors, got 'g.onnx'"),
        ("classifier-mnist", "g.keras", "cannot be iterated"),
        ("cycle-digit-012", "g.keras", "did you mean cycle-digits-012?"),
    ],
)
def test_convert_refuses(source, target, words, tmp_path):
    with pytest.raises(lm.LyapmapError) as caught:
        convert(source, tmp_path / target)
    assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_convert_refuses_other_networks_with_the_reason(tmp_path, network):
    import keras
    from keras import layers

    other = keras.Sequential([layers.Input((8, 8, 1)), layers.Conv2D(1, 3, padding="same")])
    other.save(tmp_path / "other.keras")
    with pytest.raises(CheckpointError, match="no generator of a cycle model: expected 21 weights, it has 2"):
        convert(tmp_path / "other.keras", tmp_path / "g.pt")
    keras.Sequential([layers.Input((5,)), layers.Dense(5)]).save(tmp_path / "dense.keras")
    with pytest.raises(CheckpointError, match=r"expected square images .* its input is \(None, 5\)"):
        convert(tmp_path / "dense.keras", tmp_path / "g.pt")
    inside = keras.Model(network.input, network.get_layer("up3").output)  # the same weights without the last tanh
    inside.save(tmp_path / "inside.keras")
    with pytest.raises(CheckpointError, match="it is not built like a cycle generator"):
        convert(tmp_path / "inside.keras", tmp_path / "g.pt")
    both(SMALL, "float64")[1].save(tmp_path / "double.keras")
    with pytest.raises(CheckpointError, match="checkpoints hold float32"):
        convert(tmp_path / "double.keras", tmp_path / "g.pt")
    assert not (tmp_path / "g.pt").exists()


def test_a_file_that_keras_saved_itself_has_sizes_but_no_samples(tmp_path, network):
    network.save(tmp_path / "own.keras")
    saved, _ = zoo.load_saved(tmp_path / "own.keras")
    assert saved.sample_states is None
    assert zoo.record(tmp_path / "own.keras") == {}
    assert convert(tmp_path / "own.keras", tmp_path / "own.pt").sample_states == 0
    assert checkpoints.load(tmp_path / "own.pt").config == SMALL.to_dict()
    assert lm.load_model(tmp_path / "own.pt").sample_states.shape == (0, 1, 8, 8)


def test_foreign_models_start_from_random_states_and_say_so(tmp_path):
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    made = keras.Sequential([layers.Input((3,)), layers.Dense(3, activation="tanh")])
    for name in ("m.keras", "m.h5"):
        made.save(tmp_path / name)
        model = lm.load_model(tmp_path / name)
        assert model.map.state_shape == (3,)
        assert model.sample_states.shape == (0, 3)
        result = run(
            "trajectory", "--model", str(tmp_path / name), "--steps", "3", "--out", str(tmp_path / f"out-{name}")
        )
        assert result.exit_code == 0, result.output
        assert "random numbers in [-1, 1), since the model brings no sample states" in result.stdout
    x = np.random.default_rng(0).uniform(-1, 1, (2, 3)).astype("float32")
    assert np.allclose(model.map.ops.to_numpy(model.map.apply(model.map.ops.from_numpy(x))), np.asarray(made(x)))


def test_lambda_layers_are_refused_before_anything_is_made(tmp_path):
    import keras
    from keras import layers

    made = keras.Sequential([layers.Input((3,)), layers.Lambda(lambda x: 2 * x, name="twice")])
    for name in ("m.keras", "m.h5"):
        made.save(tmp_path / name)
        words = refused(tmp_path / name)
        assert words.startswith(": refused, because the layer 'twice' is a Lambda, whose Python code would run")
        assert "register_keras_serializable" in words


def test_classes_that_nobody_registered_are_refused(tmp_path, network):
    network.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    planted = (
        members["config.json"]
        .replace(b"lyapmap>ResidualBlock", b"os>system")
        .replace(b"lyapmap.models.cycle.keras_network", b"os")
        .replace(b'"ResidualBlock"', b'"system"')
    )
    with zipfile.ZipFile(tmp_path / "planted.keras", "w") as archive:
        for name, text in (members | {"config.json": planted}).items():
            archive.writestr(name, text)
    assert ": holds system of os, which is not registered" in refused(tmp_path / "planted.keras")


def test_damaged_files_are_refused_with_the_reason(tmp_path, generator, network):
    for name in ("m.keras", "m.h5", "m.hdf5"):
        assert refused(tmp_path / name) == ": no such file"
    (tmp_path / "m.keras").write_bytes(b"nothing")
    assert ": truncated, damaged or not a .keras file" in refused(tmp_path / "m.keras")
    (tmp_path / "m.h5").write_bytes(b"nothing")
    assert ": truncated, damaged or not an HDF5 file" in refused(tmp_path / "m.h5")
    (tmp_path / "m.keras").write_bytes(generator.read_bytes()[:-3000])
    assert ": truncated, damaged or not a .keras file" in refused(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("a.txt", "a")
    assert refused(tmp_path / "m.keras") == ": a zip archive, but not one that Keras wrote"
    network.save_weights(tmp_path / "m.weights.h5")
    assert ": holds weights without a model" in refused(tmp_path / "m.weights.h5")
    for member, text, words in (
        ("model.weights.h5", b"", "truncated, damaged or not a .keras file"),
        ("lyapmap/record.json", b"{}", "is not of the format 'lyapmap/1'"),
        ("lyapmap/sample_states.npy", b"x", "damaged record or sample states"),
    ):
        with zipfile.ZipFile(generator) as given, zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
            for name in given.namelist():
                archive.writestr(name, text if name == member else given.read(name))
        assert words in refused(tmp_path / "m.keras")


def test_kinds_that_are_not_read_say_why(tmp_path):
    (tmp_path / "m.pt2").write_bytes(b"x")
    assert "not a file that torch.save wrote" in refused(tmp_path / "m.pt2")
    (tmp_path / "m.xyz").write_bytes(b"x")
    assert "it is of no kind that is known; expected a .pt" in refused(tmp_path / "m.xyz")
    assert "is neither a file nor one of" in refused(tmp_path / "nowhere")
    assert "holds one network only" in refused("cycle-digits-012", part="generator_g")
    for options in (["--map", "henon", "--trust"], ["--map", "henon", "--part", "g"]):
        result = run("spectrum", *options)
        assert result.exit_code == 2
        assert "only together with --model" in result.stderr
