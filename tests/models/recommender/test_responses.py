"""The responses' matrix: the same in whatever order they came, and refused when nothing can be learned."""

from math import inf, nan

import pytest
import torch
from torch import Tensor

from models.recommender.class_model.gradient_descent import GradientDescent, GradientDescentOptions
from models.recommender.data import BadResponsesError, Responses
from tests.models.recommender.problems import generator, unheard

VECTORS = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])


def build(*triples: tuple[int, int, float], vectors: Tensor = VECTORS, users: int = 2) -> Responses:
    user_rows = torch.tensor([triple[0] for triple in triples], dtype=torch.int64)
    item_rows = torch.tensor([triple[1] for triple in triples], dtype=torch.int64)
    values = torch.tensor([triple[2] for triple in triples])
    return Responses.from_triples(vectors, user_rows, item_rows, values, users)


def test_the_matrix_holds_each_response_in_its_place() -> None:
    responses = build((2, 1, 0.25), (0, 2, 1.0), (2, 0, 0.5), users=4)
    assert (responses.users, responses.items, responses.dimensions) == (4, 3, 2)
    assert responses.user_rows.tolist() == [0, 2, 2]
    expected = [[0, 0, 1.0], [0, 0, 0], [0.5, 0.25, 0], [0, 0, 0]]
    assert responses.sparse(responses.values).to_dense().tolist() == expected


def test_the_order_in_which_responses_come_leaves_no_trace() -> None:
    cells = torch.randperm(12 * 10, generator=generator(1))[:70]
    values = torch.rand(70, generator=generator(2))
    vectors = torch.randn(10, 3, generator=generator(3))
    copies = []
    for order in (torch.arange(70), torch.randperm(70, generator=generator(4)), cells.argsort()):
        user_rows, item_rows = cells[order] // 10, cells[order] % 10
        copies.append(Responses.from_triples(vectors, user_rows, item_rows, values[order], 12))
    for copy in copies[1:]:
        for name in ("item_vectors", "offsets", "item_rows", "values"):
            assert torch.equal(getattr(copies[0], name), getattr(copy, name))


@pytest.mark.parametrize("number", [nan, inf, -inf])
def test_a_vector_with_a_number_that_is_not_finite_is_refused(number: float) -> None:
    with pytest.raises(BadResponsesError, match="not finite"):
        build((0, 0, 1.0), vectors=torch.tensor([[1.0, 2.0], [3.0, number]]))


def test_a_vector_that_is_finite_in_float64_only_is_refused() -> None:
    with pytest.raises(BadResponsesError, match="not finite"):
        build((0, 0, 1.0), vectors=torch.tensor([[1e39]], dtype=torch.float64))


@pytest.mark.parametrize("value", [nan, inf, -inf, -0.001, 1.001])
def test_a_response_outside_0_to_1_is_refused(value: float) -> None:
    with pytest.raises(BadResponsesError, match="outside 0 to 1"):
        build((0, 0, 1.0), (1, 1, value))


def test_two_answers_of_a_user_to_an_item_are_refused() -> None:
    with pytest.raises(BadResponsesError, match="twice"):
        build((0, 1, 1.0), (1, 1, 1.0), (0, 1, 0.0))


@pytest.mark.parametrize(
    ("user", "item", "word"), [(2, 0, "user"), (-1, 0, "user"), (0, 3, "item"), (0, -1, "item")]
)
def test_a_row_outside_its_matrix_is_refused(user: int, item: int, word: str) -> None:
    with pytest.raises(BadResponsesError, match=f"{word} row lies outside"):
        build((0, 0, 1.0), (user, item, 1.0))


@pytest.mark.parametrize("users", [0, 2])
def test_no_responses_are_refused(users: int) -> None:
    with pytest.raises(BadResponsesError, match="no responses"):
        build(users=users)


def test_lists_of_unequal_length_are_refused() -> None:
    row, rows = torch.zeros(1, dtype=torch.int64), torch.arange(2)
    with pytest.raises(BadResponsesError, match="one user row, one item row and one value"):
        Responses.from_triples(VECTORS, row, rows, torch.ones(2), 1)


def test_vectors_that_are_no_matrix_are_refused() -> None:
    with pytest.raises(BadResponsesError, match="no matrix"):
        build((0, 0, 1.0), vectors=torch.ones(3))


def test_gradient_descent_refuses_movies_of_no_dimensions() -> None:
    responses = build((0, 0, 1.0), vectors=torch.empty(3, 0))
    with pytest.raises(BadResponsesError, match="the movies have none"):
        GradientDescent(GradientDescentOptions()).fit(responses, 1, unheard)
