"""What one catalog and one answer may take of a process's memory: refused before it is allocated.

Sizes are estimated from counts, from above: of what a movie takes in Python and in a model's arrays, and of
what a score takes until it is sent. Does not know where the counts come from.
"""

from dataclasses import dataclass
from typing import Self

from app.errors import TooLarge
from app.settings import Settings
from models.recommender.trainer import Sizes

_MOVIE = 512  # bytes: its id, its title, and two places in dicts
_NUMBER = 48  # bytes: float32, and what models derive from it in float64
_SCORE = 1024  # bytes: an object, its dict, its JSON
_USER = 1024  # bytes: an id, and what is kept of a user in Python
_POSTERIOR_NUMBER = 8  # bytes: float32, and once more while it is written
# Covariances are learned a batch of users at a time: numbers in its largest array, and bytes of all for each.
_BATCH_NUMBERS, _BATCH_NUMBER = 4_000_000, 160
_RESPONSE = (
    192  # bytes: four float64 as they are read, once more in one piece, sorted, and in a trainer's order
)


@dataclass(frozen=True)
class Memory:
    """The most bytes that a catalog's movies and what was learned of them, an answer and a training take."""

    catalog_bytes: int = 8 * 2**30
    answer_bytes: int = 2**29
    training_bytes: int = 16 * 2**30

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return what the settings allow."""
        return cls(
            settings.catalog_memory_bytes, settings.answer_memory_bytes, settings.training_memory_bytes
        )

    def check_catalog(self, catalog: str, movies: int, numbers: int) -> None:
        """Raise `TooLarge` when so many movies with so many numbers each, vector and learned, do not fit."""
        size = movies * (_MOVIE + _NUMBER * numbers)
        if size > self.catalog_bytes:
            raise TooLarge(
                f"catalog {catalog!r} has {movies:,} movies with {numbers:,} numbers each, which take "
                f"{size:,} bytes of memory; LIKELY_CATALOG_MEMORY_BYTES allows {self.catalog_bytes:,}"
            )

    def check_training(self, movies: int, dimensions: int, users: int, responses: int, sizes: Sizes) -> None:
        """Raise `TooLarge` when a training would take more; ``sizes`` says what it keeps of each."""
        size = (
            movies * (_MOVIE + _NUMBER * (dimensions + sizes.item))
            + users * (_USER + _POSTERIOR_NUMBER * (sizes.embedding + sizes.factor))
            + responses * _RESPONSE
        )
        if sizes.factor:
            square = sizes.embedding**2
            size += _BATCH_NUMBER * max(square, min(users * square, _BATCH_NUMBERS))
        if size > self.training_bytes:
            raise TooLarge(
                f"a training on {responses:,} responses of {users:,} users to {movies:,} movies takes about "
                f"{size:,} bytes of memory; LIKELY_TRAINING_MEMORY_BYTES allows {self.training_bytes:,}"
            )

    def check_scores(self, scores: int, right: str) -> None:
        """Raise `TooLarge` when so many scores do not fit into one answer; ``right`` says what would."""
        limit = self.answer_bytes // _SCORE
        if scores > limit:
            raise TooLarge(
                f"the answer would have {scores:,} scores; LIKELY_ANSWER_MEMORY_BYTES allows {limit:,}; "
                f"{right}"
            )

    def check_posteriors(self, users: int, size: int, *, uncertain: bool) -> None:
        """Raise `TooLarge` when the posteriors of so many users, with embeddings of this size, do not fit."""
        needed = users * 4 * size * (1 + size if uncertain else 1)
        if needed > self.answer_bytes:
            raise TooLarge(
                f"the posteriors of {users:,} users take {needed:,} bytes of memory; "
                f"LIKELY_ANSWER_MEMORY_BYTES allows {self.answer_bytes:,}: ask for fewer users at a time"
            )
