"""schemathesis against a running service: all its checks, every operation, sequences of requests too.

Twice: with made-up names of catalogs, movies and users, and with those of a trained catalog, so that there is
something to answer. Does not know what the operations do.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from app.cli.demo import load_class
from app.database.urls import open_migrated
from app.web.auth.api_keys import Scope, create_key
from testbed.live import Service, serving
from testbed.running import train_class
from tests.faults.figures import Figure
from tests.support.requests.schemas import SAY_TOO_LITTLE

EXAMPLES = 500
_ROOT = Path(__file__).parents[3]
_HERE = {"catalog": "class", "user": "0", "movie": "m0", "training": 1}
# Would take away what the others are asked of, or make what they change another thing.
_NOT_HERE = ("DELETE ", "PUT /v1/catalogs/{catalog}")
# schemathesis's own, and what it leaves out: an Accept of what nothing is, and a head that is too long.
_EXPECTED = {
    "positive_data_acceptance": ["2xx", "3xx", 401, 403, 404, 406, 409, 429, "5xx"],
    "negative_data_rejection": [400, 401, 403, 404, 405, 406, 409, 415, 422, 428, 429, 431, "5xx"],
}
_CASES = re.compile(r"([\d,]+) generated")
_FAILURES = re.compile(r"([\d,]+) unique failures?")


def run(scale: float) -> list[Figure]:
    """Ask every operation for so large a share of the examples."""
    examples = max(1, round(EXAMPLES * scale))
    with TemporaryDirectory() as name:
        folder = Path(name)
        database = open_migrated(f"sqlite:///{folder}/likely.db")
        with database.writing() as connection:
            load_class(connection)
            key = create_key(connection, "contract", {Scope.ADMIN}, None)
        database.close()
        environment = {
            "LIKELY_COMPUTE_PROCESSES": "1",
            "LIKELY_DRAWING_PROCESSES": "1",
            "LIKELY_LOG_LEVEL": "error",
            "LIKELY_COMPUTE_BODY_BYTES": str(4 * 2**20),
        }
        with serving(folder, environment) as service:
            service.http.headers["Authorization"] = f"Bearer {key}"
            train_class(service)
            return [
                _tried(service, folder, key, examples, here=here, seed=seed)
                for seed, here in enumerate((True, False))
            ]


def _tried(service: Service, folder: Path, key: str, examples: int, *, here: bool, seed: int) -> Figure:
    configuration = folder / f"schemathesis-{seed}.toml"
    configuration.write_text(_configuration(here=here))
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration)),
        *("run", f"{service.url}/openapi.json", "--max-examples", str(examples)),
        *("--continue-on-failure", "--seed", str(seed), "--request-timeout", "60", "--no-color"),
        *("--header", f"Authorization: Bearer {key}", "--suppress-health-check", "all"),
    ]
    if here:
        for item in _NOT_HERE:
            command += ["--exclude-name-regex", f"^{re.escape(item)}" + ("$" if "{" in item else "")]
    hooks = {"SCHEMATHESIS_HOOKS": "tests.faults.contract_hooks", "PYTHONPATH": str(_ROOT)}
    end = subprocess.run(
        command, cwd=folder, env=os.environ | hooks, capture_output=True, text=True, check=False
    )
    log = _ROOT / ".bench" / "faults" / f"contract-{seed}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(end.stdout + end.stderr)
    return _figure(end, examples, here=here)


def _configuration(*, here: bool) -> str:
    """Return schemathesis's: what cannot be checked, and the names to ask with."""
    lines = ["[checks]"]
    lines += [f"{check}.expected-statuses = {json.dumps(statuses)}" for check, statuses in _EXPECTED.items()]
    if here:
        lines += ["[parameters]", *(f"{name} = {json.dumps(value)}" for name, value in _HERE.items())]
    for label in sorted(SAY_TOO_LITTLE):
        lines += [
            "[[operations]]",
            f"include-name = {json.dumps(label)}",
            "checks.positive_data_acceptance.enabled = false",
        ]
    return "\n".join(lines) + "\n"


def _figure(end: subprocess.CompletedProcess[str], examples: int, *, here: bool) -> Figure:
    cases = _CASES.search(end.stdout)
    failures = _FAILURES.search(end.stdout)
    whose = "of a trained catalog" if here else "made up"
    label = (
        f"schemathesis, every check that it has (but that all is taken which a schema allows, for "
        f"{len(SAY_TOO_LITTLE)} operations whose schemas cannot say it), {examples} examples an operation "
        f"and as many sequences of requests, names {whose}: {cases[1] if cases else 'no'} cases"
    )
    said = (
        f"{failures[1] if failures else 0} failures"
        if cases
        else f"it did not run: {end.stdout[-300:]}{end.stderr[-300:]}"
    )
    return Figure(label, "0 failures", said, end.returncode == 0 and cases is not None)
