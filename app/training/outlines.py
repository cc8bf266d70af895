"""A catalog's outline, its users with how many responses each has, and ranges of users with their responses.

Processes of a cluster each read a range, and none has to hold all responses. Each range is read in a
transaction of its own, with its users' versions as of then: a user who responds later is stale afterwards, as
after any training. `app.training.dataset` reads everything in one transaction instead, as a stream, with
timestamps: by ranges it would neither be one snapshot nor stay within a training's memory.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
import torch
from sqlalchemy import Connection, func, select

from app.database.tables import Response, User
from app.scoring.memory import Memory
from app.training.dataset import Movies, Seen, check_memory, digest_responses, read_movies, user_digests
from models.recommender.data import BadResponsesError, Responses
from models.recommender.trainer import Sizes

_KEYS_AT_ONCE = 10_000
_STALE = -1  # no user's version

Keys = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Outline:
    """A catalog's movies, and its users with responses in the order of their ids; counts int64 [users]."""

    movies: Movies
    users: list[int]
    ids: list[str]
    counts: torch.Tensor


@dataclass(frozen=True)
class RangeSummary:
    """The users of a range who have responses, by their places among the users that were asked for.

    places, versions and counts int64 [n]; digests uint8 [n, 32]; answered int64 [movies], how often.
    """

    places: torch.Tensor
    versions: torch.Tensor
    counts: torch.Tensor
    digests: torch.Tensor
    answered: torch.Tensor

    @property
    def mark(self) -> str:
        """A digest of the users and their responses, whatever their order."""
        by_place = torch.argsort(self.places)
        digest = hashlib.sha256(self.places[by_place].numpy().tobytes())
        digest.update(self.digests[by_place].numpy().tobytes())
        return digest.hexdigest()

    @classmethod
    def joined(cls, parts: Sequence["RangeSummary"]) -> "RangeSummary":
        """Return several ranges' summaries, concatenated."""
        return cls(
            torch.cat([part.places for part in parts]),
            torch.cat([part.versions for part in parts]),
            torch.cat([part.counts for part in parts]),
            torch.cat([part.digests for part in parts]),
            torch.stack([part.answered for part in parts]).sum(0),
        )

    def ordered(self, order: torch.Tensor) -> "RangeSummary":
        """Return the same with its users in this order [n]."""
        return RangeSummary(
            self.places[order], self.versions[order], self.counts[order], self.digests[order], self.answered
        )


def read_outline(
    connection: Connection, catalog_id: int, memory: Memory, sizes_of: Callable[[int], Sizes]
) -> Outline:
    """Read a catalog in outline; ``sizes_of`` returns a trainer's sizes, given the dimensions.

    Raises `BadResponsesError` when there are no responses, and `TooLarge` when the rest does not fit.
    """
    check_memory(connection, catalog_id, 0, memory, sizes_of)
    rows = connection.execute(
        select(User.id, User.user, func.count())
        .join(Response, Response.user_id == User.id)
        .where(User.catalog_id == catalog_id)
        .group_by(User.id, User.user)
        .order_by(User.user)
    ).all()
    if not rows:
        raise BadResponsesError("there are no responses to learn from")
    users, ids, counts = zip(*rows, strict=True)
    return Outline(read_movies(connection, catalog_id), list(users), list(ids), torch.tensor(counts))


def read_range(connection: Connection, users: Keys, movies: Keys) -> tuple[Responses, RangeSummary] | None:
    """Read the responses of these users, by key, to these movies; None when there are none any more.

    A user who responded to another movie, which came later, counts as stale.
    """
    chunks = [users[start : start + _KEYS_AT_ONCE] for start in range(0, len(users), _KEYS_AT_ONCE)]
    versions = dict(chain.from_iterable(_read_versions(connection, chunk) for chunk in chunks))
    table = np.concatenate([np.empty((0, 3)), *(_read_table(connection, chunk) for chunk in chunks)])
    places, user_known = _places(table[:, 0], users)
    rows, movie_known = _places(table[:, 1], movies)
    for key in np.unique(table[user_known & ~movie_known, 0]).tolist():
        versions[int(key)] = _STALE
    is_known = user_known & movie_known
    if not is_known.any():
        return None
    there, user_rows = np.unique(places[is_known], return_inverse=True)
    matrix = Responses.from_triples(
        torch.empty(len(movies), 0),
        torch.from_numpy(user_rows),
        torch.from_numpy(rows[is_known]),
        torch.from_numpy(table[is_known, 2].copy()),
        len(there),
    )
    range_versions = RangeSummary(
        places=torch.from_numpy(there),
        versions=torch.tensor([versions.get(key, _STALE) for key in users[there].tolist()]),
        counts=matrix.offsets.diff(),
        digests=user_digests(matrix),
        answered=torch.bincount(matrix.item_rows, minlength=len(movies)),
    )
    return matrix, range_versions


def seen(outline: Outline, versions: RangeSummary) -> Seen:
    """Return what was read of a catalog; ``versions`` joins all ranges, in the order of the users' rows."""
    places = versions.places.tolist()
    users, ids = ([names[place] for place in places] for names in (outline.users, outline.ids))
    return Seen(
        users=[int(key) for key in users],
        versions=versions.versions.tolist(),
        movies=outline.movies.keys,
        answers=int(versions.counts.sum()),
        movies_version=outline.movies.version,
        vectors_digest=outline.movies.digest,
        responses_digest=digest_responses(outline.movies.ids, map(str, ids), versions.digests),
    )


def _read_versions(connection: Connection, keys: Keys) -> Iterator[tuple[int, int]]:
    rows = connection.execute(select(User.id, User.version).where(User.id.in_(keys.tolist())))
    return ((row.id, row.version) for row in rows)


def _read_table(connection: Connection, keys: Keys) -> npt.NDArray[np.float64]:
    """Return user key, movie key and response, a row a response; keys are exact in float64 up to 2^53."""
    rows = connection.execute(
        select(Response.user_id, Response.movie_id, Response.response).where(
            Response.user_id.in_(keys.tolist())
        )
    ).all()
    return np.fromiter(chain.from_iterable(rows), np.float64, 3 * len(rows)).reshape(-1, 3)


def _places(keys: npt.NDArray[np.float64], among: Keys) -> tuple[Keys, npt.NDArray[np.bool_]]:
    """Return where each key stands among others, and whether it does."""
    by_key = np.argsort(among)
    sorted_keys, wanted_keys = among[by_key], keys.astype(np.int64)
    at = np.minimum(np.searchsorted(sorted_keys, wanted_keys), max(0, len(among) - 1))
    return by_key[at], sorted_keys[at] == wanted_keys
