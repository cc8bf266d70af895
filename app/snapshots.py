"""A catalog's responses as one transaction sees them, in the form that trainers take.

Does not know which trainer will learn from them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
import torch
from sqlalchemy import Connection, select

from app import vectors
from app.tables import Catalog, Movie, Response, User
from models.responses import Responses

_ROWS_AT_ONCE = 100_000


@dataclass(frozen=True)
class Snapshot:
    """The responses of a catalog; row u of the matrix is the user with key ``users[u]`` at ``versions[u]``.

    Rows follow the order of the users' and movies' ids, so the order in which they were stored does not
    matter. Users without responses have no row.
    """

    users: list[int]
    versions: list[int]
    responses: Responses


def read_snapshot(connection: Connection, catalog_id: int) -> Snapshot:
    """Read all responses of a catalog; raises `models.responses.BadResponsesError` when there are none."""
    dimensions = connection.execute(select(Catalog.dimensions).where(Catalog.id == catalog_id)).scalar_one()
    movies = connection.execute(
        select(Movie.id, Movie.vector).where(Movie.catalog_id == catalog_id).order_by(Movie.movie)
    ).all()
    answered = select(Response.user_id).where(Response.user_id == User.id).exists()
    users = connection.execute(
        select(User.id, User.version).where(User.catalog_id == catalog_id, answered).order_by(User.user)
    ).all()
    stacked = vectors.stack((row.vector for row in movies), len(dimensions))
    user_keys, movie_keys, values = _read_responses(connection, catalog_id)
    return Snapshot(
        users=[row.id for row in users],
        versions=[row.version for row in users],
        responses=Responses.from_triples(
            torch.from_numpy(stacked.reshape(len(movies), len(dimensions))),
            _rows(user_keys, [row.id for row in users]),
            _rows(movie_keys, [row.id for row in movies]),
            torch.from_numpy(values),
            len(users),
        ),
    )


def _read_responses(
    connection: Connection, catalog_id: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    statement = (
        select(Response.user_id, Response.movie_id, Response.response)
        .join(User, User.id == Response.user_id)
        .where(User.catalog_id == catalog_id)
    )

    def batches() -> Iterator[npt.NDArray[np.float64]]:
        for rows in connection.execute(statement).partitions(_ROWS_AT_ONCE):
            yield np.fromiter(chain.from_iterable(rows), np.float64, 3 * len(rows)).reshape(-1, 3)

    # Keys are exact in float64 up to 2^53.
    table = np.concatenate([np.empty((0, 3)), *batches()])
    return table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2].copy()


def _rows(keys: npt.NDArray[np.int64], in_row_order: list[int]) -> torch.Tensor:
    """Return the row of each key, given the keys in the order of their rows."""
    ordered = np.array(in_row_order, dtype=np.int64)
    by_key = np.argsort(ordered)
    return torch.from_numpy(by_key[np.searchsorted(ordered[by_key], keys)])
