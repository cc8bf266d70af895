"""What README says is so: every command runs and prints what is shown, every list is as the code has it."""

import re
from collections.abc import Iterator

import pytest

from app.main import create_app
from app.settings import Settings
from tests.browser.screenshots import LARGEST
from tests.support.checkout import Checkout, fresh_checkout
from tests.support.console import Command, commands, comparable
from tests.support.readme import README, shown_lists, true_lists


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    with fresh_checkout() as checkout:
        yield checkout


@pytest.mark.timeout(900)  # the first sets up an environment, as a new user's first command does
@pytest.mark.parametrize(
    "command",
    [
        pytest.param(one, id=f"{number} {one.line[:60]}")
        for number, one in enumerate(commands(README.read_text()))
    ],
)
def test_a_command_prints_what_readme_shows(checkout: Checkout, command: Command) -> None:
    printed = checkout.run(command.line)
    if command.output:
        assert comparable(printed) == comparable(command.output)


def test_every_picture_is_here_and_small() -> None:
    pictures = re.findall(r"!\[[^]]+\]\((\S+)\)", README.read_text())
    assert len(pictures) == 2
    assert all(0 < (README.parent / picture).stat().st_size <= LARGEST for picture in pictures)


@pytest.mark.parametrize("name", ["requests", "settings", "tree"])
def test_a_list_is_as_the_code_has_it(settings: Settings, name: str) -> None:
    assert shown_lists()[name] == true_lists(create_app(settings))[name], "`make readme` writes it"
