"""From an embedding to numbers a person can read: logits, scores, and the best items of many.

Logits are reported in float64 from the stored float32 numbers, the same whichever way they are asked for.
Does not know what was trained or how.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

FLOAT32_ROUNDING = 2.0**-24
_FLOAT32_SMALLEST = 2.0**-126  # products below it lose digits, or are zero
_FLOAT32_LARGEST = 2.0**127  # no sum of products below it overflows
_LEAST_SCORE, _LARGEST_SCORE = 2.0**-1022, 1.0 - 2.0**-53  # next to 0 and 1 in float64


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
    computed in float64. The result is that of computing all of them so.
    """
    reach = largest_norm * float(embedding.double().norm())  # no logit is larger
    rough = vectors @ embedding if reach < _FLOAT32_LARGEST else logits(embedding, vectors)
    error = (vectors.shape[1] + 1) * (FLOAT32_ROUNDING * reach + _FLOAT32_SMALLEST)
    return best_of(rough, error, lambda rows: logits(embedding, vectors[rows]), limit, excluded, min_logit)


def best_of(
    rough: Tensor,
    error: float,
    exact: Callable[[Tensor], Tensor],
    limit: int,
    excluded: Tensor,
    min_logit: float,
) -> Best:
    """Return the best by exact logits, given rough ones [items] that are off by ``error`` at most.

    ``exact`` computes the logits float64 [n] at rows [n], and is asked only for those that may be best.
    """
    rough[excluded] = -torch.inf
    limit = min(limit, rough.shape[0])
    if limit == 0:
        return Best(torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.float64))
    least = float(torch.topk(rough, limit).values[-1]) - 2.0 * error
    rows = torch.nonzero((rough >= least) & (rough > -torch.inf))[:, 0]
    found = exact(rows)
    keep = found >= min_logit
    rows, found = rows[keep], found[keep]
    order = torch.argsort(found, descending=True, stable=True)[:limit]
    return Best(rows[order], found[order])
