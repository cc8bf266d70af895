"""The search for fixed points: it ends where linear algebra says, and a falling value brings it back."""

import torch
from torch import Tensor

from models.mixed_effects.fixed_point import Update, settle
from tests.models.problems import generator


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

    found = settle(update, torch.zeros_like(ends), 1e-10)
    torch.testing.assert_close(found, ends, atol=1e-8, rtol=0)


def test_a_step_that_is_too_long_is_taken_back() -> None:
    # The update overshoots a maximum at 1 by more than it was away: x ← 1 − 3·(x − 1).
    steps = []

    def update(points: Tensor) -> Update[Tensor]:
        steps.append(float(points.abs().max()))
        return Update(points, 1 - 3 * (points - 1), -(points - 1).square().sum(1))

    found = settle(update, torch.full((1, 1), 5.0, dtype=torch.float64), 1e-9)
    torch.testing.assert_close(found, torch.ones(1, 1, dtype=torch.float64))
    assert max(steps) < 20


def test_nothing_to_search_is_found_at_once() -> None:
    def update(points: Tensor) -> Update[Tensor]:
        return Update(points, points, points.sum(1))

    assert settle(update, torch.zeros(0, 4), 1e-9).shape == (0, 4)
    assert settle(update, torch.zeros(1, 0), 1e-9).shape == (1, 0)
