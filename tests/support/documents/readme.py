"""README.md and the pages beside it: commands with the outputs shown, and lists as the code has them.

    python -m tests.support.documents.readme

writes both as they are now; `make readme` calls it. docs/class-tour.md has a program of its own.
"""

import tempfile
from itertools import groupby
from pathlib import Path

from fastapi import FastAPI

from app.settings import Settings
from testbed.documents import item, replaced
from tests.support.documents.checkout import ROOT, fresh_checkout
from tests.support.documents.class_tour import lecture
from tests.support.documents.console import with_outputs
from tests.support.documents.shell import Shell

README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = {name: DOCS / f"{name}.md" for name in ("scores", "command-line")}  # their commands run in this order
LISTS = {"requests": DOCS / "api.md", "settings": DOCS / "settings.md"}


def lists(app: FastAPI) -> dict[str, str]:
    """Return the lists as the code has them."""
    return {"requests": _requests(app), "settings": _settings()}


def with_list(page: str, name: str, content: str) -> str:
    """Return a page that shows ``content`` as the list of that name."""
    return replaced(page, {name: content})


def _requests(app: FastAPI) -> str:
    document = app.openapi()
    tags = [tag["name"] for tag in document["tags"]]
    operations = [
        (operation["tags"][0], method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    operations.sort(key=lambda row: tags.index(row[0]))  # as /docs shows them
    lines: list[str] = []
    for tag, rows in groupby(operations, key=lambda row: row[0]):
        lines += [f"## {tag.capitalize()}", ""]
        for _, method, path, operation in rows:
            scopes = [scope for security in operation.get("security", ()) for scope in security["key"]]
            summary = operation["description"].split("\n\n")[0].replace("\n", " ")
            scope = f" (`{scopes[0]}`)" if scopes else ""
            lines.append(item(f"`{method} {path.removeprefix('/v1')}`{scope}: {summary}"))
        lines.append("")
    return "\n".join(lines)


def _settings() -> str:
    lines = []
    for name, field in Settings.model_fields.items():
        if field.default_factory:
            default = "cores less one"
        elif field.default in ((), None):
            default = "none"
        else:
            default = f"`{field.default}`"
        lines.append(item(f"`LIKELY_{name.upper()}` ({default}): {field.description}"))
    return "\n".join(lines) + "\n"


def write() -> None:
    """Write the lists and the commands' outputs as they are now."""
    from app.main import create_app

    for name, content in lists(create_app(Settings(database_url="sqlite:///unused.db"))).items():
        page = LISTS[name]
        page.write_text(with_list(page.read_text(), name, content))
    with fresh_checkout() as checkout:
        _write_outputs(README, checkout)
    with tempfile.TemporaryDirectory() as folder, lecture(Path(folder)) as room:
        for page in PAGES.values():
            _write_outputs(page, room)


def _write_outputs(page: Path, shell: Shell) -> None:
    page.write_text(with_outputs(page.read_text(), lambda command: shell.run(command.line)))


if __name__ == "__main__":
    write()
