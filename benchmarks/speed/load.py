"""Load on a service: wrk, 16 connections, each asking again as soon as it is answered (a closed loop).

wrk and not a client in Python, because the client shares the cores with the service, and wrk takes the least
of them. It cycles through all paths given, so that no two requests in a row are for the same user. Does not
know what is asked, nor whether the answers are right; that they are 2xx it does.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 16
MISSING = "wrk is not installed (on Debian: apt-get install wrk)"
_SCRIPT = Path(__file__).with_name("requests.lua")


class LoadError(RuntimeError):
    """Requests failed, or none was answered."""


@dataclass(frozen=True)
class Load:
    """What so many seconds of load came to: requests a second, and latencies in milliseconds."""

    rate: float
    median: float
    p99: float

    def __str__(self) -> str:
        return f"{self.rate:,.0f}/s, p50 {self.median:.1f} ms, p99 {self.p99:.1f} ms"


def can_load() -> bool:
    """Return whether wrk is here."""
    return shutil.which("wrk") is not None


def load(url: str, requests: Sequence[str], seconds: int = 3) -> Load:
    """Ask for these, around and around: a path each, or a path and a JSON body to POST behind a space.

    Raises `LoadError`.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as listing:
        listing.write("\n".join(requests) + "\n")
        listing.flush()
        command = [
            "wrk",
            "-t1",
            f"-c{CONNECTIONS}",
            f"-d{seconds}s",
            "-s",
            str(_SCRIPT),
            url,
            "--",
            listing.name,
        ]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own command
    result = json.loads(ran.stdout.splitlines()[-1])
    if result["failed"] or not result["requests"]:
        raise LoadError(f"{result['failed']} of {result['requests']} requests failed: {requests[0]}")
    return Load(result["requests"] / result["seconds"], result["p50"], result["p99"])
