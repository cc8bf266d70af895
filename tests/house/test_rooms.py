"""Rooms that one can find one's way in: few files each, and a list of them at the door."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.support.documents.checkout import ROOT

MOST = 14  # modules in a folder, beside its __init__.py
ROOMS = sorted(
    path.parent
    for part in ("app", "models")
    for path in (ROOT / part).rglob("__init__.py")
    if path.stat().st_size
)
rooms = pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(ROOT)))


def test_no_folder_has_more_files_than_are_seen_at_a_glance() -> None:
    counts = Counter(
        path.parent
        for part in ("app", "models", "tests", "testbed", "benchmarks")
        for path in (ROOT / part).rglob("*.py")
        if path.name != "__init__.py"
    )
    assert {folder: count for folder, count in counts.items() if count > MOST} == {}


@rooms
def test_a_room_says_what_it_is_for_and_lists_its_files(room: Path) -> None:
    tree = ast.parse((room / "__init__.py").read_text())
    listed = re.findall(r"^ *([a-z_0-9]+(?:\.py|/)) +\S", ast.get_docstring(tree) or "", re.MULTILINE)
    files = [path.name for path in room.glob("*.py") if path.name != "__init__.py"]
    # Where files were moved away, git leaves their folders with what Python compiled.
    folders = {
        f"{path.relative_to(room).parts[0]}/"
        for path in room.rglob("*/*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert sorted(listed) == sorted([*files, *folders])


@pytest.mark.parametrize(
    "room", [room for room in ROOMS if room != ROOT / "app"], ids=lambda room: str(room.relative_to(ROOT))
)
def test_a_room_holds_no_code_but_in_its_files(room: Path) -> None:
    """Only `app` does, which brings structlog in before any of its modules does."""
    assert len(ast.parse((room / "__init__.py").read_text()).body) == 1
