"""No answer to whom it is not due: the whole of `tests.faults.harnesses.credentials`, which takes seconds."""

import pytest

from tests.faults.all_harnesses import run
from tests.faults.figures import Figure


@pytest.fixture(scope="module")
def figures() -> list[Figure]:
    return run("credentials", 1.0)


@pytest.mark.parametrize("at", [0, 1], ids=["kinds of credential", "tricks"])
def test_nobody_gets_an_answer_that_is_not_due(figures: list[Figure], at: int) -> None:
    assert figures[at].held, figures[at].found
