"""The wheel: what it has, and that it runs in an environment of its own, outside the checkout."""

import os
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path

import pytest

from testbed.live import Service, started
from tests.support.documents.checkout import ROOT

PACKAGES = ("app/", "migrations/", "models/")


@dataclass(frozen=True)
class Installation:
    """A virtual environment that has the wheel, and its dependencies from where the tests have them."""

    wheel: Path
    environment: Path

    def run(self, *command: str) -> str:
        """Run a program of the environment in an empty folder and return what it prints."""
        process = subprocess.run(
            [self.environment / "bin" / command[0], *command[1:]],
            cwd=self.environment,
            env=self.variables(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == 0, process.stderr
        return process.stdout

    def variables(self) -> dict[str, str]:
        """Return an environment that knows nothing of the checkout, and starts no more than is asked for."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("LIKELY_", "PYTHON", "TEST_DATABASE"))
        }
        return {**inherited, "LIKELY_COMPUTE_PROCESSES": "0", "LIKELY_DRAWING_PROCESSES": "0"}


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    folder = tmp_path_factory.mktemp("wheel")
    python(ROOT, "hatchling", "build", "-t", "wheel", "-d", str(folder))
    [wheel] = folder.glob("*.whl")
    environment = folder / "environment"
    python(folder, "venv", "--without-pip", str(environment))
    packages = sysconfig.get_path("purelib", vars={"base": str(environment)})
    python(
        folder,
        *(
            "pip",
            "--disable-pip-version-check",
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            "--no-compile",
        ),
        *("--prefix", str(environment), "--ignore-installed", str(wheel)),
    )
    # Packages are importable from there; .pth files there, an editable checkout's too, are not read.
    (Path(packages) / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return Installation(wheel, environment)


def python(folder: Path, *module: str) -> None:
    process = subprocess.run(
        [sys.executable, "-m", *module], cwd=folder, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr


def test_the_wheel_has_its_licence_and_names_it(installation: Installation) -> None:
    licence = (ROOT / "LICENSE").read_text()
    assert licence.lstrip().startswith("Apache License\n                           Version 2.0, January 2004")
    assert "Copyright 2026 The Likely authors" in licence
    with zipfile.ZipFile(installation.wheel) as wheel:
        [information] = {name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
        assert wheel.read(f"{information}/licenses/LICENSE").decode() == licence
        metadata = Parser().parsestr(wheel.read(f"{information}/METADATA").decode())
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["License-File"] == "LICENSE"


def test_the_wheel_has_every_file_of_its_packages_and_nothing_else(installation: Installation) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *PACKAGES],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout.splitlines()
    with zipfile.ZipFile(installation.wheel) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == {name for name in tracked if (ROOT / name).is_file()}
    assert {"app/web/console/static/index.html", "migrations/env.py"} <= names


def test_the_command_runs_outside_the_checkout(installation: Installation) -> None:
    assert "likely [OPTIONS] COMMAND" in installation.run("likely", "--help")
    imported = installation.run(
        "python",
        "-c",
        "import app, migrations, models; print(app.__path__, migrations.__path__, models.__path__)",
    )
    assert imported.count(str(installation.environment)) == len(PACKAGES)
    assert str(ROOT) not in imported


@pytest.fixture
def service(installation: Installation) -> Iterator[Service]:
    """The installed service on a database that it migrates itself, without a worker."""
    program, folder = installation.environment / "bin/likely", installation.environment
    with started([str(program), "serve", "--no-worker"], folder, installation.variables()) as service:
        yield service


def test_the_installed_service_migrates_and_answers(service: Service, installation: Installation) -> None:
    answer = service.http.put("/v1/catalogs/films", json={"dimensions": ["action", "romance"]})
    assert answer.status_code == 201
    assert service.http.get("/v1/catalogs/films").json()["dimensions"] == ["action", "romance"]
    assert "<title>" in service.http.get("/").text
    assert service.http.get("/console/console.js").status_code == service.http.get("/docs").status_code == 200
    assert (installation.environment / "likely.db").is_file()


def test_the_build_backend_of_the_tests_is_the_one_that_pip_takes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    [backend] = project["build-system"]["requires"]
    assert backend in project["project"]["optional-dependencies"]["dev"]
    assert backend in (ROOT / "constraints.txt").read_text().splitlines()
