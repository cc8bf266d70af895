"""A MovieLens folder, imported, trained and served: what the measurements of serving start from.

Does not know what is measured.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from sqlalchemy import select
from torch import Tensor

from app.catalogs.catalogs import find_catalog
from app.database.tables import Response, User
from app.database.urls import open_database
from app.scoring.model_cache import TrainedModel, TrainedModels
from app.scoring.posteriors import find_serving, read_posterior
from models.recommender.model import UserPosterior
from testbed.live import Service, free_port, stop

CATALOG = "movielens"
QUIET = {"LIKELY_LOG_LEVEL": "warning", "LIKELY_COMPUTE_PROCESSES": "0", "LIKELY_DRAWING_PROCESSES": "0"}


def train_movielens(movielens: Path, folder: Path, trainer: str = "mixed_effects") -> None:
    """Import the folder into a new database, and train it."""
    command = [sys.executable, "-m", "app.cli.main"]
    options = ["--epochs", "20", "--loss", "logistic"] if trainer == "gradient_descent" else []
    for arguments in (
        ["import", "movielens", str(movielens)],
        ["train", CATALOG, "--trainer", trainer, "--seed", "1", *options],
    ):
        subprocess.run([*command, *arguments], env=environment(folder), check=True, capture_output=True)  # noqa: S603 - our own commands


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a service whose database is in this folder."""
    return {**os.environ, "LIKELY_DATABASE_URL": f"sqlite:///{folder}/likely.db"}


@contextmanager
def serving_with_empty_route(
    folder: Path, processes: int = 1, factory: str = "create_app"
) -> Iterator[Service]:
    """Serve the database in the folder; see `benchmarks.speed.empty_route`."""
    arguments = ["benchmarks.speed.empty_route", str(processes), factory]
    with running(arguments, folder, {**QUIET, "LIKELY_WEB_PROCESSES": str(processes)}) as service:
        service.wait_until_ready()
        yield service


@contextmanager
def running(arguments: list[str], folder: Path, settings: Mapping[str, str]) -> Iterator[Service]:
    """Run a module that serves at the LIKELY_PORT which it is given; it need not be ready yet."""
    port = free_port()
    log = folder / f"{arguments[0]}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", *arguments],
            env={**environment(folder), **settings, "LIKELY_PORT": str(port)},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    service = Service(process, f"http://127.0.0.1:{port}", log)
    try:
        yield service
    finally:
        service.http.close()
        stop(process)
        with suppress(ProcessLookupError):  # LitServe leaves its workers behind
            os.killpg(process.pid, signal.SIGKILL)


@dataclass(frozen=True)
class Truth:
    """The trained model in this process, all users' tastes and which rows of it each user answered."""

    trained: TrainedModel
    posteriors: dict[str, UserPosterior]
    answered: dict[str, Tensor]

    @classmethod
    def of(cls, folder: Path) -> "Truth":
        """Read it from the database in the folder."""
        database = open_database(f"sqlite:///{folder}/likely.db")
        with database.reading() as connection:
            catalog = find_catalog(connection, CATALOG)
            trained = find_serving(connection, TrainedModels(), catalog)
            users = connection.execute(select(User.id, User.user).order_by(User.id)).all()
            posteriors = {
                row.user: read_posterior(connection, catalog, trained, row.user).posterior for row in users
            }
            answers = {
                row.user: torch.tensor(
                    [
                        trained.movies.rows_by_key[key]
                        for key in connection.scalars(
                            select(Response.movie_id).where(Response.user_id == row.id)
                        )
                    ]
                )
                for row in users
            }
        database.close()
        return cls(trained, posteriors, answers)

    def logits(self, user: str) -> Tensor:
        """Return the logits float64 [movies] of a user for all movies, by the readable formula."""
        return self.trained.model.predict(
            self.posteriors[user], torch.arange(len(self.trained.movies.movies))
        ).logits

    def best(self, user: str, limit: int) -> tuple[list[str], list[float]]:
        """Return the movies that the user has not answered, best first, and their logits: all are sorted."""
        logits = self.logits(user)
        logits[self.answered[user]] = -torch.inf
        order = torch.argsort(logits, descending=True, stable=True)[:limit]
        return [self.trained.movies.movies[row] for row in order.tolist()], logits[order].tolist()
