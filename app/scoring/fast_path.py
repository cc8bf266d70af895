"""Scores of what is ready: the model in memory, the user's taste stored and current. What most requests ask.

Answers or returns None, and then `app.scoring.scores` is asked, which is the readable reference: it knows all
that may be asked, waits where it must, and words what is wrong. A test holds the two together.

One statement reads all that a score depends on as it is now: the catalog's versions, the user's version, and
the taste. Only what follows from these is remembered. Does not know HTTP.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import Any

import numpy as np
import torch
from sqlalchemy import String, bindparam, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from torch import Tensor

from app.database.database import Database
from app.database.prepared_statements import Prepared, PreparedReads
from app.database.tables import Catalog, Response, Serving, User, UserEmbedding
from app.scoring.fold_in import to_posterior
from app.scoring.model_cache import TrainedModel, TrainedModels
from app.scoring.scores import Score, UserScores
from models.recommender import scoring
from models.recommender.model import UserPosterior

_REMEMBERED_BYTES = 16 * 2**20
_MOST_NAMED = 100
_MOST_ANSWERED = 5_000  # movies that a user answered; likewise
_MOST_NUMBERS = 1_000_000  # of a model's items; more take too long to be done between two requests


class _Listed(FunctionElement[str]):
    """All keys of a group as one text, with commas between them; NULL when there are none."""

    type = String()
    inherit_cache = True


@compiles(_Listed, "sqlite")
def _listed_in_sqlite(element: _Listed, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401 - SQLAlchemy's hook
    return f"group_concat({compiler.process(element.clauses, **kw)})"


@compiles(_Listed, "postgresql")
def _listed_in_postgresql(element: _Listed, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401 - likewise
    return f"string_agg(CAST({compiler.process(element.clauses, **kw)} AS VARCHAR), ',')"


_CURRENT = Prepared(
    select(
        Catalog.movies_version,
        Serving.training_id,
        User.id,
        User.version,
        UserEmbedding.embedding,
        UserEmbedding.factor,
    )
    .select_from(Catalog)
    .join(Serving, Serving.catalog_id == Catalog.id)
    .join(User, (User.catalog_id == Catalog.id) & (User.user == bindparam("user")))
    .join(
        UserEmbedding,
        (UserEmbedding.user_id == User.id)
        & (UserEmbedding.training_id == Serving.training_id)
        & (UserEmbedding.version == User.version),
    )
    .where(Catalog.catalog == bindparam("catalog"))
)

_SOME = (
    select(Response.movie_id)
    .where(Response.user_id == bindparam("user_id"))
    .limit(_MOST_ANSWERED + 1)
    .subquery()
)
_ANSWERED = Prepared(
    select(
        User.version,
        select(_Listed(_SOME.c.movie_id)).scalar_subquery(),
    ).where(User.id == bindparam("user_id"))
)


@dataclass
class _Person:
    """A user's taste, and how many movies they answered, which depend on ``stamp`` alone.

    keys are these movies', with commas between them; rows int64 [answered] are made of them when the best
    movies are asked for.
    """

    stamp: tuple[object, ...]
    posterior: UserPosterior
    keys: str
    rows: Tensor | None = None

    @cached_property
    def answered(self) -> int:
        """How many movies they answered."""
        return self.keys.count(",") + 1

    @property
    def size(self) -> int:
        """About how many bytes it takes, with what a model makes of the taste in float64."""
        numbers = self.posterior.embedding.numel() ** 2 if self.posterior.factor is not None else 0
        return 2000 + len(self.keys) + 8 * self.answered + 12 * numbers

    def rows_of(self, movies: Mapping[int, int]) -> Tensor | None:
        """Return the rows of the movies they answered; None unless each has one."""
        if self.rows is None:
            rows = [movies.get(int(key), -1) for key in self.keys.split(",")]
            if -1 in rows:
                return None
            self.rows = torch.from_numpy(np.array(rows))
        return self.rows


class ReadyScores:
    """The users who were asked for last, and the reads that say whether they are as they were."""

    def __init__(self, database: Database, models: TrainedModels) -> None:
        self._reads, self._models = PreparedReads(database), models
        self._people: OrderedDict[tuple[int, int], _Person] = OrderedDict()
        self._bytes = 0

    def close(self) -> None:
        """Close the connection to the database."""
        self._reads.close()

    def score_movies(self, catalog: str, user: str, movies: Sequence[str]) -> UserScores | None:
        """Return what `app.scoring.scores.score_movies` returns for some named movies, or None."""
        found = self._find(catalog, user)
        if found is None or not 0 < len(movies) <= _MOST_NAMED:
            return None
        trained, person = found
        rows = [trained.movies.rows.get(movie, -1) for movie in movies]
        if -1 in rows:
            return None
        # By NumPy, which takes a list in a tenth of torch's time.
        logits = trained.model.predict(person.posterior, torch.from_numpy(np.array(rows))).logits
        return _in_words(trained, user, person, rows, logits)

    def recommend(self, catalog: str, user: str, limit: int) -> UserScores | None:
        """Return what `app.scoring.scores.recommend` returns when nothing is excluded, or None."""
        found = self._find(catalog, user)
        if found is None:
            return None
        trained, person = found
        numbers = len(trained.movies.movies) * len(person.posterior.embedding)
        if numbers > _MOST_NUMBERS or trained.index is not None:
            return None
        answered = person.rows_of(trained.movies.rows_by_key)
        if answered is None:
            return None
        best = trained.model.best(person.posterior, limit, answered, -inf)
        return _in_words(trained, user, person, best.rows.tolist(), best.logits)

    def _find(self, catalog: str, user: str) -> tuple[TrainedModel, _Person] | None:
        row = self._reads.row(_CURRENT, {"catalog": catalog, "user": user})
        if row is None:
            return None
        movies_version, training, user_id, *rest = row
        trained = self._models.find(training, movies_version)
        if trained is None:
            return None
        stamp = (movies_version, *rest)
        person = self._people.get((training, user_id))
        if person is None or person.stamp != stamp:
            person = self._read(user_id, stamp)
            if person is None:
                return None
            self._remember((training, user_id), person)
        return trained, person

    def _read(self, user_id: int, stamp: tuple[object, ...]) -> _Person | None:
        _, version, embedding, factor = stamp
        row = self._reads.row(_ANSWERED, {"user_id": user_id})
        if row is None or row[0] != version or row[1] is None:  # somebody has just answered
            return None
        if row[1].count(",") >= _MOST_ANSWERED or not isinstance(embedding, bytes):
            return None
        return _Person(stamp, to_posterior(embedding, factor if isinstance(factor, bytes) else None), row[1])

    def _remember(self, key: tuple[int, int], person: _Person) -> None:
        """Keep the newest, as many as fit."""
        before = self._people.pop(key, None)
        self._bytes += person.size - (before.size if before else 0)
        self._people[key] = person
        while self._bytes > _REMEMBERED_BYTES:
            self._bytes -= self._people.popitem(last=False)[1].size


def _in_words(
    trained: TrainedModel, user: str, person: _Person, rows: Sequence[int], logits: Tensor
) -> UserScores:
    names, titles = trained.movies.movies, trained.movies.titles
    numbers = zip(rows, scoring.scores(logits).tolist(), logits.tolist(), strict=True)
    scores = [Score(names[row], titles[row], score, logit) for row, score, logit in numbers]
    return UserScores(user, trained.id, person.answered, "learned", scores)
