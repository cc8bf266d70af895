"""docs/class-tour.md: its commands, and the notebook's figures below their answers.

    python -m tests.support.documents.class_tour

writes the answers into it as they are now. A ```text block that is no command's answer holds what somebody
else says the answers above it are: the notebook, mostly, or a calculation by hand.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.settings import Settings
from testbed.databases import url_for
from testbed.live import serving
from tests.support.documents import console
from tests.support.documents.checkout import ROOT
from tests.support.documents.console import Command
from tests.support.documents.shell import Shell

TOUR = ROOT / "docs" / "class-tour.md"

_BLOCK = re.compile(r"^```(sh|json|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d*)?(?:e[-+]?\d+)?(?!\w)")
_TENSOR = re.compile(r"tensor\([^()]*\)")


# A computation runs behind other work, so beside other tests it may take more than the page says that it may.
_SECONDS, _USUAL_SECONDS = 60.0, Settings.model_fields["compute_seconds"].default


@dataclass(frozen=True)
class Claim:
    """Figures by somebody else, and the answers that they are about, one below the other."""

    figures: str
    answers: str


class Lecture(Shell):
    """A service that has the class loaded and trained, and a shell beside it."""

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(folder, port, Path(sys.executable).parent)

    def run(self, line: str) -> str:
        """Run a command of the page and return what it prints; raises if it fails."""
        return super().run(line).replace(f"seconds {_SECONDS}", f"seconds {_USUAL_SECONDS}")


@contextmanager
def lecture(folder: Path) -> Iterator[Lecture]:
    """Do what `make run` does, in ``folder``."""
    subprocess.run(
        [sys.executable, "-m", "app.cli.main", "demo"],
        cwd=ROOT,
        env={**os.environ, "LIKELY_DATABASE_URL": url_for(folder)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    settings = {"LIKELY_COMPUTE_PROCESSES": "1", "LIKELY_COMPUTE_SECONDS": str(_SECONDS)}
    with serving(folder, settings) as service:
        yield Lecture(folder, int(service.url.rsplit(":", 1)[-1]))


def claims(page: str) -> list[Claim]:
    """Return the page's claims, each with the answers of the commands that stand together before it."""
    claims: list[Claim] = []
    answers: list[str] = []
    previous, end = "text", 0
    for block in _BLOCK.finditer(page):
        kind, content = block.groups()
        apart = page[end : block.start()].strip() != ""
        if kind == "sh":
            if apart or previous == "claim":
                answers = []
        elif previous == "sh" and not apart:
            answers.append(content)
        elif kind == "text":
            claims.append(Claim(content, "".join(answers)))
            kind = "claim"
        previous, end = kind, block.end()
    return claims


def holds(claim: Claim) -> bool:
    """Return whether the answers are what the figures say, to the last digit that is written there.

    Each figure is found among the answers' numbers, in order: it is a number rounded to as many digits. The
    figures of a tensor stand together. Where the answers show tensors, the figures' tensors are among them,
    sign for sign.
    """
    output = _tensors(claim.answers)
    return _found(claim) and (not output or _in_order(_tensors(claim.figures), output))


def _found(claim: Claim) -> bool:
    numbers, at = _NUMBER.findall(claim.answers), 0
    for run in _runs(claim.figures):
        while not _begin_with(numbers[at:], run):
            at += 1
            if at > len(numbers):
                return False
        at += len(run)
    return True


def _runs(figures: str) -> list[list[str]]:
    """Return the figures that stand together: those of a tensor, and every other one for itself."""
    result = re.finditer(f"{_TENSOR.pattern}|{_NUMBER.pattern}", _less_autograd(figures))
    return [_NUMBER.findall(one[0]) for one in result]


def _begin_with(numbers: list[str], run: list[str]) -> bool:
    return len(numbers) >= len(run) and all(map(_rounds_to, numbers, run))


def _rounds_to(number: str, figure: str) -> bool:
    mantissa, exponent, _ = figure.partition("e")
    digits = len(mantissa.partition(".")[2])
    return float(f"{float(number):.{digits}{'e' if exponent else 'f'}}") == float(figure)


def _tensors(text: str) -> list[str]:
    """Return the tensors in a text as they are printed, less spaces."""
    return [re.sub(r"\s", "", tensor) for tensor in _TENSOR.findall(_less_autograd(text))]


def _less_autograd(text: str) -> str:
    return re.sub(r", (grad_fn=<\w+>|requires_grad=True)", "", text)


def _in_order(target: list[str], given: list[str]) -> bool:
    left = iter(given)
    return all(one in left for one in target)


def write(tour: Path = TOUR) -> None:
    """Write the answers as they are now."""
    with tempfile.TemporaryDirectory() as folder, lecture(Path(folder)) as room:

        def printed(command: Command) -> str:
            return room.run(command.line)

        tour.write_text(console.with_outputs(tour.read_text(), printed))


if __name__ == "__main__":
    write()
