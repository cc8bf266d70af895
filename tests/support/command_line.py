"""`likely` as a person calls it, for tests: how a command ended and what it printed."""

import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from app.cli.main import main
from testbed.databases import url_for


@dataclass(frozen=True)
class Done:
    """How a command ended and what it printed."""

    status: int
    out: str
    err: str


Run = Callable[..., Done]


def make_run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return what runs a command in this process, on likely.db in the folder."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: str, **environment: str) -> Done:
        settings = {"LIKELY_DATABASE_URL": url_for(folder), **environment}
        with monkeypatch.context() as patch:
            for name, value in settings.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["likely", *arguments])
            logging = structlog.get_config()
            with pytest.raises(SystemExit) as left:
                main()
            structlog.configure(**logging)  # a command says how its process logs; this one goes on
        status = int(left.value.code or 0)
        del left  # its traceback holds what the command held
        gc.collect()  # so that what the command left open is closed, as when its process ends
        output = capsys.readouterr()
        return Done(status, output.out, output.err)

    return run
