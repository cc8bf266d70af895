"""CSV files: lines, quotes, fields and headers, as the world writes them."""

import csv
import io
import tempfile
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.catalogs.imports import csv_text
from app.catalogs.imports.file_format import Format
from app.errors import BadRows, Place
from tests.support.import_data import RESPONSES, read_all_movies, read_all_responses, write_text


@pytest.mark.parametrize(
    "value", ["true", "", " 1", "1_0", "0x1", "1e999", "NaN", "inf", "-inf", "1,2", "一"]
)
def test_csv_text_that_is_no_number_is_refused(value: str, tmp_path: Path) -> None:
    quoted = f'"{value}"' if "," in value else value
    read, bad = read_all_responses(write_text(tmp_path, f"user,movie,response\nu,m,{quoted}\n"), Format.CSV)
    assert read == []
    assert bad == [Place(f"response is {value!r}; expected a number from 0 to 1", line=2)]


@pytest.mark.parametrize("quote", ["", '"'], ids=["plain", "quoted"])
def test_a_csv_row_with_too_few_or_too_many_fields_is_bad(quote: str, tmp_path: Path) -> None:
    text = f"user,movie,response\n{quote}u{quote},m,1\nu,m\n\nu,m,1,\nu,m,0\n"
    read, bad = read_all_responses(write_text(tmp_path, text), Format.CSV)
    assert [row[0] for row in read] == [2, 6]
    assert bad == [
        Place("the row has 2 fields; expected 3: user, movie, response", line=3),
        Place("the row has 4 fields; expected 3: user, movie, response", line=5),
    ]


@pytest.mark.parametrize("quote", ["", '"'], ids=["plain", "quoted"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_blank_lines_count_as_lines_and_are_no_rows(end: str, quote: str, tmp_path: Path) -> None:
    text = end.join(["user,movie,response,timestamp", "", f"{quote}u{quote},m,1,", "", "", "v,m,0,7", "", ""])
    read, bad = read_all_responses(write_text(tmp_path, text), Format.CSV)
    assert (read, bad) == ([(3, "u", "m", 1.0, None), (6, "v", "m", 0.0, 7.0)], [])


def test_rows_with_quoted_line_feeds_are_named_by_the_line_on_which_they_begin(tmp_path: Path) -> None:
    text = 'movie,title,war,love\na,"A\nB",1,1\nb,"""B"", C",1,1\r\n"c/","C\r\n\r\nD",1,1\nd,D,1,x\n'
    read, bad = read_all_movies(write_text(tmp_path, text), Format.CSV)
    assert [(line, title) for line, _, title, _ in read] == [(4, '"B", C')]
    assert [place.line for place in bad] == [2, 5, 8]
    assert "title is 'A\\nB'" in bad[0].detail
    assert "movie is 'c/'" in bad[1].detail
    assert "title is" in bad[1].detail
    assert "love is 'x'" in bad[2].detail


def test_lines_are_counted_over_all_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_text, "BLOCK_BYTES", 50)
    lines = [f"u{n},m,{'x' if n % 10 == 7 else 1}" for n in range(100)]
    lines[60] = '"u60\n",m,1'
    read, bad = read_all_responses(
        write_text(tmp_path, "user,movie,response\n" + "\n".join(lines)), Format.CSV
    )
    assert len(read) == 89
    assert [place.line for place in bad] == [9, 19, 29, 39, 49, 59, 62, 70, 80, 90, 100]
    assert all(line == int(user[1:]) + 2 + (int(user[1:]) > 60) for line, user, *_ in read)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("user,movie", ["the column 'response' is missing"]),
        ("user,movie,response,rating", ["'rating' is no column of responses"]),
        ("user,movie,response,user", ["the column 'user' stands there 2 times"]),
        ("u,m,1", ["the column 'user' is missing", "the column 'movie' is missing"]),
        ("user;movie;response", ["the column 'user' is missing"]),
        ("user,movie,response ", ["the column 'response' is missing"]),
        ("", ["the column 'user' is missing"]),
    ],
)
def test_wrong_columns_of_responses_are_named_on_line_1(header: str, said: list[str], tmp_path: Path) -> None:
    with pytest.raises(BadRows, match="expected user, movie, response and") as caught:
        read_all_responses(write_text(tmp_path, f"{header}\nu,m,1\n"), Format.CSV)
    assert [place.detail for place in caught.value.places][: len(said)] == said
    assert {place.line for place in caught.value.places} == {1}


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ('u,m,1\n"u,m,1\nu,m,1\n', 3),
        ('u,m,1\nv,"m,1\n' + "u,m,1\n" * 200_000, 3),
        ('"u"x,m,1\n', 2),
        ('u,m,1\n"u\n\n",m,1\nu,"m"1,1\n', 6),
        ('u,"m",1\ru,m,1\n', 2),
        ('"u\n",' + '"\n",' * 4_000_000, 2),
    ],
)
def test_a_broken_quote_is_named_by_the_line_on_which_its_row_begins(
    rows: str, line: int, tmp_path: Path
) -> None:
    with pytest.raises(BadRows, match="the row that begins here is no CSV") as caught:
        read_all_responses(write_text(tmp_path, f"user,movie,response\n{rows}"), Format.CSV)
    assert [place.line for place in caught.value.places] == [line]


