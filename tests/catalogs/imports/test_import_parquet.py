"""Parquet files: their types, and damaged ones, which never end this process."""

import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings

from app.catalogs.imports import parquet_reader
from app.catalogs.imports.file_format import Format
from app.errors import BadInput, BadRows, Place
from tests.support.import_data import RESPONSES, read_all_movies, read_all_responses, write_rows, write_text

GOOD = {"user": "u", "movie": "m", "response": 1.0, "timestamp": 5.0}


def test_parquet_columns_must_be_of_the_right_type(tmp_path: Path) -> None:
    file = tmp_path / "types.parquet"
    pl.DataFrame({"user": [1], "movie": [["m"]], "response": ["1"], "timestamp": [True]}).write_parquet(file)
    with pytest.raises(BadRows) as caught:
        read_all_responses(file, Format.PARQUET)
    assert caught.value.places == (
        Place("the column 'user' holds number; expected text", line=1),
        Place("the column 'movie' holds List(String); expected text", line=1),
        Place("the column 'response' holds text; expected number", line=1),
        Place("the column 'timestamp' holds Boolean; expected number", line=1),
    )


def test_parquet_categories_whole_numbers_and_float32_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "types.parquet"
    frame = pl.DataFrame({"user": ["u"], "movie": ["m"], "response": [1], "timestamp": [None]})
    frame.cast({"user": pl.Categorical, "movie": pl.Enum(["m"])}).write_parquet(file)
    assert read_all_responses(file, Format.PARQUET) == ([(1, "u", "m", 1.0, None)], [])
    pl.DataFrame({"movie": ["m"], "war": [0.1], "love": [7]}).cast({"war": pl.Float32}).write_parquet(file)
    assert read_all_movies(file, Format.PARQUET) == ([(1, "m", "m", [0.1, 7.0])], [])


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    whole = write_rows(tmp_path, Format.PARQUET, [GOOD] * 1000).read_bytes()
    for content in (b"", b"user,movie,response\nu,m,1\n", whole[:-50], whole[:4] + b"\0" * 50 + whole[54:]):
        with pytest.raises(BadInput, match="the file is no readable Parquet file"):
            read_all_responses(write_text(tmp_path, content, "parquet"), Format.PARQUET)


def test_a_parquet_file_that_kills_its_reader_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a file damaged in the right places does to polars: it aborts after some of the rows.
    program = tmp_path / "reader.py"
    program.write_text(
        "import os, struct, sys\n"
        """said = b'[["user", "text", ""], ["movie", "text", ""], ["response", "number", ""]]'\n"""
        "sys.stdout.buffer.write(b'S' + struct.pack('<q', len(said)) + said)\n"
        "sys.stdout.flush()\n"
        "os.abort()\n"
    )
    monkeypatch.setattr(parquet_reader, "__file__", str(program))
    file = write_rows(tmp_path, Format.PARQUET, [GOOD])
    with pytest.raises(BadInput, match="it is damaged"):
        read_all_responses(file, Format.PARQUET)


@settings(max_examples=5, deadline=None)
@given(RESPONSES)
def test_what_polars_writes_as_parquet_comes_back_equal(rows: list[tuple[str, float, float | None]]) -> None:
    frame = pl.DataFrame(
        rows, {"user": pl.String, "response": pl.Float64, "timestamp": pl.Float64}, orient="row"
    )
    with tempfile.TemporaryDirectory() as folder:
        frame.with_columns(movie="user").write_parquet(Path(folder) / "rows.parquet")
        read, bad = read_all_responses(Path(folder) / "rows.parquet", Format.PARQUET)
    assert bad == []
    assert [(line, user, response, time) for line, user, _, response, time in read] == [
        (line, *row) for line, row in enumerate(rows, 1)
    ]
