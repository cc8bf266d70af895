"""The image: its Dockerfile executed without a container engine, and compose.yaml against what it names."""

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.cli.healthcheck import is_well
from app.settings import Settings
from tests.support.documents.checkout import ROOT
from tests.support.documents.image import (
    Image,
    built,
    is_healthy,
    is_sent,
    parse,
    running,
    stages,
    wait_until_healthy,
)

DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if one["image"] == "likely"}
RULES = (ROOT / ".dockerignore").read_text()
QUIET = {"LIKELY_COMPUTE_PROCESSES": "0", "LIKELY_DRAWING_PROCESSES": "0"}


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    with built(complete=False) as image:
        yield image


@pytest.mark.timeout(600)  # it serves, on a busy machine, and strace looks at each file that it opens
def test_the_image_serves_is_healthy_and_writes_only_its_volume(image: Image) -> None:
    refused = image.run(image.last["CMD"].arguments(), **QUIET)
    assert refused.returncode == 1
    assert "likely keys create" in refused.stderr, "nobody serves to others without a key"
    made = image.run(["likely", "keys", "create", "--scope", "admin", "--label", "me"])
    assert made.returncode == 0, made.stderr
    files = image.root / "files"
    traced = (
        ["strace", "-D", "-f", "--quiet=attach", "-e", "trace=%file", "-o", str(files)]
        if shutil.which("strace")
        else []
    )
    with running(image, QUIET, *traced) as environment:
        assert not is_healthy(image, environment), "it is not ready at once"
        wait_until_healthy(image, environment)
        assert is_healthy(image, environment | {"LIKELY_TRUSTED_HOSTS": "127.0.0.1, example.org"})
    assert not is_healthy(image, environment)
    data = image.here("/data")
    assert {file.name for file in (image.root / "data").iterdir()} >= {"likely.db"}
    if traced:
        written = [line for line in _all_seen(files) if _writes(line)]
        assert any(data in line for line in written)
        assert [line for line in written if data not in line and '"/dev/' not in line] == []


def _all_seen(files: Path) -> list[str]:
    """Return what strace saw until the first process that it saw was gone; it writes that afterwards."""
    deadline = time.monotonic() + 60
    lines: list[str] = []
    while not lines or not any(_is_end_of(lines[0], line) for line in lines):
        assert time.monotonic() < deadline, "strace did not see the end of the service"
        time.sleep(0.1)
        lines = files.read_text().splitlines()
    return lines


def _is_end_of(first: str, line: str) -> bool:
    """Return whether ``line`` says that the process of ``first`` ended; short numbers have blanks around."""
    return line.split()[:3] == [first.split(maxsplit=1)[0], "+++", "exited"]