def test_a_broken_header_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadRows, match="line 1: the names of the columns are no CSV"):
        read_all_responses(write_text(tmp_path, 'user,movie,"response\nu,m,1\n'), Format.CSV)


def test_a_quote_inside_a_field_is_a_character(tmp_path: Path) -> None:
    read, bad = read_all_responses(write_text(tmp_path, 'user,movie,response\n5"4,m,1\n'), Format.CSV)
    assert (read, bad) == ([(2, '5"4', "m", 1.0, None)], [])


@settings(max_examples=100, deadline=None)
@given(RESPONSES, st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]), st.sampled_from(["\n", "\r\n"]))
def test_what_the_csv_module_writes_comes_back_equal(
    rows: list[tuple[str, float, float | None]], quoting: Literal[0, 1], end: str
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=quoting, lineterminator=end)
    writer.writerow(["user", "response", "movie", "timestamp"])
    writer.writerows([user, response, user, time] for user, response, time in rows)
    with tempfile.TemporaryDirectory() as folder:
        read, bad = read_all_responses(write_text(Path(folder), text.getvalue()), Format.CSV)
    assert bad == []
    assert [(line, user, response, time) for line, user, _, response, time in read] == [
        (line, *row) for line, row in enumerate(rows, 2)
    ]


# Whatever a CSV file may hold, ids or not: what is read is compared before any rule.
FIELDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
ROWS = st.lists(st.lists(FIELDS, min_size=3, max_size=3), max_size=20)


@settings(max_examples=200, deadline=None)
@given(ROWS, st.booleans(), st.sampled_from(["\n", "\r\n"]))
def test_any_text_comes_back_equal_with_and_without_quotes(
    rows: list[list[str]],
    quoted: bool,  # noqa: FBT001 - hypothesis draws it
    end: str,
) -> None:
    if not quoted:  # before Python 3.13 the csv module wrote a carriage return without the quotes it needs
        rows = [[field.replace("\r", "") for field in row] for row in rows]
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL).writerows(
        [["a", "b", "c"], *rows]
    )
    expected, line = [], 2
    for row in rows:
        expected.append((line, *row))
        line += 1 + sum(field.count("\n") for field in row)
    names, tables = csv_text.read_table(io.BytesIO(text.getvalue().encode()))
    assert names == ["a", "b", "c"]
    assert [
        (line, *row) for part in tables for line, row in zip(part.lines, part.columns.rows(), strict=True)
    ] == expected
