"""The Dockerfile, executed without a container engine: in a folder that stands for the image.

    python -m tests.support.documents.image

executes all of it, the installations too (minutes; PyPI's torch unless TORCH_INDEX names another index),
serves from it, and asks its health check. The tests do the same but for what pip downloads: there the image's
Python sees this environment's packages and the files that were copied. What needs root and Debian (apt-get,
useradd) is never executed.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from testbed.live import free_port
from tests.support.documents.checkout import ROOT

_FOLDERS = ("/opt/likely", "/src", "/data")  # the places that the image has and this machine has not
_BARE_PATH = f"{Path(sys.executable).resolve().parent}:/usr/local/bin:/usr/bin:/bin"
_PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"
_TRACKED = ("git", "ls-files", "--cached", "--others", "--exclude-standard")
_INSTALLING = "pip install"
_DEBIANS = ("apt-get", "useradd")


@dataclass(frozen=True)
class Instruction:
    """One instruction: its word, and what follows with its lines joined."""

    word: str
    rest: str

    def arguments(self) -> list[str]:
        """Return the exec form's arguments."""
        result: list[str] = json.loads(self.rest)
        return result


def parse(text: str) -> list[Instruction]:
    """Return the instructions of a Dockerfile."""
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def stages(text: str) -> list[list[Instruction]]:
    """Return the instructions of each stage, which begins with FROM."""
    result: list[list[Instruction]] = []
    for one in parse(text):
        if one.word == "FROM":
            result.append([])
        result[-1].append(one)
    return result


def is_sent(path: str, rules: str) -> bool:
    """Return whether .dockerignore lets a file into the build; the last rule that fits says."""
    sent = True
    for rule in rules.splitlines():
        name = rule.strip().removeprefix("!")
        if name and not name.startswith("#") and _fits(path, name):
            sent = rule.strip().startswith("!")
    return sent


def _fits(path: str, name: str) -> bool:
    parts = path.split("/")
    if name.startswith("**/"):
        return any(fnmatch(part, name[3:]) for part in parts)
    return fnmatch(parts[0], name) or path.startswith(f"{name}/")


