"""A large catalog: pages of it are asked for and shown, never all of it; search finds the rest."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from testbed.catalogs import load_large, train
from testbed.live import Service
from tests.support.browser.views import Console
from tests.support.browser.watch import Watch

USERS, MOVIES = 2000, 3000
CELLS, ANSWER, ALL = 1000, 200_000, 1_000_000  # most cells; most bytes of an answer, and of all together
_LIMIT = re.compile(r"[?&]limit=(\d+)")


@pytest.fixture(scope="module")
def large(service: Service) -> str:
    load_large(service, "large", users=USERS, movies=MOVIES)
    train(service, "large", trainer="gradient_descent", seed=1, options={"epochs": 50})
    return "large"


def test_only_a_page_of_a_large_catalog_is_asked_for_and_shown(
    visit: Callable[..., Page], keep: Callable[[Page, str], None], watch: Watch, large: str
) -> None:
    console = Console(visit("about:blank"))
    sizes: list[int] = []
    console.page.on("requestfinished", lambda request: sizes.append(request.sizes()["responseBodySize"]))
    console.page.goto(f"/#catalog={large}")
    expect(console.score("user-0000", "movie-0000")).to_contain_text(re.compile(r"\d"))
    console.page.wait_for_load_state("networkidle")
    keep(console.page, "large")
    asked = [path for path in watch.take_asked() if f"/catalogs/{large}/" in path]
    assert asked
    assert all(int(limit) <= 1000 for path in asked for limit in _LIMIT.findall(path))
    assert 0 < console.page.locator("#grid .score").count() <= CELLS
    assert max(sizes) < ANSWER
    assert sum(sizes) < ALL


def test_the_next_page_and_a_search_show_other_users_and_movies(
    visit: Callable[..., Page], large: str
) -> None:
    console = Console(visit(f"/#catalog={large}"))
    page = console.page
    page.get_by_label("users after these").click()
    expect(console.score("user-0025", "movie-0000")).to_contain_text(re.compile(r"\d"))
    page.get_by_label("movies after these").click()
    expect(console.score("user-0025", "movie-0025")).to_contain_text(re.compile(r"\d"))
    page.get_by_label("users before these").click()
    expect(console.score("user-0000", "movie-0025")).to_contain_text(re.compile(r"\d"))
    page.fill("#movie-search", "Movie 2999")
    page.press("#movie-search", "Enter")
    page.fill("#user-search", "user-1999")
    page.press("#user-search", "Enter")
    expect(console.score("user-1999", "movie-2999")).to_contain_text(re.compile(r"\d"))
    expect(page.locator("#grid .score")).to_have_count(1)
    assert f"catalog={large}" in page.url

    page.reload()
    expect(console.score("user-1999", "movie-2999")).to_contain_text(re.compile(r"\d"))
    expect(page.locator("#grid .score")).to_have_count(1)
