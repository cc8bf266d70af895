"""What a harness came to: what was done how often, what was asked of it, and what was found.

Does not know any harness.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One row of docs/track-record.md.

    what   what was done, with how often: "1,000 kills during writes, imports, trainings and promotions"
    asked  what has to come out: "0 acknowledged writes lost"
    found  what came out, with the figures
    held   whether that is what was asked
    """

    what: str
    asked: str
    found: str
    held: bool
