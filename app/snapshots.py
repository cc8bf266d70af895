"""A catalog's responses as one transaction sees them, in the form that trainers take.

Digests say whether two trainings saw the same: SHA-256 over ids and numbers in their canonical order, so the
order in which they were stored does not matter. Does not know which trainer will learn from them.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
import torch
from sqlalchemy import Connection, Row, Select, func, select

from app import vectors
from app.memory import Memory
from app.tables import Catalog, Movie, Response, User
from models.responses import Responses
from models.trainer import Sizes

_ROWS_AT_ONCE = 100_000


@dataclass(frozen=True)
class Snapshot:
    """The responses of a catalog; row u of the matrix is the user with key ``users[u]`` at ``versions[u]``.

    Column m is the movie with key ``movies[m]``; timestamps float64 [responses] stand as the responses do.
    Rows and columns follow the order of the users' and movies' ids, so the order in which they were stored
    does not matter. Users without responses have no row.
    """

    users: list[int]
    versions: list[int]
    movies: list[int]
    responses: Responses
    timestamps: torch.Tensor
    movies_version: int
    vectors_digest: str
    responses_digest: str

    @property
    def users_digest(self) -> str:
        """The digest of who answered, by key, and at which version: it stays while nobody is relearned."""
        return digest_numbers([*self.users, *self.versions])

    @property
    def movies_digest(self) -> str:
        """The digest of the movies' keys."""
        return digest_numbers(self.movies)

    @property
    def timestamps_digest(self) -> str:
        """The digest of when the responses were given."""
        return _digest([], self.timestamps)


def read_snapshot(
    connection: Connection, catalog_id: int, memory: Memory, sizes_of: Callable[[int], Sizes]
) -> Snapshot:
    """Read all responses of a catalog; ``sizes_of`` says what a trainer keeps, given the dimensions.

    Raises `models.responses.BadResponsesError` when there are none, and `TooLarge`, before anything is read,
    when they would take more memory than there is for a training.
    """
    dimensions, movies_version = connection.execute(
        select(Catalog.dimensions, Catalog.movies_version).where(Catalog.id == catalog_id)
    ).one()
    memory.check_training(
        _count(connection, select(Movie.id).where(Movie.catalog_id == catalog_id)),
        len(dimensions),
        _count(connection, select(User.id).where(User.catalog_id == catalog_id)),
        _count(
            connection,
            select(Response.user_id)
            .join(User, User.id == Response.user_id)
            .where(User.catalog_id == catalog_id),
        ),
        sizes_of(len(dimensions)),
    )
    movies = _read_movies(connection, catalog_id)
    answered = select(Response.user_id).where(Response.user_id == User.id).exists()
    users = connection.execute(
        select(User.id, User.user, User.version)
        .where(User.catalog_id == catalog_id, answered)
        .order_by(User.user)
    ).all()
    item_vectors = _stack(movies, len(dimensions))
    table = _read_responses(connection, catalog_id)
    user_rows = _rows(table[:, 0], [row.id for row in users])
    item_rows = _rows(table[:, 1], [row.id for row in movies])
    order = torch.argsort(user_rows * len(movies) + item_rows)
    values, timestamps = torch.from_numpy(table[:, 2:].copy())[order].unbind(1)
    responses = Responses.from_triples(
        item_vectors, user_rows[order], item_rows[order], values.contiguous(), len(users)
    )
    movie_ids = [row.movie for row in movies]
    return Snapshot(
        users=[row.id for row in users],
        versions=[row.version for row in users],
        movies=[row.id for row in movies],
        responses=responses,
        timestamps=timestamps.contiguous(),
        movies_version=movies_version,
        vectors_digest=_digest([*dimensions, *movie_ids], item_vectors),
        responses_digest=_digest(
            [*movie_ids, *(row.user for row in users)],
            responses.offsets,
            responses.item_rows,
            responses.values,
        ),
    )


def _count(connection: Connection, rows: Select[int]) -> int:
    return connection.execute(select(func.count()).select_from(rows.subquery())).scalar_one()


def read_vectors_digest(connection: Connection, catalog_id: int) -> str:
    """Return what a snapshot's ``vectors_digest`` would be, also where nobody has answered."""
    dimensions = connection.execute(select(Catalog.dimensions).where(Catalog.id == catalog_id)).scalar_one()
    movies = _read_movies(connection, catalog_id)
    return _digest([*dimensions, *(row.movie for row in movies)], _stack(movies, len(dimensions)))


def _read_movies(connection: Connection, catalog_id: int) -> Sequence[Row[int, str, bytes]]:
    return connection.execute(
        select(Movie.id, Movie.movie, Movie.vector)
        .where(Movie.catalog_id == catalog_id)
        .order_by(Movie.movie)
    ).all()


def _stack(movies: Sequence[Row[int, str, bytes]], dimensions: int) -> torch.Tensor:
    stacked = vectors.stack((row.vector for row in movies), dimensions)
    return torch.from_numpy(stacked.reshape(len(movies), dimensions))


def _read_responses(connection: Connection, catalog_id: int) -> npt.NDArray[np.float64]:
    """Return user key, movie key, response and timestamp, a row a response."""
    statement = (
        select(Response.user_id, Response.movie_id, Response.response, Response.timestamp)
        .join(User, User.id == Response.user_id)
        .where(User.catalog_id == catalog_id)
    )

    def batches() -> Iterator[npt.NDArray[np.float64]]:
        for rows in connection.execute(statement).partitions(_ROWS_AT_ONCE):
            yield np.fromiter(chain.from_iterable(rows), np.float64, 4 * len(rows)).reshape(-1, 4)

    # Keys are exact in float64 up to 2^53.
    return np.concatenate([np.empty((0, 4)), *batches()])


def _rows(keys: npt.NDArray[np.float64], in_row_order: list[int]) -> torch.Tensor:
    """Return the row of each key, given the keys in the order of their rows."""
    ordered = np.array(in_row_order, dtype=np.int64)
    by_key = np.argsort(ordered)
    return torch.from_numpy(by_key[np.searchsorted(ordered[by_key], keys.astype(np.int64))])


def digest_numbers(numbers: Sequence[int]) -> str:
    """Return the SHA-256 of whole numbers in their order."""
    return _digest([], torch.tensor(numbers, dtype=torch.int64))


def _digest(texts: Iterable[str], *numbers: torch.Tensor) -> str:
    """Return the SHA-256 of texts and numbers, each with its length, so that no two inputs read alike."""
    digest = hashlib.sha256()
    for text in texts:
        encoded = text.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    for array in numbers:
        stored = array.contiguous().numpy()
        digest.update(repr(stored.shape).encode())
        digest.update(stored.astype(stored.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()
