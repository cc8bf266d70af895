"""The movies of a catalog in memory, as scoring needs them: one matrix, and which row is which movie.

A matrix is read again when its catalog's ``movies_version`` has moved, so every process sees every change.
Does not know users.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from sqlalchemy import Connection, func, select
from torch import Tensor

from app.catalogs.catalogs import CatalogRow
from app.database import vectors
from app.database.tables import Movie
from app.scoring.memory import Memory

_KEPT = 16
_ROWS_AT_ONCE = 1000  # a row takes many times what is kept of it

Thing = TypeVar("Thing")


class Newest(Generic[Thing]):
    """The newest version of each of the things used last, by key; made by one thread at a time."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, tuple[int, Thing]] = OrderedDict()
        self._looking, self._making = threading.Lock(), threading.Lock()

    def of(self, key: int, version: int, make: Callable[[], Thing]) -> Thing:
        """Return the thing at this version; a version older than the newest is made and not kept."""
        found = self.find(key, version)
        if found is not None:
            return found
        with self._making:  # whoever waited here finds it made
            found = self.find(key, version)
            if found is None:
                found = make()
                self._keep(key, version, found)
        return found

    def find(self, key: int, version: int) -> Thing | None:
        """Return the thing if it is kept at this version."""
        with self._looking:
            kept = self._kept.get(key)
            if kept is None or kept[0] != version:
                return None
            self._kept.move_to_end(key)
            return kept[1]

    def _keep(self, key: int, version: int, made: Thing) -> None:
        with self._looking:
            if key not in self._kept or self._kept[key][0] < version:
                self._kept[key] = (version, made)
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
            catalog.id, catalog.movies_version, lambda: _read(connection, catalog, self._memory)
        )


def _read(connection: Connection, catalog: CatalogRow, memory: Memory) -> MovieMatrix:
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
        for row in connection.execute(statement.execution_options(yield_per=_ROWS_AT_ONCE)):
            keys.append(row.id)
            movies.append(row.movie)
            titles.append(row.title)
            yield row.vector

    stacked = vectors.stack(read(), len(catalog.dimensions))
    return MovieMatrix(
        version=catalog.movies_version,
        movies=movies,
        titles=titles,
        rows={movie: row for row, movie in enumerate(movies)},
        rows_by_key={key: row for row, key in enumerate(keys)},
        vectors=torch.from_numpy(stacked.reshape(len(movies), len(catalog.dimensions))),
    )
