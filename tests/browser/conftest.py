"""What every test of the console starts from: a Chromium, a service with the class trained, a watched page.

Whatever a test does, its pages must show no error, be refused nothing that it did not expect and ask no other
host. A test that fails leaves what its pages showed in build/screenshots/.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from testbed.catalogs import EVERYTHING, load_class_trained
from testbed.chromium import NoChromiumError, launch
from testbed.live import Service, serving
from tests.support.browser.watch import Watch
from tests.support.documents.checkout import ROOT

SCREENSHOTS = ROOT / "build/screenshots"
_FAILED = pytest.StashKey[bool]()
_PATIENCE = 20_000.0  # milliseconds: machines are busy
expect.set_options(timeout=_PATIENCE)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:  # noqa: ANN401 - pytest's own
    """Let fixtures know whether their test failed."""
    report = yield
    if report.when == "call":
        item.stash[_FAILED] = report.failed
    return report


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """A Chromium, ended with this folder's tests: other tests run event loops of their own."""
    with sync_playwright() as playwright:
        try:
            browser = launch(playwright)
        except NoChromiumError as none:
            pytest.fail(str(none), pytrace=False)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A real service with the class catalog trained, which tests leave as it is."""
    folder = tmp_path_factory.mktemp("console")
    with serving(folder, EVERYTHING) as running:
        load_class_trained(running, "class")
        yield running


@pytest.fixture
def own_class(service: Service) -> str:
    """A catalog like the class's, trained alike, for one test to change; its id."""
    catalog = f"class-{uuid4().hex[:8]}"
    load_class_trained(service, catalog)
    return catalog


@pytest.fixture
def watch(service: Service) -> Watch:
    """What the pages of this test asked for, and what went wrong on them."""
    return Watch(service.url)


@pytest.fixture
def visit(
    browser: Browser, service: Service, watch: Watch, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Page]]:
    """Open a page in a browser that knows nothing yet: ``visit("/docs", color_scheme="dark")``."""
    pages: list[Page] = []

    def open_page(path: str = "/", **options: Any) -> Page:  # noqa: ANN401 - of Browser.new_context
        context = browser.new_context(base_url=service.url, **options)
        context.set_default_timeout(_PATIENCE)
        watch.over(context)
        pages.append(context.new_page())
        pages[-1].goto(path)
        return pages[-1]

    yield open_page
    for number, page in enumerate(pages):
        if request.node.stash.get(_FAILED, True):
            page.screenshot(path=_screenshot(request, f"failed-{number}"))
        page.context.close()
    watch.check()


@pytest.fixture
def keep(request: pytest.FixtureRequest) -> Callable[[Page, str], None]:
    """Keep what a page shows as build/screenshots/<test>-<name>.png."""

    def screenshot(page: Page, name: str) -> None:
        page.screenshot(path=_screenshot(request, name), full_page=True)

    return screenshot


def _screenshot(request: pytest.FixtureRequest, name: str) -> Path:
    """Where a test's screenshot belongs; playwright makes the folder."""
    return SCREENSHOTS / f"{request.node.name.removeprefix('test_')}-{name}.png"
