"""…/trainings/{training}/losses and …/reliability: a training's losses as data, and what plots show of it."""

import csv
import io
from collections.abc import Callable
from dataclasses import astuple, dataclass
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, TypeAdapter

from app.catalogs.ids import Dimension, Id
from app.catalogs.path_parameters import CatalogId
from app.plots import pictures, readers
from app.plots.figures import Figure, Heatmap, ReliabilityDiagram, Scatter, ScoreMatrix
from app.plots.pictures import JSON, Drawing, RequestConditions, Suffix
from app.plots.readers import loss_curve, reliability_diagram
from app.plots.selection import MOST_NAMED, Choice
from app.scoring.routes import Models
from app.training import trainings
from app.training.routes import TrainingId, tagged
from app.training.trainings import Loss, TrainingRow
from app.web.auth.routes import READ, AuthenticatedRoute
from app.web.negotiation import UNCHANGED, IfNoneMatch, choose, unchanged
from app.web.parameters import FromDatabase

trainings_router = APIRouter(
    prefix="/v1/catalogs/{catalog}/trainings/{training}",
    tags=["trainings"],
    dependencies=[READ],
    route_class=AuthenticatedRoute,
)

CSV = "text/csv"
_OFFERED = [JSON, CSV, pictures.SVG, pictures.PNG, pictures.VEGA_LITE, pictures.TEXT]

_CSV: dict[int | str, dict[str, Any]] = {200: {"content": {CSV: {}}}}
_LOSS_FORMS: dict[int | str, dict[str, Any]] = {
    200: {"content": {CSV: {}} | {media_type: pictures.CONTENT[media_type] for media_type in _OFFERED[2:]}}
}

# Of this resource .json are the losses themselves.
_Suffix = Annotated[
    Literal["svg", "png", "vl.json", "txt"],
    Path(description="a picture, its Vega-Lite specification, or text"),
]


class Losses(BaseModel):
    """The loss curve of a training."""

    training: int
    losses: list[Loss]


_LOSSES = TypeAdapter(Losses)


@dataclass(frozen=True)
class Learning:
    """A training and what it has reported so far."""

    training: TrainingRow
    losses: list[Loss]


def read_learning(database: FromDatabase, catalog: CatalogId, training: TrainingId) -> Learning:
    """Return the training with its losses; raises `NotFound`."""
    with database.reading() as connection:
        row = trainings.read_training(connection, catalog, training)
        return Learning(row, trainings.list_losses(connection, row.id))


def read_reliability(database: FromDatabase, catalog: CatalogId, training: TrainingId) -> ReliabilityDiagram:
    """Return the reliability diagram; raises `NotFound`, and `Conflict` where nothing was held out."""
    with database.reading() as connection:
        return reliability_diagram(trainings.read_training(connection, catalog, training))


_Learning = Annotated[Learning, Depends(read_learning)]
_Reliability = Annotated[ReliabilityDiagram, Depends(read_reliability)]


@trainings_router.get(
    "/losses",
    response_model=Losses,
    responses=_LOSS_FORMS | UNCHANGED,
)
async def list_losses(drawing: Drawing, learning: _Learning, conditions: RequestConditions) -> Response:
    """Show the loss curve, as JSON, CSV, a picture or text by the Accept header.

    The data of a training that has ended have an ETag, and pictures always.
    """
    media_type = choose(conditions.accept, _OFFERED)
    if media_type in _DATA:
        answer = await run_in_threadpool(_as_data, learning, media_type, conditions.if_none_match)
    else:
        curve = await run_in_threadpool(loss_curve, learning.training, learning.losses)
        answer = await pictures.answer(drawing, curve, media_type, conditions)
    answer.headers["Vary"] = "Accept"
    return answer


@trainings_router.get("/losses.json", response_model=Losses, responses=UNCHANGED)
def list_losses_as_json(learning: _Learning, if_none_match: IfNoneMatch = None) -> Response:
    """Show the loss curve as JSON."""
    return _as_data(learning, JSON, if_none_match)


@trainings_router.get("/losses.csv", response_class=Response, responses=_CSV | UNCHANGED)
def list_losses_as_csv(learning: _Learning, if_none_match: IfNoneMatch = None) -> Response:
    """Show the loss curve as CSV: step, loss, data_loss, penalty."""
    return _as_data(learning, CSV, if_none_match)


@trainings_router.get("/losses.{suffix}", response_class=Response, responses=pictures.RESPONSES)
async def draw_losses(
    drawing: Drawing, learning: _Learning, suffix: _Suffix, conditions: RequestConditions
) -> Response:
    """Draw the loss curve, on a logarithmic axis where that helps."""
    curve = await run_in_threadpool(loss_curve, learning.training, learning.losses)
    return await pictures.answer_by_suffix(drawing, curve, suffix, conditions)


@trainings_router.get("/reliability", response_class=Response, responses=pictures.RESPONSES)
async def show_reliability(
    drawing: Drawing, diagram: _Reliability, conditions: RequestConditions
) -> Response:
    """Show how reliable scores were on responses held out, as text or a picture by the Accept header."""
    return await pictures.answer_by_accept(drawing, diagram, conditions)


