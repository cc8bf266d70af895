"""The holdout: how many of whose responses, which, and that every user keeps some to learn from."""

from fractions import Fraction
from math import floor, inf, nan

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from models.recommender.data import Responses
from models.recommender.holdout import Holdout, held_out, select
from tests.models.recommender.problems import generator, random_responses

COUNTS = st.lists(st.integers(0, 30), min_size=1, max_size=8).filter(any)
HOLDOUTS = st.builds(
    lambda size, by: Holdout.model_validate({**size, "by": by}),
    st.one_of(
        st.integers(1, 900).map(lambda thousandths: {"fraction": thousandths / 1000}),
        st.integers(1, 40).map(lambda n: {"last_n": n}),
    ),
    st.sampled_from(["time", "seed"]),
)
BOTH = pytest.mark.parametrize("by", ["time", "seed"])


def counted(*counts: int) -> Responses:
    """Return responses of users who answered so many items, the first ones."""
    user_rows = torch.repeat_interleave(torch.tensor(counts))
    item_rows = torch.cat([torch.arange(count) for count in counts])
    values = torch.ones(len(item_rows))
    return Responses.from_triples(torch.zeros(max(counts), 0), user_rows, item_rows, values, len(counts))


def some_times(responses: Responses, seed: int) -> Tensor:
    """Return timestamps in seconds, in no order, of which several are the same."""
    size = responses.values.shape
    return torch.randint(10, size, generator=generator(seed)).double() + 1.5e9


def held_of_each(responses: Responses, mask: Tensor) -> list[int]:
    return torch.bincount(responses.user_rows[mask], minlength=responses.users).tolist()


def size_by_definition(holdout: Holdout, count: int) -> int:
    if holdout.fraction is not None:
        return floor(Fraction(str(holdout.fraction)) * count)  # the decimal number, as it was written
    assert holdout.last_n is not None
    return min(holdout.last_n, count // 2)


@given(COUNTS, HOLDOUTS, st.integers(0, 2**32))
def test_each_user_is_held_out_what_is_asked_for_and_keeps_a_response(
    counts: list[int], holdout: Holdout, seed: int
) -> None:
    responses = counted(*counts)
    mask = held_out(responses, some_times(responses, seed), holdout, seed)
    held_counts = held_of_each(responses, mask)
    assert held_counts == [size_by_definition(holdout, count) for count in counts]
    assert all(held_count < count for held_count, count in zip(held_counts, counts, strict=True) if count)


@given(COUNTS, HOLDOUTS, st.integers(0, 2**32))
def test_nobody_travels_in_time(counts: list[int], holdout: Holdout, seed: int) -> None:
    responses = counted(*counts)
    times = some_times(responses, seed)
    by_time = holdout.model_copy(update={"by": "time"})
    mask = held_out(responses, times, by_time, seed)
    for user in range(responses.users):
        rows = responses.user_rows == user
        if bool((rows & mask).any()):
            assert float(times[rows & mask].min()) >= float(times[rows & ~mask].max())


def test_the_last_by_time_are_held_out_wherever_their_items_stand() -> None:
    times = torch.tensor([9.0, 1, 2, 8, 5, 4, 3, 7], dtype=torch.float64)
    mask = held_out(counted(5, 3), times, Holdout(last_n=2), 1)
    assert mask.tolist() == [True, False, False, True, False, False, False, True]


def test_of_two_at_the_same_time_the_higher_item_row_is_the_later() -> None:
    times = torch.zeros(7, dtype=torch.float64)
    mask = held_out(counted(4, 3), times, Holdout(fraction=0.5), 1)
    assert mask.tolist() == [False, False, True, True, False, False, True]


def test_times_a_microsecond_apart_are_distinguished() -> None:
    times = torch.tensor([1_759_000_000.000002, 1_759_000_000.000001], dtype=torch.float64)
    assert held_out(counted(2), times, Holdout(last_n=1), 1).tolist() == [True, False]


@BOTH
@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ({"fraction": 0.2}, [0, 0, 0, 0, 1, 2]),
        ({"fraction": 0.5}, [0, 1, 1, 2, 2, 5]),
        ({"fraction": 0.9}, [0, 1, 2, 3, 4, 9]),
        ({"last_n": 1}, [0, 1, 1, 1, 1, 1]),
        ({"last_n": 2}, [0, 1, 1, 2, 2, 2]),
        ({"last_n": 1000}, [0, 1, 1, 2, 2, 5]),
    ],
)
def test_users_of_few_responses_lose_few(size: dict[str, object], expected: list[int], by: str) -> None:
    responses = counted(1, 2, 3, 4, 5, 10)
    mask = held_out(responses, some_times(responses, 1), Holdout.model_validate({**size, "by": by}), 1)
    assert held_of_each(responses, mask) == expected


