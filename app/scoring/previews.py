"""Previews: scores from responses that come with the request, of somebody who is not stored."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from sqlalchemy import Connection

from app.catalogs.catalogs import find_catalog
from app.catalogs.movies import unknown_movie
from app.errors import Conflict, NotFound, Place, pointer
from app.scoring.explanations import Include, check_include
from app.scoring.fold_in import Answers, others_squared_norm
from app.scoring.model_cache import TrainedModel, TrainedModels
from app.scoring.posteriors import Basis, Person, find_serving
from app.scoring.questions import Question, check_uncertain, choose_question
from app.scoring.scores import Score, format_details, named_rows

PreviewInclude = Literal["interval", "explanation", "influences", "next_question"]

_BEST = 10


@dataclass(frozen=True)
class Preview:
    """Scores of somebody unknown, the training they come from, and what they rest on."""

    training: int
    responses: int
    basis: Basis
    scores: list[Score]
    next_question: Question | None = None


@dataclass(frozen=True)
class PreviewRequest:
    """What a preview is to show: the named movies in this order, or the best of all without ``exclude``."""

    movies: Sequence[str] | None = None
    limit: int | None = None
    exclude: Sequence[str] = ()
    include: Collection[PreviewInclude] = ()


def preview_scores(
    connection: Connection,
    models: TrainedModels,
    catalog: str,
    responses: Mapping[str, float],
    request: PreviewRequest,
) -> Preview:
    """Score movies for somebody who would give these responses; the best ones leave out what they answer.

    Raises `NotFound` for catalog or movies, `Conflict` when nothing is trained yet or the model knows nothing
    of somebody without responses, and what `app.scoring.explanations.check_include` raises.
    """
    catalog_row = find_catalog(connection, catalog)
    serving = find_serving(connection, models, catalog_row)
    if "next_question" in request.include:
        check_uncertain(serving)
    _check_movies(catalog, serving, responses, request.movies or ())
    answers = Answers.of({serving.movies.rows[movie]: value for movie, value in responses.items()})
    person = _fold_in(connection, serving, answers)
    excluded_rows = [*answers.rows.tolist(), *named_rows(serving.movies, request.exclude)]
    if request.movies is None:
        left_out = torch.tensor(excluded_rows, dtype=torch.int64)
        best = serving.best(person.posterior, request.limit or _BEST, left_out, -torch.inf)
        rows, logits = best.rows, best.logits
    else:
        rows = torch.tensor([serving.movies.rows[movie] for movie in request.movies], dtype=torch.int64)
        logits = serving.model.predict(person.posterior, rows).logits
    question = None
    if "next_question" in request.include:
        question = choose_question(serving, person.posterior, excluded_rows)
    include = [name for name in get_args(Include) if name in request.include]
    check_include(serving, len(rows), include, lambda message: Place(message, pointer="/include"))
    scores = format_details(serving, catalog_row.dimensions, person, rows, logits, include)
    return Preview(serving.id, person.responses, person.basis, scores, question)


def _fold_in(connection: Connection, serving: TrainedModel, answers: Answers) -> Person:
    others_norm = others_squared_norm(connection, serving, None)
    if len(answers.rows):
        posterior = serving.model.fold_in(answers.rows, answers.answers, None, others_norm)
        return Person(posterior, len(answers.rows), answers=answers, others_squared_norm=others_norm)
    prior = serving.model.cold_start()
    if prior is None:
        raise Conflict(
            f"training {serving.id} is of {serving.trainer}, and knows nothing of who answered nothing",
            [Place("give a response at least", pointer="/responses")],
        )
    return Person(prior)


def _check_movies(
    catalog: str, serving: TrainedModel, responses: Mapping[str, float], movies: Sequence[str]
) -> None:
    row_of = serving.movies.rows
    places = [
        Place(unknown_movie(catalog, movie).detail, pointer=pointer("responses", movie))
        for movie in responses
        if movie not in row_of
    ]
    places += [
        Place(unknown_movie(catalog, movie).detail, pointer=pointer("movies", index))
        for index, movie in enumerate(movies)
        if movie not in row_of
    ]
    if places:
        raise NotFound(places[0].detail, places[:100])
