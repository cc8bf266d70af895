"""Text files of any size: blocks of whole lines, and tables with a separator, by true line numbers.

Lines are counted by their line feeds, as editors do; a carriage return before one belongs to the line's end.
Does not know which columns a table should have, nor what stands in them.
"""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO

import polars as pl

from app.catalogs.imports.validation import MOST_BAD_ROWS
from app.errors import BadRows, Place

BLOCK_BYTES = 2**20
LONGEST_LINE = 2**20  # bytes, counted from where a block would otherwise end
LONGEST_ROW = 4 * 2**20  # characters of a row whose quoted fields go over several lines

_CELLS = 200_000  # of a quoted table at a time


@dataclass(frozen=True)
class Block:
    """Whole lines of a file; ``line`` is the number of the first."""

    line: int
    text: str


@dataclass(frozen=True)
class TextRows:
    """Rows of a table as text, the lines on which they begin, and the rows that have too few or many fields.

    An empty field is an empty text. Blank lines are no rows.
    """

    lines: pl.Series
    columns: pl.DataFrame
    bad: list[Place]


def read_blocks(stream: BinaryIO) -> Iterator[Block]:
    """Read UTF-8 text in blocks of about BLOCK_BYTES; a byte order mark is skipped.

    Raises `BadRows` that names the line where the file is no UTF-8 text, or a line has no end.
    """
    line = 1
    while data := stream.read(BLOCK_BYTES):
        if line == 1:
            data = _unmarked(data)
        rest = stream.readline(LONGEST_LINE)
        if len(rest) == LONGEST_LINE and not rest.endswith(b"\n"):
            raise broken(f"the line is longer than {LONGEST_LINE} bytes", line + data.count(b"\n"))
        data += rest
        yield Block(line, _decoded(data, line))
        line += data.count(b"\n")


def read_table(stream: BinaryIO) -> tuple[list[str], Iterator[TextRows]]:
    """Read a CSV file: the names in its first line, and its rows in batches.

    Raises `BadRows` that names the line where the file is no CSV.
    """
    blocks = read_blocks(stream)
    first = next(blocks, Block(1, ""))
    header, _, rest = first.text.partition("\n")
    try:
        names = next(csv.reader([header], strict=True), [])
    except csv.Error as error:
        raise broken(f"the names of the columns are no CSV: {error}", 1) from error
    return names, read_rows(chain([Block(2, rest)], blocks), names)


def read_rows(blocks: Iterator[Block], names: Sequence[str], separator: str = ",") -> Iterator[TextRows]:
    """Split lines into the named columns.

    Where no quote stands, a line is a row and a separator separates, which polars does fast. From the first
    block on that has a quote, Python's own reader reads the rest.
    """
    for block in blocks:
        if '"' in block.text:
            yield from _read_quoted(chain([block], blocks), block.line, names, separator)
            return
        yield _split(block, names, separator)


def broken(detail: str, line: int) -> BadRows:
    """Return the problem of a file that cannot be read beyond a line."""
    return BadRows(f"the file cannot be read: line {line}: {detail}", [Place(detail, line=line)])


def _unmarked(data: bytes) -> bytes:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise broken("the file is UTF-16; save it as UTF-8", 1)
    return data.removeprefix(codecs.BOM_UTF8)


def _decoded(data: bytes, line: int) -> str:
    if (position := data.find(b"\0")) >= 0:
        raise broken("a NUL byte; the file should be text in UTF-8", line + data.count(b"\n", 0, position))
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        start = error.start
        raise broken(
            f"the byte 0x{data[start]:02x} is no UTF-8; save the file as UTF-8",
            line + data.count(b"\n", 0, start),
        ) from error


def _split(block: Block, names: Sequence[str], separator: str) -> TextRows:
    text = pl.Series([block.text]).str.split("\n").explode().str.strip_suffix("\r")
    lines = pl.int_range(block.line, block.line + len(text), eager=True)
    text, lines = text.filter(text != ""), lines.filter(text != "")
    # One field more than there are names: whoever has something there has too many.
    fields = text.str.split_exact(separator, len(names)).struct.unnest()
    right = fields[:, -2].is_not_null() & fields[:, -1].is_null()
    columns = fields[:, :-1]
    columns.columns = list(names)
    if right.all():
        return TextRows(lines, columns, [])
    wrong = (~right).arg_true()[: MOST_BAD_ROWS + 1]
    bad = [
        _ragged(line, row.count(separator) + 1, names)
        for line, row in zip(lines[wrong].to_list(), text[wrong].to_list(), strict=True)
    ]
    return TextRows(lines.filter(right), columns.filter(right), bad)


def _ragged(line: int, fields: int, names: Sequence[str]) -> Place:
    columns = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")  # noqa: PLR2004 - enough to read
    return Place(f"the row has {fields} fields; expected {len(names)}: {columns}", line=line)


class _Feed:
    """Lines for the csv reader. A quote that is never closed would make the file one row: it ends here."""

    def __init__(self, blocks: Iterator[Block]) -> None:
        # Unlike str.splitlines, this ends lines at line feeds only.
        self._lines = (line for block in blocks for line in io.StringIO(block.text, newline="\n"))
        self.characters = 0  # since the reader's last row

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.characters += len(line)
        if self.characters > LONGEST_ROW:
            raise csv.Error("the row is too long")
        return line


def _read_quoted(
    blocks: Iterator[Block], first: int, names: Sequence[str], separator: str
) -> Iterator[TextRows]:
    feed = _Feed(blocks)
    reader = csv.reader(feed, delimiter=separator, strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    bad: list[Place] = []
    line = first
    try:
        for row in reader:
            if len(row) == len(names):
                rows.append(row)
                lines.append(line)
            elif row:
                bad.append(_ragged(line, len(row), names))
            line = first + reader.line_num
            feed.characters = 0
            if len(rows) * len(names) >= _CELLS or len(bad) > MOST_BAD_ROWS:
                yield _columns(rows, lines, bad, names)
                rows, lines, bad = [], [], []
    except csv.Error as error:
        raise broken(f"the row that begins here is no CSV (is a quote not closed?): {error}", line) from error
    yield _columns(rows, lines, bad, names)


def _columns(rows: list[list[str]], lines: list[int], bad: list[Place], names: Sequence[str]) -> TextRows:
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    return TextRows(
        pl.Series(lines, dtype=pl.Int64),
        pl.DataFrame(
            [pl.Series(name, column, dtype=pl.String) for name, column in zip(names, columns, strict=True)]
        ),
        bad,
    )
