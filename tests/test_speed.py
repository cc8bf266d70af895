"""The table of docs/benchmarks.md: what is met, what is not, and what was never measured.

How fast anything is, `make bench` measures; what must stay fast is held by counts in the tests of each part.
"""

import pytest

from benchmarks.speed.document import lines_table
from benchmarks.speed.lines import Goal, Line, middle, missing

FASTER = Goal("at least", 40, "times faster")
LONGER = Goal("at most", 1.5, "times its time")


@pytest.mark.parametrize(
    ("goal", "ratios", "met"),
    [
        (FASTER, [39.0, 41.0, 50.0], True),
        (FASTER, [39.0, 39.5, 50.0], False),
        (FASTER, [40.0], True),
        (LONGER, [1.4, 1.5, 9.0], True),
        (LONGER, [1.51], False),
        (FASTER, [], False),
        (None, [2.0], None),
    ],
)
def test_the_middle_ratio_meets_the_goal_or_not(
    goal: Goal | None,
    ratios: list[float],
    met: bool | None,  # noqa: FBT001 - what is expected
) -> None:
    assert Line("work", "peer", goal, ratios, "").met is met


def test_a_peer_that_is_missing_leaves_its_line_empty_and_unmet() -> None:
    line = missing("recommendations", "LitServe", FASTER, "it is not installed")
    assert (line.ratio, line.met) == (None, False)
    assert "| - | **no** | not measured: it is not installed |" in lines_table([line])


def test_the_table_shows_the_ratio_with_its_spread() -> None:
    lines = [Line("a", "b", FASTER, [40.0, 60.0, 50.0], "1 s"), Line("c", "d", None, [2.0], "")]
    assert lines_table(lines).splitlines()[2:] == [
        "| a | b | ≥ 40 times faster | 50 (40 to 60) | yes | 1 s |",
        "| c | d |  | 2 |  |  |",
    ]


def test_behind_a_ratio_stands_the_run_that_had_it_and_not_the_one_in_the_middle_of_time() -> None:
    assert middle(["first", "second", "third"], [3.0, 9.0, 1.0]) == "first"
    assert middle(["first", "second", "third", "fourth"], [4.0, 1.0, 3.0, 2.0]) == "fourth"
