"""/docs, the page of every request: shown whole with no outside network."""

from collections.abc import Callable

from playwright.sync_api import Page, expect


def test_the_requests_are_listed_with_no_other_host(
    visit: Callable[..., Page], keep: Callable[[Page, str], None]
) -> None:
    page = visit("/docs")
    expect(page.get_by_role("link", name="/v1/catalogs", exact=True)).to_be_visible()
    keep(page, "docs")
