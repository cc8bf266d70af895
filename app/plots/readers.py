"""What plots show of a catalog: users' embeddings, movies' vectors and the scores between them."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from sqlalchemy import Connection, select

from app.catalogs.catalogs import CatalogRow, find_catalog
from app.catalogs.ids import in_path
from app.database import vectors
from app.database.tables import Movie, Response
from app.errors import Conflict
from app.plots.figures import Entity, Heatmap, LossCurve, ReliabilityDiagram, Scatter, ScoreMatrix
from app.plots.selection import Choice, Selection, check_dimensions, no_dimension, select_shown
from app.scoring.model_cache import TrainedModels
from app.training.trainings import UNFINISHED, Loss, TrainingRow
from models.recommender import scoring


def read_heatmap(connection: Connection, models: TrainedModels, catalog: str, choice: Choice) -> Heatmap:
    """Return users' embeddings and movies' vectors.

    Raises `NotFound` for the catalog, `Conflict` where it has too few dimensions, and as `select_shown`.
    """
    catalog_row = find_catalog(connection, catalog)
    check_dimensions(catalog_row, 1)
    selection = select_shown(connection, models, catalog_row, choice)
    return Heatmap(
        title=f"Users' embeddings and movies' vectors in {catalog}",
        subtitle=selection.subtitle(dimensions=True),
        dimensions=selection.dimensions,
        entities=_entities(selection),
    )


def read_scatter(
    connection: Connection, models: TrainedModels, catalog: str, choice: Choice, x: str | None, y: str | None
) -> Scatter:
    """Return users and movies over two dimensions, the first if none is named; raises as `read_heatmap`."""
    catalog_row = find_catalog(connection, catalog)
    check_dimensions(catalog_row, 2)
    first, second = _axes(catalog_row, x, y)
    selection = select_shown(connection, models, catalog_row, replace(choice, dimensions=[first, second]))
    return Scatter(
        title=f"Users and movies of {catalog} over {first} and {second}",
        subtitle=selection.subtitle(),
        x=first,
        y=second,
        entities=_entities(selection),
    )


def read_score_matrix(
    connection: Connection, models: TrainedModels, catalog: str, choice: Choice
) -> ScoreMatrix:
    """Return a score for each user and movie, and what was answered; raises as `read_heatmap`."""
    selection = select_shown(connection, models, find_catalog(connection, catalog), choice)
    return ScoreMatrix(
        title=f"Like-scores in {catalog}",
        subtitle=selection.subtitle(),
        users=[state.user for state in selection.posteriors],
        movies=selection.movie_names,
        scores=_scores(selection),
        responses=_responses(connection, selection),
    )


def _axes(catalog: CatalogRow, x: str | None, y: str | None) -> tuple[str, str]:
    """Return the names of both axes; of one that is not named the first dimension that the other is not."""
    for parameter, name in (("x", x), ("y", y)):
        if name is not None and name not in catalog.dimensions:
            raise no_dimension(catalog, name, parameter)
    first = x or next(name for name in catalog.dimensions if name != y)
    return first, y or next(name for name in catalog.dimensions if name != first)


def _entities(selection: Selection) -> list[Entity]:
    """Return the users with their embeddings and the movies with their vectors, on the dimensions chosen."""
    model, movies = selection.trained.model, selection.trained.movies
    users = [
        Entity(kind="user", name=state.user, values=weights)
        for state in selection.posteriors
        for weights in [model.show(state.posterior).weights[selection.columns].tolist()]
    ]
    numbers = movies.vectors[selection.rows][:, selection.columns].numpy()
    return users + [
        Entity(kind="movie", name=name, values=vectors.to_numbers(vector))
        for name, vector in zip(selection.movie_names, numbers, strict=True)
    ]


def _scores(selection: Selection) -> list[list[float]]:
    users, movies = len(selection.posteriors), len(selection.rows)
    if not users or not movies:
        return [[] for _ in selection.posteriors]
    prediction = selection.trained.model.predict_pairs(
        [state.posterior for state in selection.posteriors],
        torch.arange(users).repeat_interleave(movies),
        torch.tensor(selection.rows).repeat(users),
    )
    scores: list[list[float]] = scoring.scores(prediction.logits).reshape(users, movies).tolist()
    return scores


def _responses(connection: Connection, selection: Selection) -> list[list[float | None]]:
    keys = [state.user_id for state in selection.posteriors]
    names = [selection.trained.movies.movies[row] for row in selection.rows]
    rows = connection.execute(
        select(Response.user_id, Movie.movie, Response.response)
        .join(Movie, Movie.id == Response.movie_id)
        .where(Response.user_id.in_(keys), Movie.movie.in_(names))
    )
    answers = {(row.user_id, row.movie): row.response for row in rows}
    return [[answers.get((key, movie)) for movie in names] for key in keys]


def loss_curve(training: TrainingRow, losses: Sequence[Loss]) -> LossCurve:
    """Return the loss curve so far, with data loss and penalty where the loss has both."""
    series = {"loss": [loss.loss for loss in losses]}
    if any(loss.penalty for loss in losses):
        series |= {
            "data loss": [loss.data_loss for loss in losses],
            "penalty": [loss.penalty for loss in losses],
        }
    at_end = f"; loss {losses[-1].loss:.4f} after {len(losses):,} steps" if losses else ""
    return LossCurve.of(
        f"Training {training.id} of {training.catalog}: loss",
        f"{training.trainer}, seed {training.seed}, {training.status}{at_end}",
        "step",
        [loss.step for loss in losses],
        series,
    )


def reliability_diagram(training: TrainingRow) -> ReliabilityDiagram:
    """Return the reliability diagram of the holdout; raises `Conflict` where there is none."""
    metrics = None if training.metrics is None else training.metrics.held_out
    if metrics is None:
        raise Conflict(_without_holdout(training))
    return ReliabilityDiagram(
        title=f"Training {training.id} of {training.catalog}: reliability of its scores",
        subtitle=f"{metrics.responses:,} responses held out, counted by score; "
        f"calibration error {metrics.calibration_error:.4f}",
        bins=metrics.reliability,
    )


def _without_holdout(training: TrainingRow) -> str:
    if training.holdout is not None and training.status in UNFINISHED:
        return (
            f"training {training.id} is {training.status}: its held-out responses are measured when it ends"
        )
    path = f"/v1/catalogs/{in_path(training.catalog)}/trainings"
    start = f'POST {path} with "holdout": {{"fraction": 0.2, "by": "seed"}}'
    if training.holdout is not None:
        return (
            f"training {training.id} {training.status} before anything was measured; {start} starts another"
        )
    return f"training {training.id} held out nothing to measure reliability on; {start} starts one that does"
