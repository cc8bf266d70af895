"""…/trainings/{training}/losses and …/reliability: a training's losses as data, and what plots show of it."""

import csv
import io
from dataclasses import astuple, dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, TypeAdapter

from app import trainings
from app.learning_curves import loss_curve, reliability_diagram
from app.plots.figures import ReliabilityDiagram
from app.routes import media, pictures
from app.routes.parameters import CatalogId, FromApp, TrainingId
from app.routes.pictures import JSON, Accept
from app.trainings import Loss, TrainingRow

router = APIRouter(prefix="/v1/catalogs/{catalog}/trainings/{training}", tags=["trainings"])

CSV = "text/csv"
_OFFERED = [JSON, CSV, pictures.SVG, pictures.PNG, pictures.TEXT]

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


def read_learning(app: FromApp, catalog: CatalogId, training: TrainingId) -> Learning:
    """Return the training with its losses; raises `NotFound`."""
    with app.database.reading() as connection:
        found = trainings.read_training(connection, catalog, training)
        return Learning(found, trainings.list_losses(connection, found.id))


def read_reliability(app: FromApp, catalog: CatalogId, training: TrainingId) -> ReliabilityDiagram:
    """Return the reliability diagram; raises `NotFound`, and `Conflict` where nothing was held out."""
    with app.database.reading() as connection:
        return reliability_diagram(trainings.read_training(connection, catalog, training))


Learned = Annotated[Learning, Depends(read_learning)]
Reliability = Annotated[ReliabilityDiagram, Depends(read_reliability)]


@router.get(
    "/losses",
    response_model=Losses,
    responses={200: {"content": {CSV: {}} | {each: pictures.CONTENT[each] for each in _OFFERED[2:]}}},
)
async def list_losses(app: FromApp, learned: Learned, accept: Accept = None) -> Response:
    """Show the loss curve, as JSON, CSV, a picture or text by the Accept header."""
    chosen = media.choose(accept, _OFFERED)
    if chosen == JSON:
        answer = await run_in_threadpool(_as_json, learned)
    elif chosen == CSV:
        answer = await run_in_threadpool(_as_csv, learned)
    else:
        curve = await run_in_threadpool(loss_curve, learned.training, learned.losses)
        answer = await pictures.draw(app, curve, chosen)
    answer.headers["Vary"] = "Accept"
    return answer


@router.get("/losses.json")
def list_losses_as_json(learned: Learned) -> Losses:
    """Show the loss curve as JSON."""
    return _shown(learned)


@router.get("/losses.csv", response_class=Response, responses={200: {"content": {CSV: {}}}})
def list_losses_as_csv(learned: Learned) -> Response:
    """Show the loss curve as CSV: step, loss, data_loss, penalty."""
    return _as_csv(learned)


@router.get("/losses.{suffix}", response_class=Response, responses=pictures.RESPONSES)
async def draw_losses(app: FromApp, learned: Learned, suffix: _Suffix) -> Response:
    """Draw the loss curve, on a logarithmic axis where that helps."""
    curve = await run_in_threadpool(loss_curve, learned.training, learned.losses)
    return await pictures.answer_by_suffix(app, curve, suffix)


@router.get("/reliability", response_class=Response, responses=pictures.RESPONSES)
async def show_reliability(app: FromApp, diagram: Reliability, accept: Accept = None) -> Response:
    """Show how reliable scores were on responses held out, as text or a picture by the Accept header."""
    return await pictures.answer_by_accept(app, diagram, accept)


@router.get("/reliability.{suffix}", response_class=Response, responses=pictures.RESPONSES)
async def draw_reliability(
    app: FromApp, catalog: CatalogId, training: TrainingId, suffix: _Suffix
) -> Response:
    """Draw how reliable scores were on responses held out."""
    # Read here: as a dependency it would come before the suffix is looked at, and most trainings have none.
    diagram = await run_in_threadpool(read_reliability, app, catalog, training)
    return await pictures.answer_by_suffix(app, diagram, suffix)


def _shown(learned: Learning) -> Losses:
    return Losses(training=learned.training.id, losses=learned.losses)


def _as_json(learned: Learning) -> Response:
    return Response(_LOSSES.dump_json(_shown(learned)), media_type=JSON)


def _as_csv(learned: Learning) -> Response:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", "loss", "data_loss", "penalty"])
    writer.writerows(astuple(loss) for loss in learned.losses)
    return Response(text.getvalue(), media_type=CSV)
