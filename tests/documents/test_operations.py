"""docs/operations.md is so: its commands run and print what is shown, and what it names is there."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from app.settings import Settings
from testbed.databases import empty_url
from testbed.live import free_port
from tests.support.documents.checkout import ROOT
from tests.support.documents.class_tour import Lecture, lecture
from tests.support.documents.console import Command, commands, comparable

PAGE = (ROOT / "docs" / "operations.md").read_text()
[WALK] = re.findall(r"^## From one file to several services\n.*?(?=^## )", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lecture]:
    with lecture(tmp_path_factory.mktemp("operations")) as room:
        yield room


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(one, id=f"{number} {one.line[:60]!r}")
        for number, one in enumerate(commands(PAGE.replace(WALK, "")))
    ],
)
def test_a_command_prints_what_is_shown(room: Lecture, command: Command) -> None:
    printed = room.run(command.line)
    if command.output:
        assert comparable(printed) == comparable(command.output)


@pytest.mark.sqlite  # from a file to a server, whichever the other tests run on
@pytest.mark.timeout(300)  # a Ray cluster starts, and three services
def test_the_walk_from_one_file_to_several_services_prints_what_is_shown(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "app.cli.main", "demo"],
        env={**os.environ, "LIKELY_DATABASE_URL": f"sqlite:///{tmp_path}/likely.db"},
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    named = {
        "postgresql://likely@localhost/likely": empty_url("likely_walk"),
        "localhost:8001": f"localhost:{(first := free_port())}",
        "localhost:8002": f"localhost:{(second := free_port())}",
        "--port 8001": f"--port {first}",
        "--port 8002": f"--port {second}",
    }
    with shell(tmp_path) as run:
        for command in commands(WALK):
            printed = run(_renamed(command.line, named))
            if command.output:
                assert comparable(printed) == comparable(_renamed(command.output, named)), command.line


def _renamed(text: str, named: Mapping[str, str]) -> str:
    for shown, real in named.items():
        text = text.replace(shown, real)
    return text


@contextmanager
def shell(folder: Path) -> Iterator[Callable[[str], str]]:
    """Have one shell for commands that belong together; what they leave running ends with it."""
    (folder / ".curlrc").write_text("silent\nshow-error\n")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("LIKELY_")},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "CURL_HOME": str(folder),
        "LIKELY_COMPUTE_PROCESSES": "0",  # nobody computes or draws here, and each takes seconds to start
        "LIKELY_DRAWING_PROCESSES": "0",
    }
    with subprocess.Popen(
        ["bash"], cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def run(line: str) -> str:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{line}\ncode=$?; echo; echo ended $code\n")
            process.stdin.flush()
            printed: list[str] = []
            while not (said := process.stdout.readline()).startswith("ended "):
                assert said, f"the shell ended: {line}"
                printed.append(said)
            assert said == "ended 0\n", f"{line}\n{''.join(printed)}"
            return "".join(printed).strip()

        try:
            yield run
        finally:
            process.communicate("kill $(jobs -p) 2> /dev/null; wait\n")


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
