"""Pages of reports as people see them: in a browser, on a wide screen and on a phone, by mouse and by keys."""

from __future__ import annotations

import pytest

import lyapmap as lm
from browser import Visit, chromium
from lyapmap.report.page import save_report

pytestmark = pytest.mark.slow

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
WIDE = {"viewport": {"width": 1200, "height": 900}}


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def addresses(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    spectrum = lm.lyapunov_spectrum(lm.systems.henon(), [[0.1, 0.1], [0.2, 0.1]], n_steps=2_000, transient=100, seed=0)
    pictures = lm.trajectory(lm.wrap(lambda x: -x, state_shape=(1, 8, 8)), [[[[0.5] * 8] * 8]], n_steps=6)
    evil = '<img src=x onerror="console.error(1)"><script>console.error(2)</script>' + "W" * 120
    return {
        "spectrum": spectrum.report(folder / "spectrum.html", title=evil).as_uri(),
        "film": pictures.report(folder / "film.html").as_uri(),
        "table": save_report(
            folder / "table.html", title="t", provenance={evil: evil}, tables=[("T", [["wide"] * 40] * 3)]
        ).as_uri(),
    }


def seen(browser, address, **window):
    visit = Visit(browser, address, **window)
    if "table" not in address:
        visit.ready()
        panels = visit.page.locator(".panel[id]")
        for i in range(panels.count()):
            panels.nth(i).scroll_into_view_if_needed()
            visit.page.wait_for_selector(f"#{panels.nth(i).get_attribute('id')}[data-ready]", timeout=60_000)
    return visit


@pytest.mark.parametrize("window", [WIDE, PHONE, WIDE | {"color_scheme": "dark"}], ids=["wide", "phone", "dark"])
@pytest.mark.parametrize("name", ["spectrum", "film", "table"])
def test_nothing_is_wrong_and_nothing_sticks_out(browser, addresses, name, window):
    visit = seen(browser, addresses[name], **window)
    assert visit.complaints == []
    assert [address for address in visit.requests if not address.startswith("data:")] == [addresses[name]]
    widths = visit.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1] == window["viewport"]["width"]
    if name == "spectrum":
        assert visit.page.locator(".plot .main-svg").count() >= 3
        assert visit.page.locator(".plot .scatterlayer path").count() > 3
    visit.close()


def test_the_colours_of_plots_follow_the_page(browser, addresses):
    visit = seen(browser, addresses["spectrum"], **WIDE)
    words = visit.page.locator(".xtick text").first
    light = words.evaluate("text => getComputedStyle(text).fill")
    visit.page.emulate_media(color_scheme="dark")
    visit.page.wait_for_function(
        "light => getComputedStyle(document.querySelector('.xtick text')).fill !== light", arg=light
    )
    visit.close()


def test_hovering_shows_the_image_of_a_point(browser, addresses):
    visit = seen(browser, addresses["film"], **WIDE)
    card = visit.page.locator("#hover")
    assert not card.is_visible()
    point = visit.page.locator(".panel[id] .points path").first
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    visit.page.mouse.move(box["x"] + box["width"] / 2 + 2, box["y"] + box["height"] / 2)
    visit.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    card.wait_for(state="visible", timeout=20_000)
    assert card.locator("canvas").evaluate("c => c.width") >= 100
    visit.close()


def test_keys_go_from_point_to_point_and_say_where(browser, addresses):
    visit = seen(browser, addresses["spectrum"], **WIDE)
    visit.page.locator(".panel[id]").first.focus()
    visit.page.keyboard.press("ArrowRight")
    visit.page.wait_for_selector(".hoverlayer .hovertext", timeout=20_000)
    first = visit.page.locator("#said").text_content()
    visit.page.keyboard.press("ArrowRight")
    assert first
    assert visit.page.locator("#said").text_content() != first
    visit.close()


def test_a_film_plays(browser, addresses):
    visit = seen(browser, addresses["film"], **WIDE)
    film = visit.page.locator(".film")
    assert film.locator("output").text_content() == "0"
    film.locator("button").click()
    visit.page.wait_for_function("() => document.querySelector('.film output').textContent !== '0'")
    film.locator("button").click()
    film.locator("input").focus()
    visit.page.keyboard.press("End")
    assert film.locator("output").text_content() == "6"
    visit.close()


def test_paper_gets_pictures_in_place_of_plots(browser, addresses):
    visit = seen(browser, addresses["spectrum"], **WIDE)
    visit.page.emulate_media(media="print")
    assert visit.page.locator(".still img").first.is_visible()
    assert not visit.page.locator(".plot").first.is_visible()
    visit.close()


def test_without_scripts_there_are_pictures(browser, addresses):
    visit = Visit(browser, addresses["spectrum"], java_script_enabled=False, **WIDE)
    assert visit.page.locator(".still img").first.is_visible()
    visit.close()
