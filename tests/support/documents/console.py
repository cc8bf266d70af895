"""The commands of a page, and the answers shown below them.

    ```sh
    a command, in as many lines as it has
    ```

    ```text
    what it prints
    ```

A block is copied as it stands, so it has no prompts. It may have several commands; the answer, the block that
follows with only an empty line between, is the last one's. JSON is shown in lines that fit the page. A block
below `<!-- not executed: why -->` is left alone. Does not know which pages there are.
"""

import json
import re
import shlex
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

WIDTH = 110  # of an answer in JSON, in characters

_BLOCK = re.compile(
    r"(?P<skipped>^<!-- not executed: [^>]+ -->\n)?"
    r"^```sh\n(?P<script>(?:(?!```$).*\n)*)```\n"
    r"(?:\n```(?P<kind>json|text)\n(?P<answer>(?:(?!```$).*\n)*)```\n)?",
    re.MULTILINE,
)
_STRING_OR_SPACE = re.compile(r'("(?:\\.|[^"\\])*")|\s+')


@dataclass(frozen=True)
class Command:
    """A command, and the output shown below it, "" if none is shown."""

    line: str
    output: str


def commands(page: str) -> list[Command]:
    """Return the commands of a page that are executed, in order."""
    return [command for block in _BLOCK.finditer(page) for command in _commands(block)]


def with_outputs(page: str, printed: Callable[[Command], str]) -> str:
    """Return a page whose answers are what ``printed`` returns for each command, where they differ."""

    def rewritten(block: re.Match[str]) -> str:
        outputs = [(command, printed(command)) for command in _commands(block)]
        if block["kind"] is None or not outputs:
            return block[0]
        command, output = outputs[-1]
        if comparable(output) == comparable(command.output):
            return block[0]
        start, end = block.start("answer") - block.start(), block.end("answer") - block.start()
        return f"{block[0][:start]}{laid_out(output)}\n{block[0][end:]}"

    return _BLOCK.sub(rewritten, page)


def run(line: str, port: int, folder: Path, environment: Mapping[str, str]) -> str:
    """Run a command of a page with the service at ``port``; raises if it fails."""
    (folder / ".curlrc").write_text("silent\nshow-error\n")
    process = subprocess.run(
        ["bash", "-c", line.replace("localhost:8000", f"localhost:{port}")],
        cwd=folder,
        env={**environment, "CURL_HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if process.returncode:
        raise AssertionError(f"{line}\n{process.stdout}{process.stderr}")
    return process.stdout.strip()


def comparable(output: str) -> str:
    """Return an output without what differs from run to run, and numbers only as far as CPUs agree."""
    output = re.sub(r"-?\d+\.\d{6,}", lambda number: f"{float(number[0]):.5g}", output)
    output = re.sub(r'"\d{4}-\d\d-\d\dT[^"]*"', '"a time"', output)
    output = re.sub(r'"request_id": ?"[^"]*"', '"request_id": "an id"', output)
    output = re.sub(r"(SQLite|PostgreSQL) [\d.]+", r"\1", output)
    return _STRING_OR_SPACE.sub(r"\1", output) if _is_json(output) else output


def laid_out(output: str) -> str:
    """Return JSON in lines of at most ``WIDTH`` characters where it can be broken; other text as it is."""
    if not _is_json(output) or max(map(len, output.splitlines())) <= WIDTH:
        return output
    return _json_lines(json.loads(output, parse_float=_Number, parse_int=_Number), "", WIDTH)


class _Number(str):
    """A number that is written again as it was read."""

    __slots__ = ()


def _is_json(output: str) -> bool:
    if not output.startswith(("{", "[")):
        return False
    try:
        json.loads(output)
    except ValueError:
        return False
    return True


def _json_lines(value: object, indent: str, width: int) -> str:
    """Return a value in one line, or, where that is too long, several of its members in each line."""
    if isinstance(value, dict):
        brackets = "{}"
        members = [(f"{json.dumps(name, ensure_ascii=False)}: ", member) for name, member in value.items()]
    elif isinstance(value, list):
        brackets, members = "[]", [("", member) for member in value]
    else:
        return str(value) if isinstance(value, _Number) else json.dumps(value, ensure_ascii=False)
    flat = [name + _json_lines(member, "", 1 << 30) for name, member in members]
    if len(one_line := f"{brackets[0]}{', '.join(flat)}{brackets[1]}") + len(indent) < width:
        return one_line
    inner = f"{indent}  "
    lines = [inner]
    for (name, member), text in zip(members, flat, strict=True):
        room = width - len(inner) - 1
        whole = text if len(text) < room else name + _json_lines(member, inner, width - len(name))
        if lines[-1] != inner and ("\n" in whole or len(lines[-1]) + len(whole) + 2 > width):
            lines.append(inner)
        lines[-1] += f"{whole}, "
        if "\n" in whole:
            lines.append(inner)
    body = "\n".join(line.rstrip() for line in lines if line.strip())
    return f"{brackets[0]}\n{body.removesuffix(',')}\n{indent}{brackets[1]}"


def _commands(block: re.Match[str]) -> list[Command]:
    lines = [] if block["skipped"] else split(block["script"])
    answer = (block["answer"] or "").strip()
    return [Command(line, answer if number == len(lines) else "") for number, line in enumerate(lines, 1)]


def split(script: str) -> list[str]:
    """Return a script's commands: lines, joined while a quotation or a backslash is open."""
    commands: list[str] = []
    rest = ""
    for line in script.splitlines():
        rest += line
        try:
            shlex.split(rest)
        except ValueError:
            rest += "\n"
            continue
        if rest.strip() and not rest.startswith("#"):
            commands.append(rest)
        rest = ""
    if rest:
        raise ValueError(f"a quotation has no end: {rest}")
    return commands
