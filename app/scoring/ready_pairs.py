"""Scores of many pairs whose users' tastes are all stored and current, by two statements.

Answers or returns None, and then `app.scoring.scores.score_pairs` is asked; see `app.scoring.fast_path`. Ids
that are found need no check of their own. Does not know HTTP.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from queue import SimpleQueue
from threading import Lock
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
from app.database.tables import Catalog, Serving, User, UserEmbedding
from app.errors import TooLarge
from app.scoring.fold_in import to_posteriors
from app.scoring.model_cache import TrainedModels
from app.scoring.scores import PairScores, check_posteriors
from models.recommender import scoring

_MOST_USERS = 10_000
_READERS = 4  # as many as threads answer requests

_SERVING = Prepared(
    select(Catalog.movies_version, Serving.training_id)
    .select_from(Catalog)
    .join(Serving, Serving.catalog_id == Catalog.id)
    .where(Catalog.catalog == bindparam("catalog"))
)


class _Each(FunctionElement[str]):
    """The texts in a JSON array, a row each, in the column ``value``."""

    name = "each"
    inherit_cache = True


@compiles(_Each, "sqlite")
def _each_in_sqlite(element: _Each, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401 - SQLAlchemy's hook
    return f"json_each({compiler.process(element.clauses, **kw)})"


@compiles(_Each, "postgresql")
def _each_in_postgresql(element: _Each, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401 - likewise
    return f"json_array_elements_text(CAST({compiler.process(element.clauses, **kw)} AS JSON))"


_NAMED = _Each(bindparam("users", type_=String())).table_valued("value")

_CURRENT = Prepared(
    select(
        Catalog.movies_version,
        Serving.training_id,
        User.user,
        UserEmbedding.embedding,
        UserEmbedding.factor,
    )
    .select_from(Catalog)
    .join(Serving, Serving.catalog_id == Catalog.id)
    .join(User, User.catalog_id == Catalog.id)
    .join(
        UserEmbedding,
        (UserEmbedding.user_id == User.id)
        & (UserEmbedding.training_id == Serving.training_id)
        & (UserEmbedding.version == User.version),
    )
    .where(Catalog.catalog == bindparam("catalog"), User.user.in_(select(_NAMED.c.value)))
)


class ReadyPairs:
    """The reads that say what the users' tastes are now."""

    def __init__(self, database: Database, models: TrainedModels) -> None:
        self._models = models
        self._readers = [PreparedReads(database) for _ in range(_READERS)]
        self._free: SimpleQueue[PreparedReads] = SimpleQueue()
        self._turn = Lock()
        for reads in self._readers:
            self._free.put(reads)

    def close(self) -> None:
        """Close the connections to the database."""
        for reads in self._readers:
            reads.close()

    def score_pairs(
        self, catalog: str, users: Sequence[object], movies: Sequence[object]
    ) -> PairScores | None:
        """Return what `app.scoring.scores.score_pairs` returns for these users and movies [pairs], or None.

        They may be anything that JSON knows; what is no id is found nowhere.
        """
        reads = self._free.get()
        try:
            return self._score(reads, catalog, users, movies)
        except (KeyError, TypeError, TooLarge):  # an id that nobody has; what a dictionary refuses; too many
            return None
        finally:
            self._free.put(reads)

    def _score(
        self, reads: PreparedReads, catalog: str, users: Sequence[object], movies: Sequence[object]
    ) -> PairScores | None:
        asked = set(users)
        serving = reads.row(_SERVING, {"catalog": catalog})
        if serving is None or not 0 < len(asked) <= _MOST_USERS:
            return None
        movies_version, training = serving
        trained = self._models.find(training, movies_version)
        if trained is None:
            return None
        check_posteriors(self._models, trained, len(asked))
        found = reads.rows(_CURRENT, {"catalog": catalog, "users": json.dumps(list(asked))})
        if found is None or len(found) != len(asked) or tuple(found[0][:2]) != tuple(serving):
            return None
        posteriors = to_posteriors([row[3] for row in found], [row[4] for row in found])
        if posteriors is None:
            return None
        places = _places(users, {row[2]: place for place, row in enumerate(found)})
        rows = _places(movies, trained.movies.rows)
        # Torch and NumPy let Python's lock go at each of thousands of small products: threads that hand it to
        # each other for every one of them take several times as long as one after the other.
        with self._turn:
            predicted = trained.model.predict_pairs(posteriors, places, rows)
        return PairScores(trained.id, scoring.scores(predicted.logits).tolist())


def _places(ids: Sequence[object], known: Mapping[str, int]) -> Tensor:
    """Return the place int64 [n] of each id. Torch takes four times as long for a list of them."""
    place: Callable[[Any], int] = known.__getitem__
    return torch.from_numpy(np.fromiter(map(place, ids), np.int64, len(ids)))
