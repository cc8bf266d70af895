"""/v1/catalogs/{catalog}/plots: users, movies and the scores between them, as pictures and as text."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from app.catalogs.ids import Dimension, Id
from app.catalogs.path_parameters import CatalogId
from app.plots import pictures, readers
from app.plots.figures import Heatmap, Scatter, ScoreMatrix
from app.plots.pictures import AskedFor, Drawing, Suffix
from app.plots.selection import MOST_NAMED, Chosen
from app.scoring.routes import Models
from app.web.auth.routes import READ, KeyedRoute
from app.web.parameters import FromDatabase

router = APIRouter(
    prefix="/v1/catalogs/{catalog}/plots", tags=["plots"], dependencies=[READ], route_class=KeyedRoute
)

_Training = Annotated[int | None, Query(ge=1, le=2**53 - 1, description="the serving one if left out")]
_Users = Annotated[list[Id], Query(max_length=MOST_NAMED, description="users to show; the first if none")]
_Movies = Annotated[list[Id], Query(max_length=MOST_NAMED, description="movies to show; the first if none")]
_Dimensions = Annotated[
    list[Dimension], Query(max_length=MOST_NAMED, description="dimensions to show; the first if none")
]
_Axis = Annotated[Dimension | None, Query(description="a dimension of the catalog")]


def _choose(training: _Training = None, user: _Users = [], movie: _Movies = []) -> Chosen:  # noqa: B006 - FastAPI copies it
    return Chosen(training, user, movie)


_Chosen = Annotated[Chosen, Depends(_choose)]


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
        chosen = Chosen(training, user, movie, dimension)
        return readers.read_heatmap(connection, models, catalog, chosen)


def read_scatter(
    database: FromDatabase,
    models: Models,
    catalog: CatalogId,
    chosen: _Chosen,
    x: _Axis = None,
    y: _Axis = None,
) -> Scatter:
    """Return what the scatter shows; raises what `app.plots.readers.read_scatter` does."""
    with database.reading() as connection:
        return readers.read_scatter(connection, models, catalog, chosen, x, y)


def read_score_matrix(
    database: FromDatabase, models: Models, catalog: CatalogId, chosen: _Chosen
) -> ScoreMatrix:
    """Return what the score matrix shows; raises what `app.plots.readers.read_score_matrix` does."""
    with database.reading() as connection:
        return readers.read_score_matrix(connection, models, catalog, chosen)


_Heatmap = Annotated[Heatmap, Depends(read_heatmap)]
_Scatter = Annotated[Scatter, Depends(read_scatter)]
_Scores = Annotated[ScoreMatrix, Depends(read_score_matrix)]


@router.get("/heatmap", response_class=Response, responses=pictures.RESPONSES)
async def show_heatmap(drawing: Drawing, figure: _Heatmap, asked: AskedFor) -> Response:
    """Show users' embeddings above movies' vectors, a number a dimension, by the Accept header."""
    return await pictures.answer_by_accept(drawing, figure, asked)


@router.get("/heatmap.{suffix}", response_class=Response, responses=pictures.RESPONSES)
async def draw_heatmap(drawing: Drawing, figure: _Heatmap, suffix: Suffix, asked: AskedFor) -> Response:
    """Draw users' embeddings above movies' vectors."""
    return await pictures.answer_by_suffix(drawing, figure, suffix, asked)


@router.get("/scatter", response_class=Response, responses=pictures.RESPONSES)
async def show_scatter(drawing: Drawing, figure: _Scatter, asked: AskedFor) -> Response:
    """Show users and movies over two dimensions, by the Accept header."""
    return await pictures.answer_by_accept(drawing, figure, asked)


@router.get("/scatter.{suffix}", response_class=Response, responses=pictures.RESPONSES)
async def draw_scatter(drawing: Drawing, figure: _Scatter, suffix: Suffix, asked: AskedFor) -> Response:
    """Draw users and movies over two dimensions, with their names."""
    return await pictures.answer_by_suffix(drawing, figure, suffix, asked)


@router.get("/scores", response_class=Response, responses=pictures.RESPONSES)
async def show_score_matrix(drawing: Drawing, figure: _Scores, asked: AskedFor) -> Response:
    """Show a score for each user and movie, with what they answered, by the Accept header."""
    return await pictures.answer_by_accept(drawing, figure, asked)


@router.get("/scores.{suffix}", response_class=Response, responses=pictures.RESPONSES)
async def draw_score_matrix(drawing: Drawing, figure: _Scores, suffix: Suffix, asked: AskedFor) -> Response:
    """Draw a score for each user and movie, with what they answered."""
    return await pictures.answer_by_suffix(drawing, figure, suffix, asked)
