"""Formats of import files by their media types, and what an import answers.

Apart from `formats`, which imports polars: the web process does not when it starts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Format(StrEnum):
    """A file's format."""

    NDJSON = "ndjson"
    CSV = "csv"
    PARQUET = "parquet"

    @property
    def place(self) -> str:
        """What the place of a bad row counts, beginning at 1: lines of text, or rows where no lines are."""
        return "row" if self is Format.PARQUET else "line"


CONTENT_TYPES: Mapping[str, Format] = {
    "application/x-ndjson": Format.NDJSON,
    "text/csv": Format.CSV,
    "application/vnd.apache.parquet": Format.PARQUET,
}


@dataclass(frozen=True)
class Imported:
    """How many rows a file had, how many of them were new, and how many took the place of another."""

    rows: int
    created: int
    replaced: int
