"""Training from a terminal: waiting for a training, and printing what it and its trials scored."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from rich.table import Table

from app.cli.output import out, progress_bar
from app.database.database import Database
from app.errors import Conflict
from app.settings import Settings
from app.training.metrics import Comparison, HeldOut
from app.training.trainings import (
    UNFINISHED,
    Serve,
    TrainingRow,
    cancel_training,
    create_training,
    find_oldest_unfinished,
    read_training,
)
from app.training.worker import Worker
from models.recommender.holdout import Holdout
from models.recommender.metrics import Bin
from models.recommender.trainer import Step
from models.recommender.trial import Trial

_BAR = 20  # characters


def run_training(
    database: Database,
    settings: Settings,
    catalog: str,
    trainer: str,
    options: Mapping[str, Any],
    seed: int,
    *,
    serve: Serve,
    holdout: Holdout | None = None,
) -> TrainingRow:
    """Train the catalog, here or in the worker that takes it, and wait for the end.

    Raises `Conflict` when it does not succeed.
    """
    with database.writing() as connection:
        held_out = None if holdout is None else holdout.model_dump()
        training = create_training(connection, catalog, trainer, options, seed, serve=serve, holdout=held_out)
    try:
        training = _wait_for_training(database, settings, training)
    except KeyboardInterrupt:
        _cancel(database, catalog, training.id)
        raise
    if training.status != "succeeded":
        raise Conflict(f"training {training.id} {training.status}: {training.error or 'somebody stopped it'}")
    return training


def _cancel(database: Database, catalog: str, training: int) -> None:
    """Cancel a training, unless it has ended meanwhile."""
    with suppress(Conflict), database.writing() as connection:
        cancel_training(connection, catalog, training)


def _wait_for_training(database: Database, settings: Settings, training: TrainingRow) -> TrainingRow:
    """Work on the queue until the training has ended; other workers may be faster."""
    worker = Worker(database, settings, name=f"terminal:{time.time_ns()}")
    with progress_bar() as progress:
        task = progress.add_task(f"training {training.catalog}", total=training.steps_total)

        def show(step: Step) -> None:
            progress.update(task, completed=step.step)

        while training.status in UNFINISHED:
            # What stands before it in the catalog comes first; without a service nobody else would do it.
            with database.reading() as connection:
                first = find_oldest_unfinished(connection, training.catalog)
            watch = show if first == training.id else None
            if first is None or not worker.run_next(only=first, watch=watch):
                time.sleep(settings.poll_seconds)
            with database.reading() as connection:
                training = read_training(connection, training.catalog, training.id)
            progress.update(task, completed=training.steps_done)
    return training


def print_training(training: TrainingRow) -> None:
    """Print how a training ended, and what it scored on what it held out."""
    out.print(
        f"training {training.id} of {training.catalog} succeeded after {training.steps_done} steps: "
        f"loss {training.loss:.4f}, seed {training.seed}",
        markup=False,
    )
    if training.metrics is not None and training.metrics.held_out is not None:
        _print_held_out(training.metrics.held_out)
    if training.metrics is not None and training.metrics.compared_with is not None:
        _print_comparison(training.metrics.compared_with)


def _print_held_out(metrics: HeldOut) -> None:
    auc = "none" if metrics.auc is None else f"{metrics.auc:.4f}"
    out.print(
        f"on {metrics.responses:,} responses held out: AUC {auc}, "
        f"log loss {metrics.log_loss:.4f}, calibration error {metrics.calibration_error:.4f}",
        soft_wrap=True,
    )


def _print_comparison(comparison: Comparison) -> None:
    than = "nothing served before" if comparison.training is None else f"training {comparison.training}"
    against = "" if comparison.log_loss is None else f", which has log loss {comparison.log_loss:.4f}"
    serves = "serves" if comparison.promoted else "does not serve"
    out.print(f"it {serves}: compared with {than}{against}")


def print_trials(trials: Mapping[str, Trial]) -> None:
    """Print what trainers scored on the same held-out responses, and the first one's reliability."""
    table = Table("on responses held out")
    rows: dict[str, list[str]] = {}
    for name, trial in trials.items():
        table.add_column(name, justify="right")
        for measure, number in _measures(trial).items():
            rows.setdefault(measure, []).append("none" if number is None else f"{number:.4f}")
    for measure, numbers in rows.items():
        table.add_row(measure, *numbers)
    first, trial = next(iter(trials.items()))
    out.print(f"{trial.metrics.responses:,} responses held out")
    out.print(table)
    print_reliability(first, trial.reliability)


def _measures(trial: Trial) -> dict[str, float | None]:
    metrics, rankings = trial.metrics, trial.rankings
    return {
        "AUC": metrics.auc,
        "log loss": metrics.log_loss,
        "Brier score": metrics.brier,
        "calibration error": metrics.calibration_error,
        "accuracy": metrics.accuracy,
        "NDCG@10": rankings.ndcg_at_10,
        "recall@10": rankings.recall_at_10,
    }


def print_reliability(model: str, bins: Sequence[Bin]) -> None:
    """Print the reliability diagram: bars of shares liked, that end at the mark where scores are right."""
    table = Table(
        "score", "responses", "mean score", "liked", f"{'':<{_BAR}}", title=f"reliability of {model}"
    )
    for bin_ in bins:
        if bin_.mean_score is None or bin_.mean_response is None:
            continue
        bar_length, mark = round(_BAR * bin_.mean_response), min(_BAR - 1, round(_BAR * bin_.mean_score))
        bar = "█" * bar_length + " " * (_BAR - bar_length)
        table.add_row(
            f"{bin_.lower:.2f} to {bin_.upper:.2f}",
            f"{bin_.responses:,}",
            f"{bin_.mean_score:.3f}",
            f"{bin_.mean_response:.3f}",
            f"{bar[:mark]}┃{bar[mark + 1 :]}",
        )
    out.print(table)
