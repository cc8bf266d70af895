"""Logits, scores, and the best items of many.

Logits are float64, from the stored float32 numbers, and the same by every path.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Floats = npt.NDArray[np.floating]
Rows = npt.NDArray[np.int64]

FLOAT32_ROUNDING = 2.0**-24
_FLOAT32_SMALLEST = 2.0**-126  # products below it lose digits, or are zero
_FLOAT32_LARGEST = 2.0**127  # no sum of products below it overflows
_FEW = 512  # candidates: to compute so many exactly takes less time than finer bounds
_BLOCK, _BLOCKS_PER_ITEM = 1024, 8  # items in a block, of which the largest bound is taken first
_LEAST_SCORE, _LARGEST_SCORE = 2.0**-1022, 1.0 - 2.0**-53  # next to 0 and 1 in float64


class Bound(NamedTuple):
    """Upper bounds of items' logits [items], which may be too low by ``error``.

    Of a logit below ``floor`` it bounds only that it is below.
    """

    upper: Floats
    error: float
    floor: float = -np.inf


@dataclass(frozen=True)
class Best:
    """The best items: rows int64 [n], best first, and their logits float64 [n]."""

    rows: Tensor
    logits: Tensor


def logits(embeddings: Tensor, vectors: Tensor) -> Tensor:
    """Return e · x in float64 [n]; embeddings [dimensions] or [n, dimensions], vectors [n, dimensions]."""
    return (embeddings.double() * vectors.double()).sum(dim=-1)


def scores(logits: Tensor) -> Tensor:
    """Return σ(logit), the probability of a like: never 0 or 1, however large the logit [n] in float64."""
    return torch.sigmoid(logits).clamp(_LEAST_SCORE, _LARGEST_SCORE)


def best(
    embedding: Tensor, vectors: Tensor, largest_norm: float, limit: int, exclude: Tensor, min_logit: float
) -> Best:
    """Return the up to ``limit`` items with the largest logits; equal ones in the order of their rows.

    ``largest_norm`` bounds the norms of ``vectors`` [items, dimensions]; ``exclude`` holds rows to leave out.
    A float32 product finds all items that could be among the best, given its rounding error; only these are
    computed in float64. The result is that of computing and sorting all of them in float64.
    """
    reach = largest_norm * float(embedding.double().norm())  # no logit is larger
    rough = vectors @ embedding if reach < _FLOAT32_LARGEST else logits(embedding, vectors)
    error = (vectors.shape[1] + 1) * (FLOAT32_ROUNDING * reach + _FLOAT32_SMALLEST)

    def exact(rows: Rows) -> Floats:
        return logits(embedding, vectors[torch.from_numpy(rows)]).numpy()

    return best_of([Bound(rough.numpy(), 2.0 * error)], exact, limit, exclude.numpy(), min_logit)


def best_of(
    bounds: Iterable[Bound],
    exact: Callable[[Rows], Floats],
    limit: int,
    exclude: Rows,
    min_logit: float,
) -> Best:
    """Return the best by exact logits, given bounds of all items' logits; the last bound has no floor.

    Bounds come one after the other, the cheapest first, until few candidates are left; they are overwritten.
    ``exact`` computes the logits float64 [n] at rows [n], of a few good items first: a candidate has to reach
    the worst of the ``limit`` best among these. Raises `ValueError` when every bound's floor is above that.
    """
    rows: Rows | None = None
    for upper, error, floor in bounds:
        upper[exclude] = -np.inf
        least = max(min_logit, _reachable(upper, exact, limit)) - error
        if least < floor:
            continue
        rows = np.flatnonzero((upper >= least) & (upper > -np.inf) if least == -np.inf else upper >= least)
        if len(rows) <= max(_FEW, 2 * limit):
            break
    if rows is None:
        raise ValueError("the last bound is to have no floor")
    return best_among(rows, exact, limit, min_logit)


def best_among(rows: Rows, exact: Callable[[Rows], Floats], limit: int, min_logit: float) -> Best:
    """Return the best of the items at ``rows`` [n], which ascend, by exact logits; see `best_of`."""
    exact_logits = exact(rows)
    order = np.argsort(-exact_logits, kind="stable")[:limit]
    order = order[exact_logits[order] >= min_logit]
    return Best(torch.from_numpy(rows[order]), torch.from_numpy(exact_logits[order]))


def _reachable(bounds: Floats, exact: Callable[[Rows], Floats], limit: int) -> float:
    """Return a logit that ``limit`` items reach, the best of each of the blocks with the largest bounds."""
    limit = min(limit, len(bounds))
    size = max(1, min(_BLOCK, len(bounds) // (_BLOCKS_PER_ITEM * max(1, limit))))
    blocks = bounds[: len(bounds) - len(bounds) % size].reshape(-1, size)
    if not 0 < limit <= len(blocks):
        return -np.inf
    peaks = blocks.max(axis=1)
    best_blocks = np.argpartition(peaks, len(peaks) - limit)[-limit:]
    if peaks[best_blocks].min() == -np.inf:  # an excluded item
        return -np.inf
    return float(exact(best_blocks * size + blocks[best_blocks].argmax(axis=1)).min())
