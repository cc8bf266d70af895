"""Files become checked rows, and bad rows are named by their lines, alike in all three formats."""

import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from app.catalogs.catalogs import CatalogRow
from app.catalogs.imports.file_format import CONTENT_TYPES, Format
from app.catalogs.imports.formats import read_movies, read_responses
from app.catalogs.imports.validation import MOST_BAD_ROWS
from app.errors import BadRows, Conflict, Place
from tests.support.import_data import (
    Row,
    first_row,
    read_all_movies,
    read_all_responses,
    write_rows,
    write_text,
)

GOOD: Row = {"user": "u", "movie": "m", "response": 1.0, "timestamp": 5.0}
FILM: Row = {"movie": "m", "title": "M", "vector": {"war": 0.5, "love": -2.0}}

every_format = pytest.mark.parametrize("file_format", Format)


def test_each_format_has_the_content_type_that_is_its_own() -> None:
    assert CONTENT_TYPES == {
        "application/x-ndjson": Format.NDJSON,
        "text/csv": Format.CSV,
        "application/vnd.apache.parquet": Format.PARQUET,
    }


@every_format
def test_responses_come_as_they_were_written(file_format: Format, tmp_path: Path) -> None:
    rows = [GOOD, {"user": "é", "movie": "日本", "response": 0.25, "timestamp": None}]
    at = first_row(file_format)
    read, bad = read_all_responses(write_rows(tmp_path, file_format, rows), file_format)
    assert read == [(at, "u", "m", 1.0, 5.0), (at + 1, "é", "日本", 0.25, None)]
    assert bad == []


@every_format
def test_the_timestamp_may_be_left_out_and_columns_stand_in_any_order(
    file_format: Format, tmp_path: Path
) -> None:
    file = write_rows(tmp_path, file_format, [{"response": 0, "movie": "m", "user": "u"}])
    assert read_all_responses(file, file_format) == ([(first_row(file_format), "u", "m", 0.0, None)], [])


@every_format
def test_movies_come_with_vectors_in_the_catalogs_order(file_format: Format, tmp_path: Path) -> None:
    swapped = {"vector": {"love": -2.0, "war": 0.6}, "title": "Ä", "movie": "m"}
    at = first_row(file_format)
    read, bad = read_all_movies(write_rows(tmp_path, file_format, [swapped]), file_format)
    assert (read, bad) == ([(at, "m", "Ä", [0.6, -2.0])], [])


@every_format
def test_a_movie_without_a_title_is_called_by_its_id(file_format: Format, tmp_path: Path) -> None:
    at = first_row(file_format)
    unnamed = [{"movie": "m", "vector": FILM["vector"]}]
    assert read_all_movies(write_rows(tmp_path, file_format, unnamed), file_format)[0][0][2] == "m"
    empty = [FILM, {**FILM, "title": None}, {**FILM, "title": ""}]
    read, _ = read_all_movies(write_rows(tmp_path, file_format, empty), file_format)
    assert [(line, title) for line, _, title, _ in read] == [(at, "M"), (at + 1, "m"), (at + 2, "m")]


BAD_VALUES = [
    ("user", "", "is ''; expected 1 to 128 characters"),
    ("user", "a/b", "is 'a/b'; expected 1 to 128 characters"),
    ("user", "a\nb", "is 'a\\nb'; expected 1 to 128 characters"),
    ("user", "\ufffd", "expected 1 to 128 characters"),
    ("user", "..", "is '..'; expected 1 to 128 characters"),
    ("user", "x" * 129, "x…; expected 1 to 128 characters"),
    ("movie", " ", "is ' '; expected 1 to 128 characters"),
    ("response", 1.5, "expected a number from 0 to 1"),
    ("response", -0.01, "expected a number from 0 to 1"),
    ("response", math.nan, "is {nan}; expected a number from 0 to 1"),
    ("response", math.inf, "is {inf}; expected a number from 0 to 1"),
    ("response", None, "expected a number from 0 to 1"),
    ("timestamp", -1.0, "expected seconds since 1970, from 0 to 1e+11, or nothing"),
    ("timestamp", 2e11, "expected seconds since 1970"),
    ("timestamp", math.nan, "expected seconds since 1970"),
]


@every_format
def test_a_bad_row_is_named_by_its_line_its_field_and_the_rule(file_format: Format, tmp_path: Path) -> None:
    rows = [GOOD, *({**GOOD, field: value} for field, value, _ in BAD_VALUES), GOOD]
    read, bad = read_all_responses(write_rows(tmp_path, file_format, rows), file_format)
    start = first_row(file_format)
    newlines = 1 if file_format is Format.CSV else 0  # the id with a line feed is one row on two lines
    assert [line for line, *_ in read] == [start, start + len(rows) - 1 + newlines]
    assert len(bad) == len(BAD_VALUES)
    for row, (place, (field, _, words)) in enumerate(zip(bad, BAD_VALUES, strict=True), start + 1):
        assert place.line == row + (newlines if row > start + 3 else 0)
        quote = "'" if file_format is Format.CSV else ""
        assert place.detail.startswith(field)
        assert words.format(nan=f"{quote}nan{quote}", inf=f"{quote}inf{quote}") in place.detail


