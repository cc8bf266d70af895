"""README and the pages beside it: every command prints what is shown, every list is as the code has it."""

import re
from collections.abc import Iterator

import pytest

from app.main import create_app
from app.settings import Settings
from tests.support.browser.screenshots import LARGEST
from tests.support.documents.checkout import Checkout, fresh_checkout
from tests.support.documents.class_tour import Lecture, lecture
from tests.support.documents.console import Command, commands, comparable
from tests.support.documents.readme import LISTS, PAGES, README, lists, with_list

LINES = 250


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    with fresh_checkout() as checkout:
        yield checkout


@pytest.mark.timeout(900)  # the first sets up an environment, as a new user's first command does
@pytest.mark.parametrize(
    "command",
    [
        pytest.param(command, id=f"{number} {command.line[:60]!r}")
        for number, command in enumerate(commands(README.read_text()))
    ],
)
def test_a_command_prints_what_readme_shows(checkout: Checkout, command: Command) -> None:
    printed = checkout.run(command.line)
    if command.output:
        assert comparable(printed) == comparable(command.output), "make readme"


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lecture]:
    with lecture(tmp_path_factory.mktemp("pages")) as room:
        yield room


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(command, id=f"{name} {number} {command.line[:60]!r}")
        for name, page in PAGES.items()
        for number, command in enumerate(commands(page.read_text()))
    ],
)
def test_a_command_prints_what_its_page_shows(room: Lecture, command: Command) -> None:
    printed = room.run(command.line)
    if command.output:
        assert comparable(printed) == comparable(command.output), "make readme"


def test_readme_is_short_and_shows_two_small_pictures() -> None:
    text = README.read_text()
    assert len(text.splitlines()) < LINES
    pictures = re.findall(r"^\[\w+\]: (\S+\.png)", text, re.MULTILINE)
    assert len(pictures) == len(re.findall(r"!\[", text)) == 2
    assert all(0 < (README.parent / picture).stat().st_size <= LARGEST for picture in pictures)


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_as_the_code_has_it(settings: Settings, name: str) -> None:
    page = LISTS[name].read_text()
    assert with_list(page, name, lists(create_app(settings))[name]) == page, "make readme"
