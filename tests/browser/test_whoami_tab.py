"""Who am I: three answers to questions that the service chooses, and recommendations; nothing is stored."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.catalogs import load_large, train
from tests.browser.views import Console
from tests.live import Service

COUNTS = ("movies", "users", "responses", "serving")


@pytest.fixture(scope="module")
def films(service: Service) -> str:
    """A catalog whose model knows what it does not know."""
    load_large(service, "films", users=30, movies=12)
    train(service, "films", trainer="mixed_effects", seed=1)
    return "films"


def counts(service: Service, catalog: str) -> dict[str, object]:
    shown = service.http.get(f"/v1/catalogs/{catalog}").json()
    return {name: shown[name] for name in COUNTS}


def test_three_answers_bring_recommendations_and_nothing_is_stored(
    visit: Callable[..., Page], keep: Callable[[Page, str], None], service: Service, films: str
) -> None:
    before = counts(service, films)
    console = Console(visit(f"/#catalog={films}&tab=whoami"))
    answers: dict[str, float] = {}
    for answer in (1, 0, 1):
        body = {"responses": answers, "limit": 1, "include": ["next_question"]}
        preview = service.http.post(f"/v1/catalogs/{films}/scores:preview", json=body).json()
        chosen = preview["next_question"]["movie"]
        expect(console.page.locator("#question")).to_have_attribute("data-movie", chosen)
        if not answers:
            keep(console.page, "question")
        console.page.click(f'#whoami [data-answer="{answer}"]')
        answers[chosen] = answer

    expected = service.http.post(f"/v1/catalogs/{films}/scores:preview", json={"responses": answers}).json()
    lines = console.page.locator("#recommendations li")
    expect(lines).to_have_count(len(expected["scores"]))
    for line, score in zip(lines.all(), expected["scores"], strict=True):
        expect(line.locator(".title")).to_have_text(score["title"])
        expect(line.locator("strong")).to_have_text(f"{score['score']:.2f}")
    keep(console.page, "recommendations")
    assert counts(service, films) == before


def test_who_knows_no_movie_is_asked_about_another_one(visit: Callable[..., Page], films: str) -> None:
    console = Console(visit(f"/#catalog={films}&tab=whoami"))
    question = console.page.locator("#question")
    first = question.get_attribute("data-movie") or ""
    console.page.click('#whoami [data-answer=""]')
    expect(question).not_to_have_attribute("data-movie", first)
    expect(console.page.locator("#whoami")).to_contain_text("Question 1 of 3")


def test_the_class_model_asks_about_the_first_movies(visit: Callable[..., Page], service: Service) -> None:
    console = Console(visit("/#catalog=class&tab=whoami"))
    for movie in ("m0", "m1", "m2"):
        expect(console.page.locator("#question")).to_have_attribute("data-movie", movie)
        console.page.click('#whoami [data-answer="1"]')
    body = {"responses": dict.fromkeys(("m0", "m1", "m2"), 1), "movies": ["m0", "m1", "m2"]}
    scores = service.http.post("/v1/catalogs/class/scores:preview", json=body).json()["scores"]
    expected = sorted((score["score"] for score in scores), reverse=True)
    shown = console.page.locator("#recommendations strong")
    expect(shown).to_have_text([f"{score:.2f}" for score in expected])
