"""`likely train` and `likely evaluate`: trainers at a terminal."""

import secrets
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from app.database.urls import open_migrated
from app.errors import BadInput
from app.settings import Settings
from app.training.ray.cluster import check_usable
from models.options import LARGEST_SEED

if TYPE_CHECKING:
    from models.recommender.holdout import Holdout


class TrainerName(StrEnum):
    """The trainers that a command may name."""

    MIXED_EFFECTS = "mixed_effects"
    GRADIENT_DESCENT = "gradient_descent"


FractionOption = Annotated[float | None, typer.Option(help="share of each user's responses to hold out")]
LastOption = Annotated[int | None, typer.Option(help="or so many of each user's responses")]
ByOption = Annotated[
    Literal["time", "seed"] | None,
    typer.Option(help="each user's last (as it is), or random ones"),
]
SeedOption = Annotated[int | None, typer.Option(min=0, max=LARGEST_SEED, help="drawn at random if left out")]


def train(  # noqa: PLR0913, PLR0917 - the trainers have so many options
    context: typer.Context,
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
    device: Annotated[Literal["cpu", "cuda"] | None, typer.Option(help="both: where to compute")] = None,
    seed: SeedOption = None,
    fraction: FractionOption = None,
    last_n: LastOption = None,
    by: ByOption = None,
    *,
    serve: Annotated[bool, typer.Option(help="let scores come from it")] = True,
    if_better: Annotated[bool, typer.Option("--if-better", help="only if it scores no worse")] = False,
) -> None:
    """Train a catalog and wait for the result."""
    from app.cli.training_runs import print_training, run_training

    options, holdout = _trainer_options(trainer, context.params), _holdout(fraction, last_n, by)
    if if_better and holdout is None:
        raise BadInput("--if-better compares scores of responses held out: give --fraction or --last-n too")
    if if_better and not serve:
        raise BadInput("--no-serve and --if-better contradict each other: give one of them")
    settings = Settings()
    check_usable(settings)
    seed_used = secrets.randbelow(2**31) if seed is None else seed
    database = open_migrated(settings.database_url, settings.busy_seconds)
    training = run_training(
        database,
        settings,
        catalog,
        trainer,
        options,
        seed_used,
        serve="if_better" if if_better else serve,
        holdout=holdout,
    )
    print_training(training)


def evaluate(
    catalog: Annotated[str, typer.Argument(help="the catalog whose responses are held out")],
    trainer: Annotated[
        list[TrainerName] | None, typer.Option(help="may be given more than once; mixed_effects if not")
    ] = None,
    fraction: FractionOption = None,
    last_n: LastOption = None,
    by: ByOption = None,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED)] = 1,
) -> None:
    """Print how good trainers' scores are on responses that they did not see; a fifth of them by default."""
    from app.cli.output import progress_bar
    from app.cli.training_runs import print_trials
    from app.training.trials import compare
    from models.recommender.holdout import Holdout

    settings = Settings()
    database = open_migrated(settings.database_url, settings.busy_seconds)
    holdout = _holdout(fraction, last_n, by if fraction or last_n else None) or Holdout(
        fraction=0.2, by=by or "time"
    )
    with progress_bar() as progress:
        task = progress.add_task(f"evaluating on {catalog}", total=None)
        names = list(dict.fromkeys(trainer or [TrainerName.MIXED_EFFECTS]))
        trials = compare(database, catalog, names, holdout, seed, settings, lambda: progress.advance(task))
    print_trials(trials)


def _holdout(
    fraction: float | None, last_n: int | None, by: Literal["time", "seed"] | None
) -> "Holdout | None":
    from models.recommender.holdout import Holdout

    if fraction is not None and last_n is not None:
        raise BadInput("--fraction and --last-n contradict each other: give one of them")
    if fraction is None and last_n is None:
        if by is not None:
            raise BadInput("--by says which responses are held out: give --fraction or --last-n too")
        return None
    return Holdout(fraction=fraction, last_n=last_n, by=by or "time")


def _trainer_options(trainer: TrainerName, flags: Mapping[str, object]) -> dict[str, object]:
    """Return all options of a trainer, those that have a flag with its value.

    Raises `BadInput` for a flag of the other trainer.
    """
    from models.recommender.trainers import OPTIONS

    owners = {name: owner for owner, model in OPTIONS.items() for name in model.model_fields}
    options = {name: value for name, value in flags.items() if name in owners and value is not None}
    for name in options:
        if name not in OPTIONS[trainer].model_fields:
            flag, owner = "--" + name.replace("_", "-"), owners[name]
            raise BadInput(
                f"{flag} is an option of {owner}, not of {trainer}: give --trainer {owner} with it"
            )
    return OPTIONS[trainer].model_validate(options).model_dump()
