"""From an embedding to numbers a person can read: logits, scores, and the best items of many.

Logits are reported in float64 from the stored float32 numbers, the same whichever way they are asked for.
Does not know what was trained or how.
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
_FEW = 512  # items worth a look: finer bounds than those that left so many would cost more than the looks
_BLOCK, _BLOCKS_A_PLACE = 1024, 8  # of items whose largest bound is looked at before their own
_LEAST_SCORE, _LARGEST_SCORE = 2.0**-1022, 1.0 - 2.0**-53  # next to 0 and 1 in float64


class Bound(NamedTuple):
    """What no item's logit is above, [items], but for an error: it may be too low by so much.

    True of logits from ``floor`` on; of lower ones it says that they are lower.
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
    embedding: Tensor, vectors: Tensor, largest_norm: float, limit: int, excluded: Tensor, min_logit: float
) -> Best:
    """Return the up to ``limit`` items with the largest logits; equal ones in the order of their rows.

    ``largest_norm`` bounds the norms of ``vectors`` [items, dimensions]; ``excluded`` holds rows left out.
    A float32 product finds all items that could be among the best, given its rounding error; only these are
    computed in float64. The result is that of computing and sorting all of them so.
    """
    reach = largest_norm * float(embedding.double().norm())  # no logit is larger
    rough = vectors @ embedding if reach < _FLOAT32_LARGEST else logits(embedding, vectors)
    error = (vectors.shape[1] + 1) * (FLOAT32_ROUNDING * reach + _FLOAT32_SMALLEST)

    def exact(rows: Rows) -> Floats:
        return logits(embedding, vectors[torch.from_numpy(rows)]).numpy()

    return best_of([Bound(rough.numpy(), 2.0 * error)], exact, limit, excluded.numpy(), min_logit)


def best_of(
    bounds: Iterable[Bound],
    exact: Callable[[Rows], Floats],
    limit: int,
    excluded: Rows,
    min_logit: float,
) -> Best:
    """Return the best by exact logits, given bounds of all items' logits, the last one of whatever size.

    Bounds come one after the other, the cheapest first, and are taken until few items are left to look at;
    they are written to. ``exact`` computes the logits float64 [n] at rows [n]. It is asked for a few good
    items first: the worst of the best among these is what all others must reach to be worth a look. Raises
    `ValueError` when no bound is of logits as low as that.
    """
    rows: Rows | None = None
    for upper, error, floor in bounds:
        upper[excluded] = -np.inf
        least = max(min_logit, _reached(upper, exact, limit)) - error
        if least < floor:
            continue
        rows = np.flatnonzero((upper >= least) & (upper > -np.inf) if least == -np.inf else upper >= least)
        if len(rows) <= max(_FEW, 2 * limit):
            break
    if rows is None:
        raise ValueError("the last bound is to be of logits of whatever size")
    return best_among(rows, exact, limit, min_logit)


def best_among(rows: Rows, exact: Callable[[Rows], Floats], limit: int, min_logit: float) -> Best:
    """Return the best of the items at ``rows`` [n], which ascend, by exact logits; see `best_of`."""
    found = exact(rows)
    order = np.argsort(-found, kind="stable")[:limit]
    order = order[found[order] >= min_logit]
    return Best(torch.from_numpy(rows[order]), torch.from_numpy(found[order]))


def _reached(bounds: Floats, exact: Callable[[Rows], Floats], limit: int) -> float:
    """Return a logit that ``limit`` items reach: of the largest items of the blocks with the largest ones."""
    limit = min(limit, len(bounds))
    size = max(1, min(_BLOCK, len(bounds) // (_BLOCKS_A_PLACE * max(1, limit))))
    blocks = bounds[: len(bounds) - len(bounds) % size].reshape(-1, size)
    if not 0 < limit <= len(blocks):
        return -np.inf
    peaks = blocks.max(axis=1)
    chosen = np.argpartition(peaks, len(peaks) - limit)[-limit:]
    if peaks[chosen].min() == -np.inf:  # excluded ones
        return -np.inf
    return float(exact(chosen * size + blocks[chosen].argmax(axis=1)).min())
