"""What one catalog and one answer may take of a process's memory: refused before it is allocated.

Sizes are estimated from counts, from above: of what a movie takes in Python and in a model's arrays, and of
what a score takes until it is sent. Does not know where the counts come from.
"""

from dataclasses import dataclass
from typing import Self

from app.errors import TooLarge
from app.settings import Settings

_MOVIE = 512  # bytes: its id, its title, and two places in dicts
_NUMBER = 32  # bytes: float32, and what models derive from it in float64
_SCORE = 1024  # bytes: an object, its dict, its JSON
_USER = 1024  # bytes: an id, and a taste with its factor
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
        needed = movies * (_MOVIE + _NUMBER * numbers)
        if needed > self.catalog_bytes:
            raise TooLarge(
                f"catalog {catalog!r} has {movies:,} movies with {numbers:,} numbers each, which take "
                f"{needed:,} bytes of memory; LIKELY_CATALOG_MEMORY_BYTES allows {self.catalog_bytes:,}"
            )

    def check_training(self, movies: int, numbers: int, users: int, responses: int) -> None:
        """Raise `TooLarge` when a training would take more; movies have so many numbers each."""
        needed = movies * (_MOVIE + _NUMBER * numbers) + users * _USER + responses * _RESPONSE
        if needed > self.training_bytes:
            raise TooLarge(
                f"a training on {responses:,} responses of {users:,} users to {movies:,} movies takes about "
                f"{needed:,} bytes of memory; LIKELY_TRAINING_MEMORY_BYTES allows {self.training_bytes:,}"
            )

    def check_scores(self, scores: int, right: str) -> None:
        """Raise `TooLarge` when so many scores do not fit into one answer; ``right`` says what would."""
        most = self.answer_bytes // _SCORE
        if scores > most:
            raise TooLarge(
                f"the answer would have {scores:,} scores; LIKELY_ANSWER_MEMORY_BYTES allows {most:,}; "
                f"{right}"
            )

    def check_tastes(self, users: int, size: int, *, uncertain: bool) -> None:
        """Raise `TooLarge` when the tastes of so many users, of this size each, do not fit."""
        each = 4 * size * (1 + size if uncertain else 1)
        if users * each > self.answer_bytes:
            raise TooLarge(
                f"the tastes of {users:,} users take {users * each:,} bytes of memory; "
                f"LIKELY_ANSWER_MEMORY_BYTES allows {self.answer_bytes:,}: ask for fewer users at a time"
            )
