"""A search for what an update leaves as it is, many at once, each in a line of its own.

Each line is extrapolated from its last two updates (Anderson, 1965, with one step of memory). A value that
every line must raise guards it: where it falls, the line goes back and takes half the step. Does not know
what is updated.
"""

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

_MOST_UPDATES = 300
_LEAST_STEP = 2.0**-20
_ROUNDING = 1e-9  # of a value

Found = TypeVar("Found")


class Update(NamedTuple, Generic[Found]):
    """An update of points [lines, n]: what was found there, where it leads [lines, n], its values [lines]."""

    found: Found
    image: Tensor
    value: Tensor


def settle(update: Callable[[Tensor], Update[Found]], point: Tensor, tolerance: float) -> Found:
    """Return what is found where no number moves by more than ``tolerance``, searched from ``point``."""
    here, before = update(point), None
    share: Tensor | float = 1.0
    for _ in range(_MOST_UPDATES):
        residual = here.image - point
        if _largest(residual) <= tolerance:
            break
        step = residual if before is None else _remembering(residual, *before)
        tried = point + share * step
        there = update(tried)
        fallen = _fallen(here.value, there.value)
        if fallen is None:
            before = (residual, tried - point)
            point, here = tried, there
            share = 1.0 if isinstance(share, float) else (2 * share).clamp(max=1.0)
            continue
        # Lines that fell go back, and take half the step: without memory, a short one raises the value.
        halved = torch.where(fallen, 0.5, 1.0) * share
        share, before = halved.clamp(min=_LEAST_STEP), None
        point = torch.where(fallen, point, tried)
        here = update(point)
    return here.found


class Image(NamedTuple, Generic[Found]):
    """An update of one point [n]: what was found there, where it leads [n], and its value."""

    found: Found
    image: Tensor
    value: float


def settle_one(update: Callable[[Tensor], Image[Found]], point: Tensor, tolerance: float) -> Found:
    """Search as `settle` does, which is the reference, for one line [n]: with half of its operations.

    For a point this small an operation takes as long as a hundred numbers of it.
    """
    here, before, share = update(point), None, 1.0
    for _ in range(_MOST_UPDATES):
        residual = here.image - point
        if _largest(residual) <= tolerance:
            break
        step = residual if before is None else _remembering_one(residual, *before)
        there = update(torch.add(point, step, alpha=share))
        if not there.value < here.value - _ROUNDING * (1.0 + abs(here.value)):
            moved = step if share == 1.0 else share * step
            point, here, before, share = point + moved, there, (residual, moved), min(1.0, 2 * share)
            continue
        share, before = max(_LEAST_STEP, 0.5 * share), None
    return here.found


def _remembering_one(residual: Tensor, last: Tensor, step: Tensor) -> Tensor:
    change = residual - last
    gamma = float(torch.dot(residual, change)) / max(1e-300, float(torch.dot(change, change)))
    return torch.add(residual, step + change, alpha=-gamma)


def _largest(numbers: Tensor) -> float:
    return float(torch.linalg.vector_norm(numbers, torch.inf)) if numbers.numel() else 0.0


def _fallen(before: Tensor, after: Tensor) -> Tensor | None:
    """Return which lines' values fell by more than rounding, bool [lines, 1]; None for none."""
    if bool((after >= before).all()):
        return None
    fallen = after < before - _ROUNDING * (1.0 + before.abs())
    return fallen[:, None] if bool(fallen.any()) else None


def _remembering(residual: Tensor, last: Tensor, step: Tensor) -> Tensor:
    """Return the step [lines, n] that the last one and how it changed the residual suggest."""
    change = residual - last
    length = torch.linalg.vecdot(change, change).clamp_(min=1e-300)
    gamma = torch.linalg.vecdot(residual, change) / length
    return torch.addcmul(residual, gamma[:, None], step + change, value=-1)
