"""Commits that end their process; a boundary is named by the function of the application that commits.

Armed in a process of a harness, never in the application, by standing between SQLAlchemy and the driver. Does
not know what is committed.
"""

import ast
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from app.database.database import Database

if TYPE_CHECKING:
    from types import FrameType

_OPENING = {"writing", "writing_fenced", "commit"}
_DATABASE = {"database", "sqlite", "postgresql"}  # commit for all others, who are asked for
MIGRATION = "app.database.database.Database.migrate"


@dataclass(frozen=True)
class Armed:
    """A boundary, the side of its commit where the process is to die, and the file that is told before."""

    boundary: str
    side: Literal["before", "after"]
    told: Path

    def __str__(self) -> str:
        """Say where it is."""
        return f"{self.side} the commit of {self.boundary}"


def find_commits(folder: Path) -> list[str]:
    """Return the function of every place in a folder's modules that opens a writing transaction.

    One that opens two is there twice: which of them a failpoint reaches could not be said.
    """
    result: list[str] = []
    for file in sorted(folder.rglob("*.py")):
        if file.stem in _DATABASE:
            continue
        module = ".".join(file.relative_to(folder.parent).with_suffix("").parts)
        _find_commits(ast.parse(file.read_text()), module, result)
    return result


def _find_commits(node: ast.AST, name: str, result: list[str]) -> None:
    for child in ast.iter_child_nodes(node):
        inner = name
        if isinstance(child, ast.ClassDef):
            inner = f"{name}.{child.name}"
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            inner = f"{name}.<locals>.{child.name}" if inside else f"{name}.{child.name}"
        elif isinstance(child, ast.Attribute) and child.attr in _OPENING:
            result.append(name)
        _find_commits(child, inner, result)


def arm(armed: Armed) -> None:
    """Let this process die at the boundary."""
    commit = SQLiteDialect_pysqlite.do_commit

    def do_commit(dialect: SQLiteDialect_pysqlite, connection: Any) -> None:  # noqa: ANN401 - the DBAPI has no types
        here = _boundary() == armed.boundary
        if here and armed.side == "before":
            _die(armed)
        commit(dialect, connection)  # type: ignore[no-untyped-call]  # SQLAlchemy's own
        if here:
            _die(armed)

    SQLiteDialect_pysqlite.do_commit = do_commit  # type: ignore[method-assign, assignment]  # as SQLAlchemy calls it
    if armed.boundary == MIGRATION:
        _die_when_opened(armed)


def _die_when_opened(armed: Armed) -> None:
    """Die also where there was nothing to migrate: when what a crash left behind was read."""
    migrate = Database.migrate

    def migrate_and_die(database: Database, revision: str = "head") -> None:
        migrate(database, revision)
        _die(armed)

    Database.migrate = migrate_and_die  # type: ignore[method-assign, assignment]  # as a method is called


def _die(armed: Armed) -> None:
    armed.told.write_text(str(armed))
    os.kill(os.getpid(), signal.SIGKILL)


def _boundary() -> str:
    """Return the innermost function of the application, outside of app.database.database, that is running."""
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - the only way to a caller's name
    while frame is not None:
        module = str(frame.f_globals.get("__name__"))
        if module.startswith("app.") and module != "app.database.database":
            return f"{module}.{frame.f_code.co_qualname}"
        if frame.f_code.co_name == "migrate" and module == "app.database.database":
            return MIGRATION
        frame = frame.f_back
    return ""
