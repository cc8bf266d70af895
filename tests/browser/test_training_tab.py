"""Training: a form out of the API's schema, a curve that grows, trainings to cancel, promote and compare."""

import base64
import json
from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from testbed.catalogs import train
from testbed.live import Service
from tests.support.browser.views import Console
from tests.support.browser.watch import Watch

_PIXELS = """async (shown, source) => {
  const image = source === null ? shown : new Image();
  if (source !== null) image.src = source;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  canvas.getContext("2d").drawImage(image, 0, 0);
  return canvas.toDataURL();
}"""
LONG = 100_000  # epochs: by Adam many seconds of training, of which somebody sees the beginning


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


def picture(console: Console, name: str) -> Locator:
    """One of the pictures that a training has: its link says which, for the picture itself is a blob."""
    return console.page.locator(f'#pictures a[href*="/{name}.svg"] img')


def pixels(locator: Locator, source: str | None = None) -> str:
    """What a picture shows, as a data URL of a PNG; with a source, what that would show in its place."""
    pixels: str = locator.evaluate(_PIXELS, source)
    return pixels


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
    fill(console, epochs=3000, seed=1, optimizer="adam")
    console.page.click("#start")
    console.wait_for_first_steps()
    seen = [console.steps()]
    while seen[-1] < 3000:
        console.page.wait_for_timeout(100)
        seen.append(console.steps())
    assert seen == sorted(seen)
    assert len(set(seen)) > 3
    expect(console.page.locator("#status")).to_contain_text("succeeded")
    expect(console.page.locator("#progress")).to_have_js_property("value", 3000)
    for name in ("losses", "heatmap", "scores", "scatter"):
        samples = picture(console, name)
        expect(samples).not_to_have_js_property("naturalWidth", value=0)
        assert samples.evaluate("picture => picture.naturalWidth") > 100
    keep(console.page, "curve")


def test_a_training_is_cancelled(visit: Callable[..., Page], service: Service, own_class: str) -> None:
    console = Console(visit(f"/#catalog={own_class}"))
    open_training(console)
    fill(console, epochs=LONG, optimizer="adam")
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
    comparison = console.page.locator("#compare")
    expect(comparison).to_be_visible()
    for name, values in (("epochs", ("500", "700")), ("seed", ("11", "12")), ("steps", ("500", "700"))):
        line = comparison.get_by_role("row").filter(
            has=console.page.get_by_role("rowheader", name=name, exact=True)
        )
        expect(line.get_by_role("cell")).to_have_text(list(values))
    expect(console.page.locator("#compare-curve")).to_have_attribute("data-steps", "500")
    keep(console.page, "compared")


def test_the_pictures_are_drawn_anew_after_a_response(
    visit: Callable[..., Page], keep: Callable[[Page, str], None], service: Service, own_class: str
) -> None:
    def show() -> str:
        """Show the training's scores, see that they are the service's, and return their pixels."""
        open_training(console)
        console.page.get_by_label(f"show training {training}").click()
        samples = picture(console, "scores")
        expect(samples).not_to_have_js_property("naturalWidth", value=0)
        current = service.http.get(f"/v1/catalogs/{own_class}/plots/scores.svg?training={training}").content
        output = pixels(samples)
        assert output == pixels(samples, f"data:image/svg+xml;base64,{base64.b64encode(current).decode()}")
        return output

    training = service.http.get(f"/v1/catalogs/{own_class}").json()["serving"]
    console = Console(visit(f"/#catalog={own_class}"))
    before = show()
    console.open("scores")
    console.answer("0", "m0", 0)
    after = show()
    keep(console.page, "after")
    assert after != before


def test_where_no_picture_can_be_drawn_the_services_words_say_why_and_are_asked_for_once(
    visit: Callable[..., Page], service: Service, watch: Watch, own_class: str
) -> None:
    console = Console(visit(f"/#catalog={own_class}"))
    open_training(console)
    training = service.http.get(f"/v1/catalogs/{own_class}").json()["serving"]
    service.http.delete(f"/v1/catalogs/{own_class}").raise_for_status()
    console.page.get_by_label(f"show training {training}").click()
    path = f"/v1/catalogs/{own_class}/plots/heatmap.svg?training={training}"
    why = service.http.get(path).json()["detail"]
    expect(console.page.locator("#pictures-body")).to_contain_text(f"No picture: {why}")
    expect(picture(console, "heatmap")).to_have_count(0)
    assert watch.take_refusals().count(f"404 GET {path}") == 1
