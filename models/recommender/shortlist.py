"""The best of millions of items, looking at few: candidates by small codes, then their exact logits.

Logits are ordered about as inner products are (`models.recommender.model.Model.item_sides`), and FAISS adds
up a product from a code of 4 bits a number, for many items at once. The same random rotation turns both sides
first. That leaves products as they are and spreads each item evenly over its numbers: then 16 levels are
about as good for one number as for another. Candidates are compared by the logits that the model itself would
give.

Source: André, Kermarrec, Le Scouarnec, Quicker ADC, 2019; rotations as in Gong and others, Iterative
Quantization, 2013, without the iterations. Does not know where the model comes from.
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

LIMIT = 10  # the best that recall is measured of
_TARGET = 0.995  # recall that so many candidates must have, so that others than those asked have 0.99
_CANDIDATES = (100, 200, 300, 500, 1000, 2000, 5000)
_MOST = 10_000  # candidates at once: more take as long as looking at every item
_ASKED = 200  # users at most, half of them to choose by and half to measure
_BITS = 4
_LEAST_WIDTH = 64  # numbers a code: of fewer, too many items have the same
_SAMPLE, _ROUNDS = 20_000, 10  # to find the levels by
_AT_ONCE = 65_536  # items
_NOTHING = torch.empty(0, dtype=torch.int64)


@dataclass(frozen=True)
class Recall:
    """How many candidates are taken for ten items, and the share of the ten best that is among them.

    Measured with the tastes of so many ``users`` whose answers had no part in choosing ``candidates``.
    """

    candidates: int
    recall: float
    users: int


def installed() -> bool:
    """Whether FAISS is here and can be loaded."""
    try:
        import_module("faiss")
    except ImportError:
        return False
    return True


class Shortlist:
    """The codes of a model's items. Without those of `codes`, which takes seconds a million, it is empty."""

    def __init__(self, model: Model, items: int) -> None:
        import faiss

        sample = np.linspace(0, items - 1, max(2**_BITS, min(items, _SAMPLE))).astype(np.int64)
        sides = model.item_sides(torch.from_numpy(sample))
        self._model, self._items = model, items
        self._middle = sides.mean(dim=0)
        self._turn = _rotation(sides.shape[1])
        width = len(self._turn)
        self._index = faiss.IndexPQFastScan(width, width, _BITS, faiss.METRIC_INNER_PRODUCT)
        self._index.pq.cp.niter, self._index.pq.cp.min_points_per_centroid = _ROUNDS, 1
        faiss.omp_set_num_threads(1)  # of this thread: the other cores are for requests, and for torch
        self._index.train(self._turned(sides))

    def codes(self) -> Iterator[int]:
        """Take the items, some at a time; yields how many there are so far."""
        import faiss

        for start in range(0, self._items, _AT_ONCE):
            faiss.omp_set_num_threads(1)
            rows = torch.arange(start, min(start + _AT_ONCE, self._items))
            self._index.add(self._turned(self._model.item_sides(rows)))
            yield self._index.ntotal

    def best(
        self, posterior: UserPosterior, limit: int, excluded: Tensor, min_logit: float, candidates: int
    ) -> Best | None:
        """Return what `Model.best` returns, but for items that are not among the candidates.

        These are ``candidates`` for up to ten items, and as many more as are excluded. None where there are
        not as many as asked for, that many candidates would be no shortlist, or a taste prefers nothing; then
        every item is to be looked at.
        """
        side = self._model.user_side(posterior)
        largest = float(side.abs().max()) if len(side) else 0.0
        left_out = np.unique(excluded.numpy())
        wanted = -(-candidates * max(limit, LIMIT) // LIMIT) + len(left_out)
        if wanted > _MOST or not 0.0 < largest < np.inf:
            return None
        near = self._largest(side / largest, wanted)  # a side's length changes no order
        rows = torch.from_numpy(np.setdiff1d(near, left_out))
        best = self._model.best_among(posterior, rows, limit, min_logit)
        return best if len(best.rows) == limit else None

    def _largest(self, side: Tensor, count: int) -> npt.NDArray[np.int64]:
        """Return the rows of so many items, those whose codes say that their products are largest."""
        if count >= self._items:  # FAISS leaves out who has the least of everything
            return np.arange(self._items)
        rows: npt.NDArray[np.int64] = self._index.search((self._turn @ side).numpy()[None], count)[1][0]
        return rows[rows >= 0]

    def _turned(self, sides: Tensor) -> npt.NDArray[np.float32]:
        return ((sides - self._middle) @ self._turn.T).numpy()


def each_alone(model: Model, posterior: UserPosterior, best: Best) -> Best:
    """Return the best with logits that were computed item by item.

    Sums of many items at once may differ in the last bit with the others that are among them; so a score does
    not depend on how the best were found.
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
    """Choose how many candidates to take, and measure the recall then.

    Every other taste, of some, is for the one and the rest for the other. ``check`` is called for each, and
    may raise to stop. None where no number of candidates is enough.
    """
    chosen = [posteriors[place] for place in _spread(len(posteriors), _ASKED)]
    truths = []
    for posterior in chosen:
        check()
        truths.append(model.best(posterior, LIMIT, _NOTHING, -torch.inf))

    def recall(candidates: int, first: int) -> float:
        pairs = [*zip(chosen, truths, strict=True)][first::2]
        found = sum(_found(shortlist, posterior, truth, candidates) for posterior, truth in pairs)
        return found / sum(len(truth.rows) for _, truth in pairs)

    other = min(1, len(chosen) - 1)  # of one alone both are asked
    for candidates in _CANDIDATES:
        check()
        if recall(candidates, 0) >= _TARGET:
            return Recall(candidates, recall(candidates, other), len(chosen[other::2]))
    return None


def _found(shortlist: Shortlist, posterior: UserPosterior, truth: Best, candidates: int) -> int:
    """Return how many of the best are found; another that is as good as the last of them counts too."""
    best = shortlist.best(posterior, LIMIT, _NOTHING, -torch.inf, candidates)
    if best is None:  # every item is looked at
        return len(truth.rows)
    return int((torch.isin(best.rows, truth.rows) | (best.logits >= truth.logits[-1])).sum())


def _spread(count: int, most: int) -> list[int]:
    """Return up to ``most`` places of ``count``, evenly."""
    return sorted({int(place) for place in np.linspace(0, count - 1, min(count, most))})


def _rotation(size: int) -> Tensor:
    """Return columns [width, size] at right angles, of length one: always the same for a size."""
    drawn = torch.Generator().manual_seed(1)
    width = max(size, _LEAST_WIDTH)
    columns, _ = torch.linalg.qr(torch.randn(width, size, generator=drawn, dtype=torch.float64))
    turn: Tensor = columns.float()
    return turn
