"""A database worth verifying: the class trained by descent, films trained by the mixed-effects model."""

from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import func, insert, select

from app.cli.demo import load_class
from app.database.database import Database, now
from app.database.sqlite import find_driver
from app.database.tables import Base, Catalog, Training
from app.database.urls import open_migrated
from app.main import create_app
from app.settings import Settings
from app.training.worker import Worker

FILMS = "/v1/catalogs/films"
_OPTIONS: dict[str, dict[str, Any]] = {
    "gradient_descent": {"epochs": 20},
    "mixed_effects": {"learned_dimensions": 2, "max_steps": 3},
}


def store_two_catalogs(settings: Settings) -> None:
    """Make them; training 1 serves the class, training 2 the films."""
    database = open_migrated(settings.database_url)
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        with database.writing() as connection:
            load_class(connection)
        client.put(FILMS, json={"dimensions": ["dark", "long"]})
        for number in range(6):
            vector = [number / 6, 1 - number / 3]
            assert client.put(f"{FILMS}/movies/f{number}", json={"vector": vector}).status_code == 201
        for number in range(12):
            path = f"{FILMS}/users/u{number // 3}/responses/f{number * 5 % 6}"
            assert client.put(path, json={"response": number % 2}).status_code in {200, 201}
        worker = Worker(database, settings, name="test")
        for catalog, trainer in (("class", "gradient_descent"), ("films", "mixed_effects")):
            body = {"trainer": trainer, "seed": 1, "options": _OPTIONS[trainer]}
            assert client.post(f"/v1/catalogs/{catalog}/trainings", json=body).status_code == 202
            assert worker.run_next()
    database.close()


def queue_running(
    database: Database,
    number: int,
    silent_seconds: float = 0.0,
    steps: tuple[int, int] = (1, 2),
    loss: float = 0.5,
) -> None:
    """Add so many trainings that run somewhere, each in a catalog of its own, silent for so long."""
    lease = Settings().lease_seconds
    row = {"trainer": "gradient_descent", "options": {}, "seed": 1, "serve": True, "status": "running"}
    progress = {"steps_done": steps[0], "steps_total": steps[1], "loss": loss}
    times = {"created_at": now(), "started_at": now(), "lease_until": now() + lease - silent_seconds}
    with database.writing() as connection:
        for _ in range(number):
            name = f"running-{connection.scalar(select(func.count()).select_from(Catalog))}"
            catalog = insert(Catalog).values(catalog=name, title=name, dimensions=["a"], created_at=now())
            key = connection.scalar(catalog.returning(Catalog.id))
            connection.execute(insert(Training).values(catalog_id=key, **row, **progress, **times))


def change(path: Path, statement: str, *parameters: object) -> None:
    """Do to a database file what only a bug or a broken disk does: no foreign key is looked at."""
    connection = find_driver().connect(str(path), isolation_level=None)
    connection.execute(statement, parameters)
    connection.close()


def counts(database: Database) -> dict[str, int]:
    """Return the rows of each table."""
    with database.reading() as connection:
        return {
            table.name: connection.scalar(select(func.count()).select_from(table)) or 0
            for table in Base.metadata.sorted_tables
        }