@pytest.mark.parametrize(("fraction", "expected"), [(0.29, 29), (0.57, 57), (0.07, 7), (0.3, 30), (0.9, 90)])
def test_a_fraction_is_the_decimal_number_that_was_written(fraction: float, expected: int) -> None:
    responses = counted(100)
    mask = held_out(responses, some_times(responses, 1), Holdout(fraction=fraction), 1)
    assert int(mask.sum()) == expected


@BOTH
def test_a_user_without_responses_between_others_changes_nothing(by: str) -> None:
    holdout = Holdout.model_validate({"last_n": 3, "by": by})
    alone, among = counted(9, 8), counted(9, 0, 8, 0)
    times = some_times(alone, 2)
    assert torch.equal(held_out(alone, times, holdout, 3), held_out(among, times, holdout, 3))


def test_the_same_seed_holds_out_the_same_and_another_seed_others() -> None:
    responses = counted(40, 50, 60)
    times, holdout = some_times(responses, 1), Holdout(last_n=10, by="seed")
    first, again, different = (held_out(responses, times, holdout, seed) for seed in (7, 7, 8))
    assert torch.equal(first, again)
    assert not torch.equal(first, different)


def test_by_seed_the_times_say_nothing_and_by_time_the_seed() -> None:
    responses = counted(40, 50, 60)
    first, second = some_times(responses, 1), some_times(responses, 2)
    by_seed, by_time = Holdout(fraction=0.3, by="seed"), Holdout(fraction=0.3)
    assert torch.equal(held_out(responses, first, by_seed, 7), held_out(responses, second, by_seed, 7))
    assert torch.equal(held_out(responses, first, by_time, 7), held_out(responses, first, by_time, 8))
    assert not torch.equal(held_out(responses, first, by_time, 7), held_out(responses, second, by_time, 7))


def test_by_seed_every_response_of_a_user_has_the_same_chance() -> None:
    responses, holdout = counted(3, 10), Holdout(fraction=0.5, by="seed")
    times = some_times(responses, 1)
    draws = torch.stack([held_out(responses, times, holdout, seed) for seed in range(2000)])
    chances = draws.double().mean(dim=0)
    expected = torch.tensor([1 / 3] * 3 + [1 / 2] * 10, dtype=torch.float64)
    # A share of 2,000 draws has a standard error of at most 0.5 / √2000 = 0.0112; five of them.
    assert float((chances - expected).abs().max()) < 0.056


def test_drawing_leaves_torch_s_own_random_numbers_alone() -> None:
    responses = counted(20)
    before = torch.random.get_rng_state()
    held_out(responses, some_times(responses, 1), Holdout(last_n=3, by="seed"), 1)
    assert torch.equal(torch.random.get_rng_state(), before)


@BOTH
def test_the_order_in_which_responses_came_in_does_not_matter(by: str) -> None:
    users, items = 12, 20
    cells = torch.randperm(users * items, generator=generator(1))[:150]
    values = torch.rand(150, generator=generator(2))
    times_of_cells = torch.randint(5, (users * items,), generator=generator(3)).double()
    holdout = Holdout.model_validate({"fraction": 0.4, "by": by})
    masks = []
    for order in (torch.arange(150), torch.randperm(150, generator=generator(4)), cells.argsort()):
        rows, columns = cells[order] // items, cells[order] % items
        responses = Responses.from_triples(torch.zeros(items, 1), rows, columns, values[order], users)
        times = times_of_cells[responses.user_rows * items + responses.item_rows]
        masks.append(held_out(responses, times, holdout, 5))
    assert torch.equal(masks[0], masks[1])
    assert torch.equal(masks[0], masks[2])


@given(HOLDOUTS, st.integers(0, 1000))
def test_the_selected_and_the_held_out_responses_are_all_responses(holdout: Holdout, seed: int) -> None:
    responses = random_responses(seed)
    mask = held_out(responses, some_times(responses, seed), holdout, seed)
    table, parts = dense(responses), [dense(select(responses, ~mask)), dense(select(responses, mask))]
    assert torch.equal(parts[0].nan_to_num() + parts[1].nan_to_num(), table.nan_to_num())
    assert torch.equal(parts[0].isnan() & parts[1].isnan(), table.isnan())
    assert bool((parts[0].isnan() | parts[1].isnan()).all())


