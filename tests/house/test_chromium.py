"""How the tests come by a browser: found, brought by root's apt-get, or asked for in one sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.chromium import NAMED, NONE_FOUND


def ask(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run what `make test` runs first, on a machine that has only the programs in a folder."""
    bare = {name: value for name, value in os.environ.items() if name not in {NAMED, "PATH"}}
    return subprocess.run(
        [sys.executable, "-m", "testbed.chromium"],
        env={**bare, "PATH": str(folder), "PLAYWRIGHT_BROWSERS_PATH": str(folder / "none"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def put_program(folder: Path, name: str, script: str = "") -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("name", ["chromium", "chromium-browser", "google-chrome"])
def test_a_browser_of_the_system_is_found(tmp_path: Path, name: str) -> None:
    put_program(tmp_path, name)
    answer = ask(tmp_path)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


def test_without_one_a_sentence_says_how_to_get_one(tmp_path: Path) -> None:
    put_program(tmp_path, "chromium-browser", "exit 1")  # Ubuntu's, where the snap is not installed
    answer = ask(tmp_path)
    assert answer.returncode == 1
    assert answer.stderr == f"{NONE_FOUND}\n"
    assert "apt-get install chromium" in NONE_FOUND
    assert "playwright install chromium" in NONE_FOUND


def test_one_that_is_named_is_taken_or_nothing(tmp_path: Path) -> None:
    put_program(tmp_path, "chromium")
    named = put_program(tmp_path, "mine")
    assert ask(tmp_path, **{NAMED: named}).returncode == 0
    missing = ask(tmp_path, **{NAMED: f"{named}-not"})
    assert missing.returncode == 1
    assert missing.stderr == f"{NAMED} names {named}-not, which does not start: name another, or none\n"


def test_roots_apt_get_brings_one_and_nobody_elses(tmp_path: Path) -> None:
    put_program(tmp_path, "apt-get", 'test "$1" = update || /bin/ln -s /bin/true "${0%/*}/chromium"')
    answer = ask(tmp_path)
    root = os.geteuid() == 0
    assert (tmp_path / "chromium").exists() == root
    said = "installing chromium, which the console is tested in\n"
    assert (answer.returncode, answer.stdout) == ((0, said) if root else (1, ""))
