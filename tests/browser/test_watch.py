"""The watch over every other test here: it sees what it is there for."""

import pytest
from playwright.sync_api import Browser

from testbed.live import Service
from tests.support.browser.watch import Watch


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ("console.error('broken')", "console error: broken"),
        ("console.warn('odd')", "console warning: odd"),
        ("setTimeout(() => { throw new Error('thrown') })", "uncaught: thrown"),
        (
            "fetch('http://elsewhere.example/x')",
            "a request to somewhere else: GET http://elsewhere.example/x",
        ),
        ("fetch('http://elsewhere.example/x')", "net::ERR_NAME_NOT_RESOLVED: GET http://elsewhere.example/x"),
        (
            "new WebSocket('ws://elsewhere.example')",
            "console error: WebSocket connection to 'ws://elsewhere.example/' failed: ",
        ),
    ],
)
def test_what_goes_wrong_on_a_page_is_a_fault(
    browser: Browser, service: Service, script: str, fault: str
) -> None:
    watch = watched(browser, service, script)
    assert any(result.startswith(fault) for result in watch.faults)
    with pytest.raises(AssertionError):
        watch.check()


def test_a_refusal_is_a_fault_unless_it_was_expected(browser: Browser, service: Service) -> None:
    watch = watched(browser, service, "fetch('/v1/catalogs/nowhere')")
    assert watch.faults == []
    with pytest.raises(AssertionError):
        watch.check()
    assert watch.take_refusals() == ["404 GET /v1/catalogs/nowhere"]
    watch.check()


def watched(browser: Browser, service: Service, script: str) -> Watch:
    watch = Watch(service.url)
    context = browser.new_context(base_url=service.url)
    watch.over(context)
    page = context.new_page()
    page.goto("/livez")
    page.evaluate(f"() => {{ {script} }}")
    page.wait_for_timeout(200)
    context.close()
    return watch
