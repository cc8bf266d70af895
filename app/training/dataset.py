"""A catalog's responses as one transaction sees them, in the form that trainers take.

Digests say whether two trainings saw the same: SHA-256 over ids and numbers in their canonical order, so the
order in which they were stored does not matter. Does not know which trainer will learn from them.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np
import numpy.typing as npt
import torch
from sqlalchemy import Connection, Row, Select, func, select

from app.database import vectors
from app.database.tables import Catalog, Movie, Response, User
from app.scoring.memory import Memory
from models.recommender.data import Responses
from models.recommender.trainer import Sizes

_ROWS_AT_ONCE = 100_000


@dataclass(frozen=True)
class Seen:
    """What a training saw, without the responses themselves: whose they were, to which movies, and digests.

    Row u of its matrix is the user with key ``users[u]`` at ``versions[u]``, column m the movie with key
    ``movies[m]``. Rows and columns follow the order of the users' and movies' ids, so the order in which they
    were stored does not matter. Users without responses have no row.
    """

    users: list[int]
    versions: list[int]
    movies: list[int]
    answers: int
    movies_version: int
    vectors_digest: str
    responses_digest: str

    @property
    def users_digest(self) -> str:
        """The digest of who answered, by key, and at which version: it stays while nobody is folded in."""
        return digest_numbers([*self.users, *self.versions])

    @property
    def movies_digest(self) -> str:
        """The digest of the movies' keys."""
        return digest_numbers(self.movies)


@dataclass(frozen=True)
class Snapshot(Seen):
    """The responses of a catalog; timestamps float64 [responses] stand as the responses do."""

    responses: Responses
    timestamps: torch.Tensor

    @property
    def timestamps_digest(self) -> str:
        """The digest of when the responses were given."""
        return _digest([], self.timestamps)


@dataclass(frozen=True)
class Movies:
    """A catalog's movies in the order of their ids: keys, ids, vectors float32 [movies, dimensions]."""

    keys: list[int]
    ids: list[str]
    vectors: torch.Tensor
    version: int
    digest: str


def read_snapshot(
    connection: Connection, catalog_id: int, memory: Memory, sizes_of: Callable[[int], Sizes]
) -> Snapshot:
    """Read all responses of a catalog; ``sizes_of`` returns a trainer's sizes, given the dimensions.

    Raises `models.recommender.data.BadResponsesError` when there are none, and `TooLarge`, before anything is
    read, when they would take more memory than there is for a training.
    """
    responses = _count(
        connection,
        select(Response.user_id).join(User, User.id == Response.user_id).where(User.catalog_id == catalog_id),
    )
    check_memory(connection, catalog_id, responses, memory, sizes_of)
    movies = read_movies(connection, catalog_id)
    has_answers = select(Response.user_id).where(Response.user_id == User.id).exists()
    users = connection.execute(
        select(User.id, User.user, User.version)
        .where(User.catalog_id == catalog_id, has_answers)
        .order_by(User.user)
    ).all()
    table = _read_responses(connection, catalog_id)
    user_rows = rows_of(table[:, 0], [row.id for row in users])
    item_rows = rows_of(table[:, 1], movies.keys)
    order = torch.argsort(user_rows * len(movies.keys) + item_rows)
    values, timestamps = torch.from_numpy(table[:, 2:].copy())[order].unbind(1)
    matrix = Responses.from_triples(
        movies.vectors, user_rows[order], item_rows[order], values.contiguous(), len(users)
    )
    return Snapshot(
        users=[row.id for row in users],
        versions=[row.version for row in users],
        movies=movies.keys,
        answers=len(matrix.values),
        movies_version=movies.version,
        vectors_digest=movies.digest,
        responses_digest=digest_responses(movies.ids, [row.user for row in users], user_digests(matrix)),
        responses=matrix,
        timestamps=timestamps.contiguous(),
    )


