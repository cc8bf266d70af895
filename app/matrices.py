"""The movies of a catalog in memory, as scoring needs them: one matrix, and which row is which movie.

A matrix is read again when its catalog's ``movies_version`` has moved, so every process sees every change.
Does not know users.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass

import torch
from sqlalchemy import Connection, select
from torch import Tensor

from app import vectors
from app.catalogs import CatalogRow
from app.tables import Movie

_CATALOGS_KEPT = 16


@dataclass(frozen=True)
class MovieMatrix:
    """One version of a catalog's movies, in the order of their ids.

    ``vectors`` is float32 [movies, dimensions] and ``largest_norm`` bounds the norms of its rows; ``rows``
    finds a movie by the caller's id, ``rows_by_key`` by the database's.
    """

    version: int
    movies: list[str]
    titles: list[str]
    rows: dict[str, int]
    rows_by_key: dict[int, int]
    vectors: Tensor
    largest_norm: float


class MovieMatrices:
    """The matrices of the catalogs used last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, MovieMatrix] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, connection: Connection, catalog: CatalogRow) -> MovieMatrix:
        """Return the catalog's movies as the connection's transaction sees them."""
        with self._lock:
            kept = self._kept.get(catalog.id)
            if kept is not None and kept.version == catalog.movies_version:
                self._kept.move_to_end(catalog.id)
                return kept
        matrix = _read(connection, catalog)
        with self._lock:
            if kept is None or kept.version < matrix.version:
                self._kept[catalog.id] = matrix
                self._kept.move_to_end(catalog.id)
            while len(self._kept) > _CATALOGS_KEPT:
                self._kept.popitem(last=False)
        return matrix


def _read(connection: Connection, catalog: CatalogRow) -> MovieMatrix:
    found = connection.execute(
        select(Movie.id, Movie.movie, Movie.title, Movie.vector)
        .where(Movie.catalog_id == catalog.id)
        .order_by(Movie.movie)
    ).all()
    stacked = vectors.stack((row.vector for row in found), len(catalog.dimensions))
    matrix = torch.from_numpy(stacked.reshape(len(found), len(catalog.dimensions)))
    norms = torch.linalg.vector_norm(matrix, dim=1, dtype=torch.float64)
    return MovieMatrix(
        version=catalog.movies_version,
        movies=[row.movie for row in found],
        titles=[row.title for row in found],
        rows={row.movie: index for index, row in enumerate(found)},
        rows_by_key={row.id: index for index, row in enumerate(found)},
        vectors=matrix,
        largest_norm=float(norms.max()) if found else 0.0,
    )
