"""A defect: a place of a file changed, and the tests that must then fail. Does not know how it is planted."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Defect:
    """A bug that somebody could make.

    what   in words: "the lease is not renewed"
    file   of the project
    right  text that stands there exactly once
    wrong  what stands there instead
    tests  pytest's arguments; at least one of these tests must fail
    """

    what: str
    file: str
    right: str
    wrong: str
    tests: tuple[str, ...]
