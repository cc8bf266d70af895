"""The compute tab: a gradient with its graph, a neuron's trace, a network's surface; all of it in the URL."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from testbed.live import Service
from tests.support.browser.views import Console, number_in, numbers
from tests.support.browser.watch import Watch


def test_a_gradient_is_shown_with_its_graph(
    visit: Callable[..., Page], keep: Callable[[Page, str], None], service: Service
) -> None:
    console = Console(visit("/#catalog=class"))
    form = console.open("compute").locator("#gradient")
    form.locator('[data-pointer="/expression"]').fill("w**3 + w**2")
    form.locator('[data-pointer="/variables"]').fill('{"w": 2.0}')
    form.locator(".run").click()
    answer = form.locator(".answer")
    assert number_in(answer.locator(".value")) == 12  # 2³ + 2²
    assert number_in(answer.get_by_role("row", name="∂/∂w").locator("td")) == 16  # 3 · 2² + 2 · 2
    body = {"expression": "w**3 + w**2", "variables": {"w": 2.0}, "graph": True}
    graph = service.http.post("/v1/compute/gradient", json=body).json()["graph"]
    expect(answer.locator("svg.graph .node")).to_have_count(len(graph["nodes"]))
    expect(answer.locator("svg.graph .edge")).to_have_count(len(graph["edges"]))
    keep(console.page, "gradient")


def test_a_neuron_is_traced_step_by_step(
    visit: Callable[..., Page], keep: Callable[[Page, str], None], service: Service
) -> None:
    console = Console(visit("/#catalog=class&tab=compute"))
    form = console.page.locator("#neuron")
    form.locator(".run").click()
    answer = form.locator(".answer")
    body = {"inputs": [2, -1, 3], "weights": [4, 2, -1], "trace": "all"}
    content = service.http.post("/v1/compute/neuron", json=body).json()
    assert number_in(answer.locator(".value")) == pytest.approx(content["output"], rel=1e-6)
    for epoch in content["trace"][:3]:
        expect(answer.locator(".formula")).to_contain_text(f"epoch {epoch['epoch']}:")
        output = numbers(answer.locator(".formula").inner_text())
        assert output[1] == pytest.approx(epoch["output"], rel=1e-6)
        assert output[-1] == pytest.approx(epoch["loss"], rel=1e-6)
        weights = [number_in(row.locator("td").last) for row in answer.locator("tbody tr").all()]
        assert weights == pytest.approx(epoch["weights"], rel=1e-6)
        answer.get_by_label("epoch after").click()
    keep(console.page, "neuron")


def test_a_network_shows_its_loss_while_it_trains_and_its_surface_at_the_end(
    visit: Callable[..., Page], keep: Callable[[Page, str], None], service: Service
) -> None:
    console = Console(visit("/#catalog=class&tab=compute"))
    form = console.page.locator("#mlp")
    form.locator('[data-pointer="/seed"]').fill("1")
    form.locator(".run").click()
    curve = form.locator(".answer canvas.curve")
    expect(curve).to_have_attribute("data-steps", "1000")
    body = {
        "layers": [2, 4, 4, 1],
        "inputs": [[1, 1], [0, 0], [2, -1], [-1, 0.5], [-0.5, -2]],
        "target_expression": "x1 * x2 + 1",
        "seed": 1,
    }
    content = service.http.post("/v1/compute/mlp", json=body).json()
    rows = form.locator(".answer table").first.locator("tbody tr")
    expect(rows).to_have_count(5)
    for row, prediction in zip(rows.all(), content["predictions"], strict=True):
        assert numbers(row.locator("td").last.inner_text()) == pytest.approx(prediction, abs=6e-5)
    expect(form.locator("canvas.surface")).to_be_visible()
    keep(console.page, "network")


def test_a_mistake_is_shown_at_its_field_in_the_services_words(
    visit: Callable[..., Page], service: Service, watch: Watch
) -> None:
    console = Console(visit("/#catalog=class&tab=compute"))
    form = console.page.locator("#gradient")
    field = form.locator('[data-pointer="/expression"]')
    field.fill("w**3 + v")
    form.locator(".run").click()
    problem = service.http.post(
        "/v1/compute/gradient", json={"expression": "w**3 + v", "variables": {"w": 2}}
    )
    expect(console.page.locator("#alert")).to_contain_text(problem.json()["detail"])
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    assert watch.take_refusals() == ["422 POST /v1/compute/gradient"]


def test_a_shared_link_shows_the_same_computation(visit: Callable[..., Page]) -> None:
    console = Console(visit("/#catalog=class&tab=compute"))
    form = console.page.locator("#gradient")
    form.locator('[data-pointer="/expression"]').fill("w * v")
    form.locator('[data-pointer="/variables"]').fill('{"w": 3.0, "v": 5.0}')
    form.locator(".run").click()
    expect(form.locator(".value")).to_have_text("15")

    other = Console(visit(console.page.url))
    expect(other.page.locator("#panel-compute")).to_be_visible()
    form = other.page.locator("#gradient")
    expect(form.locator('[data-pointer="/expression"]')).to_have_value("w * v")
    expect(form.locator(".value")).to_have_text("15")
