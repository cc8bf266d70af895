"""Every document is readable as text: short lines, commands that can be copied, links that lead somewhere."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.documents.checkout import ROOT

WIDTH = 120
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)|^\[[\w-]+\]: (\S+)", re.MULTILINE)
_FILE = re.compile(
    r"`((?:app|models|migrations|tests|benchmarks|testbed|deploy|docs)/[\w./*-]*?)(?=[`<:]|\.\w+\()"
)
_SHELLS = {"sh", "bash", "console", "powershell", "shell"}


def tracked() -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [ROOT / name for name in names.splitlines() if (ROOT / name).is_file()]


HISTORY = {"CHANGELOG.md", "docs/experiments.md"}  # what they name may be gone
DOCUMENTS = [pytest.param(page, id=str(page.relative_to(ROOT))) for page in tracked()]


@pytest.mark.parametrize("page", DOCUMENTS)
def test_no_line_is_longer_than_a_screen_is_wide(page: Path) -> None:
    lines = enumerate(page.read_text().splitlines(), 1)
    assert [f"line {number}: {len(line)}" for number, line in lines if len(line) > WIDTH] == []


@pytest.mark.parametrize("page", DOCUMENTS)
def test_no_block_to_copy_has_a_prompt(page: Path) -> None:
    prompts = [
        line
        for kind, block in _BLOCK.findall(page.read_text())
        if kind in _SHELLS
        for line in block.splitlines()
        if re.match(r"[$>#%] |PS\b.*>", line) and not line.startswith("# ")
    ]
    assert prompts == []
    assert "```console" not in page.read_text(), "its answer stands in a block of its own"


@pytest.mark.parametrize("page", DOCUMENTS)
def test_every_link_within_the_documents_leads_somewhere(page: Path) -> None:
    assert list(_dead_links(page)) == []


@pytest.mark.parametrize("page", [page for page in DOCUMENTS if page.id not in HISTORY])
def test_every_file_that_is_named_exists(page: Path) -> None:
    names = _FILE.findall(_BLOCK.sub("", page.read_text()))
    assert [name for name in names if not any(ROOT.glob(name.rstrip("/")))] == []


def _dead_links(page: Path) -> Iterator[str]:
    prose = _BLOCK.sub("", page.read_text())
    for inline, reference in _LINK.findall(prose):
        link = inline or reference
        if re.match(r"\w+:", link):
            continue
        name, _, heading = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (
            heading
            and heading not in map(_anchor, re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE))
        ):
            yield link


def _anchor(heading: str) -> str:
    """Return the name that a heading gets in its page's address."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
