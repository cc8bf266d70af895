"""docs/operations.md is so: its commands run and print what is shown, and what it names is there."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from app.settings import Settings
from tests.checkout import ROOT
from tests.class_tour import Lecture, lecture
from tests.console import Command, commands, comparable

PAGE = (ROOT / "docs" / "operations.md").read_text()


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lecture]:
    with lecture(tmp_path_factory.mktemp("operations")) as room:
        yield room


@pytest.mark.parametrize(
    "command",
    [pytest.param(one, id=f"{number} {one.line[:60]}") for number, one in enumerate(commands(PAGE))],
)
def test_a_command_prints_what_is_shown(room: Lecture, command: Command) -> None:
    printed = room.run(command.line)
    if command.output:
        assert comparable(printed) == comparable(command.output)


def test_every_setting_that_is_named_is_there() -> None:
    known = {f"LIKELY_{name.upper()}" for name in Settings.model_fields}
    of_compose = set(re.findall(r"\$\{(LIKELY_\w+)", (ROOT / "compose.yaml").read_text()))
    assert set(re.findall(r"LIKELY_\w+", PAGE)) <= known | of_compose


def test_the_commands_for_containers_name_services_of_compose() -> None:
    services = set(yaml.safe_load((ROOT / "compose.yaml").read_text())["services"])
    blocks = "\n".join(re.findall(r"(?<=^```sh\n).*?(?=^```$)", PAGE, re.MULTILINE | re.DOTALL))
    assert "docker compose" in blocks
    named = re.findall(r"docker compose \w+ (?:-\S+ )*([a-z]\S*)", blocks)
    looped = re.findall(r"for service in ([^;]+);", blocks)
    assert {*named, *" ".join(looped).split()} <= services


def test_every_file_that_is_linked_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)", PAGE)
    assert [link for link in links if not (ROOT / "docs" / Path(link)).exists()] == []
