"""MovieLens folders become catalogs: genres dimensions, ratings likes and dislikes."""

from pathlib import Path

import pytest
from sqlalchemy import select

from app.catalogs.catalogs import put_catalog, read_catalog
from app.catalogs.imports.file_format import Imported
from app.catalogs.imports.movielens import ImportedFolder, import_movielens, read_movielens
from app.catalogs.movies import list_movies, put_movie
from app.database.database import Database
from app.database.tables import Movie
from app.errors import BadInput, Conflict, TooLarge
from tests.support.import_data import stored_responses

LATEST = {
    "movies.csv": "movieId,title,genres\n"
    '1,"American President, The (1995)",Comedy|Drama\n'
    '2,"""Great Performances"" Cats (1998)",(no genres listed)\n'
    "3,Heat,Action|Sci-Fi\n",
    "ratings.csv": "userId,movieId,rating,timestamp\n"
    "1,1,4.0,964982703\n1,3,3.5,964982704\n2,2,5.0,964982705\n",
}

HUNDRED_K = {
    "u.genre": "unknown|0\nAction|1\nDrama|2\n\n",
    "u.item": "1|Misérables, Les (1995)|01-Jan-1995||http://x|0|1|1\n2|unknown||||1|0|0\n",
    "u.data": "7\t1\t5\t881250949\n7\t2\t3\t881250950\n8\t1\t4\t881250951\n",
}


def unpack(folder: Path, files: dict[str, str], **changed: str | None) -> Path:
    """Write a folder's files, some of them changed ("u_item") or left out (None)."""
    for name, text in (files | {name.replace("_", "."): text for name, text in changed.items()}).items():
        if text is not None:
            (folder / name).write_text(text, "latin-1" if name == "u.item" else "utf-8")
    return folder


def movies(database: Database, catalog: str) -> list[tuple[str, str, list[float]]]:
    with database.reading() as connection:
        return [(row.movie, row.title, row.vector) for row in list_movies(connection, catalog, 100, None)]


def dimensions(database: Database, catalog: str) -> list[str]:
    with database.reading() as connection:
        return read_catalog(connection, catalog).dimensions


def test_ml_latest_becomes_a_catalog(database: Database, tmp_path: Path) -> None:
    imported = import_movielens(database, unpack(tmp_path, LATEST), "ml", "MovieLens")
    assert imported == ImportedFolder(Imported(3, 3, 0), Imported(3, 3, 0))
    assert dimensions(database, "ml") == ["Action", "Comedy", "Drama", "Sci-Fi"]
    assert movies(database, "ml") == [
        ("1", "American President, The (1995)", [0, 1, 1, 0]),
        ("2", '"Great Performances" Cats (1998)', [0, 0, 0, 0]),
        ("3", "Heat", [1, 0, 0, 1]),
    ]
    assert stored_responses(database) == {
        ("1", "1", 1.0, 964982703.0),
        ("1", "3", 0.0, 964982704.0),
        ("2", "2", 1.0, 964982705.0),
    }
    with database.reading() as connection:
        assert read_catalog(connection, "ml").title == "MovieLens"


def test_ml_100k_becomes_a_catalog(database: Database, tmp_path: Path) -> None:
    imported = import_movielens(database, unpack(tmp_path, HUNDRED_K), "ml")
    assert imported == ImportedFolder(Imported(2, 2, 0), Imported(3, 3, 0))
    assert dimensions(database, "ml") == ["Action", "Drama"]
    assert movies(database, "ml") == [("1", "Misérables, Les (1995)", [1, 1]), ("2", "unknown", [0, 0])]
    assert stored_responses(database) == {
        ("7", "1", 1.0, 881250949.0),
        ("7", "2", 0.0, 881250950.0),
        ("8", "1", 1.0, 881250951.0),
    }


@pytest.mark.parametrize("files", [LATEST, HUNDRED_K])
def test_genres_may_be_left_out(files: dict[str, str], database: Database, tmp_path: Path) -> None:
    import_movielens(database, unpack(tmp_path, files), "ml", genres=False)
    assert dimensions(database, "ml") == []
    assert {tuple(vector) for *_, vector in movies(database, "ml")} == {()}


