"""/v1/compute/neuron/losses, mlp/losses and mlp/fit: plots of what is trained for them. Nothing is stored."""

from fastapi import APIRouter, Request, Response
from pydantic import TypeAdapter

from app.compute.networks import MlpFigure
from app.compute.process import MlpFigureTask, NeuronFigureTask
from app.compute.routes import Compute, MlpBody, unless_hung_up
from app.plots import pictures
from app.plots.figures import Fit, LossCurve
from app.plots.pictures import Accept, Drawing, Suffix
from app.web.auth.routes import COMPUTE, KeyedRoute
from models.notebook.neuron import NeuronProblem

router = APIRouter(prefix="/v1/compute", tags=["compute"], dependencies=[COMPUTE], route_class=KeyedRoute)

_FIGURE: TypeAdapter[LossCurve | Fit] = TypeAdapter(LossCurve | Fit)


@router.post("/neuron/losses", response_class=Response, responses=pictures.COMPUTED)
async def show_neuron_losses(
    compute: Compute, drawing: Drawing, request: Request, body: NeuronProblem, accept: Accept = None
) -> Response:
    """Train a neuron and show its losses, by the Accept header; `trace` does not matter here."""
    return await pictures.draw_by_accept(drawing, await _trained_neuron(compute, request, body), accept)


@router.post("/neuron/losses.{suffix}", response_class=Response, responses=pictures.COMPUTED)
async def draw_neuron_losses(
    compute: Compute, drawing: Drawing, request: Request, body: NeuronProblem, suffix: Suffix
) -> Response:
    """Train a neuron and draw its losses, on a logarithmic axis where that helps."""
    return await pictures.draw_by_suffix(drawing, await _trained_neuron(compute, request, body), suffix)


@router.post("/mlp/losses", response_class=Response, responses=pictures.COMPUTED)
async def show_mlp_losses(
    compute: Compute, drawing: Drawing, request: Request, body: MlpBody, accept: Accept = None
) -> Response:
    """Train a network and show its losses, by the Accept header; `stream` does not matter here."""
    return await pictures.draw_by_accept(drawing, await _trained(compute, request, body, "losses"), accept)


@router.post("/mlp/losses.{suffix}", response_class=Response, responses=pictures.COMPUTED)
async def draw_mlp_losses(
    compute: Compute, drawing: Drawing, request: Request, body: MlpBody, suffix: Suffix
) -> Response:
    """Train a network and draw its losses, on a logarithmic axis where that helps."""
    return await pictures.draw_by_suffix(drawing, await _trained(compute, request, body, "losses"), suffix)


@router.post("/mlp/fit", response_class=Response, responses=pictures.COMPUTED)
async def show_mlp_fit(
    compute: Compute, drawing: Drawing, request: Request, body: MlpBody, accept: Accept = None
) -> Response:
    """Train a network and show its predictions beside the targets, by the Accept header."""
    return await pictures.draw_by_accept(drawing, await _trained(compute, request, body, "fit"), accept)


@router.post("/mlp/fit.{suffix}", response_class=Response, responses=pictures.COMPUTED)
async def draw_mlp_fit(
    compute: Compute, drawing: Drawing, request: Request, body: MlpBody, suffix: Suffix
) -> Response:
    """Train a network and draw its predictions over the targets; of two inputs, over these too."""
    return await pictures.draw_by_suffix(drawing, await _trained(compute, request, body, "fit"), suffix)


async def _trained_neuron(compute: Compute, request: Request, body: NeuronProblem) -> LossCurve:
    computing = compute.run(NeuronFigureTask(problem=body))
    return LossCurve.model_validate_json(await unless_hung_up(request, computing))


async def _trained(compute: Compute, request: Request, body: MlpBody, figure: MlpFigure) -> LossCurve | Fit:
    computing = compute.run(MlpFigureTask(problem=body, figure=figure))
    return _FIGURE.validate_json(await unless_hung_up(request, computing))
