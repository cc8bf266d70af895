"""docs/class-tour.md is true: its commands print what it shows, and that is what the notebook prints."""

import re
from collections.abc import Iterator

import pytest

from tests.class_tour import TOUR, Claim, Lecture, claims, holds, lecture
from tests.console import Command, commands, comparable

PAGE = TOUR.read_text()
COMMANDS = commands(PAGE)
CLAIMS = claims(PAGE)

# The notebook's headings, in its order; those of its tasks are set apart on the page.
HEADINGS = (
    "Creating PyTorch tensors",
    "Directly",
    "From a list",
    "From a list comprehension",
    "From a numpy array",
    "Ready-made functions in PyTorch",
    "Slicing PyTorch tensors",
    "Slicing in 1D",
    "Slicing in 2D",
    "Setting PyTorch tensor field values",
    "Operations on PyTorch tensors",
    "Element-wise sum",
    "Element-wise multiplication",
    "Matrix multiplication",
    "Calculating the mean",
    "Calculating the mean of every row",
    "More complex operations",
    "PyTorch basic operations tasks",
    "Task 1",
    "Task 2",
    "Task 3",
    "Tensor gradients",
    "Backpropagation",
    "Proper PyTorch model with a fully-connected layer",
    "Embedding layer",
    "PyTorch advanced operations tasks",
    "Task 4",
    "Task 5",
    "Task 6",
)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lecture]:
    with lecture(tmp_path_factory.mktemp("lecture")) as room:
        yield room


@pytest.mark.parametrize(
    "command",
    [pytest.param(one, id=f"{number} {one.line[:60]!r}") for number, one in enumerate(COMMANDS)],
)
def test_a_command_prints_what_the_tour_shows(room: Lecture, command: Command) -> None:
    assert comparable(room.run(command.line)) == comparable(command.output)


@pytest.mark.parametrize("claim", CLAIMS, ids=[str(number) for number in range(len(CLAIMS))])
def test_the_answers_are_what_the_notebook_prints(claim: Claim) -> None:
    assert claim.answers
    assert holds(claim)


def test_every_section_of_the_notebook_is_there_in_its_order() -> None:
    found = iter(re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE))
    assert [heading for heading in HEADINGS if heading not in found] == []


def last_digits(text: str) -> Iterator[str]:
    """Yield the text with the last digit of one of its numbers changed, for each number in it."""
    for number in re.finditer(r"(?<![\w.^(-])-?\d+\.\d+(?![\w.])", text):
        digit = int(text[number.end() - 1])
        yield text[: number.end() - 1] + str((digit + 5) % 10) + text[number.end() :]


def test_a_wrong_digit_in_a_figure_of_the_notebook_does_not_pass() -> None:
    wrong = [Claim(changed, claim.answers) for claim in CLAIMS for changed in last_digits(claim.figures)]
    assert len(wrong) > 100
    passed = [claim for claim in wrong if holds(claim)]
    assert not passed


def test_a_wrong_digit_in_an_answer_does_not_pass() -> None:
    for command in COMMANDS:
        for number in re.finditer(r"\d\.\d{4,}(?![\dZ])", command.output):
            at = number.start() + 4  # the third decimal
            digit = str((int(command.output[at]) + 5) % 10)
            wrong = command.output[:at] + digit + command.output[at + 1 :]
            assert comparable(wrong) != comparable(command.output)
