"""Who am I: three answers to questions that the service chooses, and recommendations; nothing is stored."""

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from testbed.catalogs import load_large, train
from testbed.live import Service
from tests.support.browser.views import Console

COUNTS = ("movies", "users", "responses", "serving")


@pytest.fixture(scope="module")
def films(service: Service) -> str:
    """A catalog whose model knows what it does not know."""
    load_large(service, "films", users=30, movies=12)
    train(service, "films", trainer="mixed_effects", seed=1)
    return "films"


@pytest.fixture
def own_uncertain(service: Service, own_class: str) -> str:
    """The class's catalog, served by a model that chooses its questions."""
    train(service, own_class, trainer="mixed_effects", seed=1)
    return own_class


def hold(page: Page, pattern: str) -> list[Route]:
    """Hold back requests; what is held is in the list, and continues when a test says so."""
    held: list[Route] = []
    page.route(pattern, lambda route: held.append(route))  # noqa: PLW0108 - playwright wants a function
    return held


def wait_for(page: Page, held: list[Route]) -> None:
    """Wait until a request is held."""
    for _ in range(1000):
        if held:
            return
        page.wait_for_timeout(20)  # milliseconds, in which playwright hears of requests
    raise AssertionError("nothing was asked for")


def counts(service: Service, catalog: str) -> dict[str, object]:
    body = service.http.get(f"/v1/catalogs/{catalog}").json()
    return {name: body[name] for name in COUNTS}


def test_three_answers_bring_recommendations_and_nothing_is_stored(
    visit: Callable[..., Page], keep: Callable[[Page, str], None], service: Service, films: str
) -> None:
    before = counts(service, films)
    console = Console(visit(f"/#catalog={films}&tab=whoami"))
    answers: dict[str, float] = {}
    for answer in (1, 0, 1):
        body = {"responses": answers, "limit": 1, "include": ["next_question"]}
        preview = service.http.post(f"/v1/catalogs/{films}/scores:preview", json=body).json()
        choice = preview["next_question"]["movie"]
        expect(console.page.locator("#question")).to_have_attribute("data-movie", choice)
        if not answers:
            keep(console.page, "question")
        console.page.click(f'#whoami [data-answer="{answer}"]')
        answers[choice] = answer

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
    output = console.page.locator("#recommendations strong")
    expect(output).to_have_text([f"{score:.2f}" for score in expected])


def test_a_question_of_the_catalog_before_is_not_asked_in_this_one(
    visit: Callable[..., Page], films: str
) -> None:
    page = visit("/#catalog=class&tab=whoami")
    question = page.locator("#question")
    expect(question).to_have_attribute("data-movie", "m0")
    held = hold(page, f"**/catalogs/{films}/scores:preview")
    page.select_option("#catalog", films)
    wait_for(page, held)
    expect(page.locator("#whoami")).to_be_empty()  # of the class nothing can be answered any more
    page.select_option("#catalog", "class")
    expect(question).to_have_attribute("data-movie", "m0")
    with page.expect_response("**/scores:preview") as late:
        held[0].continue_()
    late.value.finished()
    for movie in ("m0", "m1", "m2"):
        expect(question).to_have_attribute("data-movie", movie)
        page.click('#whoami [data-answer="1"]')
    expect(page.locator("#recommendations li")).to_have_count(3)
    expect(page.locator("#alert")).to_be_empty()
    expect(page.locator("#whoami-curl code")).to_contain_text("/v1/catalogs/class/scores:preview")


def test_recommendations_of_the_catalog_before_are_not_shown_in_this_one(
    visit: Callable[..., Page], films: str
) -> None:
    page = visit("/#catalog=class&tab=whoami")
    for movie in ("m0", "m1"):
        expect(page.locator("#question")).to_have_attribute("data-movie", movie)
        page.click('#whoami [data-answer="1"]')
    held = hold(page, "**/catalogs/class/scores:preview")
    expect(page.locator("#question")).to_have_attribute("data-movie", "m2")
    page.click('#whoami [data-answer="1"]')
    wait_for(page, held)
    page.select_option("#catalog", films)
    expect(page.locator("#question")).to_contain_text("Movie")
    with page.expect_response("**/catalogs/class/scores:preview") as late:
        held[0].continue_()
    late.value.finished()
    page.click('#whoami [data-answer="1"]')
    expect(page.locator("#whoami")).to_contain_text("Question 2 of 3")
    assert len(held) == 1


def test_the_command_is_what_was_done_from_the_first_question_on(
    visit: Callable[..., Page], service: Service, films: str
) -> None:
    page = visit("/#catalog=class&tab=whoami")
    command = page.locator("#whoami-curl code")
    expect(command).to_have_text(f"curl '{service.url}/v1/catalogs/class/movies?limit=30'")
    page.select_option("#catalog", films)
    expect(command).to_contain_text(f"/v1/catalogs/{films}/scores:preview")
    page.select_option("#catalog", "class")
    expect(command).to_have_text(f"curl '{service.url}/v1/catalogs/class/movies?limit=30'")


def test_the_keyboard_goes_on_at_each_question_and_when_asked_again(visit: Callable[..., Page]) -> None:
    page = visit("/#catalog=class&tab=whoami")
    question = page.locator("#question")
    expect(question).to_have_attribute("data-movie", "m0")
    expect(question).not_to_be_focused()  # whoever opens the tab is at the tab
    for movie in ("m0", "m1", "m2"):
        expect(question).to_have_attribute("data-movie", movie)
        page.click('#whoami [data-answer=""]')
    expect(question).to_have_text("No movie is left to ask about.")
    expect(question).to_be_focused()
    page.get_by_role("button", name="Ask me again").press("Enter")
    expect(question).to_have_attribute("data-movie", "m0")
    expect(question).to_be_focused()


def test_whoever_knows_no_movie_at_all_is_told_that_none_is_left(
    visit: Callable[..., Page], own_uncertain: str
) -> None:
    page = visit(f"/#catalog={own_uncertain}&tab=whoami")
    question = page.locator("#question")
    for _ in range(3):
        movie = question.get_attribute("data-movie") or ""
        page.click('#whoami [data-answer=""]')
        expect(question).not_to_have_attribute("data-movie", movie)
    expect(question).to_have_text("No movie is left to ask about.")
    expect(page.locator("#whoami")).not_to_contain_text("By your answers")
    expect(page.locator("#recommendations")).to_have_count(0)


def test_a_double_click_leaves_a_movie_out_once(visit: Callable[..., Page], films: str) -> None:
    page = visit(f"/#catalog={films}&tab=whoami")
    question = page.locator("#question")
    movie = question.get_attribute("data-movie") or ""
    held = hold(page, "**/scores:preview")
    page.dblclick('#whoami [data-answer=""]')
    wait_for(page, held)
    while held:
        route = held.pop()
        assert json.loads(route.request.post_data or "")["exclude"] == [movie]
        route.continue_()
    expect(question).not_to_have_attribute("data-movie", movie)
    attribute = question.get_attribute("data-movie")
    page.click('#whoami [data-answer=""]')
    wait_for(page, held)
    assert json.loads(held[0].request.post_data or "")["exclude"] == [movie, attribute]
    held[0].continue_()
    expect(question).not_to_have_attribute("data-movie", attribute or "")
