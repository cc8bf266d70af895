"""`likely train` and `likely evaluate`: trainers at a terminal. Does not know how any of them learns."""

import secrets
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from app.database import Database
from app.errors import BadInput, Conflict
from app.logs import configure_logs
from app.settings import Settings

if TYPE_CHECKING:
    from models.holdout import Holdout
    from models.trainer import Trainer


class TrainerName(StrEnum):
    """The trainers that a command may name."""

    MIXED_EFFECTS = "mixed_effects"
    GRADIENT_DESCENT = "gradient_descent"


FractionOption = Annotated[float | None, typer.Option(help="share of each user's responses to hold out")]
LastOption = Annotated[int | None, typer.Option(help="or so many of each user's responses")]
ByOption = Annotated[Literal["time", "seed"], typer.Option(help="hold out each user's last, or random ones")]


def train(  # noqa: PLR0913, PLR0917 - the trainers have so many options
    catalog: Annotated[str, typer.Argument(help="the catalog to train")],
    trainer: Annotated[TrainerName, typer.Option(help="the model to recommend with, or the class's")] = (
        TrainerName.MIXED_EFFECTS
    ),
    learned_dimensions: Annotated[int | None, typer.Option(help="mixed_effects: dimensions it finds")] = None,
    tolerance: Annotated[float | None, typer.Option(help="mixed_effects: where it stops")] = None,
    max_steps: Annotated[int | None, typer.Option(help="mixed_effects: most steps")] = None,
    loss: Annotated[
        Literal["squared", "logistic"] | None, typer.Option(help="gradient_descent, like all below")
    ] = None,
    penalty: Annotated[Literal["norm", "squared_norm"] | None, typer.Option()] = None,
    penalty_weight: Annotated[float | None, typer.Option()] = None,
    learning_rate: Annotated[float | None, typer.Option()] = None,
    epochs: Annotated[int | None, typer.Option()] = None,
    optimizer: Annotated[Literal["sgd", "adam"] | None, typer.Option()] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="drawn at random if left out")] = None,
    fraction: FractionOption = None,
    last_n: LastOption = None,
    by: ByOption = "time",
    *,
    serve: Annotated[bool, typer.Option(help="let scores come from it")] = True,
    if_better: Annotated[bool, typer.Option("--if-better", help="only if it scores no worse")] = False,
) -> None:
    """Train a catalog and wait for the result."""
    from app import terminal

    given = {
        "learned_dimensions": learned_dimensions,
        "tolerance": tolerance,
        "max_steps": max_steps,
        "loss": loss,
        "penalty": penalty,
        "penalty_weight": penalty_weight,
        "learning_rate": learning_rate,
        "epochs": epochs,
        "optimizer": optimizer,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    options, holdout = _checked_options(trainer, chosen), _holdout(fraction, last_n, by)
    if if_better and holdout is None:
        raise BadInput("--if-better compares scores of responses held out: give --fraction or --last-n too")
    settings = Settings()
    configure_logs("error")
    drawn = secrets.randbelow(2**31) if seed is None else seed
    database = Database.migrated(settings.database_url, settings.busy_seconds)
    training = terminal.run_training(
        database,
        settings,
        catalog,
        trainer,
        options,
        drawn,
        serve="if_better" if if_better else serve,
        holdout=holdout,
    )
    terminal.print_training(training)


def evaluate(
    catalog: Annotated[str, typer.Argument(help="the catalog whose responses are held out")],
    trainer: Annotated[
        list[TrainerName] | None, typer.Option(help="may be given more than once; mixed_effects if not")
    ] = None,
    fraction: FractionOption = None,
    last_n: LastOption = None,
    by: ByOption = "time",
    seed: Annotated[int, typer.Option(min=0)] = 1,
) -> None:
    """Print how good trainers' scores are on responses that they did not see; a fifth of them by default."""
    import torch

    from app import terminal
    from app.catalogs import find_catalog
    from app.snapshots import read_snapshot
    from app.trials import compare
    from models.holdout import Holdout
    from models.responses import BadResponsesError
    from models.trainers import make_trainer

    settings = Settings()
    configure_logs("error")
    database = Database.migrated(settings.database_url, settings.busy_seconds)
    with database.reading() as connection:
        key = find_catalog(connection, catalog).id
        try:
            snapshot = read_snapshot(connection, key)
            torch.set_num_threads(snapshot.responses.threads(settings.training_threads))
            holdout = _holdout(fraction, last_n, by) or Holdout(fraction=0.2, by=by)
            trainers: dict[str, Trainer] = {
                name: make_trainer(name, {}) for name in dict.fromkeys(trainer or [TrainerName.MIXED_EFFECTS])
            }
            with terminal.progress_bar() as progress:
                task = progress.add_task(f"evaluating on {catalog}", total=None)
                trials = compare(
                    snapshot,
                    trainers,
                    holdout,
                    seed,
                    lambda step: progress.update(task, completed=step.step),
                )
        except BadResponsesError as error:
            raise Conflict(str(error)) from error
    terminal.print_trials(trials)


def _holdout(fraction: float | None, last_n: int | None, by: Literal["time", "seed"]) -> "Holdout | None":
    from models.holdout import Holdout

    return None if fraction is None and last_n is None else Holdout(fraction=fraction, last_n=last_n, by=by)


def _checked_options(trainer: TrainerName, chosen: Mapping[str, object]) -> dict[str, object]:
    """Return all of a trainer's options; raises `BadInput` for those of the other one."""
    from models.trainers import OPTIONS

    foreign = [name for name in chosen if name not in OPTIONS[trainer].model_fields]
    if foreign:
        flag = "--" + foreign[0].replace("_", "-")
        other = next(name for name, options in OPTIONS.items() if foreign[0] in options.model_fields)
        raise BadInput(f"{flag} is an option of {other}, not of {trainer}: give --trainer {other} with it")
    return OPTIONS[trainer].model_validate(chosen).model_dump()
