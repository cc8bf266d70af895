"""/v1/compute: the class notebook's computations as requests. Nothing of it is stored."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import PlainTextResponse
from fastapi.sse import EventSourceResponse, format_sse_event
from pydantic import Field, TypeAdapter
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from app.compute.gradients import GradientAnswer, GradientProblem
from app.compute.inputs import ComputeLimits, as_json
from app.compute.networks import Progress
from app.compute.process import (
    ComputePool,
    GradientTask,
    MlpFigureTask,
    MlpTask,
    NeuronFigureTask,
    NeuronTask,
    TensorTask,
)
from app.compute.programs import TensorAnswer, TensorProblem
from app.errors import BadInput, Overloaded, Place, Problem, TooLarge
from app.plots import pictures
from app.plots.figures import Figure, Fit, LossCurve
from app.plots.pictures import Accept, Drawing, Suffix
from app.web import problems
from app.web.auth.routes import COMPUTE, AuthenticatedRoute
from app.web.parameters import FromSettings, Streams, from_app
from models.notebook.mlp.problem import MlpProblem
from models.notebook.mlp.training import TrainedMlp
from models.notebook.neuron import NeuronProblem, TrainedNeuron
from models.notebook.tensor_language.operations.operations import Described, list_operations
from models.options import LARGEST_SEED

router = APIRouter(
    prefix="/v1/compute", tags=["compute"], dependencies=[COMPUTE], route_class=AuthenticatedRoute
)

Compute = Annotated[ComputePool, from_app("compute")]

_STOPPING = "the service is about to stop; ask again when it is back"
Result = TypeVar("Result")

_PROGRESS = TypeAdapter(Progress)
_TEXT_BODY = {"requestBody": {"content": {"text/plain": {"schema": {"type": "string"}}}}}
_EVENT = {name: {"type": "string"} for name in ("data", "event", "id")}
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"itemSchema": {"type": "object", "properties": _EVENT}}}}
}


class MlpBody(MlpProblem):
    """A network, and whether its losses are wanted while it trains."""

    stream: bool = Field(
        default=False,
        description="answer with events: `epoch` with each loss, and at the end `succeeded` or `failed`",
    )


@dataclass(frozen=True)
class Operations:
    """What the tensor language has, each with a program as an example, and what one computation may use."""

    operations: tuple[Described, ...]
    limits: ComputeLimits


@router.get("")
def list_compute_operations(settings: FromSettings) -> Operations:
    """List the operations of the tensor language, each with an example, and the limits."""
    return Operations(list_operations(), ComputeLimits.of(settings))


@router.post("/tensor", response_model=TensorAnswer)
async def compute_tensor(compute: Compute, request: Request, body: TensorProblem) -> Response:
    """Run a program of the tensor language, which reads like the notebook."""
    return await _answered(request, compute.run(TensorTask(problem=body)))


@router.post("/tensor.txt", response_class=PlainTextResponse, openapi_extra=_TEXT_BODY)
async def compute_tensor_as_text(
    settings: FromSettings,
    compute: Compute,
    request: Request,
    seed: Annotated[int, Query(ge=0, le=LARGEST_SEED, description="seed of the random operations")] = 0,
) -> Response:
    """Run a program that is the whole body, of any Content-Type, and show what the notebook would show."""
    problem = TensorProblem(program=await _program(settings, request), seed=seed)
    computing = compute.run(TensorTask(problem=problem, text=True))
    return await _answered(request, computing, "text/plain")


@router.post("/gradient", response_model=GradientAnswer)
async def compute_gradient(compute: Compute, request: Request, body: GradientProblem) -> Response:
    """Differentiate a scalar expression by its variables, with torch's autograd."""
    return await _answered(request, compute.run(GradientTask(problem=body)))


@router.post("/neuron", response_model=TrainedNeuron)
async def compute_neuron(compute: Compute, request: Request, body: NeuronProblem) -> Response:
    """Train the weights of one sigmoid neuron until its output comes to a target."""
    return await _answered(request, compute.run(NeuronTask(problem=body)))


@router.post("/mlp", response_model=TrainedMlp, responses=_STREAM)
async def compute_mlp(streams: Streams, compute: Compute, request: Request, body: MlpBody) -> Response:
    """Train a fully connected network; with `stream`, its losses are sent while it trains."""
    if body.stream:
        return await _streamed(request, streams, compute, MlpTask(problem=body, stream=True))
    return await _answered(request, compute.run(MlpTask(problem=body)))


async def _program(settings: FromSettings, request: Request) -> str:
    """Return the body as a program; one that is too long is refused here, as no problem can be made of it."""
    body = await request.body()
    limit = settings.compute_program_bytes
    if len(body) > limit:
        why = f"the program has {len(body):,} bytes; {limit:,} are allowed"
        raise TooLarge(why, [Place(why, "")])
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        why = "here are bytes that are no UTF-8"
        raise BadInput(f"line {line} of the program: {why}", [Place(why, "", line=line)]) from error


async def _answered(
    request: Request, computing: Coroutine[None, None, bytes], media_type: str = "application/json"
) -> Response:
    return Response(await unless_disconnected(request, computing), media_type=media_type)


