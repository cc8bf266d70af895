"""Details of a score: its interval, the terms of its logit, the responses with the most influence on it."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from app.database.vectors import to_numbers
from app.errors import BadInput, Conflict, Place
from app.scoring.model_cache import TrainedModel
from app.scoring.posteriors import Person
from models.recommender import scoring
from models.recommender.influence import most_influential
from models.recommender.model import UserPosterior

Include = Literal["interval", "explanation", "influences"]

LEVEL = 0.9
_INFLUENCES = 5
_MOVIES_WITH_INFLUENCES = 20  # each response left out is a fold-in


@dataclass(frozen=True)
class Interval:
    """Where the score lies with probability ``level``, as far as the model knows; equal tails."""

    level: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Contribution:
    """What a dimension adds to the logit: damping × the user's weight × the movie's value."""

    dimension: str
    weight: float
    value: float
    contribution: float


@dataclass(frozen=True)
class Explanation:
    """The logit as a sum: appeal (the movie's), offset (the user's), each named dimension, the learned ones.

    ``damping`` is in every term: the less is known, the nearer it draws all of them to 0.
    """

    damping: float
    appeal: float
    offset: float
    dimensions: list[Contribution]
    learned: float


@dataclass(frozen=True)
class Influence:
    """One of the user's own answers: the score as it would be without it, and how far the answer moved it."""

    movie: str
    title: str
    response: float
    score_without: float
    change: float


@dataclass(frozen=True)
class Details:
    """What was asked for of one score; None where it was not."""

    interval: Interval | None = None
    explanation: Explanation | None = None
    influences: list[Influence] | None = None


def check_include(
    serving: TrainedModel, movies: int, include: Collection[Include], place: Callable[[str], Place]
) -> None:
    """Raise when something cannot be included with scores of so many movies; ``place`` says where it stands.

    `Conflict` for intervals of a model that knows none, `BadInput` for influences on too many movies.
    """
    if "interval" in include and not serving.model.uncertain:
        raise Conflict(
            f"training {serving.id} is of {serving.trainer}, which does not know how sure it is; "
            "scores of a mixed_effects training have intervals",
            [place("no intervals with the training that serves")],
        )
    if "influences" in include and movies > _MOVIES_WITH_INFLUENCES:
        message = f"influences are shown for up to {_MOVIES_WITH_INFLUENCES} movies at once, not {movies}"
        raise BadInput(f"{message}: name fewer movies, or give a smaller limit", [place(message)])


def details(
    serving: TrainedModel,
    dimensions: Sequence[str],
    person: Person,
    rows: Tensor,
    include: Collection[Include],
) -> list[Details]:
    """Return what is to be included with the scores of the movies at ``rows`` [n]; see `check_include`."""
    count = len(rows)
    intervals = _intervals(serving, person.posterior, rows) if "interval" in include else [None] * count
    sums = (
        _explanations(serving, dimensions, person.posterior, rows)
        if "explanation" in include
        else [None] * count
    )
    influences = _influences(serving, person, rows) if "influences" in include else [None] * count
    return [Details(*parts) for parts in zip(intervals, sums, influences, strict=True)]


def _intervals(serving: TrainedModel, posterior: UserPosterior, rows: Tensor) -> list[Interval]:
    lower, upper = (
        scoring.scores(bound).tolist() for bound in serving.model.predict(posterior, rows).interval(LEVEL)
    )
    return [Interval(LEVEL, *bounds) for bounds in zip(lower, upper, strict=True)]


def _explanations(
    serving: TrainedModel, dimensions: Sequence[str], posterior: UserPosterior, rows: Tensor
) -> list[Explanation]:
    explanation = serving.model.explain(posterior, rows)
    damping = explanation.damping
    weights = explanation.weights.tolist()
    contributions = damping[:, None] * explanation.weights * explanation.values + 0.0  # no -0.0
    values = [to_numbers(row) for row in explanation.values.float().numpy()]
    numbers = zip(
        damping.tolist(),
        (damping * explanation.item_biases).tolist(),
        (damping * explanation.user_bias).tolist(),
        values,
        contributions.tolist(),
        (damping * explanation.learned).tolist(),
        strict=True,
    )
    return [
        Explanation(
            kappa,
            appeal,
            offset,
            [Contribution(*term) for term in zip(dimensions, weights, values, products, strict=True)],
            contributions_learned,
        )
        for kappa, appeal, offset, values, products, contributions_learned in numbers
    ]


def _influences(serving: TrainedModel, person: Person, rows: Tensor) -> list[list[Influence]]:
    own_answers = person.answers
    if len(own_answers.rows) == 0:
        return [[] for _ in rows]
    changes = most_influential(
        serving.model,
        person.posterior,
        own_answers.rows,
        own_answers.answers,
        rows,
        person.others_squared_norm,
        _INFLUENCES,
    )
    scores = scoring.scores(serving.model.predict(person.posterior, rows).logits).tolist()
    answers, rows_answered = own_answers.answers.tolist(), own_answers.rows.tolist()
    movies = serving.movies

    def shown(score: float, place: int, logit_without: float) -> Influence:
        row = rows_answered[place]
        without = float(scoring.scores(torch.tensor(logit_without, dtype=torch.float64)))
        return Influence(movies.movies[row], movies.titles[row], answers[place], without, score - without)

    return [
        [shown(score, change.position, change.logit_without) for change in largest]
        for score, largest in zip(scores, changes, strict=True)
    ]
