"""The explorer: what it computes, whom it answers, how it starts and ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest

import lyapmap as lm
from command_line import run

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("httpx")

from starlette.testclient import TestClient

from lyapmap.explore import server
from lyapmap.explore.server import application
from lyapmap.explore.session import Session, rates

TOKEN, PORT = "secret", 8123
HOME = f"http://127.0.0.1:{PORT}"
KNOWN = {"x-lyapmap-token": TOKEN}


def client(session, **options):
    return TestClient(application(session, port=PORT, token=TOKEN), base_url=HOME, **options)


@pytest.fixture(scope="module")
def henon():
    tangent_map = lm.systems.henon()
    return Session(tangent_map, tangent_map.initial_states(4, 0), name="henon")


@pytest.fixture(scope="module")
def images():
    """Images that are turned upside down and halved: differences shrink by log 2 at each step."""
    half = lm.wrap(lambda x: x[..., ::-1, :] / 2, state_shape=(1, 4, 4))
    return Session(half, np.linspace(-1, 1, 32).reshape(2, 16), name="<b>half</b>")


def post(session, path, **body):
    return client(session).post(path, json=body, headers=KNOWN)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"x-lyapmap-token": "guessed"}, 403),
        (KNOWN, 200),
        (KNOWN | {"host": "example.org"}, 403),
        (KNOWN | {"host": "127.0.0.1:9"}, 403),
        (KNOWN | {"host": f"example.org:{PORT}"}, 403),
        (KNOWN | {"host": f"localhost:{PORT}"}, 200),
        (KNOWN | {"origin": HOME}, 200),
        (KNOWN | {"origin": "http://example.org"}, 403),
        (KNOWN | {"origin": "null"}, 403),
        (KNOWN | {"origin": "http://127.0.0.1:9"}, 403),
        (KNOWN | {"sec-fetch-site": "cross-site"}, 403),
        (KNOWN | {"sec-fetch-site": "same-site"}, 403),
    ],
)
@pytest.mark.parametrize("path", ["/about", "/"])
def test_only_its_own_page_is_answered(henon, path, headers, status):
    assert client(henon).get(path, headers=headers).status_code == status


def test_the_address_with_the_token_gives_the_page_and_nothing_of_others(images):
    answer = client(images).get(f"/?token={TOKEN}")
    assert answer.status_code == 200
    assert "&lt;b&gt;half&lt;/b&gt;" in answer.text
    assert "<b>half" not in answer.text
    addresses = re.findall(r'(?:src|href)="([^"]*)"', answer.text)
    assert all(address.startswith(("/", "data:,")) for address in addresses)
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "no-referrer", "the token stays out of other sites' logs"
    for address in addresses[1:]:
        assert client(images).get(address).status_code == 200


def test_a_sequence_is_the_trajectory(henon):
    answer = post(henon, "/sequence", start=1, steps=12).json()
    known = lm.trajectory(lm.systems.henon(), henon.starts[1], n_steps=12).states[0]
    np.testing.assert_allclose(answer["states"], known)


def test_a_nudge_grows_as_the_derivative_says(henon):
    answer = post(henon, "/nudge", start=0, component=1, size=1e-9, steps=60).json()
    assert answer["measured"] == pytest.approx(answer["expected"], abs=0.03)
    assert 0.2 < answer["expected"] < 0.7
    assert len(answer["distance"]) == len(answer["predicted"]) == 61


def test_a_nudge_of_a_contraction_shrinks_by_its_factor(images):
    answer = post(images, "/nudge", start=0, component=3, size=0.1, steps=10).json()
    assert answer["measured"] == answer["expected"] == -0.693
    assert answer["first"]["width"] == 4


def test_drawn_images_are_carried_as_they_are_drawn(images):
    drawn = np.linspace(0, 1, 16)
    before = post(images, "/values", values=drawn.tolist()).json()["values"]
    assert before == drawn.tolist()
    assert post(images, "/sequence", values=drawn.tolist(), steps=2).json()["growth"] == pytest.approx([-np.log(2)] * 2)


def test_images_with_the_channels_last_keep_their_layout():
    last = Session(lm.wrap(lambda x: x / 2, state_shape=(2, 5, 3)), np.zeros((1, 30)), name="last")
    drawn = np.arange(30.0)
    np.testing.assert_array_equal(post(last, "/values", values=drawn.tolist()).json()["values"], drawn)
    state = last.state({"values": drawn}).reshape(2, 5, 3)
    np.testing.assert_array_equal(state.transpose(2, 0, 1).ravel(), drawn)


def test_points_of_the_map_of_states_can_be_started_from(henon):
    assert post(henon, "/values", point=0).status_code in (200, 400)
    answer = client(henon).get("/embedding", headers=KNOWN).json()
    assert len(answer["places"]) == len(henon.cloud)
    assert answer["share"] == pytest.approx(1)
    assert post(henon, "/values", point=7).json()["values"] == pytest.approx(henon.cloud[7].tolist())


def events_of(text: str) -> list[tuple[str, dict]]:
    return [(kind, json.loads(data)) for kind, data in re.findall(r"event: (\w+)\ndata: (.*)\n", text)]


def test_a_spectrum_comes_in_estimates_and_ends_in_the_library_s_result(henon):
    answer = client(henon).get(f"/spectrum?token={TOKEN}&steps=800&exponents=2")
    assert answer.headers["content-type"].startswith("text/event-stream")
    *estimates, (last, result) = events_of(answer.text)
    assert last == "result"
    assert {kind for kind, _ in estimates} == {"estimate"}
    assert len([values for _, values in estimates if values["steps"]]) > 3
    known = lm.lyapunov_spectrum(
        lm.systems.henon(), henon.starts, n_steps=800, transient=200, n_exponents=2, seed=0, throw=False
    )
    assert result["exponents"] == known.exponents.tolist(), "watching changes nothing"
    assert result["sentence"] == known.sentence


def test_a_map_that_escapes_says_so():
    away = Session(lm.wrap(lambda x: x**2 + 2, state_shape=1), [[3.0]], name="away")
    assert "not finite after step" in post(away, "/sequence", start=0, steps=50).json()["note"]
    assert "escapes" in client(away).get("/embedding", headers=KNOWN).json()["error"]
    *_, (last, result) = events_of(client(away).get(f"/spectrum?token={TOKEN}&steps=500&exponents=1").text)
    assert last == "result"
    assert result["failed"]
    assert result["words"] == []


def test_a_map_that_raises_is_quoted_in_one_line():
    def broken(x):
        if (x > 5).any():
            raise RuntimeError("too large\nby far")
        return x + 1

    session = Session(lm.wrap(broken, state_shape=1), [[0.5]], name="broken")
    answer = post(session, "/sequence", start=0, steps=20)
    assert answer.status_code in (400, 500)
    assert "too large" in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "state: expected start, point or values"),
        ({"start": 99}, "start: expected 0 to 3"),
        ({"start": "x"}, "start: expected a whole number"),
        ({"start": 0, "steps": 10**9}, "steps: expected 1 to 400"),
        ({"start": 0, "steps": 1.5}, "steps: expected 1 to 400"),
        ({"values": [1]}, "values: expected 2 finite numbers"),
        ({"values": "words"}, "values: expected numbers"),
        ({"values": [{}, {}]}, "values: expected numbers"),
    ],
)
def test_wrong_requests_are_refused_in_one_line(henon, body, message):
    answer = post(henon, "/sequence", **body)
    assert answer.status_code == 400
    assert message in answer.json()["error"]


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"[" * 100_000, b"\xff"])
def test_what_is_no_json_object_is_refused(henon, content):
    assert client(henon).post("/sequence", content=content, headers=KNOWN).status_code == 400


def test_a_large_request_is_not_read(henon, monkeypatch):
    monkeypatch.setattr(server, "MOST_BYTES", 100)
    assert client(henon).post("/sequence", content=b" " * 200, headers=KNOWN).status_code == 413


def test_a_stopped_session_stops_its_computations(henon):
    tangent_map = lm.systems.henon()
    session = Session(tangent_map, tangent_map.initial_states(2, 0), name="henon")
    session.stopped.set()
    assert post(session, "/sequence", start=0, steps=10).status_code == 503
    assert events_of(client(session).get(f"/spectrum?token={TOKEN}&steps=800&exponents=2").text) == []


def test_a_rate_needs_some_steps_and_a_distance():
    assert rates(np.array([1e-9, 1.0]), np.array([1e-9, 1.0]), "per step")["measured"] is None
    assert rates(np.zeros(9), np.zeros(9), "per step")["measured"] is None


def test_without_the_extra_one_line_names_it(monkeypatch):
    command = import_module("lyapmap.cli.explore")
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "uvicorn" else object())
    done = run("explore", "henon", "--no-browser")
    assert done.exit_code == 2
    assert re.fullmatch(r"lyapmap: the explorer needs uvicorn, which is not installed: .*explore.*\n", done.stderr)


def test_a_port_that_cannot_be_had_is_named():
    with server.opened(0) as taken:
        taken.listen()
        done = run("explore", "henon", "--no-browser", "--port", taken.getsockname()[1])
    assert done.exit_code == 2
    assert re.match(r"lyapmap: --port: \d+ cannot be used \(.*\); give another, or 0 for any\n", done.stderr)
    assert run("explore", "henon", "--no-browser", "--port", 99999).exit_code == 2


def test_it_listens_to_this_machine_only():
    with server.opened(0) as made:
        assert made.getsockname()[0] == "127.0.0.1"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
def test_ctrl_c_ends_it_with_130():
    import httpx

    command = [sys.executable, "-m", "lyapmap", "explore", "henon", "--no-browser", "--json"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            address = json.loads(process.stdout.readline())["address"]
            for _ in range(50):
                try:
                    assert httpx.get(address).status_code == 200
                    break
                except httpx.ConnectError:
                    process.poll()
            process.send_signal(signal.SIGINT)
            _, complaints = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130, complaints
    assert "Traceback" not in complaints
