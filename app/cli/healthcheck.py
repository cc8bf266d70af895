"""Asks the service of this container whether it is well: `python -m app.cli.healthcheck`, status 0 if it is.

A web service is asked for /readyz; a worker is well while it touches LIKELY_HEARTBEAT_FILE. Imports nothing
of the application, which would take longer than the answer.
"""

import http.client
import os
import sys
import time
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

_ANSWER_SECONDS = 4.0
_HEARTBEAT_SECONDS = 30.0  # it comes every few: see app/training/worker.py


def is_well(environment: Mapping[str, str]) -> bool:
    """Return whether what runs with this environment is well."""
    file = environment.get("LIKELY_HEARTBEAT_FILE")
    try:
        return _beats(Path(file)) if file else _is_ready(environment)
    except (OSError, http.client.HTTPException):
        return False


def _beats(file: Path) -> bool:
    return time.time() - file.stat().st_mtime < _HEARTBEAT_SECONDS


def _is_ready(environment: Mapping[str, str]) -> bool:
    """Ask under a name that the service answers to; http.client asks no proxy."""
    hosts = environment.get("LIKELY_TRUSTED_HOSTS", "").replace(",", " ").split()
    port = int(environment.get("LIKELY_PORT", "8000"))
    asking = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS)
    try:
        asking.request("GET", "/readyz", headers={"Host": hosts[0] if hosts else "127.0.0.1"})
        return asking.getresponse().status == HTTPStatus.OK
    finally:
        asking.close()


if __name__ == "__main__":
    sys.exit(not is_well(os.environ))
