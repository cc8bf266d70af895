"""NDJSON files: a line is as strict as a JSON body."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.catalogs.imports.file_format import Format
from tests.support.import_data import IDS, read_all_movies, read_all_responses, write_text

GOOD = {"user": "u", "movie": "m", "response": 1.0, "timestamp": 5.0}


def test_a_json_vector_may_be_a_list(tmp_path: Path) -> None:
    file = write_text(tmp_path, '{"movie": "m", "vector": [1, 2.5]}\n')
    assert read_all_movies(file, Format.NDJSON) == ([(1, "m", "m", [1.0, 2.5])], [])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"user": "u", "movie": "m", "response": true}', "response is True; expected a number from 0 to 1"),
        ('{"user": "u", "movie": "m", "response": "1"}', "response is '1'; expected a number from 0 to 1"),
        ('{"user": "u", "movie": "m", "response": 1e999}', "response is inf; expected a number"),
        ('{"user": "u", "movie": "m", "response": NaN}', "response is nan; expected a number"),
        ('{"user": "u", "movie": "m", "response": Infinity}', "response is inf; expected a number"),
        ('{"user": 7, "movie": "m", "response": 1}', "user is 7; expected 1 to 128 characters"),
        ('{"user": "u", "response": 1}', "movie is missing; expected 1 to 128 characters"),
        ('{"user": "u", "movie": "m", "response": 1, "x": 1}', "'x' is no field of these rows"),
        (
            '{"user": "u", "movie": "m", "response": 1, "timestamp": "5"}',
            "timestamp is '5'; expected seconds",
        ),
        ('{"user": "\\ud800", "movie": "m", "response": 1}', "the line is no JSON"),
        ("[1]", "the line is [1]; expected an object"),
        ('{"user": "u"', "the line is no JSON: EOF while parsing an object at character"),
        ("1 2", "the line is no JSON"),
        ("[" * 3000, "the line is no JSON"),
        ("{" + ", ".join(f'"{n}": 1' for n in range(200)) + "}", "the line has 203 mistakes"),
    ],
)
def test_a_json_line_is_as_strict_as_a_json_body(line: str, said: str, tmp_path: Path) -> None:
    good = json.dumps(GOOD)
    read, bad = read_all_responses(write_text(tmp_path, f"{good}\n\n \n{line}\r\n{good}"), Format.NDJSON)
    assert [row[0] for row in read] == [1, 5]
    assert [place.line for place in bad] == [4]
    assert bad[0].detail.startswith(said)


@pytest.mark.parametrize(
    ("vector", "said"),
    [
        ("[1]", "vector: 2 numbers expected, 1 given"),
        ('{"war": 1}', "vector: 'love' is missing"),
        ('{"war": 1, "love": 1, "x": 1}', "vector: 'x' is no dimension of the catalog"),
        ('[1, "2"]', "vector[1] is '2'; expected a number"),
        ('{"war": 1, "love": false}', "vector['love'] is False; expected a number"),
        ("[1, 1e999]", "vector[1] is inf; expected a number"),
        ("7", "vector is 7; expected a list of numbers, or an object"),
        ("null", "vector is empty; expected a list of numbers, or an object"),
    ],
)
def test_a_json_vector_is_as_strict_as_a_json_body(vector: str, said: str, tmp_path: Path) -> None:
    read, bad = read_all_movies(write_text(tmp_path, f'{{"movie": "m", "vector": {vector}}}'), Format.NDJSON)
    assert read == []
    assert [place.line for place in bad] == [1]
    assert bad[0].detail.startswith(said.split(";", maxsplit=1)[0])


TITLES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\ufffd"))
NUMBERS = st.floats(-1e9, 1e9, width=32)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(IDS, TITLES, NUMBERS, NUMBERS), max_size=20))
def test_what_json_dumps_writes_comes_back_equal(rows: list[tuple[str, str, float, float]]) -> None:
    written = [json.dumps({"movie": m, "title": t, "vector": [x, y]}) for m, t, x, y in rows]
    with tempfile.TemporaryDirectory() as folder:
        read, bad = read_all_movies(write_text(Path(folder), "\n".join(written)), Format.NDJSON)
    assert bad == []
    assert [(*row, [*map(np.float32, vector)]) for *row, vector in read] == [
        (line, m, t or m, [x, y]) for line, (m, t, x, y) in enumerate(rows, 1)
    ]
