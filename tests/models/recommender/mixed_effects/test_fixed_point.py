"""The fixed-point iteration: it ends where linear algebra says, and goes back where the objective falls."""

import pytest
import torch
from torch import Tensor

from models.recommender.mixed_effects.fixed_point import (
    Update,
    UpdateOfOne,
    solve_fixed_point,
    solve_fixed_points,
)
from tests.models.recommender.problems import generator


def contraction(seed: int, lines: int = 5, size: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    """Return matrices A with largest eigenvalue 0.9, shifts c, and where x = A·x + c."""
    source = generator(seed)
    root = torch.randn(lines, size, size, generator=source, dtype=torch.float64)
    matrices = root @ root.mT
    matrices *= 0.9 / torch.linalg.eigvalsh(matrices)[:, -1, None, None]
    shifts = torch.randn(lines, size, generator=source, dtype=torch.float64)
    ends = torch.linalg.solve(torch.eye(size, dtype=torch.float64) - matrices, shifts)
    return matrices, shifts, ends


def test_lines_end_at_fixed_points_of_their_own() -> None:
    matrices, shifts, ends = contraction(1)

    def update(points: Tensor) -> Update[Tensor]:
        image = (matrices @ points[..., None])[..., 0] + shifts
        return Update(points, image, -(points - ends).square().sum(1))

    end = solve_fixed_points(update, torch.zeros_like(ends), 1e-10)
    torch.testing.assert_close(end, ends, atol=1e-8, rtol=0)


def test_a_step_that_is_too_long_is_taken_back() -> None:
    # The update overshoots a maximum at 1 by more than it was away: x ← 1 − 3·(x − 1).
    steps = []

    def update(points: Tensor) -> Update[Tensor]:
        steps.append(float(points.abs().max()))
        return Update(points, 1 - 3 * (points - 1), -(points - 1).square().sum(1))

    end = solve_fixed_points(update, torch.full((1, 1), 5.0, dtype=torch.float64), 1e-9)
    torch.testing.assert_close(end, torch.ones(1, 1, dtype=torch.float64))
    assert max(steps) < 20


def test_nothing_to_search_is_found_at_once() -> None:
    def update(points: Tensor) -> Update[Tensor]:
        return Update(points, points, points.sum(1))

    assert solve_fixed_points(update, torch.zeros(0, 4), 1e-9).shape == (0, 4)
    assert solve_fixed_points(update, torch.zeros(1, 0), 1e-9).shape == (1, 0)


@pytest.mark.parametrize("overshooting", [1.0, -2.0], ids=["within reach", "too long a step"])
def test_one_line_is_searched_as_many_are(overshooting: float) -> None:
    matrices, shifts, ends = contraction(2, lines=1)
    visits: dict[str, list[Tensor]] = {"one": [], "many": []}

    def image(point: Tensor) -> Tensor:
        # The same end; the value falls where the step towards it is turned and three times as long.
        there = matrices[0] @ point + shifts[0]
        return ends[0] + overshooting * (there - ends[0]) if overshooting < 0 else there

    def one(point: Tensor) -> UpdateOfOne[Tensor]:
        visits["one"].append(point)
        return UpdateOfOne(point, image(point), -float((point - ends[0]).square().sum()))

    def many(points: Tensor) -> Update[Tensor]:
        visits["many"].append(points[0])
        return Update(points, image(points[0])[None], -(points - ends).square().sum(1))

    start = torch.full((8,), 5.0, dtype=torch.float64)
    alone, among = solve_fixed_point(one, start, 1e-10), solve_fixed_points(many, start[None], 1e-10)[0]
    torch.testing.assert_close(alone, ends[0], atol=1e-8, rtol=0)
    torch.testing.assert_close(alone, among, atol=1e-9, rtol=0)
    # Among many, a line that fell is looked at once more where it was, beside the others that moved.
    again = [
        any(torch.equal(earlier, point) for point in visits["many"][:place])
        for place, earlier in enumerate(visits["many"])
    ]
    anew = [point for point, is_repeat in zip(visits["many"], again, strict=True) if not is_repeat]
    assert any(again) or overshooting > 0
    for here, there in list(zip(visits["one"], anew, strict=False))[:6]:
        torch.testing.assert_close(here, there, atol=1e-12, rtol=0)


def test_of_nothing_nothing_is_searched() -> None:
    no_numbers = torch.zeros(0, dtype=torch.float64)
    assert solve_fixed_point(lambda point: UpdateOfOne(point, point, 0.0), no_numbers, 1e-9).shape == (0,)
