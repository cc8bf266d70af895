"""Scores by the fast path: of users whose model is in memory and whose posterior is stored and current.

Declines all else with None; then `app.scoring.scores` answers, the readable reference, which waits where it
must and says what is wrong. Both read posteriors with the statements of `app.scoring.posteriors`, and a test
holds the two together. What is cached of a user follows from the row that is read for each request.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from queue import SimpleQueue
from threading import Lock
from typing import Any

import numpy as np
import torch
from sqlalchemy import bindparam, select
from torch import Tensor

from app.database.database import Database
from app.database.prepared_statements import Prepared, PreparedReads
from app.database.tables import Catalog, Response, Serving, User
from app.errors import TooLarge
from app.scoring.fold_in import to_posteriors
from app.scoring.model_cache import TrainedModel, TrainedModels
from app.scoring.posteriors import POSTERIOR_OF_USER, POSTERIORS_OF_USERS, Person, PosteriorRow
from app.scoring.scores import PairScores, UserScores, check_posteriors, format_scores, user_scores
from models.recommender import scoring

_CACHED_BYTES = 16 * 2**20
_MOST_NAMED = 100  # movies
_MOST_RESPONSES = 5_000  # of a user; more take too long to be read between two requests
_MOST_NUMBERS = 1_000_000  # of a model's items; likewise
_MOST_USERS = 10_000
_PAIR_READERS = 4  # as many as threads answer requests

_SERVING = Prepared(
    select(Catalog.movies_version, Serving.training_id)
    .select_from(Catalog)
    .join(Serving, Serving.catalog_id == Catalog.id)
    .where(Catalog.catalog == bindparam("catalog"))
)
_RESPONDED = Prepared(
    select(User.version, Response.movie_id)
    .join(Response, Response.user_id == User.id)
    .where(User.id == bindparam("user"))
    .limit(_MOST_RESPONSES + 1)
)


@dataclass(frozen=True)
class _CachedUser:
    """A user as ``row`` found them, and the rows int64 [n] of the movies that they responded to."""

    row: PosteriorRow
    person: Person
    responses: Tensor

    @property
    def size(self) -> int:
        """About how many bytes it takes, with what a model derives from the posterior in float64."""
        posterior = self.person.posterior
        numbers = len(posterior.embedding) ** 2 if posterior.factor is not None else 0
        return 2000 + 8 * len(self.responses) + 12 * numbers


class FastScores:
    """The users scored last, and connections to read who is current, without waiting for the database.

    Each method returns what the function of this name in `app.scoring.scores` returns, or None to decline.
    """

    def __init__(self, database: Database, models: TrainedModels) -> None:
        self._models = models
        self._reads = PreparedReads(database)  # of the event loop
        self._pair_reads = [PreparedReads(database) for _ in range(_PAIR_READERS)]
        self._free: SimpleQueue[PreparedReads] = SimpleQueue()
        for reads in self._pair_reads:
            self._free.put(reads)
        self._predicting = Lock()
        self._users: OrderedDict[tuple[int, int], _CachedUser] = OrderedDict()
        self._bytes = 0

    def close(self) -> None:
        """Close the connections to the database."""
        for reads in (self._reads, *self._pair_reads):
            reads.close()

    def score_movies(self, catalog: str, user: str, movies: Sequence[str]) -> UserScores | None:
        """Score some named movies."""
        current = self._find(catalog, user)
        if current is None or not 0 < len(movies) <= _MOST_NAMED:
            return None
        serving, entry = current
        rows = [serving.movies.rows.get(movie, -1) for movie in movies]
        if -1 in rows:
            return None
        # By NumPy, which takes a list in a tenth of torch's time.
        logits = serving.model.predict(entry.person.posterior, torch.from_numpy(np.array(rows))).logits
        return user_scores(serving, entry.person, format_scores(serving, rows, logits))

    def recommend(self, catalog: str, user: str, limit: int) -> UserScores | None:
        """Recommend movies, none excluded."""
        current = self._find(catalog, user)
        if current is None:
            return None
        serving, entry = current
        numbers = len(serving.movies.movies) * len(entry.person.posterior.embedding)
        if numbers > _MOST_NUMBERS or serving.index is not None:
            return None
        best = serving.model.best(entry.person.posterior, limit, entry.responses, -inf)
        return user_scores(serving, entry.person, format_scores(serving, best.rows.tolist(), best.logits))

    def score_pairs(
        self, catalog: str, users: Sequence[object], movies: Sequence[object]
    ) -> PairScores | None:
        """Score users [pairs] and movies [pairs]: any JSON values; one that is no id is unknown."""
        reads = self._free.get()
        try:
            return self._score_pairs(reads, catalog, users, movies)
        except (KeyError, TypeError, TooLarge):  # an unknown id; an unhashable value; too many users
            return None
        finally:
            self._free.put(reads)

    def _score_pairs(
        self, reads: PreparedReads, catalog: str, users: Sequence[object], movies: Sequence[object]
    ) -> PairScores | None:
        names = set(users)
        versions = reads.row(_SERVING, {"catalog": catalog})
        if versions is None or not 0 < len(names) <= _MOST_USERS:
            return None
        movies_version, training = versions
        serving = self._models.find(training, movies_version)
        if serving is None:
            return None
        check_posteriors(self._models, serving, len(names))
        parameters = {"catalog": catalog, "training": None, "users": json.dumps(list(names))}
        current = reads.rows(POSTERIORS_OF_USERS, parameters)
        if current is None or len(current) != len(names) or tuple(current[0][:2]) != tuple(versions):
            return None
        posteriors = to_posteriors([row[5] for row in current], [row[6] for row in current])
        if posteriors is None:
            return None
        positions = _positions(users, {row[3]: position for position, row in enumerate(current)})
        rows = _positions(movies, serving.movies.rows)
        # Torch and NumPy release the GIL at each of thousands of small products: threads that hand it to each
        # other for every one of them take several times as long as one after the other.
        with self._predicting:
            predictions = serving.model.predict_pairs(posteriors, positions, rows)
        return PairScores(serving.id, scoring.scores(predictions.logits).tolist())

    def _find(self, catalog: str, user: str) -> tuple[TrainedModel, _CachedUser] | None:
        """Return the model and the user, if it is in memory and their posterior current."""
        row = self._reads.row(POSTERIOR_OF_USER, {"catalog": catalog, "training": None, "user": user})
        if row is None:
            return None
        movies_version, training, user_id, *_ = row
        serving = None if training is None else self._models.find(training, movies_version)
        if serving is None:
            return None
        key = training, user_id
        entry = self._users.get(key)
        if entry is None or entry.row != row:
            entry = self._read(serving, PosteriorRow._make(row))
            if entry is None:
                return None
            self._cache(key, entry)
        return serving, entry

    def _read(self, serving: TrainedModel, row: PosteriorRow) -> _CachedUser | None:
        posterior = row.posterior()
        if posterior is None:
            return None
        columns = self._reads.rows(_RESPONDED, {"user": row.user_id})
        if not columns or columns[0][0] != row.version or len(columns) > _MOST_RESPONSES:
            return None  # with another version, the user has just responded
        rows = [serving.movies.rows_by_key.get(key, -1) for _, key in columns]
        if -1 in rows:
            return None
        person = Person(posterior, len(rows), row.user, row.user_id, row.version)
        return _CachedUser(row, person, torch.from_numpy(np.array(rows)))

    def _cache(self, key: tuple[int, int], user: _CachedUser) -> None:
        """Cache the users scored last, as many as fit."""
        previous = self._users.pop(key, None)
        self._bytes += user.size - (previous.size if previous else 0)
        self._users[key] = user
        while self._bytes > _CACHED_BYTES:
            self._bytes -= self._users.popitem(last=False)[1].size


def _positions(ids: Sequence[object], positions: Mapping[str, int]) -> Tensor:
    """Return the position int64 [n] of each id. Torch takes four times as long for a list of them."""
    position: Callable[[Any], int] = positions.__getitem__
    return torch.from_numpy(np.fromiter(map(position, ids), np.int64, len(ids)))
