"""/v1/catalogs/{catalog}/trainings: starting, watching and cancelling trainings."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, Path, Query, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import ConfigDict, Field, TypeAdapter
from starlette.convertors import Convertor, register_url_convertor

from app.catalogs import catalogs
from app.catalogs.catalogs import CatalogSummary
from app.catalogs.path_parameters import CatalogId
from app.database.idempotency import Answer, answer_once
from app.database.notifications import Notifications
from app.errors import NotFound
from app.training import trainings
from app.training.trainings import UNFINISHED, Loss, Serve, TrainingRow
from app.web.auth.routes import READ, TRAIN, AuthenticatedRoute
from app.web.idempotency import REPEATED, Once, respond
from app.web.negotiation import UNCHANGED, IfNoneMatch, etag, headers_of, unchanged
from app.web.parameters import Body, FromDatabase, FromSettings, Limit, Page, Streams, from_app, page
from models.options import LARGEST_SEED
from models.recommender.class_model.gradient_descent import GradientDescentOptions
from models.recommender.holdout import Holdout
from models.recommender.mixed_effects.trainer import MixedEffectsOptions

_LAST_STEP = 2**31 - 1  # PostgreSQL's integers end there

router = APIRouter(
    prefix="/v1/catalogs/{catalog}/trainings", tags=["trainings"], route_class=AuthenticatedRoute
)

serving_router = APIRouter(prefix="/v1/catalogs/{catalog}", tags=["catalogs"], route_class=AuthenticatedRoute)

FromNotifications = Annotated[Notifications, from_app("notifications")]
TrainingId = Annotated[int, Path(ge=1, le=2**53 - 1)]

_STEPS_AT_ONCE = 1000

_LOCATION = {"description": "where to watch the training", "schema": {"type": "string"}}

_LOSS = TypeAdapter(Loss)
_TRAINING = TypeAdapter(TrainingRow | None)


class _Segment(Convertor[str]):
    """A path segment up to a colon: `7:cancel` is no training, so only POST is allowed there."""

    regex = "[^/:]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("segment", _Segment())


class _Training(Body):
    """What all trainers take."""

    model_config = ConfigDict(
        json_schema_extra={
            "not": {
                "required": ["serve"],
                "properties": {"serve": {"const": "if_better"}, "holdout": {"type": "null"}},
            }
        }
    )

    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED, description="drawn at random if left out")] | None = (
        None
    )
    serve: Annotated[
        Serve,
        Field(
            description="let scores come from it when it has succeeded; if_better: "
            "when its held-out log loss is not worse than that of what serves"
        ),
    ] = True
    holdout: Annotated[
        Holdout | None,
        Field(description="measure it first on responses held out from it; then it learns from all"),
    ] = None


class GradientDescentBody(_Training):
    """A training of the class model; options that are left out have the trainer's defaults."""

    trainer: Literal["gradient_descent"]
    options: GradientDescentOptions = GradientDescentOptions()


class MixedEffectsBody(_Training):
    """A training of the model to recommend with; nothing needs to be chosen."""

    trainer: Literal["mixed_effects"]
    options: MixedEffectsOptions = MixedEffectsOptions()


TrainingBody = Annotated[GradientDescentBody | MixedEffectsBody, Field(discriminator="trainer")]


@router.post(
    "",
    dependencies=[TRAIN],
    status_code=202,
    response_model=TrainingRow,
    responses={202: {"headers": {"Location": _LOCATION, **REPEATED}}},
)
def create_training(
    settings: FromSettings, database: FromDatabase, catalog: CatalogId, body: TrainingBody, once: Once
) -> Response:
    """Put a training into the queue; Location is where to watch it."""
    with database.writing() as connection:

        def create() -> Answer:
            training = trainings.create_training(
                connection,
                catalog,
                body.trainer,
                body.options.model_dump(),
                secrets.randbelow(2**31) if body.seed is None else body.seed,
                serve=body.serve,
                holdout=None if body.holdout is None else body.holdout.model_dump(),
            )
            location = f"/v1/catalogs/{quote(catalog, safe='')}/trainings/{training.id}"
            return Answer(HTTPStatus.ACCEPTED, _TRAINING.dump_json(training), location)

        catalog_id = catalogs.find_catalog(connection, catalog).id
        answer = answer_once(connection, once, catalog_id, settings.idempotency_seconds, create)
    return respond(answer)


@router.get("", dependencies=[READ])
def list_trainings(
    database: FromDatabase,
    catalog: CatalogId,
    limit: Limit = 100,
    after: Annotated[
        int | None, Query(ge=1, le=LARGEST_SEED, description="`next` of the page before")
    ] = None,
) -> Page[TrainingRow]:
    """List the trainings, the newest first."""
    with database.reading() as connection:
        rows = trainings.list_trainings(connection, catalog, limit, after)
        return page(rows, limit, lambda item: item.id)


