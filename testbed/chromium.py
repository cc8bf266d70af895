"""The Chromium that shows the console to the tests: found, installed where that is easy, or asked for.

    python -m testbed.chromium    # what `make test` runs first

Does not know what is looked at in it.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Browser, Playwright, sync_playwright

NAMED = "LIKELY_TEST_CHROMIUM"
NONE_FOUND = (
    "the console is tested in a browser, and no Chromium is here that starts: install one "
    "(Debian: apt-get install chromium; elsewhere: .venv/bin/playwright install chromium), "
    f"or name one: {NAMED}=/path/to/chromium"
)
_NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
_APT = ("apt-get", "install", "-qq", "--yes", "--no-install-recommends", "chromium")


class NoChromiumError(Exception):
    """There is no Chromium here that starts; says how to get one."""


def find() -> str:
    """Return the path of a Chromium that starts: the one that is named, the system's, Playwright's.

    Raises NoChromiumError when there is none, or when the one that is named does not start.
    """
    answer = os.environ.get(NAMED)
    if answer is not None:
        if not _starts(answer):
            raise NoChromiumError(f"{NAMED} names {answer}, which does not start: name another, or none")
        return answer
    for path in map(shutil.which, _NAMES):
        if path is not None and _starts(path):
            return path
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    if _starts(own):
        return own
    raise NoChromiumError(NONE_FOUND)


def find_or_install() -> str:
    """Return the path of a Chromium that starts; root's apt-get may bring one.

    Raises NoChromiumError when there is none afterwards.
    """
    try:
        return find()
    except NoChromiumError:
        if NAMED in os.environ or os.geteuid() != 0 or not shutil.which("apt-get"):
            raise
    print("installing chromium, which the console is tested in", flush=True)  # noqa: T201 - takes a minute
    subprocess.run(("apt-get", "update", "-qq"), check=False)
    subprocess.run(_APT, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, check=False)
    return find()


def launch(playwright: Playwright) -> Browser:
    """Start a Chromium, without a window, for which there is no host but this machine.

    Raises NoChromiumError when there is none.
    """
    return playwright.chromium.launch(
        executable_path=find(),
        chromium_sandbox=os.geteuid() != 0,  # root's Chromium starts without it or not at all
        args=["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
    )


def _starts(path: str) -> bool:
    """Return whether a program is there and runs; Ubuntu's chromium-browser only says where to get one."""
    if not Path(path).exists():
        return False
    process = subprocess.run((path, "--version"), capture_output=True, check=False, timeout=60)
    return process.returncode == 0


def main() -> None:
    """Find or install one, and say so only when that fails."""
    try:
        find_or_install()
    except NoChromiumError as none:
        sys.exit(str(none))


if __name__ == "__main__":
    main()
