"""What the API refuses, the page says in the API's own words; the rest of it goes on."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from testbed.catalogs import load_class_trained
from testbed.live import Service
from tests.support.browser.views import Console
from tests.support.browser.watch import Watch


def test_a_catalog_that_is_not_there_is_said_in_the_services_words(
    visit: Callable[..., Page], keep: Callable[[Page, str], None], service: Service, watch: Watch
) -> None:
    console = Console(visit("/#catalog=nowhere"))
    said = service.http.get("/v1/catalogs/nowhere").json()["detail"]
    expect(console.page.locator("#alert")).to_contain_text(said)
    keep(console.page, "nowhere")
    assert set(watch.take_refusals()) == {"404 GET /v1/catalogs/nowhere"}
    console.choose("class")
    console.wait_for_score("0", "m0", 0.70)
    expect(console.page.locator("#alert")).to_be_empty()


def test_after_a_catalog_that_is_not_there_nothing_is_left_of_the_one_before(
    visit: Callable[..., Page], watch: Watch
) -> None:
    console = Console(visit("/#catalog=class&tab=training"))
    expect(console.page.locator("#start")).to_be_enabled()
    console.page.evaluate("location.hash = 'catalog=nowhere&tab=training'")
    expect(console.page.locator("#alert")).to_contain_text("nowhere")
    expect(console.page.locator("#panel-training")).to_be_hidden()
    expect(console.page.locator("#facts")).to_be_empty()
    watch.take_refusals()
    console.page.go_back()
    expect(console.page.locator("#start")).to_be_visible()
    expect(console.page.locator("#alert")).to_be_empty()


def test_a_shared_computation_that_is_refused_says_so(visit: Callable[..., Page], watch: Watch) -> None:
    page = visit("/#tab=compute&gradient.expression=w**&gradient.run=1")
    expect(page.locator("#mlp .run")).to_be_enabled()
    expect(page.locator("#alert")).to_contain_text("line 1, column")
    assert watch.take_refusals()


def test_a_response_that_is_refused_is_taken_back(
    visit: Callable[..., Page], service: Service, watch: Watch
) -> None:
    load_class_trained(service, "vanishing")
    console = Console(visit("/#catalog=vanishing"))
    console.wait_for_score("0", "m0", 0.70)
    service.http.delete("/v1/catalogs/vanishing/movies/m2")
    problem = service.http.put("/v1/catalogs/vanishing/users/0/responses/m2", json={"response": 1}).json()
    console.response("0", "m2").click()
    console.response("0", "m2").click()
    expect(console.page.locator("#alert")).to_contain_text(problem["detail"])
    assert watch.take_refusals()


def test_a_training_that_is_refused_is_said_at_its_field(
    visit: Callable[..., Page], keep: Callable[[Page, str], None], service: Service, watch: Watch
) -> None:
    console = Console(visit("/#catalog=class&tab=training"))
    field = console.page.locator('#train [data-pointer="/options/epochs"]')
    field.fill("0")
    console.page.click("#start")
    body = {"trainer": "gradient_descent", "options": {"epochs": 0}}
    problem = service.http.post("/v1/catalogs/class/trainings", json=body).json()
    expect(console.page.locator("#alert")).to_contain_text(problem["detail"])
    expect(field).to_have_attribute("aria-invalid", "true")
    assert watch.take_refusals() == ["422 POST /v1/catalogs/class/trainings"]
    keep(console.page, "epochs")


def test_a_service_that_does_not_answer_is_said(visit: Callable[..., Page], watch: Watch) -> None:
    console = Console(visit("/#catalog=class"))
    console.wait_for_score("0", "m0", 0.70)
    console.page.context.set_offline(offline=True)
    console.response("0", "m2").click()
    expect(console.page.locator("#alert")).to_contain_text("the service does not answer")
    expect(console.response("0", "m2")).to_have_attribute("data-response", "0")
    assert watch.faults
    watch.faults.clear()
