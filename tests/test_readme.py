"""What README says is so: every command runs and prints what is shown, every list is complete."""

import re
import subprocess
from collections.abc import Iterator

import pytest
from fastapi import FastAPI

from app.main import create_app
from app.settings import Settings
from tests.readme import README, ROOT, Checkout, Command, commands, comparable, fresh_checkout


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    with fresh_checkout() as checkout:
        yield checkout


@pytest.mark.timeout(900)  # the first sets up an environment, as a new user's first command does
@pytest.mark.parametrize("command", commands(), ids=lambda command: command.line[:60])
def test_a_command_prints_what_readme_shows(checkout: Checkout, command: Command) -> None:
    printed = checkout.run(command.line)
    if command.output:
        assert comparable(printed) == comparable(command.output)


def test_readme_lists_every_setting_with_its_default() -> None:
    rows = {
        cells[0].strip("` "): cells[1].strip("` ")
        for line in README.read_text().splitlines()
        if line.startswith("| `LIKELY_")
        for cells in [line.strip("|").split("|")]
    }
    expected = {
        f"LIKELY_{name.upper()}": "cores less one" if field.default_factory else str(field.default)
        for name, field in Settings.model_fields.items()
    }
    assert rows == expected


def test_readme_lists_every_request(settings: Settings) -> None:
    listed = set(re.findall(r"^\| `([A-Z]+) (/\S*)`", README.read_text(), flags=re.MULTILINE))
    assert listed == set(_requests(create_app(settings)))


def _requests(app: FastAPI) -> Iterator[tuple[str, str]]:
    for path, operations in app.openapi()["paths"].items():
        for method in operations:
            yield method.upper(), path.removeprefix("/v1")


def test_readmes_tree_names_every_file_and_no_other() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, check=True, text=True)
    expected = {line for line in tracked.stdout.split() if not line.startswith("docs/decisions/")}
    assert set(_tree()) == expected | {"docs/decisions/"}


def _tree() -> Iterator[str]:
    [block] = re.findall(r"^```text\n(.*?)^```$", README.read_text(), flags=re.MULTILINE | re.DOTALL)
    folders: list[str] = []
    for line in block.splitlines():
        depth, name = (len(line) - len(line.lstrip())) // 2, line.split()[0]
        del folders[depth:]
        if name.endswith("/") and name != "decisions/":
            folders.append(name)
        else:
            yield "".join([*folders, name])
