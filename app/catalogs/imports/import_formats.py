"""How import files may be written, and what an import answers. Does not know how they are read."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Format(StrEnum):
    """How a file is written."""

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
