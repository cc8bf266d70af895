"""A catalog's movies in memory are those of the database, also when they are read in several goes."""

import numpy as np
import pytest
from sqlalchemy import select

from app.catalogs.catalogs import find_catalog
from app.database.database import Database
from app.database.tables import Movie
from app.scoring.memory import Memory
from app.scoring.model_cache import MovieMatrices


@pytest.mark.parametrize("at_once", [1, 2, 1000])
def test_the_movies_in_memory_are_those_of_the_database(
    database: Database, class_catalog: str, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("app.scoring.model_cache._ROWS_AT_ONCE", at_once)
    with database.reading() as connection:
        matrix = MovieMatrices(Memory()).of(connection, find_catalog(connection, class_catalog))
        found = connection.execute(
            select(Movie.id, Movie.movie, Movie.title, Movie.vector).order_by(Movie.movie)
        ).all()
    assert len(found) == 3
    assert matrix.movies == [row.movie for row in found]
    assert matrix.titles == [row.title for row in found]
    assert matrix.rows_by_key == {row.id: place for place, row in enumerate(found)}
    assert matrix.rows == {row.movie: place for place, row in enumerate(found)}
    kept = [np.frombuffer(row.vector, dtype="<f4").tolist() for row in found]
    assert matrix.vectors.tolist() == kept
