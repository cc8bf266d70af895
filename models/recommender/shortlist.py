"""Approximate search for the best of millions of items: candidates by a FAISS index, then exact logits.

Logits rank items about as inner products do (`models.recommender.model.Model.item_sides`). FAISS computes
these from product-quantisation codes of 4 bits a number, for many items at once. Both sides are rotated by
the same random matrix first: that leaves products unchanged and spreads an item's length evenly over its
numbers, so that 16 levels suit each of them. Candidates are compared by the model's own logits.

Source: André, Kermarrec, Le Scouarnec, Quicker ADC, 2019; rotations as in Gong and others, Iterative
Quantization, 2013, without the iterations.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.recommender.model import Model, UserPosterior
from models.recommender.scoring import Best

LIMIT = 10  # recall is that of the ten best
_TARGET = 0.995  # recall of the users that the number of candidates is chosen by, so that others have 0.99
_CANDIDATES = (100, 200, 300, 500, 1000, 2000, 5000)
_MOST_CANDIDATES = 10_000  # more take as long as an exact search
_MOST_USERS = 200  # half of them to choose by and half to measure
_BITS = 4
_LEAST_WIDTH = 64  # numbers a code: of fewer, too many items have the same
_SAMPLE, _ROUNDS = 20_000, 10  # items and iterations to fit the levels by
_CHUNK = 65_536  # items
_NO_ROWS = torch.empty(0, dtype=torch.int64)


@dataclass(frozen=True)
class Recall:
    """How many candidates are taken for ten items, and the share of the ten best that is among them.

    Measured on ``users`` that had no part in choosing ``candidates``.
    """

    candidates: int
    recall: float
    users: int


def installed() -> bool:
    """Whether FAISS is installed and can be loaded."""
    try:
        import_module("faiss")
    except ImportError:
        return False
    return True


class Shortlist:
    """An index of a model's items. It is empty until `codes` has run, which takes seconds a million."""

    def __init__(self, model: Model, items: int) -> None:
        import faiss

        sample = np.linspace(0, items - 1, max(2**_BITS, min(items, _SAMPLE))).astype(np.int64)
        sides = model.item_sides(torch.from_numpy(sample))
        self._model, self._items = model, items
        self._mean = sides.mean(dim=0)
        self._rotation = _rotation(sides.shape[1])
        width = len(self._rotation)
        self._index = faiss.IndexPQFastScan(width, width, _BITS, faiss.METRIC_INNER_PRODUCT)
        self._index.pq.cp.niter, self._index.pq.cp.min_points_per_centroid = _ROUNDS, 1
        faiss.omp_set_num_threads(1)  # of this thread: the other cores are for requests, and for torch
        self._index.train(self._rotated(sides))

    def codes(self) -> Iterator[int]:
        """Add all items, some at a time; yields how many there are so far."""
        import faiss

        for start in range(0, self._items, _CHUNK):
            faiss.omp_set_num_threads(1)
            rows = torch.arange(start, min(start + _CHUNK, self._items))
            self._index.add(self._rotated(self._model.item_sides(rows)))
            yield self._index.ntotal

    def best(
        self, posterior: UserPosterior, limit: int, exclude: Tensor, min_logit: float, candidates: int
    ) -> Best | None:
        """Return what `Model.best` returns, but for items that are not among the candidates.

        These are ``candidates`` for up to ten items, and one more for each in ``exclude``. None where they
        hold fewer than ``limit``, there would be too many of them, or the user's side is zero; then an exact
        search is needed.
        """
        side = self._model.user_side(posterior)
        largest = float(side.abs().max()) if len(side) else 0.0
        excluded_rows = np.unique(exclude.numpy())
        count = -(-candidates * max(limit, LIMIT) // LIMIT) + len(excluded_rows)
        if count > _MOST_CANDIDATES or not 0.0 < largest < np.inf:
            return None
        nearest = self._search(side / largest, count)  # a side's length changes no order
        rows = torch.from_numpy(np.setdiff1d(nearest, excluded_rows))
        best = self._model.best_among(posterior, rows, limit, min_logit)
        return best if len(best.rows) == limit else None

    def _search(self, side: Tensor, count: int) -> npt.NDArray[np.int64]:
        """Return the rows of the ``count`` items with the largest products by their codes."""
        if count >= self._items:  # FAISS leaves out items with the least of every level
            return np.arange(self._items)
        rows: npt.NDArray[np.int64] = self._index.search((self._rotation @ side).numpy()[None], count)[1][0]
        return rows[rows >= 0]

    def _rotated(self, sides: Tensor) -> npt.NDArray[np.float32]:
        return ((sides - self._mean) @ self._rotation.T).numpy()


def each_alone(model: Model, posterior: UserPosterior, best: Best) -> Best:
    """Return the best with logits that were computed item by item.

    The last bit of a sum may depend on which items are computed together; so a score does not depend on how
    the best were found.
    """
    rows = best.rows.sort().values
    logits = [model.best_among(posterior, row, 1, -torch.inf).logits for row in torch.split(rows, 1)]
    if not logits:
        return best
    exact, order = torch.sort(torch.cat(logits), descending=True, stable=True)
    return Best(rows[order], exact)


def measure(
    shortlist: Shortlist, model: Model, posteriors: Sequence[UserPosterior], check: Callable[[], None]
) -> Recall | None:
    """Choose the number of candidates, and measure its recall.

    Of a sample of users, every other one is to choose by and the rest to measure. ``check`` is called for
    each and may raise to stop. None where no number of candidates is enough.
    """
    sample = [posteriors[position] for position in _spread(len(posteriors), _MOST_USERS)]
    truths = []
    for posterior in sample:
        check()
        truths.append(model.best(posterior, LIMIT, _NO_ROWS, -torch.inf))

    def recall(candidates: int, first: int) -> float:
        pairs = [*zip(sample, truths, strict=True)][first::2]
        hits = sum(_hits(shortlist, posterior, truth, candidates) for posterior, truth in pairs)
        return hits / sum(len(truth.rows) for _, truth in pairs)

    second = min(1, len(sample) - 1)  # a single user is for both
    for candidates in _CANDIDATES:
        check()
        if recall(candidates, 0) >= _TARGET:
            return Recall(candidates, recall(candidates, second), len(sample[second::2]))
    return None


def _hits(shortlist: Shortlist, posterior: UserPosterior, truth: Best, candidates: int) -> int:
    """Return how many of the best are found; an item as good as the last of them counts too."""
    best = shortlist.best(posterior, LIMIT, _NO_ROWS, -torch.inf, candidates)
    if best is None:  # the search is exact
        return len(truth.rows)
    return int((torch.isin(best.rows, truth.rows) | (best.logits >= truth.logits[-1])).sum())


def _spread(count: int, limit: int) -> list[int]:
    """Return up to ``limit`` positions of ``count``, evenly spread."""
    return sorted({int(position) for position in np.linspace(0, count - 1, min(count, limit))})


def _rotation(size: int) -> Tensor:
    """Return orthonormal columns [width, size], always the same for a size."""
    generator = torch.Generator().manual_seed(1)
    width = max(size, _LEAST_WIDTH)
    columns, _ = torch.linalg.qr(torch.randn(width, size, generator=generator, dtype=torch.float64))
    rotation: Tensor = columns.float()
    return rotation