@dataclass
class Image:
    """What was executed so far, in a folder that stands for the root of the file system."""

    root: Path
    whole: bool
    arguments: dict[str, str]
    environment: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    executed: list[Instruction] = field(default_factory=list)
    last: dict[str, Instruction] = field(default_factory=dict)

    def build(self, text: str) -> None:
        """Execute all stages; they share the folder, so what one copies from another is there."""
        for stage in stages(text):
            self.environment, self.workdir, self.last = {"PATH": _BARE_PATH}, "/", {}
            for one in stage:
                self.last[one.word] = one
                getattr(self, f"_{one.word.lower()}", self._note)(one)

    def here(self, text: str) -> str:
        """Return a text with the image's folders where they are on this machine."""
        for folder in _FOLDERS:
            text = re.sub(rf"(?<![\w.-]){folder}(?![\w.-])", f"{self.root}{folder}", text)
        return text

    def run(self, command: str | list[str], **more: str) -> "subprocess.CompletedProcess[str]":
        """Run a command as the image would: its environment and nothing else, in its folder."""
        arguments = ["sh", "-ec", command] if isinstance(command, str) else command
        return subprocess.run(
            arguments,
            env={**self.variables(), **more},
            cwd=self.here(self.workdir),
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )

    def variables(self) -> dict[str, str]:
        """Return the environment of what runs."""
        return {name: self.here(value) for name, value in self.environment.items()}

    def _note(self, _one: Instruction) -> None:
        return

    def _arg(self, one: Instruction) -> None:
        name, _, default = one.rest.partition("=")
        self.arguments.setdefault(name, default)

    def _env(self, one: Instruction) -> None:
        for pair in shlex.split(one.rest):
            name, _, value = pair.partition("=")
            self.environment[name] = re.sub(
                r"\$(\w+)", lambda match: self.environment.get(match[1], ""), value
            )
        self.executed.append(one)

    def _workdir(self, one: Instruction) -> None:
        self.workdir = one.rest
        Path(self.here(one.rest)).mkdir(parents=True, exist_ok=True)
        self.executed.append(one)

    def _copy(self, one: Instruction) -> None:
        *sources, target = one.rest.split()
        if sources[0].startswith("--from="):
            assert Path(self.here(sources[1])).is_dir(), one
            return
        rules = (ROOT / ".dockerignore").read_text()
        listing = subprocess.run(_TRACKED, cwd=ROOT, capture_output=True, check=True, text=True)
        into = Path(self.here(self.workdir)) / target
        for source in sources:
            files = [file for file in listing.stdout.splitlines() if f"{file}/".startswith(f"{source}/")]
            sent = [file for file in files if is_sent(file, rules)]
            assert sent, f"nothing of {source} is sent"
            for file in sent:
                to = into / Path(file).relative_to(source) if file != source else into / file
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / file, to)
        self.executed.append(one)

    def _run(self, one: Instruction) -> None:
        if one.rest.startswith(_DEBIANS):
            Path(self.here("/data")).mkdir(exist_ok=True)
            return
        if _INSTALLING in one.rest and not self.whole:
            self._borrow_packages()
            return
        outcome = self.run(self.here(one.rest), **self.arguments)
        assert outcome.returncode == 0, f"{one.rest}\n{outcome.stdout}{outcome.stderr}"
        self.executed.append(one)

    def _borrow_packages(self) -> None:
        """Let the image's Python find what pip would install: packages from here, and what was copied."""
        environment = Path(self.here("/opt/likely"))
        packages = sysconfig.get_path("purelib")
        own = environment / "lib" / _PYTHON / "site-packages"
        (own / "borrowed.pth").write_text(f"{self.here('/src')}\n{packages}\n")
        script = environment / "bin" / "likely"
        script.write_text(f"#!{environment}/bin/python\nfrom app.cli.main import main\nmain()\n")
        script.chmod(0o755)


@contextmanager
def built(*, complete: bool) -> Iterator[Image]:
    """Execute the Dockerfile in a new folder."""
    folder = Path(tempfile.mkdtemp(prefix="likely-image-"))
    try:
        index = os.environ.get("TORCH_INDEX") or "https://pypi.org/simple"
        image = Image(folder, complete, {"TORCH_INDEX": index})
        image.build((ROOT / "Dockerfile").read_text())
        yield image
    finally:
        shutil.rmtree(folder)


@contextmanager
def running(image: Image, settings: Mapping[str, str], *before: str) -> Iterator[dict[str, str]]:
    """Run the image's CMD, behind the words of ``before``, until the block ends; yields its environment."""
    environment = {**image.variables(), "LIKELY_PORT": str(free_port()), **settings}
    process = subprocess.Popen(
        [*before, *image.last["CMD"].arguments()], env=environment, cwd=image.here(image.workdir)
    )
    try:
        yield environment
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def is_healthy(image: Image, environment: Mapping[str, str]) -> bool:
    """Ask the image's health check."""
    command = image.last["HEALTHCHECK"].rest.partition("CMD ")[2]
    return image.run(json.loads(command), **environment).returncode == 0


def wait_until_healthy(image: Image, environment: Mapping[str, str], seconds: float = 100) -> None:
    """Wait until the health check says so."""
    deadline = time.monotonic() + seconds
    while not is_healthy(image, environment):
        assert time.monotonic() < deadline, "not healthy in time"
        time.sleep(0.2)


def main() -> None:
    """Execute all of it once."""
    with built(complete=True) as image:
        made = image.run(["likely", "keys", "create", "--scope", "admin", "--label", "me"])
        assert made.returncode == 0, made.stderr
        with running(image, {}) as environment:
            wait_until_healthy(image, environment)
        sys.stdout.write("".join(f"{one.word} {one.rest}\n" for one in image.executed))
        sys.stdout.write("installed, served and healthy\n")


if __name__ == "__main__":
    main()
