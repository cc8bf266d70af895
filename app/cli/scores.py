"""`likely scores` and `likely demo`: scores at a terminal."""

from typing import Annotated

import typer

from app.database.urls import open_migrated
from app.settings import Settings

CatalogOption = Annotated[str, typer.Option(help="the catalog to work on")]


def demo() -> None:
    """Load the class catalog, train it, and print its scores."""
    from rich.table import Table

    from app.catalogs.catalogs import find_catalog
    from app.catalogs.users import list_users
    from app.cli.demo import CATALOG, SEED, load_class
    from app.cli.output import out
    from app.cli.training_runs import print_training, run_training
    from app.scoring.memory import Memory
    from app.scoring.model_cache import TrainedModels
    from app.scoring.scores import score_movies

    settings = Settings()
    database = open_migrated(settings.database_url, settings.busy_seconds)
    with database.writing() as connection:
        load_class(connection)
        is_trained = find_catalog(connection, CATALOG).serving is not None
    if not is_trained:
        print_training(run_training(database, settings, CATALOG, "gradient_descent", {}, SEED, serve=True))
    models, table = TrainedModels(Memory.of(settings)), Table("user")
    with database.reading() as connection:
        rows = [
            score_movies(connection, models, CATALOG, user.user, [])
            for user in list_users(connection, CATALOG, limit=20, after=None)
            if user.responses
        ]
    for score in rows[0].scores if rows else []:
        table.add_column(score.movie, justify="right")
    for row in rows:
        table.add_row(row.user, *(f"{score.score:.2f}" for score in row.scores))
    out.print(table)


def scores(
    user: Annotated[str, typer.Argument(help="the user's id")],
    catalog: CatalogOption = "class",
    movie: Annotated[list[str] | None, typer.Option(help="score these; the best ones if none")] = None,
    limit: Annotated[int, typer.Option(min=1, help="how many of the best")] = 20,
) -> None:
    """Print a user's scores, best first."""
    from rich.table import Table

    from app.cli.output import out
    from app.scoring.memory import Memory
    from app.scoring.model_cache import TrainedModels
    from app.scoring.scores import score_movies

    settings = Settings()
    database = open_migrated(settings.database_url, settings.busy_seconds)
    with database.reading() as connection:
        user_scores = score_movies(connection, TrainedModels(Memory.of(settings)), catalog, user, movie or [])
    table = Table("movie", "title", "score", "logit")
    for score in sorted(user_scores.scores, key=lambda score: -score.logit)[: None if movie else limit]:
        table.add_row(score.movie, score.title, f"{score.score:.4f}", f"{score.logit:+.4f}")
    out.print(table)
