"""The metrics and provenance of a training that succeeded, as they are stored and as the API shows them."""

from dataclasses import dataclass

from pydantic import TypeAdapter

from models.recommender.metrics import Bin, ScoreMetrics


@dataclass(frozen=True)
class HeldOut(ScoreMetrics):
    """What was measured on responses that the training had not seen; None where there is no such number.

    log_loss, brier, calibration_error (fifteen bins of equal width) and accuracy are means over responses,
    ndcg_at_10 and recall_at_10 over ``ranked_users``.
    """

    ranked_users: int
    ndcg_at_10: float | None
    recall_at_10: float | None
    reliability: list[Bin]


@dataclass(frozen=True)
class Comparison:
    """What serves instead, or served before, on the same responses; None when nothing did."""

    training: int | None
    log_loss: float | None
    promoted: bool


@dataclass(frozen=True)
class Index:
    """How recommendations from so many movies find the best without looking at each.

    ``candidates`` for up to ten are looked at, and a share ``recall_at_10`` of the ten best is among them:
    measured with the tastes of ``users``, beside looking at every movie. One as good as the tenth counts too.
    """

    movies: int
    candidates: int
    recall_at_10: float
    users: int


@dataclass(frozen=True)
class Metrics:
    """What a training learned from, how it ended, and how good it is."""

    users: int
    movies: int
    responses: int
    status: str
    held_out: HeldOut | None = None
    compared_with: Comparison | None = None
    index: Index | None = None


@dataclass(frozen=True)
class Provenance:
    """Where a training's numbers come from; digests are SHA-256 in hexadecimal.

    vectors, responses and, if it looked at them, timestamps are what it saw, ``learned`` what it learned.
    """

    vectors: str
    responses: str
    learned: str
    versions: dict[str, str]
    machine: str
    threads: int
    timestamps: str | None = None


METRICS = TypeAdapter(Metrics | None)
PROVENANCE = TypeAdapter(Provenance | None)
