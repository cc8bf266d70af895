"""The models of trainings in memory: restored from what a training left, over the movies as they are now.

A model is restored again when its catalog's ``movies_version`` changes; what a training left never changes.
Does not know users, nor which training serves.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import safetensors.torch
import torch
from sqlalchemy import Connection, func, insert, select
from torch import Tensor

from app.catalogs.catalogs import CatalogRow
from app.database import vectors
from app.database.database import forget_pages
from app.database.tables import Movie, MovieEmbedding, Training, TrainingState
from app.processes.garbage_collection import release_memory_soon
from app.scoring.memory import Memory
from app.scoring.movie_index import MovieIndex, MovieIndexes
from models.recommender.model import Model, UserPosterior
from models.recommender.scoring import Best
from models.recommender.shortlist import each_alone
from models.recommender.trainer import Trainer, TrainingResult
from models.recommender.trainers import make_trainer

_KEPT = 16
_MOVIES_AT_ONCE = 1000  # a row takes many times what is kept of it

Thing = TypeVar("Thing")


class Newest(Generic[Thing]):
    """The newest version of each of the things used last, by key; made by one thread at a time."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, tuple[int, Thing]] = OrderedDict()
        self._looking, self._making = threading.Lock(), threading.Lock()

    def of(self, key: int, version: int, make: Callable[[], Thing]) -> Thing:
        """Return the thing at this version; a version older than the newest is made and not kept."""
        entry = self.find(key, version)
        if entry is not None:
            return entry
        with self._making:  # whoever waited here finds it made
            entry = self.find(key, version)
            if entry is None:
                entry = make()
                self._keep(key, version, entry)
        return entry

    def find(self, key: int, version: int) -> Thing | None:
        """Return the thing if it is kept at this version."""
        with self._looking:
            entry = self._kept.get(key)
            if entry is None or entry[0] != version:
                return None
            self._kept.move_to_end(key)
            return entry[1]

    def _keep(self, key: int, version: int, entry: Thing) -> None:
        with self._looking:
            if key not in self._kept or self._kept[key][0] < version:
                self._kept[key] = (version, entry)
                self._kept.move_to_end(key)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)


@dataclass(frozen=True)
class MovieMatrix:
    """One version of a catalog's movies, in the order of their ids.

    ``vectors`` is float32 [movies, dimensions]; ``rows`` finds a movie by the caller's id, ``rows_by_key`` by
    the database's.
    """

    version: int
    movies: list[str]
    titles: list[str]
    rows: dict[str, int]
    rows_by_key: dict[int, int]
    vectors: Tensor


class MovieMatrices:
    """The matrices of the catalogs used last."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._newest: Newest[MovieMatrix] = Newest()

    def of(self, connection: Connection, catalog: CatalogRow) -> MovieMatrix:
        """Return the catalog's movies as the connection's transaction sees them; raises `TooLarge`."""
        return self._newest.of(
            catalog.id, catalog.movies_version, lambda: _read_movies(connection, catalog, self._memory)
        )


def _read_movies(connection: Connection, catalog: CatalogRow, memory: Memory) -> MovieMatrix:
    count = select(func.count()).where(Movie.catalog_id == catalog.id)
    memory.check_catalog(catalog.catalog, connection.execute(count).scalar_one(), len(catalog.dimensions))
    keys: list[int] = []
    movies: list[str] = []
    titles: list[str] = []

    def read() -> Iterator[bytes]:
        statement = (
            select(Movie.id, Movie.movie, Movie.title, Movie.vector)
            .where(Movie.catalog_id == catalog.id)
            .order_by(Movie.movie)
        )
        for row in connection.execute(statement.execution_options(yield_per=_MOVIES_AT_ONCE)):
            keys.append(row.id)
            movies.append(row.movie)
            titles.append(row.title)
            yield row.vector

    matrix = vectors.stack(read(), len(catalog.dimensions))
    return MovieMatrix(
        version=catalog.movies_version,
        movies=movies,
        titles=titles,
        rows={movie: row for row, movie in enumerate(movies)},
        rows_by_key={key: row for row, key in enumerate(keys)},
        vectors=torch.from_numpy(matrix.reshape(len(movies), len(catalog.dimensions))),
    )


_ROWS_AT_ONCE = 10_000
_ROWS_READ_AT_ONCE = 1000  # a row takes many times what is kept of it


@dataclass(frozen=True)
class TrainedModel:
    """The model of the training ``id``; its items are the rows of ``movies``."""

    id: int
    trainer: str
    movies: MovieMatrix
    model: Model
    index: MovieIndex | None = None

    def best(self, posterior: UserPosterior, limit: int, exclude: Tensor, min_logit: float) -> Best:
        """Return the best as `Model.best` does, or nearly so by the index, where it is ready and will do."""
        if self.index is None:
            return self.model.best(posterior, limit, exclude, min_logit)
        shortlist = self.index.best(posterior, limit, exclude, min_logit)
        if shortlist is None:
            shortlist = self.model.best(posterior, limit, exclude, min_logit)
        return each_alone(self.model, posterior, shortlist)


class TrainedModels:
    """The models used last, with the movies of their catalogs, and how much memory there is for them."""

    def __init__(self, memory: Memory | None = None, indexes: MovieIndexes | None = None) -> None:
        self.memory = memory or Memory()
        self._indexes = indexes or MovieIndexes()
        self._matrices = MovieMatrices(self.memory)
        self._newest: Newest[TrainedModel] = Newest()

    def movies(self, connection: Connection, catalog: CatalogRow) -> MovieMatrix:
        """Return the catalog's movies as the connection's transaction sees them."""
        return self._matrices.of(connection, catalog)

    def of(self, connection: Connection, catalog: CatalogRow, training: int) -> TrainedModel:
        """Return the model of a training of the catalog that succeeded; raises `TooLarge`."""
        movies = self.movies(connection, catalog)

        def read() -> TrainedModel:
            numbers = movies.vectors.shape[1] + _learned_width(connection, training)
            self.memory.check_catalog(catalog.catalog, len(movies.movies), numbers)
            model = _read(connection, movies, training, self._indexes)
            forget_pages(connection)
            release_memory_soon()  # rows, and what is computed on the way: some times the size of the model
            return model

        return self._newest.of(training, movies.version, read)

    def find(self, training: int, movies_version: int) -> TrainedModel | None:
        """Return the model of a training if it is in memory, over this version of its catalog's movies."""
        return self._newest.find(training, movies_version)