async def unless_disconnected(request: Request, awaiting: Coroutine[None, None, Result]) -> Result:
    """Return a coroutine's result; cancel it when the client disconnects or the service stops."""
    task = asyncio.create_task(awaiting)
    disconnect = asyncio.create_task(_wait_for_disconnect(request))
    try:
        await asyncio.wait({task, disconnect}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    except asyncio.CancelledError as error:  # only a server that stops cancels a request
        raise Overloaded(_STOPPING) from error
    finally:
        task.cancel()
        disconnect.cancel()


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue


async def _streamed(request: Request, streams: Streams, compute: Compute, task: MlpTask) -> Response:
    """Return a stream of a computation's events; what is refused before the first is a refusal as ever."""
    streams.take()
    news: asyncio.Queue[bytes | None] = asyncio.Queue()
    computation = asyncio.create_task(compute.run(task, news.put_nowait))
    computation.add_done_callback(lambda _: streams.release())
    computation.add_done_callback(lambda _: news.put_nowait(None))
    try:
        first = await unless_disconnected(request, news.get())
        if first is None:
            computation.result()
    except BaseException:
        computation.cancel()
        raise
    return ComputationStream(_events(request, first, news, computation), computation)


class ComputationStream(EventSourceResponse):
    """A stream whose computation ends with it, also when it ends before its first event was asked for."""

    def __init__(self, events: AsyncIterator[bytes], computation: "asyncio.Task[bytes]") -> None:
        super().__init__(events, headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        self._computation = computation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events, and end the computation."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._computation.cancel()


async def _events(
    request: Request,
    progress: bytes | None,
    news: "asyncio.Queue[bytes | None]",
    computation: "asyncio.Task[bytes]",
) -> AsyncIterator[bytes]:
    """Yield an event an epoch, many at once, and the end."""
    try:
        while progress is not None:
            yield _epochs(_PROGRESS.validate_json(progress))
            progress = await news.get()
        yield _end(request, computation)
    except asyncio.CancelledError:  # nobody reads this when it was the caller who ended
        yield _failed(request, Overloaded(_STOPPING))
        raise


def _epochs(progress: Progress) -> bytes:
    return b"".join(
        format_sse_event(
            event="epoch", id=str(epoch), data_str=as_json({"epoch": epoch, "loss": loss}).decode()
        )
        for epoch, loss in enumerate(progress.losses, progress.epoch)
    )


def _end(request: Request, computation: "asyncio.Task[bytes]") -> bytes:
    try:
        return format_sse_event(event="succeeded", data_str=computation.result().decode())
    except Problem as problem:
        return _failed(request, problem)


def _failed(request: Request, problem: Problem) -> bytes:
    return format_sse_event(event="failed", data_str=bytes(problems.answer(request, problem).body).decode())


plots_router = APIRouter(
    prefix="/v1/compute", tags=["compute"], dependencies=[COMPUTE], route_class=AuthenticatedRoute
)

_FIGURE: TypeAdapter[LossCurve | Fit] = TypeAdapter(LossCurve | Fit)

Train = Callable[[], Awaitable[Figure]]


def neuron_losses(compute: Compute, request: Request, body: NeuronProblem) -> Train:
    """Return what trains a neuron for its losses."""
    return partial(_train, compute, request, NeuronFigureTask(problem=body))


def mlp_losses(compute: Compute, request: Request, body: MlpBody) -> Train:
    """Return what trains a network for its losses."""
    return partial(_train, compute, request, MlpFigureTask(problem=body, figure="losses"))


def mlp_fit(compute: Compute, request: Request, body: MlpBody) -> Train:
    """Return what trains a network for its predictions."""
    return partial(_train, compute, request, MlpFigureTask(problem=body, figure="fit"))


async def _train(
    compute: ComputePool, request: Request, task: NeuronFigureTask | MlpFigureTask
) -> LossCurve | Fit:
    return _FIGURE.validate_json(await unless_disconnected(request, compute.run(task)))


def _add_figure(path: str, name: str, prepare: Callable[..., Train], *, show: str, draw: str) -> None:
    """Add the two routes of a figure: one answers by the Accept header, the other by the path's suffix.

    ``prepare`` is a dependency, which trains nothing yet: an unknown suffix is refused before it is trained.
    ``show`` and ``draw`` describe the routes in /docs.
    """

    async def answer_by_accept(
        drawing: Drawing, train: Annotated[Train, Depends(prepare)], accept: Accept = None
    ) -> Response:
        return await pictures.draw_by_accept(drawing, await train(), accept)

    async def answer_by_suffix(
        drawing: Drawing, train: Annotated[Train, Depends(prepare)], suffix: Suffix
    ) -> Response:
        return await pictures.draw_by_suffix(drawing, await train(), suffix)

    add = partial(
        plots_router.add_api_route, methods=["POST"], response_class=Response, responses=pictures.COMPUTED
    )
    add(path, answer_by_accept, name=f"show_{name}", description=show)
    add(f"{path}.{{suffix}}", answer_by_suffix, name=f"draw_{name}", description=draw)


_add_figure(
    "/neuron/losses",
    "neuron_losses",
    neuron_losses,
    show="Train a neuron and show its losses, by the Accept header; `trace` does not matter here.",
    draw="Train a neuron and draw its losses, on a logarithmic axis where that helps.",
)
_add_figure(
    "/mlp/losses",
    "mlp_losses",
    mlp_losses,
    show="Train a network and show its losses, by the Accept header; `stream` does not matter here.",
    draw="Train a network and draw its losses, on a logarithmic axis where that helps.",
)
_add_figure(
    "/mlp/fit",
    "mlp_fit",
    mlp_fit,
    show="Train a network and show its predictions beside the targets, by the Accept header.",
    draw="Train a network and draw its predictions over the targets; of two inputs, over these too.",
)
