"""Processes that import as a web process has them beside it, and that die at a commit.

A program of its own: the application's, armed before it begins. Does not know what is imported.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from fastapi import FastAPI

from app.catalogs.imports.process import ImportLimits, main
from tests.faults.commits import Armed, arm

_ARMED = "FAULTS_ARMED"


@contextmanager
def dying_importers(app: FastAPI, armed: Armed) -> Iterator[None]:
    """Let the processes that the application starts to import die at the boundary."""
    pool = app.state.importing
    program = pool._program  # noqa: SLF001 - the application has no place to plant this
    os.environ[_ARMED] = json.dumps([armed.boundary, armed.side, str(armed.told)])
    pool._program = replace(program, module=__name__)  # noqa: SLF001 - likewise
    try:
        yield
    finally:
        pool._program = program  # noqa: SLF001 - likewise
        del os.environ[_ARMED]


def _arm() -> None:
    boundary, side, told = json.loads(os.environ[_ARMED])
    arm(Armed(boundary, side, Path(told)))


if __name__ == "__main__":
    _arm()
    main(ImportLimits.model_validate_json(sys.argv[1]))