def restore(
    trainer: Trainer, movies: MovieMatrix, state: Mapping[str, Tensor], keys: Sequence[int], items: Tensor
) -> Model:
    """Return the model over these movies; ``items`` float32 [n, I] was learned of those with ``keys`` [n].

    What was learned of movies that are gone is left out; the model makes do with the vectors of new ones.
    """
    places = [(movies.rows_by_key[key], place) for place, key in enumerate(keys) if key in movies.rows_by_key]
    item_states = torch.zeros(len(movies.movies), items.shape[1])
    has_state = torch.zeros(len(movies.movies), dtype=torch.bool)
    if places:
        rows, present = torch.tensor(places).unbind(1)
        item_states[rows], has_state[rows] = items[present], True
    return trainer.restore(state, movies.vectors, item_states, has_state)


def store_model(
    connection: Connection, training: int, catalog_id: int, movies: Sequence[int], learned: TrainingResult
) -> None:
    """Store the shared and item states of a training, of the movies with these keys that still exist."""
    state = safetensors.torch.save(dict(learned.shared))
    connection.execute(insert(TrainingState).values(training_id=training, state=state))
    if learned.items.shape[1] == 0:
        return
    present = set(connection.scalars(select(Movie.id).where(Movie.catalog_id == catalog_id)))
    rows = [
        {"training_id": training, "movie_id": key, "embedding": vectors.to_bytes(numbers)}
        for key, numbers in zip(movies, learned.items.numpy(), strict=True)
        if key in present
    ]
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        connection.execute(insert(MovieEmbedding), rows[start : start + _ROWS_AT_ONCE])


def _learned_width(connection: Connection, training: int) -> int:
    """Return how many numbers were learned of a movie, read from one of them."""
    width = select(func.length(MovieEmbedding.embedding)).where(MovieEmbedding.training_id == training)
    return (connection.scalar(width.limit(1)) or 0) // 4


def _read(connection: Connection, movies: MovieMatrix, training: int, indexes: MovieIndexes) -> TrainedModel:
    row = connection.execute(
        select(Training.trainer, Training.options, Training.metrics, TrainingState.state)
        .outerjoin(TrainingState, TrainingState.training_id == Training.id)
        .where(Training.id == training)
    ).one()
    keys, items = _read_items(connection, training)
    # A training of a database that was migrated has no state; it is one that needs none.
    state = safetensors.torch.load(row.state) if row.state is not None else {}
    trainer = make_trainer(row.trainer, row.options)
    model = restore(trainer, movies, state, keys, items)
    index = indexes.begin(training, model, len(movies.movies), row.metrics or {})
    return TrainedModel(training, row.trainer, movies, model, index)


def _read_items(connection: Connection, training: int) -> tuple[list[int], Tensor]:
    """Return the keys [n] of the movies of which something was learned, and that: float32 [n, I]."""
    keys: list[int] = []

    def read() -> Iterator[bytes]:
        statement = select(MovieEmbedding.movie_id, MovieEmbedding.embedding).where(
            MovieEmbedding.training_id == training
        )
        for row in connection.execute(statement.execution_options(yield_per=_ROWS_READ_AT_ONCE)):
            keys.append(row.movie_id)
            yield row.embedding

    width = _learned_width(connection, training)
    return keys, torch.from_numpy(vectors.stack(read(), width).reshape(len(keys), width))
