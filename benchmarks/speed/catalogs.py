"""Synthetic catalogs shaped like MovieLens: users and movies by power laws, and tastes that can be learned.

Does not know what is done with them.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.recommender.data import Responses

_SEED = 1
_EACH, _FEWEST, _MOST = 143, 20, 8000  # responses of a user: the mean, and the bounds
_STEEPNESS = 1.1  # of how many users have more than so many responses
_MOVIES, _AMONG = 26_700, 20_000_000  # movies beside responses, as in MovieLens 20M; they grow as the root
_FLAT, _FALLING = 0.02, 1.4  # popularity falls as (rank + flat · movies) to this power
_DIMENSIONS, _HIDDEN = 20, 4
_SPREAD = 0.3  # the standard deviation of a taste in one dimension
_TOO_MANY = 1.8  # are drawn: movies come twice to a user
_AT_ONCE = 1_000_000

Numbers = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


def drawn(count: int) -> dict[str, Tensor]:
    """Return so many responses as triples, and the movies' vectors: what `responses` takes.

    Beside them the logits that they were drawn by, float32 [responses].
    """
    draw = np.random.default_rng(_SEED)
    users, items = round(count / _EACH), round(_MOVIES * (count / _AMONG) ** 0.5)
    # As genres are: some are of half of the movies, most of few.
    vectors = (draw.random((items, _DIMENSIONS)) < 1 / np.arange(2, _DIMENSIONS + 2)).astype(np.float32)
    cells = _cells(draw, users, items, count)
    user_rows, item_rows = np.divmod(cells, items)
    likes, logits = _likes(draw, vectors, user_rows, item_rows, users)
    return {
        "vectors": torch.from_numpy(vectors),
        "users": torch.from_numpy(user_rows),
        "items": torch.from_numpy(item_rows),
        "values": torch.from_numpy(likes),
        "logits": torch.from_numpy(logits),
    }


def responses(triples: dict[str, Tensor]) -> Responses:
    """Return the matrix of what was drawn."""
    users = int(triples["users"].max()) + 1
    return Responses.from_triples(
        triples["vectors"], triples["users"], triples["items"], triples["values"], users
    )


def _cells(draw: np.random.Generator, users: int, items: int, count: int) -> Rows:
    """Return user · items + item of each response, ascending; every user has some."""
    lengths = _FEWEST * draw.random(users) ** (-1 / _STEEPNESS)
    lengths = np.minimum(lengths, min(_MOST, items / 4))
    lengths = np.ceil(lengths * (_TOO_MANY * count / lengths.sum())).astype(np.int64)
    popularity = np.cumsum((np.arange(items) + _FLAT * items) ** -_FALLING)
    rows = np.repeat(np.arange(users), lengths)
    choice = np.searchsorted(popularity, draw.random(len(rows)) * popularity[-1])
    cells = np.unique(rows * items + draw.permutation(items)[np.minimum(choice, items - 1)])
    kept = np.sort(draw.permutation(len(cells))[:count])
    return cells[kept]


def _likes(
    draw: np.random.Generator, vectors: Numbers, user_rows: Rows, item_rows: Rows, users: int
) -> tuple[Numbers, Numbers]:
    """Return 1.0 or 0.0 a response, and its logit, made of named and hidden dimensions."""
    items = len(vectors)
    sides = np.hstack([np.ones((items, 1)), vectors, draw.normal(size=(items, _HIDDEN))]).astype(np.float32)
    posteriors = draw.normal(0, _SPREAD, (users, sides.shape[1])).astype(np.float32)
    appeals = draw.normal(0, 0.5, items).astype(np.float32)
    likes, logits = (np.empty(len(user_rows), np.float32) for _ in range(2))
    for start in range(0, len(likes), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        users_, items_ = user_rows[part], item_rows[part]
        logits[part] = appeals[items_] + (posteriors[users_] * sides[items_]).sum(1)
        likes[part] = draw.random(len(users_)) < 1 / (1 + np.exp(-logits[part]))
    return likes, logits
