"""Parquet files: their columns, and their rows in batches, read by another process (`parquet_reader`).

Does not know which columns a file should have, nor the rules for their values.
"""

import json
import struct
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import polars as pl

from app.catalogs.imports import parquet_reader
from app.errors import BadInput


@dataclass(frozen=True)
class ParquetRows:
    """A file's columns by name ("text", "number", "nothing" or their type), and its rows in frames."""

    columns: Mapping[str, str]
    frames: Iterator[pl.DataFrame]


@contextmanager
def open_parquet(file: Path) -> Generator[ParquetRows]:
    """Start to read the file; leaving the block ends the reading.

    Text comes as strings, numbers as float64, null where there was none. Raises `BadInput` where the file is
    no Parquet or broken, also while the frames are read.
    """
    reader = subprocess.Popen(  # noqa: S603 - our own program, and a path that no shell sees
        [sys.executable, "-P", parquet_reader.__file__, str(file.absolute())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with reader:
        try:
            messages = _read_messages(reader.stdout)
            _, schema_json = next(messages)
            columns = {
                name: dtype if kind == "other" else kind for name, kind, dtype in json.loads(schema_json)
            }
            yield ParquetRows(columns, (pl.read_ipc_stream(content) for _, content in messages))
        finally:
            reader.kill()


def _read_messages(stream: IO[bytes] | None) -> Iterator[tuple[bytes, bytes]]:
    while stream is not None:
        head = stream.read(9)
        if len(head) < 9:  # noqa: PLR2004 - a letter and a length: the reader died
            raise BadInput("the file is no readable Parquet file: it is damaged")
        content = stream.read(struct.unpack("<q", head[1:])[0])
        match head[:1]:
            case b"D":
                return
            case b"E":
                raise BadInput(f"the file is no readable Parquet file: {content.decode(errors='replace')}")
            case letter:
                yield letter, content
