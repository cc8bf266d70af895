"""The worker: when the database is busy, when it is told to stop, when a training cannot end well."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from sqlalchemy import Connection, delete, insert, select, update

from app.catalogs.catalogs import CatalogRow, put_catalog
from app.catalogs.movies import put_movie
from app.database.database import Database
from app.database.tables import Catalog, Movie, Response, Training, User
from app.database.urls import open_database
from app.errors import Unavailable
from app.scoring.memory import Memory
from app.scoring.model_cache import TrainedModels
from app.scoring.responses import put_response
from app.scoring.scores import score_movies
from app.settings import Settings
from app.training import fitting, publishing
from app.training.dataset import Snapshot, read_snapshot
from app.training.trainings import TrainingRow, create_training, read_training
from app.training.worker import Worker
from models.recommender.class_model.gradient_descent import GradientDescent
from models.recommender.trainer import Sizes, Step


def enqueue(database: Database, **options: object) -> int:
    with database.writing() as connection:
        return create_training(connection, "class", "gradient_descent", options, 1, serve=True).id


def read(database: Database, training: int) -> TrainingRow:
    with database.reading() as connection:
        return read_training(connection, "class", training)


@contextmanager
def running(worker: Worker) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield thread
    finally:
        worker.stop.set()
        thread.join()


def wait_for(database: Database, training: int, *statuses: str) -> TrainingRow:
    for _ in range(1000):
        found = read(database, training)
        if found.status in statuses:
            return found
        threading.Event().wait(0.01)
    raise AssertionError(f"training still {found.status}")


@pytest.mark.usefixtures("class_catalog")
def test_a_worker_waits_for_a_busy_database_and_goes_on(database: Database, settings: Settings) -> None:
    training = enqueue(database, epochs=10)
    impatient = open_database(settings.database_url, busy_seconds=0.05)
    with running(Worker(impatient, settings, "impatient")) as thread:
        with database.writing():
            thread.join(0.5)  # long enough to be refused several times
            assert thread.is_alive()
        assert wait_for(database, training, "succeeded", "failed").status == "succeeded"
    impatient.close()


@pytest.mark.usefixtures("class_catalog")
def test_a_worker_told_to_stop_gives_its_training_back(database: Database, worker: Worker) -> None:
    training = enqueue(database, epochs=100_000, optimizer="adam")
    with running(worker):
        wait_for(database, training, "running")
    given_back = read(database, training)
    assert given_back.status == "queued"


@pytest.mark.usefixtures("class_catalog")
def test_a_training_that_cannot_be_read_lets_others_pass_and_fails_in_the_end(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = enqueue(database, epochs=5)
    worker = Worker(database, settings.model_copy(update={"training_attempts": 52}), "w")
    with database.writing() as connection:
        connection.execute(update(Training).values(attempts=50))
        put_catalog(connection, "other", None, ["a"])
        for movie in ("m", "n"):
            put_movie(connection, "other", movie, None, [1.0])
        put_response(connection, TrainedModels(), "other", "u", "m", 1.0, None)
        sound = create_training(connection, "other", "gradient_descent", {"epochs": 5}, 1, serve=True).id
    tried = []

    def read(
        connection: Connection, catalog_id: int, memory: Memory, sizes_of: Callable[[int], Sizes]
    ) -> Snapshot:
        if catalog_id == 1:
            tried.append(catalog_id)
            raise Unavailable("the database cannot be used at present: database disk image is malformed")
        return read_snapshot(connection, catalog_id, memory, sizes_of)

    monkeypatch.setattr(fitting, "read_snapshot", read)
    worker.run_next()
    worker.run_next()
    with database.reading() as connection:
        assert read_training(connection, "other", sound).status == "succeeded"
    assert len(tried) == 1
    for _ in range(2):
        with database.writing() as connection:
            connection.execute(update(Training).where(Training.id == broken).values(lease_until=1.0))
        worker.run_next()
    assert len(tried) == 2
    with database.reading() as connection:
        ended = read_training(connection, "class", broken)
    assert ended.status == "failed"
    assert "came to no end" in str(ended.error)


@pytest.mark.usefixtures("class_catalog")
def test_a_catalog_without_responses_fails_with_a_sentence(database: Database, worker: Worker) -> None:
    with database.writing() as connection:
        connection.execute(delete(Response))
    training = enqueue(database)
    worker.run_next()
    assert read(database, training).error == "there are no responses to learn from"


@pytest.mark.usefixtures("class_catalog")
def test_a_damaged_holdout_fails_its_training_and_not_the_worker(database: Database, worker: Worker) -> None:
    training = enqueue(database)
    with database.writing() as connection:
        connection.execute(update(Training).values(holdout={"fraction": 2}))
    worker.run_next()
    row = read(database, training)
    assert (row.status, "holdout cannot be read" in (row.error or "")) == ("failed", True)


@pytest.mark.usefixtures("class_catalog")
def test_a_training_larger_than_memory_allows_fails_before_anything_is_read(
    database: Database, settings: Settings
) -> None:
    with database.writing() as connection:
        connection.execute(insert(Movie), [_movie(connection, number) for number in range(2000)])
    training = enqueue(database)
    assert Worker(database, settings.model_copy(update={"training_memory_bytes": 2**20}), "small").run_next()
    found = read(database, training)
    assert found.status == "failed"
    assert found.error == (
        "a training on 9 responses of 3 users to 2,003 movies takes about 1,318,840 bytes of memory; "
        "LIKELY_TRAINING_MEMORY_BYTES allows 1,048,576"
    )


@pytest.mark.usefixtures("class_catalog")
def test_a_worker_keeps_to_the_configured_memory_of_a_catalog(database: Database, settings: Settings) -> None:
    worker = Worker(database, settings.model_copy(update={"catalog_memory_bytes": 1024}), "small")
    training = enqueue(database, epochs=5)

    def respond(step: Step) -> None:
        if step.step == 5:  # so that its user is folded in before the training is published
            with database.writing() as connection:
                put_response(connection, TrainedModels(), "class", "0", "m0", 0.0, None)

    assert worker.run_next(watch=respond)
    row = read(database, training)
    assert row.status == "failed"
    assert "LIKELY_CATALOG_MEMORY_BYTES allows 1,024" in (row.error or "")


def _movie(connection: Connection, number: int) -> dict[str, object]:
    catalog = connection.execute(select(Catalog.id)).scalar_one()
    return {"catalog_id": catalog, "movie": f"another{number}", "title": "", "vector": bytes(8)}


@pytest.mark.usefixtures("class_catalog")
def test_a_worker_without_the_device_that_was_promised_says_so(
    database: Database, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # as where it was asked for
    training = enqueue(database, device="cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert worker.run_next()
    found = read(database, training)
    assert found.status == "failed"
    assert "no CUDA device" in (found.error or "")


@pytest.mark.usefixtures("class_catalog")
def test_a_bug_in_a_trainer_fails_its_training_and_not_the_worker(
    database: Database, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a secret of the inside")

    first = enqueue(database, epochs=10)
    with monkeypatch.context() as patch:
        patch.setattr(GradientDescent, "fit", broken)
        assert worker.run_next()
    failed = read(database, first)
    assert (failed.status, failed.error) == ("failed", "internal error: RuntimeError")
    second = enqueue(database, epochs=10)
    assert worker.run_next()
    assert read(database, second).status == "succeeded"


@pytest.mark.usefixtures("class_catalog")
@pytest.mark.parametrize("rounds", [1, 10])
def test_a_change_of_everybody_while_a_training_publishes_is_reflected(
    database: Database, worker: Worker, monkeypatch: pytest.MonkeyPatch, rounds: int
) -> None:
    """With rounds left the training relearns everybody; without, it publishes and readers relearn them."""
    monkeypatch.setattr(publishing, "_ROUNDS", rounds)
    monkeypatch.setattr(publishing, "_FOLDED_IN_WHILE_WRITING", 1)
    training = enqueue(database, epochs=50)

    def flip_everybody(step: Step) -> None:
        if step.step == 50:  # the last one, when nothing is left but to publish
            with database.writing() as connection:
                for user, movie in (("0", "m0"), ("1", "m1"), ("2", "m2")):
                    put_response(connection, TrainedModels(), "class", user, movie, 0.0, None)

    fold_in = worker_that_sees_changes_late(monkeypatch) if rounds == 1 else None
    assert worker.run_next(watch=flip_everybody)
    assert read(database, training).status == "succeeded"
    with database.reading() as connection:
        for user, movie in (("0", "m0"), ("1", "m1"), ("2", "m2")):
            [score] = score_movies(connection, TrainedModels(), "class", user, [movie]).scores
            assert score.score < 0.6, "they liked it before, with 0.70 and more"
    if fold_in:
        assert worker.fold_in_some(), "somebody was left to be relearned"


def worker_that_sees_changes_late(monkeypatch: pytest.MonkeyPatch) -> bool:
    """Let no user be caught up before the write lock is taken, as if all had answered just then."""
    monkeypatch.setattr(publishing.Publication, "_catch_up", lambda *_: None)
    return True


@pytest.mark.usefixtures("class_catalog")
def test_a_fold_in_that_cannot_end_well_does_not_end_the_worker(
    database: Database, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue(database, epochs=10)
    assert worker.run_next()
    with database.writing() as connection:
        connection.execute(update(User).values(version=User.version + 1))
        connection.execute(update(Catalog).values(embeddings_behind=True))

    def broken(*_: object) -> None:
        raise RuntimeError("a secret of the inside")

    with monkeypatch.context() as patch:
        patch.setattr(GradientDescent, "fold_in", broken)
        assert worker.fold_in_some()
        assert not worker.fold_in_some(), "it does not come back to the same again and again"
    second = enqueue(database, epochs=10)
    assert worker.run_next()
    assert read(database, second).status == "succeeded"


@pytest.mark.usefixtures("class_catalog")
def test_a_catalog_that_cannot_be_folded_in_at_present_keeps_no_other_from_its_turn(
    database: Database, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.writing() as connection:
        put_catalog(connection, "second", None, ["a"])
        connection.execute(update(Catalog).values(embeddings_behind=True))
    asked = []

    def unavailable(_: Worker, catalog: CatalogRow) -> None:
        asked.append(catalog.catalog)
        raise Unavailable("not at present")

    monkeypatch.setattr(Worker, "_fold_in_catalog", unavailable)
    for _ in range(4):
        with pytest.raises(Unavailable):
            worker.fold_in_some()
    assert asked == ["class", "second", "class", "second"]
