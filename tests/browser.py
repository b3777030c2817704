"""A headless Chromium for tests of pages, or the reason why there is none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

VARIABLE = "LYAPMAP_CHROMIUM"
"""Variable of the environment with the path of a Chromium; else playwright's own is tried."""


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; the tests that want it are skipped where there is none."""
    api = pytest.importorskip("playwright.sync_api")
    path = os.environ.get(VARIABLE)
    with api.sync_playwright() as playwright:
        known = path or playwright.chromium.executable_path
        if not Path(known).exists():
            pytest.skip(f"no Chromium: set {VARIABLE}, or run playwright install chromium")
        browser = playwright.chromium.launch(executable_path=path)
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """One page in a window, with everything that it complains of and asks for."""

    def __init__(self, browser: Any, address: str, **window: Any) -> None:
        self.context = browser.new_context(**window)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)

    def ready(self) -> Visit:
        """Once the script of the page has begun to draw."""
        self.page.wait_for_selector("html[data-ready]", timeout=60_000)
        return self

    def close(self) -> None:
        self.context.close()
