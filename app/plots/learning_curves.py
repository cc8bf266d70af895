"""What plots show of a training: losses, and how reliable its scores were. Does not know how they look."""

from collections.abc import Sequence

from app.catalogs.ids import in_path
from app.errors import Conflict
from app.plots.figures import Bin, LossCurve, ReliabilityDiagram
from app.training.trainings import UNFINISHED, Loss, TrainingRow


def loss_curve(training: TrainingRow, losses: Sequence[Loss]) -> LossCurve:
    """Return the curve of the losses so far, and of the two parts of the loss where it has two."""
    series = {"loss": [each.loss for each in losses]}
    if any(each.penalty for each in losses):
        series |= {
            "data loss": [each.data_loss for each in losses],
            "penalty": [each.penalty for each in losses],
        }
    at_end = f"; loss {losses[-1].loss:.4f} after {len(losses):,} steps" if losses else ""
    return LossCurve.of(
        f"Training {training.id} of {training.catalog}: loss",
        f"{training.trainer}, seed {training.seed}, {training.status}{at_end}",
        "step",
        [each.step for each in losses],
        series,
    )


def reliability_diagram(training: TrainingRow) -> ReliabilityDiagram:
    """Return the diagram of what was held out; raises `Conflict` where nothing was."""
    measured = None if training.metrics is None else training.metrics.held_out
    if measured is None:
        raise Conflict(_without_holdout(training))
    return ReliabilityDiagram(
        title=f"Training {training.id} of {training.catalog}: reliability of its scores",
        subtitle=f"{measured.responses:,} responses held out, counted by score; "
        f"calibration error {measured.calibration_error:.4f}",
        bins=[Bin.model_validate(each) for each in measured.reliability],
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
