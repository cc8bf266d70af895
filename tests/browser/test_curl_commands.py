"""The curl commands on the page: each runs as it stands, and gives what the page shows."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from testbed.live import Service
from tests.support.browser.views import Console, number_in


def commands(console: Console, place: str) -> list[str]:
    """The commands that a panel shows."""
    code = console.page.locator(f"{place} code")
    expect(code).to_contain_text("curl")
    return re.split(r"\n(?=curl )", code.inner_text())


def run(command: str, folder: Path) -> Any:  # noqa: ANN401 - JSON
    """Run a command in a shell, as somebody does who has copied it."""
    asked = command.replace("curl ", "curl --silent --show-error --fail-with-body ", 1)
    outcome = subprocess.run(
        ["bash", "-c", asked], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert outcome.returncode == 0, f"{command}\n{outcome.stdout}{outcome.stderr}"
    return json.loads(outcome.stdout) if outcome.stdout.startswith(("{", "[")) else outcome.stdout


def test_the_grids_commands_answer_and_score_as_it_does(
    visit: Callable[..., Page], service: Service, own_class: str, tmp_path: Path
) -> None:
    console = Console(visit(f"/#catalog={own_class}"))
    console.wait_for_score("0", "m2", 0.47)
    console.answer("0", "m2", 1)
    expect(console.page.locator("#scores-curl code")).to_contain_text("-X PUT")
    answer, scores = commands(console, "#scores-curl")
    assert run(answer, tmp_path)["response"] == 1
    for score in run(scores, tmp_path)["scores"]:
        console.wait_for_score("0", score["movie"], score["score"])

    console.answer("0", "m2", None)
    expect(console.page.locator("#scores-curl code")).to_contain_text("-X DELETE")
    delete, _ = commands(console, "#scores-curl")
    path = f"/v1/catalogs/{own_class}/users/0/responses"
    service.http.put(f"{path}/m2", json={"response": 1}).raise_for_status()
    run(delete, tmp_path)
    assert [item["movie"] for item in service.http.get(path).json()["items"]] == ["m0", "m1"]


def test_the_explanations_command_gives_its_logit(visit: Callable[..., Page], tmp_path: Path) -> None:
    console = Console(visit("/#catalog=class"))
    console.score("1", "m1").click()
    [explain] = commands(console, "#explanation-curl")
    logit = run(explain, tmp_path)["scores"][0]["logit"]
    assert console.terms()[-1] == pytest.approx(logit, abs=6e-5)


def test_the_trainings_commands_train_alike_and_stream_the_curve(
    visit: Callable[..., Page], own_class: str, tmp_path: Path
) -> None:
    console = Console(visit(f"/#catalog={own_class}&tab=training"))
    console.page.fill('#train [data-pointer="/seed"]', "6789")
    console.page.click("#start")
    expect(console.page.locator("#curve")).to_have_attribute("data-steps", "1000")
    steps = console.page.locator("#steps").inner_text()
    start, watch = commands(console, "#training-curl")
    assert run(start, tmp_path)["seed"] == 6789
    events = run(watch, tmp_path)
    assert events.count("event: step") == 1000
    loss = re.findall(r'"loss":([\d.]+)', events)[999]
    assert f"{float(loss):.4f}" in steps


def test_who_am_is_command_gives_the_recommendations(visit: Callable[..., Page], tmp_path: Path) -> None:
    console = Console(visit("/#catalog=class&tab=whoami"))
    for _ in range(3):
        movie = console.page.locator("#question").get_attribute("data-movie") or ""
        console.page.click('#whoami [data-answer="1"]')
        expect(console.page.locator("#question")).not_to_have_attribute("data-movie", movie)
    output = console.page.locator("#recommendations strong")
    expect(output).to_have_count(3)
    [preview] = commands(console, "#whoami-curl")
    scores = sorted((score["score"] for score in run(preview, tmp_path)["scores"]), reverse=True)
    assert output.all_inner_texts() == [f"{score:.2f}" for score in scores]


@pytest.mark.parametrize("form", ["gradient", "neuron"])
def test_a_computations_command_gives_its_answer(
    visit: Callable[..., Page], tmp_path: Path, form: str
) -> None:
    console = Console(visit("/#catalog=class&tab=compute"))
    console.page.click(f"#{form} .run")
    output = number_in(console.page.locator(f"#{form} .answer .value"))
    [compute] = commands(console, f"#{form}-curl")
    answer = run(compute, tmp_path)
    assert answer["value" if form == "gradient" else "output"] == pytest.approx(output, rel=1e-6)


def test_the_networks_command_streams_as_many_epochs(visit: Callable[..., Page], tmp_path: Path) -> None:
    console = Console(visit("/#catalog=class&tab=compute"))
    console.page.click("#mlp .run")
    expect(console.page.locator("#mlp canvas.curve")).to_have_attribute("data-steps", "1000")
    [compute] = commands(console, "#mlp-curl")
    assert run(compute, tmp_path).count("event: epoch") == 1000


def test_copy_puts_the_commands_on_the_clipboard(visit: Callable[..., Page]) -> None:
    console = Console(visit("/#catalog=class", permissions=["clipboard-read", "clipboard-write"]))
    console.wait_for_score("0", "m0", 0.70)
    console.page.click("#scores-curl .copy")
    expect(console.page.locator("#scores-curl [role=status]")).to_have_text("copied")
    copied = console.page.evaluate("navigator.clipboard.readText()")
    assert copied == console.page.locator("#scores-curl code").inner_text()
