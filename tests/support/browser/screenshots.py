"""README's pictures of the console, made anew: docs/images/scores.png and training.png.

    python -m tests.support.browser.screenshots

Does not know what README says of them.
"""

import tempfile
from pathlib import Path

from playwright.sync_api import Browser, ViewportSize, expect, sync_playwright

from app.cli.demo import SEED
from testbed.catalogs import EVERYTHING, load_class_trained
from testbed.chromium import launch
from testbed.live import Service, serving
from tests.support.browser.views import Console
from tests.support.documents.checkout import ROOT

IMAGES = ROOT / "docs/images"
LARGEST = 100 * 1024  # bytes
_SCORES: ViewportSize = {"width": 960, "height": 512}
_TRAINING: ViewportSize = {"width": 960, "height": 584}


def main() -> None:
    """Write both."""
    IMAGES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder), EVERYTHING) as service,
        sync_playwright() as playwright,
    ):
        load_class_trained(service, "class")
        browser = launch(playwright)
        _write(_scores(browser, service), "scores")
        _write(_training(browser, service), "training")
        browser.close()


def _scores(browser: Browser, service: Service) -> Console:
    """The class's responses and scores."""
    console = Console(browser.new_page(base_url=service.url, viewport=_SCORES))
    console.page.goto("/#catalog=class")
    console.wait_for_score("0", "m0", 0.70)
    return console


def _training(browser: Browser, service: Service) -> Console:
    """The class's training, its curve drawn."""
    console = Console(browser.new_page(base_url=service.url, viewport=_TRAINING))
    console.page.goto("/#catalog=class")
    console.open("training")
    console.page.fill('#train [data-pointer="/seed"]', str(SEED))
    console.page.click("#start")
    expect(console.page.locator("#curve")).to_have_attribute("data-steps", "1000")
    return console


def _write(console: Console, name: str) -> None:
    picture = console.page.screenshot()
    if len(picture) > LARGEST:
        raise SystemExit(f"{name}.png would have {len(picture):,} bytes; README's pictures have {LARGEST:,}")
    (IMAGES / f"{name}.png").write_bytes(picture)


if __name__ == "__main__":
    main()
