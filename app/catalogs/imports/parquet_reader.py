"""A program of its own: reads a Parquet file and writes its rows to standard output, for `parquet`.

Polars reads Parquet fast, but a damaged file can abort the process (it asks for 2**61 bytes) or lose rows
silently (a panic in one of its threads). So it reads here, where an abort ends nothing but the import, and
counts. Knows polars and nothing of the application; it is started by its path.

Each message is a letter, a length of 8 bytes and that many bytes: S with the columns' names, kinds and types
as JSON, F with a frame of rows as an Arrow stream, E with what is wrong with the file, and D at the end.
"""

import io
import json
import struct
import sys
from collections.abc import Iterator

import polars as pl
from polars.exceptions import PolarsError

BATCH_ROWS = 50_000
BATCH_CELLS = 1_000_000


def kind_of(dtype: pl.DataType) -> str:
    """Return what a column holds: text, number, nothing (null in every row) or other."""
    if dtype.is_numeric():
        return "number"
    if isinstance(dtype, (pl.String, pl.Categorical, pl.Enum)):
        return "text"
    return "nothing" if dtype == pl.Null else "other"


def columns_of(schema: pl.Schema) -> list[pl.Expr]:
    """Return the columns that an import can hold, as text and float64."""
    types = {"text": pl.String, "number": pl.Float64, "nothing": pl.String}
    return [
        pl.col(name).cast(types[kind_of(dtype)], strict=False)
        for name, dtype in schema.items()
        if kind_of(dtype) in types
    ]


def messages(file: str) -> Iterator[tuple[bytes, bytes]]:
    """Read the file; raises polars' own errors where it is broken."""
    schema = pl.Schema(pl.read_parquet_schema(file))
    schema_rows = [(name, kind_of(dtype), str(dtype)) for name, dtype in schema.items()]
    yield b"S", json.dumps(schema_rows).encode()
    scan = pl.scan_parquet(file, glob=False, hive_partitioning=False)
    expected = scan.select(pl.len()).collect().item()
    size = max(1, min(BATCH_ROWS, BATCH_CELLS // max(1, len(schema))))
    rows = 0
    selection = scan.select(columns_of(schema))
    for start in range(0, expected, size):  # `collect_batches` takes more memory the larger the file is
        frame = selection.slice(start, size).collect()
        rows += frame.height
        stream = io.BytesIO()
        frame.write_ipc_stream(stream)
        yield b"F", stream.getvalue()
    if rows == expected:
        yield b"D", b""
    else:
        yield b"E", f"{expected} rows promised, {rows} rows readable".encode()


def main() -> None:
    """Write the messages for the file named on the command line."""
    try:
        for letter, content in messages(sys.argv[1]):
            sys.stdout.buffer.write(letter + struct.pack("<q", len(content)) + content)
    except PolarsError as error:
        message = str(error).splitlines()[0].encode()
        sys.stdout.buffer.write(b"E" + struct.pack("<q", len(message)) + message)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
