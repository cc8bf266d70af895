"""The next question: the movie with the most expected information gain for a user."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from app.catalogs.catalogs import find_catalog
from app.errors import Conflict, NotFound
from app.scoring.fold_in import NO_ANSWERS, read_answers
from app.scoring.model_cache import TrainedModel, TrainedModels
from app.scoring.posteriors import Basis, find_serving, read_posterior
from app.scoring.scores import named_rows
from models.recommender import scoring
from models.recommender.model import UserPosterior


@dataclass(frozen=True)
class Question:
    """A movie to ask about.

    ``expected_reduction``: the share of what is uncertain of the user's scores, over all movies, that an
    answer is expected to take away, counting how likely it is that they have one.
    """

    movie: str
    title: str
    score: float
    logit: float
    expected_reduction: float


@dataclass(frozen=True)
class NextQuestion:
    """What to ask a user next, of the training that says so."""

    user: str
    training: int
    responses: int
    basis: Basis
    question: Question


def find_next_question(
    connection: Connection, models: TrainedModels, catalog: str, user: str, exclude: Sequence[str]
) -> NextQuestion:
    """Return the movie to ask a user about, of those that they have not answered, without ``exclude``.

    Raises `NotFound` for the catalog or when nothing is left to ask, `Conflict` when nothing is trained yet
    or the training does not know how sure it is.
    """
    catalog_row = find_catalog(connection, catalog)
    serving = find_serving(connection, models, catalog_row)
    check_uncertain(serving)
    person = read_posterior(connection, catalog_row, serving, user)
    answers = NO_ANSWERS if person.user_id is None else read_answers(connection, serving, person.user_id)
    excluded_rows = [*answers.rows.tolist(), *named_rows(serving.movies, exclude)]
    question = choose_question(serving, person.posterior, excluded_rows)
    if question is None:
        raise NotFound(f"there is no movie left in catalog {catalog!r} to ask user {user!r} about")
    return NextQuestion(user, serving.id, person.responses, person.basis, question)


def check_uncertain(serving: TrainedModel) -> None:
    """Raise `Conflict` when the model does not know how sure it is."""
    if not serving.model.uncertain:
        raise Conflict(
            f"training {serving.id} is of {serving.trainer}, which does not know what it does not know; "
            "a mixed_effects training chooses questions"
        )


def choose_question(
    serving: TrainedModel, posterior: UserPosterior, excluded_rows: Iterable[int]
) -> Question | None:
    """Return the movie of most expected information gain, without ``excluded_rows``; None without any."""
    gains = serving.model.expected_information_gain(posterior)
    gains[list(excluded_rows)] = -1.0
    if len(gains) == 0 or float(gains.max()) < 0.0:
        return None
    row = int(gains.argmax())
    logits = serving.model.predict(posterior, gains.argmax()[None]).logits
    movies = serving.movies
    return Question(
        movies.movies[row],
        movies.titles[row],
        float(scoring.scores(logits)),
        float(logits),
        float(gains[row]),
    )