def dense(responses: Responses) -> Tensor:
    """Return the responses as a table [users, items], not a number where there is none."""
    table = torch.full((responses.users, responses.items), nan)
    for user in range(responses.users):
        rows = slice(int(responses.offsets[user]), int(responses.offsets[user + 1]))
        table[user, responses.item_rows[rows]] = responses.values[rows]
    return table


def test_a_selection_is_the_matrix_of_its_responses() -> None:
    responses = random_responses(3, users=20, items=15)
    mask = torch.rand(responses.values.shape, generator=generator(4)) < 0.2
    few = select(responses, mask)
    expected = Responses.from_triples(
        responses.item_vectors,
        responses.user_rows[mask],
        responses.item_rows[mask],
        responses.values[mask],
        responses.users,
    )
    assert 0 in few.offsets.diff()
    for name in ("item_vectors", "offsets", "item_rows", "values", "user_rows"):
        assert torch.equal(getattr(few, name), getattr(expected, name))


def test_an_empty_selection_is_a_matrix_of_the_same_size_without_responses() -> None:
    responses = counted(2, 0, 3)
    no_responses = select(responses, torch.zeros(5, dtype=torch.bool))
    assert (no_responses.users, no_responses.items) == (3, 3)
    assert no_responses.offsets.tolist() == [0, 0, 0, 0]
    assert (
        no_responses.item_rows.numel() == no_responses.values.numel() == no_responses.user_rows.numel() == 0
    )


@pytest.mark.parametrize("shape", [(4,), (6,), (5, 1), ()])
def test_timestamps_that_are_not_one_a_response_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="one timestamp"):
        held_out(counted(2, 3), torch.zeros(shape, dtype=torch.float64), Holdout(last_n=1), 1)


def test_a_timestamp_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not a number"):
        held_out(counted(2), torch.tensor([1.0, nan], dtype=torch.float64), Holdout(last_n=1), 1)


@pytest.mark.parametrize(
    "options", [{}, {"by": "seed"}, {"fraction": 0.2, "last_n": 3}, {"fraction": None, "last_n": None}]
)
def test_a_holdout_has_exactly_one_size(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="give exactly one of fraction and last_n"):
        Holdout.model_validate(options)


@pytest.mark.parametrize("field", ["fraction", "last_n"])
@pytest.mark.parametrize("value", [True, False, "1", "", nan, inf, -inf, [1], 0, -1, 1001])
def test_a_size_is_refused_that_is_no_number_or_out_of_range(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as refusal:
        Holdout.model_validate({field: value})
    assert [error["loc"] for error in refusal.value.errors()] == [(field,)]


@pytest.mark.parametrize(
    ("field", "value"),
    [("fraction", 0.91), ("fraction", 1), ("last_n", 1.0), ("last_n", 2.5), ("by", "Time"), ("by", None)],
)
def test_what_is_out_of_range_or_unknown_is_refused_by_name(field: str, value: object) -> None:
    size = {"last_n": 1} if field == "by" else {}
    with pytest.raises(ValidationError) as refusal:
        Holdout.model_validate({**size, field: value})
    assert [error["loc"] for error in refusal.value.errors()] == [(field,)]


def test_an_unknown_option_is_refused_by_name() -> None:
    with pytest.raises(ValidationError) as refusal:
        Holdout.model_validate({"last_n": 1, "last-n": 2})
    assert [error["loc"] for error in refusal.value.errors()] == [("last-n",)]


def test_a_holdout_is_by_time_unless_asked_otherwise_and_never_changes() -> None:
    holdout = Holdout.model_validate({"fraction": 0.2})
    assert holdout.model_dump() == {"fraction": 0.2, "last_n": None, "by": "time"}
    with pytest.raises(ValidationError, match="frozen"):
        holdout.last_n = 5  # type: ignore[misc]


@pytest.mark.parametrize("options", [{"fraction": 0.9}, {"last_n": 1}, {"last_n": 1000, "by": "seed"}])
def test_the_ends_of_the_ranges_are_inside(options: dict[str, object]) -> None:
    assert Holdout.model_validate(options).model_dump(exclude_none=True) == {"by": "time", **options}