def tagged(row: TrainingRow, media_type: str) -> dict[str, str]:
    """Return the headers of an answer about a training: when it has ended, nothing of it changes any more."""
    return {} if row.status in UNFINISHED else headers_of(etag(_TRAINING.dump_json(row), media_type))


def find_training(database: FromDatabase, catalog: CatalogId, training: TrainingId) -> TrainingRow:
    """Return the training that the path names; raises `NotFound`."""
    with database.reading() as connection:
        return trainings.read_training(connection, catalog, training)


@router.get("/{training:segment}", dependencies=[READ], response_model=TrainingRow, responses=UNCHANGED)
def read_training(
    database: FromDatabase, catalog: CatalogId, training: TrainingId, if_none_match: IfNoneMatch = None
) -> Response:
    """Show a training; with an ETag when it has ended."""
    row = find_training(database, catalog, training)
    headers = tagged(row, "application/json")
    return unchanged(headers, if_none_match) or Response(
        _TRAINING.dump_json(row), headers=headers, media_type="application/json"
    )


@router.post(
    "/{training}:cancel",
    dependencies=[TRAIN],
    status_code=202,
    response_model=TrainingRow,
    responses={202: {"headers": REPEATED}},
)
def cancel_training(
    settings: FromSettings, database: FromDatabase, catalog: CatalogId, training: TrainingId, once: Once
) -> Response:
    """Cancel a training that waits or runs."""
    with database.writing() as connection:

        def cancel() -> Answer:
            training_row = trainings.cancel_training(connection, catalog, training)
            return Answer(HTTPStatus.ACCEPTED, _TRAINING.dump_json(training_row))

        catalog_id = catalogs.find_catalog(connection, catalog).id
        answer = answer_once(connection, once, catalog_id, settings.idempotency_seconds, cancel)
    return respond(answer)


async def take_a_stream(streams: Streams) -> AsyncIterator[None]:
    """Count a stream of events while it runs; raises `Overloaded`."""
    streams.take()
    try:
        yield
    finally:
        streams.release()


@router.get(
    "/{training}/events",
    response_class=EventSourceResponse,
    dependencies=[READ, Depends(find_training), Depends(take_a_stream)],
)
async def stream_events(
    settings: FromSettings,
    database: FromDatabase,
    notifications: FromNotifications,
    catalog: CatalogId,
    training: TrainingId,
    last_event_id: Annotated[int, Header(ge=0, le=_LAST_STEP)] = 0,
) -> AsyncIterator[ServerSentEvent]:
    """Stream one `step` event a step, and at the end one event named after the training's status.

    A client that reconnects with `Last-Event-ID` misses nothing and gets nothing twice.
    """
    last_step = last_event_id
    while True:
        count = notifications.count
        progress = await run_in_threadpool(_read_progress, database, catalog, training, last_step)
        for loss in progress.losses:
            yield ServerSentEvent(raw_data=_LOSS.dump_json(loss).decode(), event="step", id=str(loss.step))
            last_step = loss.step
        if progress.ended is not None:
            yield ServerSentEvent(
                raw_data=_TRAINING.dump_json(progress.training).decode(), event=progress.ended
            )
            return
        if len(progress.losses) < _STEPS_AT_ONCE:
            await notifications.wait_async(count, settings.poll_seconds)


@dataclass(frozen=True)
class _Progress:
    """The steps since the last poll; ``ended`` is the status once nothing more will come."""

    losses: list[Loss]
    training: TrainingRow | None
    ended: str | None


def _read_progress(database: FromDatabase, catalog: str, training: int, after: int) -> _Progress:
    with database.reading() as connection:
        try:
            row = trainings.read_training(connection, catalog, training)
        except NotFound:  # deleted with its catalog while somebody watched
            return _Progress([], None, "cancelled")
        losses = trainings.list_losses(connection, training, after, _STEPS_AT_ONCE)
    over = row.status not in UNFINISHED and len(losses) < _STEPS_AT_ONCE
    return _Progress(losses, row, row.status if over else None)


class ServingBody(Body):
    """The training that scores are to come from."""

    training: Annotated[int, Field(ge=1, le=2**53 - 1)]


@serving_router.put("/serving", dependencies=[TRAIN])
def promote_training(database: FromDatabase, catalog: CatalogId, body: ServingBody) -> CatalogSummary:
    """Let scores come from another training, newer or older, from the next request on."""
    with database.writing() as connection:
        trainings.promote_training(connection, catalog, body.training)
        return catalogs.read_catalog(connection, catalog)
