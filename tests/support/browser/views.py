"""Where things are on the console: its tabs, its grid, its forms. Does not know what they ought to show."""

import re
from dataclasses import dataclass

from playwright.sync_api import Locator, Page, expect

_ANSWERS = {1.0: "1", 0.0: "0", None: ""}
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


@dataclass(frozen=True)
class Console:
    """The console, open in a browser."""

    page: Page

    def open(self, tab: str) -> Locator:
        """Open a tab and return its panel: scores, training, whoami, compute."""
        self.page.click(f"#tab-{tab}")
        panel = self.page.locator(f"#panel-{tab}")
        expect(panel).to_be_visible()
        return panel

    def choose(self, catalog: str) -> None:
        """Choose a catalog, and wait until its users are those in the grid."""
        with self.page.expect_response(lambda answer: f"/catalogs/{catalog}/users?" in answer.url):
            self.page.select_option("#catalog", catalog)

    def response(self, user: str, movie: str) -> Locator:
        """The button that answers for a user."""
        return self.page.locator(f'.response[data-user="{user}"][data-movie="{movie}"]')

    def score(self, user: str, movie: str) -> Locator:
        """The button that shows a score and opens its explanation."""
        return self.page.locator(f'.score[data-user="{user}"][data-movie="{movie}"]')

    def wait_for_score(self, user: str, movie: str, score: float) -> None:
        """Wait until a score is shown, with two decimals."""
        expect(self.score(user, movie)).to_contain_text(f"{score:.2f}")

    def answer(self, user: str, movie: str, response: float | None) -> None:
        """Click a response until it is this one, and is stored."""
        target = _ANSWERS[response]
        button = self.response(user, movie)
        expect(button).to_have_attribute("aria-disabled", "false")
        for _ in _ANSWERS:
            attribute = button.get_attribute("data-response")
            if attribute == target:
                return
            with self.page.expect_response(lambda stored: stored.url.endswith(f"/{user}/responses/{movie}")):
                button.click()
            expect(button).not_to_have_attribute("data-response", attribute or "")
        raise AssertionError(f"no click makes the response {target!r}")

    def terms(self) -> list[float]:
        """The terms of the explanation that is open, the last one their sum."""
        expect(self.page.locator("#explanation")).to_be_visible()
        adds = self.page.locator("#explanation table.sum tbody td:nth-child(2)")
        return [number_in(term) for term in adds.all()]

    def wait_for_first_steps(self) -> None:
        """Wait until the loss curve begins."""
        expect(self.page.locator("#curve")).to_have_attribute("data-steps", re.compile("[1-9]"))

    def steps(self) -> int:
        """How many steps the loss curve shows."""
        return int(self.page.locator("#curve").get_attribute("data-steps") or 0)


def number_in(place: Locator) -> float:
    """The one number that a place shows."""
    expect(place).to_have_text(re.compile(r"\d"))
    [number] = numbers(place.inner_text())
    return number


def numbers(text: str) -> list[float]:
    """The numbers in what a page shows, whatever it takes for a minus."""
    return [float(result) for result in _NUMBER.findall(text.replace("−", "-"))]