def check_memory(
    connection: Connection,
    catalog_id: int,
    responses: int,
    memory: Memory,
    sizes_of: Callable[[int], Sizes],
) -> None:
    """Raise `TooLarge` when so many responses, and what a trainer keeps of a catalog, do not fit."""
    dimensions = connection.execute(select(Catalog.dimensions).where(Catalog.id == catalog_id)).scalar_one()
    memory.check_training(
        _count(connection, select(Movie.id).where(Movie.catalog_id == catalog_id)),
        len(dimensions),
        _count(connection, select(User.id).where(User.catalog_id == catalog_id)),
        responses,
        sizes_of(len(dimensions)),
    )


def _count(connection: Connection, rows: Select[int]) -> int:
    return connection.execute(select(func.count()).select_from(rows.subquery())).scalar_one()


def read_movies(connection: Connection, catalog_id: int) -> Movies:
    """Read a catalog's movies."""
    dimensions, version = connection.execute(
        select(Catalog.dimensions, Catalog.movies_version).where(Catalog.id == catalog_id)
    ).one()
    rows = connection.execute(
        select(Movie.id, Movie.movie, Movie.vector)
        .where(Movie.catalog_id == catalog_id)
        .order_by(Movie.movie)
    ).all()
    ids, item_vectors = [row.movie for row in rows], _stack(rows, len(dimensions))
    digest = _digest([*dimensions, *ids], item_vectors)
    return Movies([row.id for row in rows], ids, item_vectors, version, digest)


def read_vectors_digest(connection: Connection, catalog_id: int) -> str:
    """Return what a snapshot's ``vectors_digest`` would be, also where nobody has answered."""
    return read_movies(connection, catalog_id).digest


def _stack(movies: Sequence[Row[int, str, bytes]], dimensions: int) -> torch.Tensor:
    matrix = vectors.stack((row.vector for row in movies), dimensions)
    return torch.from_numpy(matrix.reshape(len(movies), dimensions))


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


def rows_of(keys: npt.NDArray[np.float64], in_row_order: list[int]) -> torch.Tensor:
    """Return the row of each key, given the keys in the order of their rows."""
    order = np.array(in_row_order, dtype=np.int64)
    by_key = np.argsort(order)
    return torch.from_numpy(by_key[np.searchsorted(order[by_key], keys.astype(np.int64))])


def digest_numbers(numbers: Sequence[int]) -> str:
    """Return the SHA-256 of whole numbers in their order."""
    return _digest([], torch.tensor(numbers, dtype=torch.int64))


def user_digests(responses: Responses) -> torch.Tensor:
    """Return the SHA-256 of each user's responses, uint8 [users, 32]: movies' rows, then values.

    By user, so that no process has to have the responses of all.
    """
    rows, values = (
        memoryview(numbers.contiguous().numpy().astype(dtype).tobytes())
        for numbers, dtype in ((responses.item_rows, "<i8"), (responses.values, "<f4"))
    )
    offsets = responses.offsets.tolist()
    digests = bytearray()
    for start, stop in pairwise(offsets):
        digest = hashlib.sha256(rows[8 * start : 8 * stop])
        digest.update(values[4 * start : 4 * stop])
        digests += digest.digest()
    return torch.frombuffer(digests, dtype=torch.uint8).view(-1, 32) if digests else torch.empty(0, 32)


def digest_responses(movies: Iterable[str], users: Iterable[str], digests: torch.Tensor) -> str:
    """Return the SHA-256 of the responses that these users, by id, gave to these movies."""
    return _digest([*movies, *users], digests)


def _digest(texts: Iterable[str], *numbers: torch.Tensor) -> str:
    """Return the SHA-256 of texts and numbers, each with its length, so that no two inputs read alike."""
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    for array in numbers:
        numpy_array = array.contiguous().numpy()
        digest.update(repr(numpy_array.shape).encode())
        digest.update(numpy_array.astype(numpy_array.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()
