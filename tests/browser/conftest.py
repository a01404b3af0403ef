"""A real Chromium for tests: pages that fail on console errors and reach no other machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--force-color-profile=srgb"]


def _missing(why: str) -> None:
    if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, driven by Playwright; without it a developer's test is skipped and CI fails.

    It lives for one file, not for the session: Playwright keeps an event loop running in this thread meanwhile, in
    which no other test could call ``asyncio.run``.
    """
    program = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )
    if program is None:
        _missing("Chromium is missing: `apt-get install chromium`")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("Playwright is missing: `pip install playwright`")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def new_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Make pages: ``new_page(width=1280, height=800, **context options)``.

    At the end of the test, errors and warnings in a page's console, exceptions in its scripts and requests to other
    machines fail the test. ``page.console`` is the list of messages; a test that provokes one empties it.
    """
    contexts, problems = [], []

    def make(width: int = 1280, height: int = 800, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)

        def only_here(route: Any) -> None:
            if urlsplit(route.request.url).hostname in ("127.0.0.1", "localhost"):
                route.continue_()
            else:
                problems.append(f"request to another machine: {route.request.url}")
                route.abort()

        context.route("**/*", only_here)
        page = context.new_page()
        page.console = problems
        page.on(
            "console",
            lambda message: message.type in ("error", "warning") and problems.append(f"{message.type}: {message.text}"),
        )
        page.on("pageerror", lambda error: problems.append(f"exception: {error}"))
        page.set_default_timeout(10_000)
        return page

    yield make
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture
def page(new_page: Callable[..., Any]) -> Any:
    """A page of 1280 by 800 pixels on a light ground; see ``new_page``."""
    return new_page(color_scheme="light")


@pytest.fixture
def axe() -> Callable[[Any], list[str]]:
    """Check a page with axe-core: the serious and critical violations, one line each."""
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ImportError:
        pytest.skip("axe-playwright-python is missing")

    def check(page: Any) -> list[str]:
        found = Axe().run(page).response["violations"]
        return [
            f"{each['id']}: {each['help']} {[node['html'][:120] for node in each['nodes']]}"
            for each in found
            if each["impact"] in ("serious", "critical")
        ]

    return check