def test_the_rating_from_which_a_movie_is_liked_is_the_callers(database: Database, tmp_path: Path) -> None:
    import_movielens(database, unpack(tmp_path, LATEST), "ml", like_from=4.5)
    assert {(user, movie): response for user, movie, response, _ in stored_responses(database)} == {
        ("1", "1"): 0.0,
        ("1", "3"): 0.0,
        ("2", "2"): 1.0,
    }
    for nonsense in (-1, 5.5, float("nan")):
        with pytest.raises(BadInput, match="expected a rating from 0 to 5"):
            read_movielens(tmp_path, like_from=nonsense)


def test_a_folder_can_be_imported_again(database: Database, tmp_path: Path) -> None:
    unpack(tmp_path, LATEST)
    import_movielens(database, tmp_path, "ml")
    told: list[int] = []
    again = import_movielens(database, tmp_path, "ml", progress=told.append)
    assert again == ImportedFolder(Imported(3, 0, 3), Imported(3, 0, 3))
    assert told == [3]


def test_a_catalog_with_other_dimensions_is_left_alone(database: Database, tmp_path: Path) -> None:
    with database.writing() as connection:
        put_catalog(connection, "ml", None, ["war"])
        put_movie(connection, "ml", "m", None, [1.0])
    with pytest.raises(Conflict, match="has movies with the dimensions war"):
        import_movielens(database, unpack(tmp_path, LATEST), "ml")
    assert movies(database, "ml") == [("m", "m", [1.0])]


@pytest.mark.parametrize(
    ("files", "changed", "said"),
    [
        ({}, {}, "has neither movies.csv .* nor u.item"),
        (LATEST, {"ratings_csv": None}, "lacks the file ratings.csv"),
        (HUNDRED_K, {"u_data": None}, "lacks the file u.data"),
        (HUNDRED_K, {"u_genre": None}, "lacks the file u.genre"),
        (
            LATEST,
            {"movies_csv": "id,name\n1,a\n"},
            "movies.csv has the columns 'id', 'name'; expected movieId",
        ),
        (LATEST, {"movies_csv": ""}, r"movies.csv has the columns \(none\); expected movieId"),
        (
            LATEST,
            {"movies_csv": "movieId,title,genres\n1,a,X\n2,b\n"},
            "movies.csv, line 3: the row has 2 fields",
        ),
        (
            LATEST,
            {"movies_csv": 'movieId,title,genres\n1,"a,X\n'},
            "movies.csv, line 2: the row that begins here",
        ),
        (LATEST, {"movies_csv": "movieId,title,genres\n/,a,X\n"}, "movies.csv, line 2: movieId is '/'"),
        (
            LATEST,
            {"movies_csv": "movieId,title,genres\n1,a,a\tb\n"},
            r"the genre 'a\\tb' cannot name a dimension",
        ),
        (LATEST, {"ratings_csv": "user\n1\n"}, "ratings.csv has the columns 'user'; expected userId"),
        (
            LATEST,
            {"ratings_csv": "userId,movieId,rating,timestamp\n1,1,4,1\n1,3,x,1\n"},
            "ratings.csv, line 3: rating is 'x'; expected a rating from 0 to 5",
        ),
        (
            LATEST,
            {"ratings_csv": "userId,movieId,rating,timestamp\n1,9,4,1\n"},
            "ratings.csv, line 2: there is no movie '9' in catalog 'ml'",
        ),
        (
            HUNDRED_K,
            {"u_item": "1|a|b|c|d|0|1\n"},
            "u.item, line 1: expected 5 fields, then a 0 or 1 for each",
        ),
        (
            HUNDRED_K,
            {"u_item": "1|a|b|c|d|0|1|2\n"},
            "u.item, line 1: expected 5 fields, then a 0 or 1 for each",
        ),
        (HUNDRED_K, {"u_data": "1\t1\t5\t1\n1 2 3 4\n"}, "u.data, line 2: the row has 1 fields; expected 4"),
        (
            HUNDRED_K,
            {"u_data": "1\t1\t6\t1\n"},
            "u.data, line 1: rating is '6'; expected a rating from 0 to 5",
        ),
    ],
)
def test_what_is_wrong_with_a_folder_is_said_in_a_sentence(
    files: dict[str, str], changed: dict[str, str | None], said: str, database: Database, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=said):
        import_movielens(database, unpack(tmp_path, files, **changed), "ml")
    with database.reading() as connection:
        assert connection.scalar(select(Movie.id)) is None


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is no folder; give the folder of an unpacked MovieLens archive"):
        read_movielens(tmp_path / "nowhere")


def test_more_ratings_than_allowed_are_refused(database: Database, tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="more than 2 rows"):
        import_movielens(database, unpack(tmp_path, LATEST), "ml", max_rows=2)
