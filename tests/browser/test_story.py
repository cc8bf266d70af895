"""The main story, as a lecturer shows it: answer, see scores change, train, watch, ask why, share it."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from testbed.live import Service
from tests.support.browser.views import Console


def test_somebody_sees_it_learn(
    visit: Callable[..., Page], keep: Callable[[Page, str], None], service: Service, own_class: str
) -> None:
    console = Console(visit("/"))
    page = console.page
    console.choose(own_class)
    console.wait_for_score("0", "m2", 0.47)

    console.answer("0", "m2", 1)
    path = f"/v1/catalogs/{own_class}/users/0/scores?movie=m2"
    folded_in = service.http.get(path).json()["scores"][0]["score"]
    assert folded_in > 0.57
    console.wait_for_score("0", "m2", folded_in)

    console.open("training")
    page.fill('#train [data-pointer="/seed"]', "6789")
    page.click("#start")
    console.wait_for_first_steps()
    expect(page.locator("#curve")).to_have_attribute("data-steps", "1000")
    expect(page.locator("#status")).to_contain_text("succeeded")
    keep(page, "trained")

    console.open("scores")
    score = service.http.get(path).json()["scores"][0]
    console.wait_for_score("0", "m2", score["score"])
    console.score("0", "m2").click()
    *terms, logit = console.terms()
    assert sum(terms) == pytest.approx(logit, abs=1e-3)
    assert logit == pytest.approx(score["logit"], abs=6e-5)
    keep(page, "explained")


def test_a_reload_and_a_shared_link_show_the_same(visit: Callable[..., Page], own_class: str) -> None:
    console = Console(visit("/"))
    console.choose(own_class)
    console.wait_for_score("0", "m0", 0.70)
    console.open("training")
    url = console.page.url
    console.page.reload()
    for one in (console, Console(visit(url))):
        expect(one.page.locator("#panel-training")).to_be_visible()
        expect(one.page.locator("#tab-training")).to_have_attribute("aria-selected", "true")
        expect(one.page.locator("#catalog")).to_have_value(own_class)
        expect(one.page.locator("#trainings tbody tr")).to_have_count(1)
    console.page.go_back()
    expect(console.page.locator("#panel-scores")).to_be_visible()
    console.wait_for_score("0", "m0", 0.70)
