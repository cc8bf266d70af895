"""The console of a service that needs a key: it asks for one, keeps it in this tab, and never shows it."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from app.database.urls import open_database, open_migrated
from app.web.auth.api_keys import Scope, create_key
from testbed.catalogs import EVERYTHING, load_class_trained
from testbed.databases import url_for
from testbed.live import Service, serving
from tests.support.browser.views import Console, number_in
from tests.support.browser.watch import Watch


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A key of the service below, which may do everything."""
    database = open_migrated(url_for(tmp_path_factory.getbasetemp()))
    with database.writing() as connection:
        text = create_key(connection, "browser", {Scope.ADMIN}, None)
    database.close()
    return text


@pytest.fixture(scope="module")
def service(key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that needs a key, with the class catalog trained."""
    with serving(tmp_path_factory.getbasetemp(), EVERYTHING) as running:
        running.http.headers["Authorization"] = f"Bearer {key}"
        load_class_trained(running, "class")
        yield running


@pytest.fixture(scope="module")
def compute_key(service: Service, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Another key, which may compute and nothing else."""
    assert service.http.get("/v1/catalogs").is_success
    database = open_database(f"sqlite:///{tmp_path_factory.getbasetemp()}/likely.db")
    with database.writing() as connection:
        text = create_key(connection, "browser", {Scope.COMPUTE}, None)
    database.close()
    return text


def give(page: Page, text: str) -> None:
    page.fill("#key", text)
    page.press("#key", "Enter")


def test_the_console_asks_for_a_key_and_works_with_it(
    visit: Callable[..., Page], keep: Callable[[Page, str], None], watch: Watch, key: str
) -> None:
    console = Console(visit("/#catalog=class"))
    page = console.page
    expect(page.locator("#alert")).to_contain_text("this needs a valid API key")
    keep(page, "asked")
    give(page, key[:-1] + "é")
    expect(page.locator("#alert")).to_contain_text("a character is missing or wrong")
    assert set(watch.take_refusals()) == {"401 GET /v1/catalogs?limit=100"}
    give(page, key)
    console.wait_for_score("0", "m0", 0.70)
    expect(page.locator("#alert")).to_be_empty()

    console.open("training")
    page.locator('#train [data-pointer="/options/max_steps"], #train [data-pointer="/options/epochs"]').fill(
        "50"
    )
    page.click("#start")
    expect(page.locator("#status")).to_contain_text("training 2 succeeded")
    for link in page.locator("#pictures a").all():  # a link sends no key: it leads to the picture that came
        expect(link).to_have_attribute("href", re.compile("^blob:"))
        assert link.locator("img").evaluate("image => image.naturalWidth") > 0
    assert "$LIKELY_KEY" in page.locator("#training-curl").inner_text()
    assert key[16:] not in page.content()
    assert key[16:] not in page.url
    assert not any(key[16:] in asked for asked in watch.take_asked())

    page.reload()
    expect(page.locator("#status")).to_be_visible()
    expect(page.locator("#key")).to_be_hidden()
    expect(page.locator("#alert")).to_be_empty()


def test_another_tab_has_to_be_given_the_key_again(
    visit: Callable[..., Page], watch: Watch, key: str
) -> None:
    first = Console(visit("/#catalog=class")).page
    give(first, key)
    expect(first.locator("#facts")).to_contain_text("3 movies")
    second = first.context.new_page()
    second.goto("/#catalog=class")
    expect(second.locator("#key")).to_be_visible()
    assert set(watch.take_refusals()) == {"401 GET /v1/catalogs?limit=100"}


def test_who_may_only_compute_computes(visit: Callable[..., Page], watch: Watch, compute_key: str) -> None:
    page = visit("/#tab=compute")
    give(page, compute_key)
    form = page.locator("#gradient")
    form.locator('[data-pointer="/expression"]').fill("w**2")
    form.locator('[data-pointer="/variables"]').fill('{"w": 3.0}')
    form.locator(".run").click()
    assert number_in(form.locator(".answer .value")) == 9
    expect(page.locator("#alert")).to_be_empty()
    assert set(watch.take_refusals()) == {"401 GET /v1/catalogs?limit=100", "403 GET /v1/catalogs?limit=100"}
    page.locator("#tab-scores").click()
    expect(page.locator("#nothing")).to_be_visible()