def _writes(line: str) -> bool:
    """Return whether a call that strace saw changed a file system, and was not refused."""
    call = re.match(r"\d+ +(\w+)\(", line)
    if call is None or " = -1 " in line:
        return False
    if call[1] in {"open", "openat"}:
        return bool(re.search(r"O_WRONLY|O_RDWR|O_CREAT", line))
    return call[1] in {"mkdir", "mkdirat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "symlink"}


def test_every_instruction_is_executed_or_known_not_to_be(image: Image) -> None:
    words = {one.word for one in parse(DOCKERFILE)}
    assert words == {
        *("FROM", "ARG", "ENV", "RUN", "COPY", "WORKDIR"),
        *("USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "CMD"),
    }
    left_out = [one.rest for one in parse(DOCKERFILE) if one.word == "RUN" and one not in image.executed]
    assert [re.split(r" -| update", rest)[0] for rest in left_out] == [
        "apt-get",
        "pip install",
        "pip install",
        "useradd",
    ]


def test_the_image_is_built_apart_pinned_and_runs_as_nobody_special() -> None:
    build, final = stages(DOCKERFILE)
    assert build[0].rest.endswith(" AS build")
    assert not [one for one in final if "pip" in one.rest or "apt-get" in one.rest]
    assert all("-c constraints.txt" in one.rest for one in build if "pip install" in one.rest)
    assert next(one.rest for one in build if one.word == "ARG").endswith("/whl/cpu")
    [user] = [one.rest for one in final if one.word == "USER"]
    assert int(user) >= 1000
    [volume] = [one.rest for one in final if one.word == "VOLUME"]
    settings = dict(re.findall(r"(\w+)=(\S+)", " ".join(one.rest for one in final if one.word == "ENV")))
    assert settings["TMPDIR"] == volume == "/data"
    assert settings["LIKELY_DATABASE_URL"].startswith(f"sqlite:///{volume}/")
    assert not [name for name in settings if re.search("KEY|TOKEN|PASSWORD|SECRET", name)]
    [health] = [one.rest for one in final if one.word == "HEALTHCHECK"]
    assert "curl" not in health


def test_what_the_build_is_sent_is_what_it_installs() -> None:
    for sent in (
        "app/main.py",
        "app/web/console/static/console.js",
        "models/recommender/model.py",
        "migrations/env.py",
        "README.md",
        "LICENSE",
    ):
        assert is_sent(sent, RULES), sent
    for kept in (".git/config", ".venv/bin/python", "likely.db", "app/likely.db", "app/x.db-wal", ".env"):
        assert not is_sent(kept, RULES), kept
    assert not is_sent("tests/house/test_image.py", RULES)
    assert not is_sent("app/__pycache__/main.pyc", RULES)


def test_compose_has_a_database_two_web_services_and_a_worker() -> None:
    assert set(SERVICES) == {"postgres", "web-1", "web-2", "worker"}
    assert [SERVICES[name]["command"] for name in OURS] == [
        ["likely", "serve", "--no-worker"],
        ["likely", "serve", "--no-worker"],
        ["likely", "worker"],
    ]
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published == ["127.0.0.1:8001:8000", "127.0.0.1:8002:8000"], "nothing else, and to this machine"
    [exposed] = [one.rest for one in parse(DOCKERFILE) if one.word == "EXPOSE"]
    assert all(port.endswith(f":{exposed}") for port in published)


def test_compose_lets_the_services_write_their_volumes_only() -> None:
    for one in OURS.values():
        assert one["read_only"] is True
        assert one["cap_drop"] == ["ALL"]
        assert [volume.partition(":")[2] for volume in one["volumes"]] == ["/data"]
        assert one["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    mounted = [volume.partition(":")[0] for service in SERVICES.values() for volume in service["volumes"]]
    assert sorted(mounted) == sorted(COMPOSE["volumes"])
    assert "pg_isready" in SERVICES["postgres"]["healthcheck"]["test"]


def test_compose_names_settings_that_there_are_and_no_password() -> None:
    known = {f"LIKELY_{name.upper()}" for name in Settings.model_fields}
    for our in OURS.values():
        named = our["environment"]
        assert {name for name in named if name.startswith("LIKELY_")} <= known
        assert named["LIKELY_DATABASE_URL"].startswith("postgresql://likely:${LIKELY_POSTGRES_PASSWORD:?")
        assert named["LIKELY_DATABASE_URL"].endswith("@postgres/likely")
    postgres = SERVICES["postgres"]["environment"]
    assert postgres["POSTGRES_PASSWORD"].startswith("${LIKELY_POSTGRES_PASSWORD:?")
    assert SERVICES["worker"]["environment"]["LIKELY_HEARTBEAT_FILE"].startswith("/data/")
    hosts = SERVICES["web-1"]["environment"]["LIKELY_TRUSTED_HOSTS"]
    assert {"127.0.0.1", "web-1", "web-2"} <= set(hosts.split(","))


def test_a_worker_is_well_while_its_file_is_young(image: Image) -> None:
    file = image.root / "heartbeat"
    environment = {"LIKELY_HEARTBEAT_FILE": str(file)}
    assert not is_well(environment)
    file.touch()
    assert is_well(environment)
    os.utime(file, (1, 1))
    assert not is_well(environment)