@every_format
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"movie": "a/b"}, "movie is 'a/b'; expected 1 to 128 characters"),
        ({"title": "a\tb"}, "title is 'a\\tb'; expected at most 500 characters"),
        ({"title": "x" * 501}, "expected at most 500 characters"),
        ({"vector": {"war": 0.5, "love": 1.1e9}}, "expected a number from -1e+09 to 1e+09"),
        ({"vector": {"war": math.nan, "love": 0.0}}, "expected a number from -1e+09 to 1e+09"),
        ({"vector": {"war": 0.0, "love": -math.inf}}, "expected a number from -1e+09 to 1e+09"),
        ({"vector": {"war": 0.0, "love": None}}, "expected a number from -1e+09 to 1e+09"),
    ],
)
def test_a_bad_movie_is_named_by_its_line(
    file_format: Format, change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    file = write_rows(tmp_path, file_format, [FILM, {**FILM, **change}])
    read, bad = read_all_movies(file, file_format)
    assert len(read) == 1
    assert [place.line for place in bad] == [first_row(file_format) + 1]
    assert said in bad[0].detail


@every_format
def test_reading_ends_after_a_hundred_bad_rows_and_one(file_format: Format, tmp_path: Path) -> None:
    rows = [{**GOOD, "response": 2.0}] * 300
    batch = next(read_responses(write_rows(tmp_path, file_format, rows), file_format))
    assert len(batch.bad) == MOST_BAD_ROWS + 1


def test_a_message_repeats_little_of_a_long_value(tmp_path: Path) -> None:
    _, bad = read_all_responses(
        write_text(tmp_path, f"user,movie,response\n{'x' * 100_000},m,1\n"), Format.CSV
    )
    assert len(bad[0].detail) < 200


def test_a_csv_file_with_a_header_only_and_an_empty_json_file_have_no_rows(tmp_path: Path) -> None:
    for text in ("user,movie,response", "user,movie,response\r\n", '"user",movie,response\n\n'):
        assert read_all_responses(write_text(tmp_path, text), Format.CSV) == ([], [])
    for text in ("", "\n\n"):
        assert read_all_responses(write_text(tmp_path, text), Format.NDJSON) == ([], [])
    frame = pl.DataFrame(schema={"user": pl.String, "movie": pl.String, "response": pl.Float64})
    frame.write_parquet(tmp_path / "empty.parquet")
    assert read_all_responses(tmp_path / "empty.parquet", Format.PARQUET) == ([], [])


@pytest.mark.parametrize("file_format", [Format.CSV, Format.PARQUET])
def test_columns_that_are_not_the_catalogs_dimensions_are_a_conflict(
    file_format: Format, tmp_path: Path
) -> None:
    file = write_rows(tmp_path, file_format, [{"movie": "m", "title": "M", "vector": {"war": 1.0, "joy": 1}}])
    with pytest.raises(Conflict) as caught:
        read_all_movies(file, file_format)
    assert caught.value.places == (
        Place("'love' is missing", line=1),
        Place("'joy' is no dimension of the catalog", line=1),
    )


@pytest.mark.parametrize("file_format", [Format.CSV, Format.PARQUET])
def test_movies_need_a_column_of_ids(file_format: Format, tmp_path: Path) -> None:
    file = write_rows(tmp_path, file_format, [{"title": "M", "vector": FILM["vector"]}])
    with pytest.raises(BadRows) as caught:
        read_all_movies(file, file_format)
    assert caught.value.places == (Place("the column 'movie' is missing", line=1),)


def test_a_catalog_without_dimensions_takes_movies_without_numbers(tmp_path: Path) -> None:
    bare = CatalogRow(1, "bare", [], 0, None)
    texts = {Format.CSV: "movie\n\na\n", Format.NDJSON: '\n\n{"movie": "a", "vector": []}\n'}
    for file_format, text in texts.items():
        batches = list(read_movies(write_text(tmp_path, text), file_format, bare))
        assert [row for batch in batches for row in batch.rows.rows()] == [(3, "a", "a", b"")]


BROKEN = [
    (b"user,movie,response\nu,m,1\nu,\xff,1\n", 3, "0xff is no UTF-8"),
    (b"user,movie,response\nu,m,1\n\nu,m\0,1\n", 4, "a NUL byte"),
    ("user,movie,response\nu,m,1\n".encode("utf-16"), 1, "is UTF-16; save it as UTF-8"),
    ("user,movie,response\nu,m,1\n".encode("utf-16-le"), 1, "a NUL byte; the file should be text in UTF-8"),
    (b"user,movie,response\nu,m,1\nu,m," + b"1" * 10_000_000, 3, "the line is longer than"),
]


@pytest.mark.parametrize(("content", "line", "said"), BROKEN)
@pytest.mark.parametrize("file_format", [Format.CSV, Format.NDJSON])
def test_a_broken_text_file_is_named_by_the_line_where_it_breaks(
    file_format: Format, content: bytes, line: int, said: str, tmp_path: Path
) -> None:
    with pytest.raises(BadRows, match=said) as caught:
        read_all_responses(write_text(tmp_path, content), file_format)
    assert [place.line for place in caught.value.places] == [line]


@pytest.mark.parametrize("file_format", [Format.CSV, Format.NDJSON])
def test_a_byte_order_mark_is_skipped(file_format: Format, tmp_path: Path) -> None:
    file = write_rows(tmp_path, file_format, [GOOD])
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert len(read_all_responses(file, file_format)[0]) == 1
