"""README.md: its commands with the outputs shown, and its lists as they ought to be.

`make readme` writes both into README.md as they are now.
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from fastapi import FastAPI

from app.settings import Settings
from tests.support.checkout import ROOT, fresh_checkout
from tests.support.console import Command, with_outputs

README = ROOT / "README.md"

_LISTS = {
    "requests": re.compile(r"^\| request \|.*\n(?:\|.*\n)+", re.MULTILINE),
    "settings": re.compile(r"^\| variable \|.*\n(?:\|.*\n)+", re.MULTILINE),
    "tree": re.compile(r"^```text\n(?:.*\n)*?```\n", re.MULTILINE),
}

# Files without a docstring of their own, and folders that are listed as a whole.
_SAID = {
    ".ci/run": "the whole check on a bare machine",
    ".dockerignore": "what an image leaves out",
    ".gitignore": "what git leaves alone",
    "CHANGELOG.md": "what a user notices",
    "CONTRIBUTING.md": "how to work here",
    "Dockerfile": "an image that serves",
    "Makefile": "run, test, and the rest; `make` lists them",
    "README.md": "this page",
    "app/pages/icon.svg": "the sign in the browser's tab",
    "app/pages/index.html": "the page: its header, tabs, panels and forms, still without data",
    "benchmarks/speed/requests.lua": "what wrk asks: the lines of a file, around and around",
    "benchmarks/accuracy/environments/": "pins of the peers that need an environment of their own",
    "compose.yaml": "PostgreSQL, two web services and a worker",
    "constraints.txt": "the exact version of every package",
    "deploy/alerts.yaml": "what Prometheus alerts on",
    "deploy/grafana.json": "a dashboard for Grafana",
    "docs/accuracy.md": "how good the scores are, beside other libraries",
    "docs/architecture.md": "how the pieces fit",
    "docs/promises.md": "what the service promises, and which test tries to break it",
    "docs/track-record.md": "what was tried to break the promises, how often, and what came out",
    "docs/benchmarks.md": "how fast the service is, beside what a user would pick instead",
    "docs/class-tour.md": "the class notebook with curl, cell by cell",
    "docs/decisions/": "why it is so, a page each",
    "docs/images/": "the console, as this page shows it: `python -m tests.browser.screenshots`",
    "docs/experiments.md": "what was tried, with its figures",
    "docs/mathematics.md": "what is computed",
    "docs/operations.md": "running it: what to watch, size, upgrade, back up, and what to do when it fails",
    "migrations/script.py.mako": "what a new revision starts from",
    "pyproject.toml": "the distribution, its dependencies with reasons, all tools' settings",
}
_ORDER = ["models/", "app/", "migrations/", "tests/", "benchmarks/", "deploy/", "docs/", ".ci/"]


def shown_lists() -> dict[str, str]:
    """Return the lists that README has."""
    return {name: "".join(pattern.findall(README.read_text())) for name, pattern in _LISTS.items()}


def true_lists(app: FastAPI) -> dict[str, str]:
    """Return the lists as the code has them."""
    return {"requests": _requests(app), "settings": _settings(), "tree": _tree()}


def _requests(app: FastAPI) -> str:
    document = app.openapi()
    tags = [tag["name"] for tag in document["tags"]]
    result = [
        (tags.index(operation["tags"][0]), method.upper(), path.removeprefix("/v1"), operation["description"])
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    rows = ["| request | what it does |", "|---|---|"]
    for _, method, path, description in sorted(result, key=lambda item: item[0]):  # as /docs shows them
        first = description.split("\n\n")[0].replace("\n", " ")
        rows.append(f"| `{method} {path}` | {first} |")
    return "\n".join(rows) + "\n"


def _settings() -> str:
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = (
            "cores less one"
            if field.default_factory
            else f"`{field.default}`"
            if field.default not in ((), None)
            else "none"
        )
        rows.append(f"| `LIKELY_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows) + "\n"


def _tree() -> str:
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, check=True, text=True)
    names = sorted(listing.stdout.split(), key=_place)
    lines: list[str] = []
    above: list[str] = []
    for name in names:
        folders, file = [f"{part}/" for part in name.split("/")[:-1]], name.rsplit("/", 1)[-1]
        complete = next(
            (folder for folder in _SAID if folder.endswith("/") and name.startswith(folder)), None
        )
        if complete is not None:
            folders, file = folders[:-1], folders[-1]
        lines += _new_folders(above, folders)
        above = folders
        line = f"{'  ' * len(folders) + file:<34} {_said(complete or name)}"
        if line not in lines:
            lines.append(line)
    return "```text\n" + "\n".join(lines) + "\n```\n"


def _place(name: str) -> tuple[int, list[tuple[bool, str]]]:
    """Sort the folders as one reads them, files before folders within, single files last."""
    *folders, file = name.split("/")
    top = f"{folders[0]}/" if folders else ""
    parts = [(True, folder) for folder in folders[1:]] + [(False, file)]
    return (_ORDER.index(top) if top in _ORDER else len(_ORDER)), parts


def _new_folders(above: list[str], folders: list[str]) -> Iterator[str]:
    for depth, folder in enumerate(folders):
        if above[: depth + 1] != folders[: depth + 1]:
            yield "  " * depth + folder


def _said(name: str) -> str:
    if name in _SAID:
        return _SAID[name]
    text = (ROOT / name).read_text()
    if name.endswith((".js", ".css")):
        docstring = text.removeprefix("/**").removeprefix("/*").partition("*/")[0].strip()
    else:
        docstring = ast.get_docstring(ast.parse(text)) or ""
    first = docstring.split("\n\n")[0].replace("\n", " ")
    return re.split(r"(?<=[.:])\s+(?=[A-Z`])", first)[0].rstrip(".:")


def write(readme: Path = README) -> None:
    """Write the lists and the commands' outputs as they are now."""
    from app.main import create_app

    text = readme.read_text()
    for name, content in true_lists(create_app(Settings(database_url="sqlite:///unused.db"))).items():
        text = _LISTS[name].sub(lambda _, content=content: content, text)  # type: ignore[misc]
    with fresh_checkout() as checkout:

        def printed(command: Command) -> str:
            output = checkout.run(command.line)
            return output if command.output else ""  # where none is shown, none is wanted

        text = with_outputs(text, printed)
    readme.write_text(text)


if __name__ == "__main__":
    write()
