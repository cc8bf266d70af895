"""The grid of scores: a click changes its row, a score explains itself."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from playwright.sync_api import Locator, Page, expect

from testbed.catalogs import train
from testbed.live import Service
from tests.support.browser.views import Console, numbers

PUBLISHED = {"0": (0.70, 0.52, 0.47), "1": (0.29, 0.84, 0.13), "2": (0.28, 0.15, 0.87)}  # the class notebook
MOVIES = ("m0", "m1", "m2")


def stored_scores(service: Service, catalog: str, user: str) -> dict[str, float]:
    """The scores of a user, as the API says them."""
    scores = service.http.get(f"/v1/catalogs/{catalog}/users/{user}/scores").json()["scores"]
    return {score["movie"]: score["score"] for score in scores}


def test_the_grid_shows_the_class_result(
    visit: Callable[..., Page], keep: Callable[[Page, str], None]
) -> None:
    console = Console(visit("/#catalog=class"))
    for user, scores in PUBLISHED.items():
        for movie, score in zip(MOVIES, scores, strict=True):
            console.wait_for_score(user, movie, score)
            likes = "1" if user == movie.removeprefix("m") else "0"
            expect(console.response(user, movie)).to_have_attribute("data-response", likes)
    keep(console.page, "grid")


def test_a_click_changes_the_scores_of_its_row_and_of_no_other(
    visit: Callable[..., Page], service: Service, own_class: str
) -> None:
    console = Console(visit(f"/#catalog={own_class}"))
    console.wait_for_score("0", "m2", PUBLISHED["0"][2])
    console.answer("0", "m2", 1)
    after = stored_scores(service, own_class, "0")
    assert after["m2"] > PUBLISHED["0"][2] + 0.1
    for column, movie in enumerate(MOVIES):
        console.wait_for_score("0", movie, after[movie])
        for user in ("1", "2"):
            console.wait_for_score(user, movie, PUBLISHED[user][column])


def test_clicks_go_from_like_to_dislike_to_no_answer_and_each_is_stored(
    visit: Callable[..., Page], service: Service, own_class: str
) -> None:
    console = Console(visit(f"/#catalog={own_class}"))
    page, button = console.page, console.response("1", "m1")
    path = f"/v1/catalogs/{own_class}/users/1/responses"
    expect(button).to_have_attribute("data-response", "1")
    for output, stored in (("0", 0.0), ("", None), ("1", 1.0)):
        with page.expect_response(lambda answer: answer.url.endswith(f"{path}/m1")) as answers:
            button.click()
        answers.value.finished()
        expect(button).to_have_attribute("data-response", output)
        items = service.http.get(path).json()["items"]
        assert {item["movie"]: item["response"] for item in items}.get("m1") == stored


@pytest.mark.parametrize("trainer", ["gradient_descent", "mixed_effects"])
def test_an_explanation_has_bars_that_add_up_to_the_logit(
    visit: Callable[..., Page],
    keep: Callable[[Page, str], None],
    service: Service,
    own_class: str,
    trainer: str,
) -> None:
    if trainer != "gradient_descent":
        train(service, own_class, trainer=trainer, seed=1)
    score = service.http.get(f"/v1/catalogs/{own_class}/users/0/scores?movie=m0").json()["scores"][0]
    console = Console(visit(f"/#catalog={own_class}"))
    console.wait_for_score("0", "m0", score["score"])
    console.score("0", "m0").click()
    explanation = console.page.locator("#explanation")
    expect(explanation).to_be_visible()
    keep(console.page, "explanation")

    lines = explanation.locator("table.sum tbody tr").all()
    *terms, logit = console.terms()
    assert logit == pytest.approx(score["logit"], abs=1e-4)
    assert sum(terms) == pytest.approx(logit, abs=1e-4 * len(terms))
    assert_bars_show([bar_of(line) for line in lines], [*terms, logit])

    expect(explanation).to_contain_text(f"{score['score']:.4f}")
    if trainer == "mixed_effects":
        expect(explanation).to_contain_text("90 %")
    console.page.keyboard.press("Escape")
    expect(explanation).not_to_be_visible()
    expect(console.score("0", "m0")).to_be_focused()


def bar_of(line: Locator) -> tuple[float, float, float]:
    """Where the bar of a term begins and ends, and where its track has the zero; in pixels."""
    bar = line.locator(".track .toward, .track .against, .track .total").bounding_box()
    zero = line.locator(".track .zero").bounding_box()
    assert bar is not None
    assert zero is not None
    return bar["x"], bar["x"] + bar["width"], zero["x"]


def assert_bars_show(bars: list[tuple[float, float, float]], terms: list[float]) -> None:
    """See that each bar but the last begins where the one above ended, and that the last is the whole sum."""
    lengths = [(right - left) for left, right, _ in bars]
    scale = lengths[-1] / abs(terms[-1])
    for length, term in zip(lengths, terms, strict=True):
        assert length == pytest.approx(abs(term) * scale, abs=2)
    ends = [right if term > 0 else left for (left, right, _), term in zip(bars, terms, strict=True)]
    starts = [left if term > 0 else right for (left, right, _), term in zip(bars, terms, strict=True)]
    assert starts[0] == pytest.approx(bars[0][2], abs=2)
    for (above, _), (_, below) in pairwise(zip(ends[:-1], starts[:-1], strict=True)):
        assert below == pytest.approx(above, abs=2)
    assert ends[-1] == pytest.approx(ends[-2], abs=2)


def test_the_responses_that_moved_a_score_are_named(visit: Callable[..., Page], service: Service) -> None:
    body = service.http.get("/v1/catalogs/class/users/0/scores?movie=m0&include=influences").json()
    influences = body["scores"][0]["influences"]
    assert influences
    console = Console(visit("/#catalog=class"))
    console.score("0", "m0").click()
    lines = console.page.locator("#explanation table").last.locator("tbody tr")
    expect(lines).to_have_count(len(influences))
    for line, influence in zip(lines.all(), influences, strict=True):
        expect(line).to_contain_text(influence["movie"])
        *_, moves, without = numbers(line.inner_text())
        assert without == pytest.approx(influence["score_without"], abs=6e-4)
        assert abs(moves) == pytest.approx(abs(influence["change"]), abs=6e-4)
