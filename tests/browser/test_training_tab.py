"""Training: a form out of the API's schema, a curve that grows, trainings to cancel, promote and compare."""

import json
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.catalogs import train
from tests.browser.views import Console
from tests.live import Service

LONG = 100_000  # epochs: seconds of training, of which somebody sees the beginning


def fill(console: Console, **values: object) -> None:
    """Fill the training form's fields, each named as in the API."""
    for name, value in values.items():
        field = console.page.locator(f'#train [data-pointer$="/{name}"]')
        if field.evaluate("field => field.tagName") == "SELECT":
            field.select_option(label=str(value))
        else:
            field.fill(str(value))


def open_training(console: Console) -> None:
    console.open("training")
    expect(console.page.locator('#train [data-pointer="/seed"]')).to_be_visible()


def test_the_form_has_what_the_api_takes(visit: Callable[..., Page], service: Service) -> None:
    schemas = service.http.get("/openapi.json").json()["components"]["schemas"]
    console = Console(visit("/#catalog=class&tab=training"))
    for trainer, schema in (
        ("gradient_descent", "GradientDescentOptions"),
        ("mixed_effects", "MixedEffectsOptions"),
    ):
        console.page.select_option("#trainer", trainer)
        for name, option in schemas[schema]["properties"].items():
            field = console.page.locator(f'#train [data-pointer="/options/{name}"]')
            expect(field).to_be_visible()
            assert json.loads(field.input_value()) == option["default"]


def test_a_curve_grows_step_by_step_to_its_end(
    visit: Callable[..., Page], keep: Callable[[Page, str], None], own_class: str
) -> None:
    console = Console(visit(f"/#catalog={own_class}"))
    open_training(console)
    fill(console, epochs=5000, seed=1)
    console.page.click("#start")
    console.wait_for_first_steps()
    seen = [console.steps()]
    while seen[-1] < 5000:
        console.page.wait_for_timeout(100)
        seen.append(console.steps())
    assert seen == sorted(seen)
    assert len(set(seen)) > 3
    expect(console.page.locator("#status")).to_contain_text("succeeded")
    expect(console.page.locator("#progress")).to_have_js_property("value", 5000)
    for name in ("losses", "heatmap", "scores", "scatter"):
        picture = console.page.locator(f'#pictures img[src*="/{name}.svg"]')
        picture.scroll_into_view_if_needed()
        expect(picture).to_have_js_property("complete", value=True)
        assert picture.evaluate("picture => picture.naturalWidth") > 100
    keep(console.page, "curve")


def test_a_training_is_cancelled(visit: Callable[..., Page], service: Service, own_class: str) -> None:
    console = Console(visit(f"/#catalog={own_class}"))
    open_training(console)
    fill(console, epochs=LONG)
    console.page.click("#start")
    console.wait_for_first_steps()
    console.page.click("#cancel")
    expect(console.page.locator("#status")).to_contain_text("cancelled")
    assert console.steps() < LONG
    newest = service.http.get(f"/v1/catalogs/{own_class}/trainings?limit=1").json()["items"][0]
    assert newest["status"] == "cancelled"
    expect(console.page.locator("#trainings tbody tr").first).to_contain_text("cancelled")
    expect(console.page.locator("#start")).to_be_enabled()


def test_another_training_is_promoted_and_its_scores_are_shown(
    visit: Callable[..., Page], service: Service, own_class: str
) -> None:
    first = service.http.get(f"/v1/catalogs/{own_class}").json()["serving"]
    second = train(service, own_class, trainer="gradient_descent", seed=1, serve=False)
    console = Console(visit(f"/#catalog={own_class}"))
    console.wait_for_score("0", "m0", 0.70)
    open_training(console)
    console.page.click(f'.promote[data-training="{second}"]')
    expect(console.page.locator("#status")).to_contain_text(f"training {second} serves")
    assert service.http.get(f"/v1/catalogs/{own_class}").json()["serving"] == second
    expect(console.page.locator(f'.promote[data-training="{second}"]')).to_be_disabled()
    expect(console.page.locator(f'.promote[data-training="{first}"]')).to_be_enabled()
    console.open("scores")
    scores = service.http.get(f"/v1/catalogs/{own_class}/users/0/scores").json()
    assert scores["training"] == second
    for score in scores["scores"]:
        console.wait_for_score("0", score["movie"], score["score"])


def test_two_trainings_are_compared(
    visit: Callable[..., Page], keep: Callable[[Page, str], None], service: Service, own_class: str
) -> None:
    trained = [
        train(
            service, own_class, trainer="gradient_descent", seed=seed, options={"epochs": epochs}, serve=False
        )
        for seed, epochs in ((11, 500), (12, 700))
    ]
    console = Console(visit(f"/#catalog={own_class}"))
    open_training(console)
    for training in trained:
        console.page.get_by_label(f"compare training {training}").check()
    compared = console.page.locator("#compare")
    expect(compared).to_be_visible()
    for name, values in (("epochs", ("500", "700")), ("seed", ("11", "12")), ("steps", ("500", "700"))):
        line = compared.get_by_role("row").filter(
            has=console.page.get_by_role("rowheader", name=name, exact=True)
        )
        expect(line.get_by_role("cell")).to_have_text(list(values))
    expect(console.page.locator("#compare-curve")).to_have_attribute("data-steps", "500")
    keep(console.page, "compared")
