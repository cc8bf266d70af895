"""From an embedding to numbers a person can read: logits, scores, and the best items of many.

Logits are reported in float64 from the stored float32 numbers, the same whichever way they are asked for.
Does not know what was trained or how.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Floats = npt.NDArray[np.floating]

FLOAT32_ROUNDING = 2.0**-24
_FLOAT32_SMALLEST = 2.0**-126  # products below it lose digits, or are zero
_FLOAT32_LARGEST = 2.0**127  # no sum of products below it overflows
_BLOCK, _BLOCKS_A_PLACE = 1024, 8  # of items whose largest bound is looked at before their own
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
    computed in float64. The result is that of computing and sorting all of them so.
    """
    reach = largest_norm * float(embedding.double().norm())  # no logit is larger
    rough = vectors @ embedding if reach < _FLOAT32_LARGEST else logits(embedding, vectors)
    error = (vectors.shape[1] + 1) * (FLOAT32_ROUNDING * reach + _FLOAT32_SMALLEST)
    return best_of(
        rough, 2.0 * error, lambda rows: logits(embedding, vectors[rows]), limit, excluded, min_logit
    )


def best_of(
    upper: Tensor,
    error: float,
    exact: Callable[[Tensor], Tensor],
    limit: int,
    excluded: Tensor,
    min_logit: float,
) -> Best:
    """Return the best by exact logits, given upper bounds [items], which may be too low by ``error``.

    ``exact`` computes the logits float64 [n] at rows [n]. It is asked for a few good items first: the worst
    of the best among these is a bound that all others must reach to be worth a look. ``upper`` is written to.
    """
    bounds = upper.numpy()
    bounds[excluded.numpy()] = -np.inf
    limit = min(limit, len(bounds))
    if limit == 0:
        return Best(torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.float64))
    size = max(1, min(_BLOCK, len(bounds) // (_BLOCKS_A_PLACE * limit)))
    peaks = _peaks(bounds, size)
    least = max(min_logit, _reached(bounds, peaks, size, exact, limit)) - error
    rows = _reaching(bounds, peaks, size, least)
    found = exact(rows).numpy()
    order = np.argsort(-found, kind="stable")[:limit]
    order = order[found[order] >= min_logit]
    return Best(torch.from_numpy(rows.numpy()[order]), torch.from_numpy(found[order]))


def _peaks(bounds: Floats, size: int) -> Floats:
    """Return the largest number of each block of so many; the last block may be shorter."""
    whole = len(bounds) - len(bounds) % size
    peaks = bounds[:whole].reshape(-1, size).max(axis=1)
    return peaks if whole == len(bounds) else np.append(peaks, bounds[whole:].max())


def _reached(
    bounds: Floats, peaks: Floats, size: int, exact: Callable[[Tensor], Tensor], limit: int
) -> float:
    """Return a logit that ``limit`` items reach: of the largest items of the blocks with the largest ones."""
    if len(peaks) < limit:
        return -np.inf
    blocks = np.argpartition(peaks, len(peaks) - limit)[-limit:]
    if peaks[blocks].min() == -np.inf:  # excluded ones
        return -np.inf
    rows = [
        block * size + int(bounds[block * size : (block + 1) * size].argmax()) for block in blocks.tolist()
    ]
    return float(exact(torch.tensor(rows)).min())


def _reaching(bounds: Floats, peaks: Floats, size: int, least: float) -> Tensor:
    """Return the rows, ascending, whose bounds are ``least`` or more and not those of excluded items."""
    blocks = np.flatnonzero((peaks >= least) & (peaks > -np.inf))
    rows = (blocks[:, None] * size + np.arange(size)).ravel()
    rows = rows[: len(rows) - max(0, int(rows[-1]) + 1 - len(bounds))] if len(rows) else rows
    near = bounds[rows]
    return torch.from_numpy(rows[(near >= least) & (near > -np.inf)])
