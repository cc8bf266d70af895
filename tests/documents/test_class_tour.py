"""The class tour is so: every command prints what is shown, and what is shown is what the notebook prints."""

import re
from collections.abc import Iterator

import pytest

from tests.models.notebook.notebook_cells import CELLS, TASKS
from tests.support.documents.class_tour import TOUR, Claim, Lecture, claims, holds, lecture
from tests.support.documents.console import Command, commands, comparable

PAGE = TOUR.read_text()
COMMANDS, CLAIMS = commands(PAGE), claims(PAGE)
EACH_CLAIM = [pytest.param(one, id=f"{number} {one.figures[:60]!r}") for number, one in enumerate(CLAIMS)]

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
    with lecture(tmp_path_factory.mktemp("class")) as room:
        yield room


@pytest.mark.parametrize(
    "command",
    [pytest.param(one, id=f"{number} {one.line[:60]!r}") for number, one in enumerate(COMMANDS)],
)
def test_a_command_prints_what_the_tour_shows(room: Lecture, command: Command) -> None:
    assert comparable(room.run(command.line)) == comparable(command.output), (
        "python -m tests.support.documents.class_tour"
    )


@pytest.mark.parametrize("claim", EACH_CLAIM)
def test_an_answer_is_what_the_notebook_prints(claim: Claim) -> None:
    assert holds(claim)


def test_every_section_of_the_notebook_is_there_in_its_order() -> None:
    headings = iter(re.findall(r"^##+ (.*)$", PAGE, re.MULTILINE))
    assert [heading for heading in HEADINGS if heading not in headings] == []


# The program's own form of "out=35.0", a string, which the tour has as the notebook prints it.
PRINTED = {*(cell.printed for cell in CELLS), *(task.printed for task in TASKS)} - {"tensor(35.)"}


@pytest.mark.parametrize("printed", sorted(PRINTED))
def test_every_text_that_the_notebook_prints_is_there(printed: str) -> None:
    assert _plain(printed) in _plain("\n".join(claim.answers + claim.figures for claim in CLAIMS))


def _plain(text: str) -> str:
    return re.sub(r"\s+", "", text)


@pytest.mark.parametrize("claim", EACH_CLAIM)
def test_no_digit_of_the_notebooks_figures_could_be_another(claim: Claim) -> None:
    for place in _digits(claim.figures):
        for wrong in _with_another_digit(claim.figures, place):
            assert not holds(Claim(wrong, claim.answers)), wrong


def test_none_of_the_first_five_digits_of_an_answer_could_be_another() -> None:
    for command in COMMANDS:
        shown = re.sub(r'"request_id": "\w+"|"\d{4}-\d\d-\d\dT[^"]+"', "", command.output)
        for number in re.finditer(r"\d+(?:\.\d+)?", shown):
            whole = len(number[0].partition(".")[2]) < 6  # only longer ones are compared as numbers
            places = [number.start() + place for place in _digits(number[0])]
            leading = len(re.match(r"[0.]*", number[0])[0].replace(".", ""))  # type: ignore[index]
            for place in places if whole else places[: leading + 5]:
                for wrong in _with_another_digit(shown, place):
                    assert comparable(wrong) != comparable(shown), wrong


def _digits(text: str) -> list[int]:
    """Return where a text has digits that belong to numbers, not to names: 6 in 0.6, not in m6."""
    return [
        place
        for number in re.finditer(r"(?<![\w.])\d[\d.]*(?:e[-+]\d+)?(?!\w)", text)
        for place in range(number.start(), number.end())
        if text[place].isdigit()
    ]


def _with_another_digit(text: str, place: int) -> Iterator[str]:
    for digit in "0123456789".replace(text[place], ""):
        yield text[:place] + digit + text[place + 1 :]
