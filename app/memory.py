"""What one catalog and one answer may take of a process's memory: refused before it is allocated.

Sizes are estimated from counts, from above: of what a movie takes in Python and in a model's arrays, and of
what a score takes until it is sent. Does not know where the counts come from.
"""

from dataclasses import dataclass

from app.errors import TooLarge

_MOVIE = 512  # bytes: its id, its title, and two places in dicts
_NUMBER = 32  # bytes: float32, and what models derive from it in float64
_SCORE = 1024  # bytes: an object, its dict, its JSON


@dataclass(frozen=True)
class Memory:
    """The most bytes that a catalog's movies, and what was learned of them, and an answer may take."""

    catalog_bytes: int = 8 * 2**30
    answer_bytes: int = 2**29

    def check_catalog(self, catalog: str, movies: int, numbers: int) -> None:
        """Raise `TooLarge` when so many movies with so many numbers each, vector and learned, do not fit."""
        needed = movies * (_MOVIE + _NUMBER * numbers)
        if needed > self.catalog_bytes:
            raise TooLarge(
                f"catalog {catalog!r} has {movies:,} movies with {numbers:,} numbers each, which take "
                f"{needed:,} bytes of memory; LIKELY_CATALOG_MEMORY_BYTES allows {self.catalog_bytes:,}"
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