@trainings_router.get("/reliability.{suffix}", response_class=Response, responses=pictures.RESPONSES)
async def draw_reliability(
    database: FromDatabase,
    drawing: Drawing,
    catalog: CatalogId,
    training: TrainingId,
    suffix: Suffix,
    conditions: RequestConditions,
) -> Response:
    """Draw how reliable scores were on responses held out."""
    # Read here: a dependency would run before the suffix is checked, and most trainings have no holdout.
    diagram = await run_in_threadpool(read_reliability, database, catalog, training)
    return await pictures.answer_by_suffix(drawing, diagram, suffix, conditions)


def _as_data(learning: Learning, media_type: str, if_none_match: str | None) -> Response:
    """Return the losses as JSON or CSV; a 304 to a client that has them, when they stay as they are."""
    headers = tagged(learning.training, media_type)
    return unchanged(headers, if_none_match) or Response(
        _DATA[media_type](learning), headers=headers, media_type=media_type
    )


def _as_json(learning: Learning) -> str | bytes:
    return _LOSSES.dump_json(Losses(training=learning.training.id, losses=learning.losses))


def _as_csv(learning: Learning) -> str | bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", "loss", "data_loss", "penalty"])
    writer.writerows(astuple(loss) for loss in learning.losses)
    return text.getvalue()


_DATA = {JSON: _as_json, CSV: _as_csv}


router = APIRouter(
    prefix="/v1/catalogs/{catalog}/plots", tags=["plots"], dependencies=[READ], route_class=AuthenticatedRoute
)

_Training = Annotated[int | None, Query(ge=1, le=2**53 - 1, description="the serving one if left out")]
_Users = Annotated[list[Id], Query(max_length=MOST_NAMED, description="users to show; the first if none")]
_Movies = Annotated[list[Id], Query(max_length=MOST_NAMED, description="movies to show; the first if none")]
_Dimensions = Annotated[
    list[Dimension], Query(max_length=MOST_NAMED, description="dimensions to show; the first if none")
]
_Axis = Annotated[Dimension | None, Query(description="a dimension of the catalog")]


def _choose(training: _Training = None, user: _Users = [], movie: _Movies = []) -> Choice:  # noqa: B006 - FastAPI copies it
    return Choice(training, user, movie)


_Choice = Annotated[Choice, Depends(_choose)]


def read_heatmap(
    database: FromDatabase,
    models: Models,
    catalog: CatalogId,
    training: _Training = None,
    user: _Users = [],  # noqa: B006 - FastAPI copies it
    movie: _Movies = [],  # noqa: B006 - likewise
    dimension: _Dimensions = [],  # noqa: B006 - likewise
) -> Heatmap:
    """Return what the heatmap shows; raises what `app.plots.readers.read_heatmap` does."""
    with database.reading() as connection:
        choice = Choice(training, user, movie, dimension)
        return readers.read_heatmap(connection, models, catalog, choice)


def read_scatter(
    database: FromDatabase,
    models: Models,
    catalog: CatalogId,
    choice: _Choice,
    x: _Axis = None,
    y: _Axis = None,
) -> Scatter:
    """Return what the scatter shows; raises what `app.plots.readers.read_scatter` does."""
    with database.reading() as connection:
        return readers.read_scatter(connection, models, catalog, choice, x, y)


def read_score_matrix(
    database: FromDatabase, models: Models, catalog: CatalogId, choice: _Choice
) -> ScoreMatrix:
    """Return what the score matrix shows; raises what `app.plots.readers.read_score_matrix` does."""
    with database.reading() as connection:
        return readers.read_score_matrix(connection, models, catalog, choice)


def _add_figure(path: str, name: str, read: Callable[..., Figure], *, show: str, draw: str) -> None:
    """Add the two routes of a figure: one answers by the Accept header, the other by the path's suffix.

    ``read`` is the dependency that reads the figure; ``show`` and ``draw`` describe the routes in /docs.
    """

    async def answer_by_accept(
        drawing: Drawing, figure: Annotated[Figure, Depends(read)], conditions: RequestConditions
    ) -> Response:
        return await pictures.answer_by_accept(drawing, figure, conditions)

    async def answer_by_suffix(
        drawing: Drawing,
        figure: Annotated[Figure, Depends(read)],
        suffix: Suffix,
        conditions: RequestConditions,
    ) -> Response:
        return await pictures.answer_by_suffix(drawing, figure, suffix, conditions)

    add = partial(router.add_api_route, response_class=Response, responses=pictures.RESPONSES)
    add(path, answer_by_accept, name=f"show_{name}", description=show)
    add(f"{path}.{{suffix}}", answer_by_suffix, name=f"draw_{name}", description=draw)


_add_figure(
    "/heatmap",
    "heatmap",
    read_heatmap,
    show="Show users' embeddings above movies' vectors, a number a dimension, by the Accept header.",
    draw="Draw users' embeddings above movies' vectors.",
)
_add_figure(
    "/scatter",
    "scatter",
    read_scatter,
    show="Show users and movies over two dimensions, by the Accept header.",
    draw="Draw users and movies over two dimensions, with their names.",
)
_add_figure(
    "/scores",
    "score_matrix",
    read_score_matrix,
    show="Show a score for each user and movie, with what they answered, by the Accept header.",
    draw="Draw a score for each user and movie, with what they answered.",
)
