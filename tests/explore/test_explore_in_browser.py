"""The explorer as a person uses it, in a browser."""

from __future__ import annotations

import threading

import pytest

from browser import Visit, chromium

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(browser):
    pytest.importorskip("torch")
    uvicorn = pytest.importorskip("uvicorn")
    pytest.importorskip("starlette")
    from lyapmap.explore.server import application, opened
    from lyapmap.explore.session import Session
    from lyapmap.files.zoo import load_model

    model = load_model("cycle-digits-012")
    session = Session(model.map, model.sample_states.reshape(len(model.sample_states), -1)[:4], name=model.name)
    made = opened(0)
    port = made.getsockname()[1]
    app = application(session, port=port, token="t")
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [made]})
    thread.start()
    yield f"http://127.0.0.1:{port}/?token=t"
    session.stopped.set()
    server.should_exit = True
    thread.join(timeout=20)


@pytest.mark.parametrize("width", [1280, 360])
def test_all_of_it_works(browser, address, width):
    visit = Visit(browser, address, viewport={"width": width, "height": 900}).ready()
    page = visit.page
    assert page.locator("#starts button").count() == 4
    page.locator("#starts button").nth(2).click()
    page.wait_for_selector('#starts button:nth-child(3)[aria-selected="true"]')
    box = page.locator("#drawing").bounding_box()
    page.mouse.move(box["x"] + 40, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 90, box["y"] + 60)
    page.mouse.up()
    page.fill("#steps", "12")
    page.click("#run")
    page.wait_for_selector("#film:not([hidden])", timeout=60_000)
    assert page.locator("#step").get_attribute("max") == "12"
    page.wait_for_function("() => document.getElementById('direction').width > 100")
    page.click("#nudge")
    page.wait_for_selector("#parting .scatterlayer path", timeout=60_000, state="attached")
    page.wait_for_function("() => /the derivative says|too few/.test(document.getElementById('rates').textContent)")
    page.click("#map")
    page.wait_for_selector("#cloud .points path", timeout=60_000)
    point = page.locator("#cloud .points path").nth(5)
    point.scroll_into_view_if_needed()
    place = point.bounding_box()
    page.mouse.move(place["x"] + place["width"] / 2 + 1, place["y"] + place["height"] / 2)
    page.mouse.click(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    page.wait_for_selector("#picked:not([hidden])", timeout=20_000)
    page.fill("#spectrumsteps", "60")
    page.fill("#exponents", "2")
    page.click("#measure")
    page.wait_for_function("() => document.getElementById('verdict').textContent.length > 10", timeout=90_000)
    assert page.locator("#convergence .scatterlayer path").count() >= 1
    assert visit.complaints == []
    home = address.partition("?")[0]
    assert all(request.startswith((home, "data:")) for request in visit.requests)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    visit.close()
