"""The console blocks of a page: commands, and the outputs shown below them.

    $ a command
    > its next line, where it has several
    what it prints

A command begins with `$ `; lines that follow it and begin with `> ` belong to it, as a shell shows them. So
no output that is shown may begin with `> `. Does not know which pages there are.
"""

import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^(?P<typed>\$ .*\n(?:>(?: .*)?\n)*)(?P<output>(?:(?!\$ ).*\n)*)", re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """A command, its lines without their prompts, and the output shown below it, "" if none is shown."""

    line: str
    output: str


def commands(page: str) -> list[Command]:
    """Return the commands of a page's console blocks, or of one such block, in order."""
    blocks = _BLOCK.findall(page)
    return [_command(result) for block in blocks for result in _COMMAND.finditer(block)]


def with_outputs(page: str, printed: Callable[[Command], str]) -> str:
    """Return a page that shows what ``printed`` says of each command, where it is not comparable already."""

    def one(result: re.Match[str]) -> str:
        command = _command(result)
        output = printed(command)
        if comparable(output) == comparable(command.output):
            return result[0]
        return result["typed"] + (output and f"{output}\n")

    return _BLOCK.sub(lambda block: _COMMAND.sub(one, block[0]), page)


def run(line: str, port: int, folder: Path, environment: Mapping[str, str]) -> str:
    """Run a command of a page with the service at ``port``; raises if it fails."""
    here = line.replace("localhost:8000", f"localhost:{port}")
    silent = here.replace("curl ", "curl --silent --show-error ", 1)
    outcome = subprocess.run(
        ["bash", "-c", silent],
        cwd=folder,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if outcome.returncode:
        raise AssertionError(f"{line}\n{outcome.stdout}{outcome.stderr}")
    return outcome.stdout.strip()


def comparable(output: str) -> str:
    """Return an output without what differs from run to run, and numbers only as far as CPUs agree."""
    output = re.sub(r"-?\d+\.\d{6,}", lambda number: f"{float(number[0]):.5g}", output)
    output = re.sub(r'"\d{4}-\d\d-\d\dT[^"]*"', '"a time"', output)
    output = re.sub(r'"request_id": ?"[^"]*"', '"request_id": "an id"', output)
    return re.sub(r"(SQLite|PostgreSQL) [\d.]+", r"\1", output)


def _command(result: re.Match[str]) -> Command:
    typed = re.sub(r"^[$>] ?", "", result["typed"].rstrip("\n"), flags=re.MULTILINE)
    return Command(typed, result["output"].strip())
