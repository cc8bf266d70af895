"""A MovieLens folder as rows and numbers. Does not know how its responses are split."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import polars as pl
import torch
from torch import Tensor

from app.catalogs.imports.movielens import read_movielens
from app.database import vectors
from models.recommender.data import Responses


@dataclass(frozen=True)
class Folder:
    """A folder's responses, and their timestamps float64 [responses] in the same order."""

    responses: Responses
    timestamps: Tensor

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read an unpacked folder: genres are dimensions, a rating of 4 or more is a like."""
        read = read_movielens(path)
        movies = read.movies.rows.sort("movie").with_row_index("item")
        batches = pl.concat([batch.rows for batch in read.responses])
        rows = (
            batches.join(movies.select("movie", "item"), on="movie")
            .with_columns(pl.col("user").rank("dense").alias("row") - 1)
            .sort("row", "item")
        )
        stack = vectors.stack(movies["vector"].to_list(), len(read.dimensions))
        users = _column(rows, "row").long()
        responses = Responses.from_triples(
            torch.from_numpy(stack.reshape(movies.height, len(read.dimensions))),
            users,
            _column(rows, "item").long(),
            _column(rows, "response"),
            int(users.max()) + 1,
        )
        return cls(responses, _column(rows, "timestamp").double())


def _column(rows: pl.DataFrame, name: str) -> Tensor:
    return torch.from_numpy(rows[name].to_numpy().copy())
