"""From an embedding to numbers a person can read: logits, scores, and the best items of many.

Logits are reported in float64 from the stored float32 numbers, the same whichever way they are asked for.
Does not know what was trained or how.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

_FLOAT32_ROUNDING = 2.0**-24


@dataclass(frozen=True)
class Best:
    """The best items: rows int64 [n], best first, and their logits float64 [n]."""

    rows: Tensor
    logits: Tensor


def logits(embeddings: Tensor, vectors: Tensor) -> Tensor:
    """Return e · x in float64 [n]; embeddings [dimensions] or [n, dimensions], vectors [n, dimensions]."""
    return (embeddings.double() * vectors.double()).sum(dim=-1)


def scores(logits: Tensor) -> Tensor:
    """Return σ(logit), the probability of a like."""
    return torch.sigmoid(logits)


def best(
    embedding: Tensor, vectors: Tensor, largest_norm: float, limit: int, excluded: Tensor, min_logit: float
) -> Best:
    """Return the up to ``limit`` items with the largest logits; equal ones in the order of their rows.

    ``largest_norm`` bounds the norms of ``vectors`` [items, dimensions]; ``excluded`` holds rows left out.
    A float32 product finds all items that could be among the best, given its rounding error; only these are
    computed in float64. The result is that of computing all of them so.
    """
    rough = vectors @ embedding
    rough[excluded] = -torch.inf
    limit = min(limit, rough.shape[0])
    if limit == 0:
        return Best(torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.float64))
    error = (vectors.shape[1] + 1) * _FLOAT32_ROUNDING * largest_norm * float(embedding.norm())
    least = float(torch.topk(rough, limit).values[-1]) - 2.0 * error
    rows = torch.nonzero((rough >= least) & (rough > -torch.inf))[:, 0]
    exact = logits(embedding, vectors[rows])
    keep = exact >= min_logit
    rows, exact = rows[keep], exact[keep]
    order = torch.argsort(exact, descending=True, stable=True)[:limit]
    return Best(rows[order], exact[order])
