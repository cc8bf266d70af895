"""Everybody can use the console: by keyboard, on a phone, light or dark, with a screen reader."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from testbed.live import Service
from tests.support.browser.views import Console
from tests.support.browser.watch import sideways

TABS = ("scores", "training", "whoami", "compute")
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
_RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], "resultTypes": ["violations"]}


def use(console: Console, tab: str) -> None:
    """Open a tab and let it show what it has."""
    console.open(tab)
    page = console.page
    if tab == "scores":
        console.wait_for_score("0", "m0", 0.70)
        console.score("0", "m0").click()
        expect(page.locator("#explanation")).to_be_visible()
    if tab == "training":
        expect(page.locator("#trainings tbody tr").first).to_be_visible()
    if tab == "whoami":
        expect(page.locator("#question")).to_be_visible()
    if tab == "compute":
        for form in ("gradient", "neuron", "mlp"):
            page.click(f"#{form} .run")
        expect(page.locator("#mlp canvas.surface")).to_be_visible()
        expect(page.locator("#gradient svg.graph")).to_be_visible()
        expect(page.locator("#neuron .formula")).to_be_visible()


def close(console: Console) -> None:
    """Close what lies over the page."""
    console.page.keyboard.press("Escape")
    expect(console.page.locator("#explanation")).not_to_be_visible()


def violations(page: Page) -> list[str]:
    """What axe-core finds against WCAG 2.2 AA, each with the first places that it finds it at."""
    result = Axe().run(page, options=_RULES).response["violations"]
    return [f"{one['id']}: {[node['target'] for node in one['nodes']][:5]}" for one in result]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_tab(
    visit: Callable[..., Page], keep: Callable[[Page, str], None], scheme: str
) -> None:
    console = Console(visit("/#catalog=class", color_scheme=scheme))
    result = {}
    for tab in TABS:
        use(console, tab)
        keep(console.page, tab)
        result[tab] = violations(console.page)
        if tab == "scores":
            close(console)
            result["grid"] = violations(console.page)
    assert result == {tab: [] for tab in result}


def test_axe_sees_a_picture_without_words(visit: Callable[..., Page]) -> None:
    page = visit("/#catalog=class")
    assert violations(page) == []
    page.evaluate("document.querySelector('main').append(new Image(9, 9))")
    assert [result.split(":")[0] for result in violations(page)] == ["image-alt"]


def test_dark_is_dark_and_light_is_light(visit: Callable[..., Page]) -> None:
    ink = "getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).slice(0, 3).map(Number)"
    assert min(visit("/#catalog=class", color_scheme="light").evaluate(ink)) > 200
    assert max(visit("/#catalog=class", color_scheme="dark").evaluate(ink)) < 60


def test_a_phone_scrolls_no_tab_sideways(
    visit: Callable[..., Page], keep: Callable[[Page, str], None]
) -> None:
    console = Console(visit("/#catalog=class", **PHONE))
    for tab in TABS:
        use(console, tab)
        assert sideways(console.page) == 0, tab
        keep(console.page, tab)
        if tab == "scores":
            close(console)
            assert sideways(console.page) == 0


def test_the_keyboard_alone_goes_through_tabs_and_grid(
    visit: Callable[..., Page], service: Service, own_class: str
) -> None:
    console = Console(visit(f"/#catalog={own_class}"))
    page, press = console.page, console.page.keyboard.press
    console.wait_for_score("0", "m0", 0.70)
    tab_until(page, "#tab-scores")
    for key, tab in (("ArrowRight", "training"), ("End", "compute"), ("ArrowRight", "scores")):
        press(key)
        expect(page.locator(f"#tab-{tab}")).to_be_focused()
        expect(page.locator(f"#tab-{tab}")).to_have_attribute("aria-selected", "true")
        expect(page.locator(f"#panel-{tab}")).to_be_visible()

    console.wait_for_score("0", "m0", 0.70)
    tab_until(page, '.response[data-user="0"][data-movie="m0"]')
    press("ArrowDown")
    expect(console.response("1", "m0")).to_be_focused()
    press("ArrowRight")
    expect(console.score("1", "m0")).to_be_focused()
    press("ArrowRight")
    expect(console.response("1", "m1")).to_be_focused()
    expect(console.response("1", "m1")).to_have_attribute("data-response", "1")
    press("Space")
    expect(console.response("1", "m1")).to_have_attribute("data-response", "0")
    expect(console.response("1", "m1")).to_be_focused()
    expect(console.score("1", "m1")).not_to_have_text("0.84")
    press("ArrowRight")
    press("Enter")
    expect(page.locator("#explanation")).to_be_visible()
    press("Escape")
    expect(console.score("1", "m1")).to_be_focused()
    responses = service.http.get(f"/v1/catalogs/{own_class}/users/1/responses").json()["items"]
    assert {item["movie"]: item["response"] for item in responses}["m1"] == 0


def tab_until(page: Page, selector: str) -> None:
    """Press Tab until the element has the focus."""
    for _ in range(40):
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not get to {selector}")
