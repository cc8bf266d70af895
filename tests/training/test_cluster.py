"""Trainings on a Ray cluster: the bits that the worker learns, whatever dies; and what is refused.

One cluster of two processes serves all tests of this file that need one.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from pydantic import ValidationError
from sqlalchemy import delete, insert, select

from app.catalogs.catalogs import put_catalog
from app.catalogs.movies import put_movie
from app.database.database import Database
from app.database.tables import Movie, Response, User
from app.errors import Unavailable
from app.operations.verification import verify_database
from app.scoring.memory import Memory
from app.scoring.model_cache import TrainedModels
from app.scoring.responses import put_response
from app.settings import Settings
from app.training import fitting
from app.training.dataset import read_snapshot
from app.training.outlines import Outline, read_outline, read_range
from app.training.ray import cluster
from app.training.ray.cluster import ClusterUnusableError, check_usable, connected
from app.training.trainings import TrainingRow, create_training, read_training
from app.training.worker import Worker
from models.recommender.data import BadResponsesError
from models.recommender.mixed_effects import blocks, coordinate_updates
from models.recommender.mixed_effects.blocks import Layout
from models.recommender.mixed_effects.trainer import MixedEffects, MixedEffectsOptions
from tests.models.recommender.problems import generator, masked_responses, unheard
from tests.support.command_line import Run

if TYPE_CHECKING:
    from models.recommender.trainer import Step, TrainingResult

TRAINER = MixedEffects(MixedEffectsOptions(learned_dimensions=2, max_steps=6))
SOURCE = generator(1)
DATA = masked_responses(  # some answered a few movies, others almost all
    torch.randn(60, 2, generator=SOURCE),
    torch.rand(40, 60, generator=SOURCE).round(),
    torch.rand(40, 60, generator=SOURCE) < torch.linspace(0.05, 0.95, 40)[:, None],
)


@pytest.fixture
def films(database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A catalog of forty users, whose responses are several ranges."""
    monkeypatch.setattr(blocks, "_RESPONSES_PER_BLOCK", 100)
    with database.writing() as connection:
        put_catalog(connection, "films", None, ["dark", "long"])
        for number, vector in enumerate(DATA.item_vectors.tolist()):
            put_movie(connection, "films", f"f{number:02}", None, vector)
        connection.execute(
            insert(User), [{"catalog_id": 1, "user": f"u{user:02}"} for user in range(DATA.users)]
        )
        users, movies = (
            connection.scalars(select(each).order_by(each)).all() for each in (User.id, Movie.id)
        )
        cells = zip(DATA.user_rows.tolist(), DATA.item_rows.tolist(), DATA.values.tolist(), strict=True)
        names = ("user_id", "movie_id", "response", "timestamp")
        rows = [(users[user], movies[movie], value, 0.0) for user, movie, value in cells]
        connection.execute(insert(Response), [dict(zip(names, row, strict=True)) for row in rows])
    assert len(Layout.of(DATA.offsets.diff(), TRAINER.sizes(2).embedding).blocks) > 5
    return database


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[None]:
    with connected(Settings(ray_address="local", training_threads=2)):
        yield


def read(database: Database) -> Outline:
    with database.reading() as connection:
        return read_outline(connection, 1, Memory(), TRAINER.sizes)


def fit(database: Database, heard: Callable[["Step"], None]) -> "TrainingResult":
    from app.training.ray import tasks

    place = tasks.Place(database.address, 30.0)
    return tasks.fit(TRAINER, read(database), place, 1, heard, lambda: None)[0]


def here(database: Database) -> "TrainingResult":
    with database.reading() as connection:
        snapshot = read_snapshot(connection, 1, Memory(), TRAINER.sizes)
    torch.set_num_threads(1)
    return TRAINER.fit(snapshot.responses, 1, unheard)


def same(one: "TrainingResult", other: "TrainingResult") -> bool:
    assert one.posteriors.factors is not None
    assert other.posteriors.factors is not None
    return (
        torch.equal(one.embeddings, other.embeddings)
        and torch.equal(one.posteriors.factors, other.posteriors.factors)
        and torch.equal(one.items, other.items)
        and all(torch.equal(one.shared[name], other.shared[name]) for name in one.shared)
    )


@pytest.mark.usefixtures("ray_cluster")
def test_a_cluster_learns_the_bits_that_the_worker_learns(films: Database) -> None:
    steps: list[Step] = []
    assert same(fit(films, steps.append), here(films))
    assert [step.step for step in steps] == [1, 2, 3, 4, 5, 6]


def processes() -> set[int]:
    """Return the processes that run tasks."""
    import ray

    @ray.remote
    def process() -> int:
        time.sleep(0.3)  # so that the other one has to take the other
        return os.getpid()

    return set(ray.get([process.remote() for _ in range(2)]))


@pytest.mark.usefixtures("ray_cluster")
def test_a_process_that_is_killed_changes_no_bit(films: Database) -> None:
    frozen: set[int] = set()

    def kill() -> None:
        time.sleep(0.5)
        for process in frozen:
            os.kill(process, signal.SIGKILL)

    def freeze(step: "Step") -> None:
        reported.append(step.step)
        if step.step == 3:  # what the next step asks of them is under way when they die
            frozen.update(processes())
            for process in frozen:
                os.kill(process, signal.SIGSTOP)
            threading.Thread(target=kill).start()

    reported: list[int] = []
    assert same(fit(films, freeze), here(films))
    assert len(frozen) == 2
    assert reported == [1, 2, 3, 4, 5, 6]


@pytest.mark.usefixtures("ray_cluster")
def test_sums_that_are_added_where_the_ranges_are_change_no_bit(
    films: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coordinate_updates, "FAN_IN", 2)  # so that there are sums of sums of sums
    assert same(fit(films, unheard), here(films))


@pytest.mark.usefixtures("ray_cluster")
def test_a_range_that_was_read_again_and_differs_ends_the_attempt(films: Database) -> None:
    from app.training.ray.tasks import OnCluster, Place

    steps = OnCluster(read(films), Place(films.address, 30.0), TRAINER.sizes(2).embedding, lambda: None)
    steps._marks[1] = "another"  # noqa: SLF001 - as it is when a machine was lost and somebody had answered
    with pytest.raises(Unavailable, match="changed since they were read"):
        TRAINER.learn_by(steps, DATA.item_vectors, 1, unheard)


@pytest.mark.usefixtures("ray_cluster")
def test_a_step_that_takes_long_is_left_when_the_training_is_to_end(films: Database) -> None:
    class CancelledError(Exception):
        pass

    from app.training.ray import tasks

    steps: list[int] = []

    def check() -> None:
        if len(steps) == 2:
            raise CancelledError

    place = tasks.Place(films.address, 30.0)
    with pytest.raises(CancelledError):
        tasks.fit(TRAINER, read(films), place, 1, lambda step: steps.append(step.step), check)
    assert steps == [1, 2]


def trained(database: Database, settings: Settings, holdout: Mapping[str, Any] | None) -> TrainingRow:
    options = {"learned_dimensions": 2, "max_steps": 6}
    with database.writing() as connection:
        training = create_training(
            connection, "films", "mixed_effects", options, 1, serve=True, holdout=holdout
        ).id
    Worker(database, settings, "w").run_next()
    with database.reading() as connection:
        return read_training(connection, "films", training)


@pytest.mark.usefixtures("ray_cluster")
def test_a_worker_publishes_what_the_cluster_learned_as_if_it_had_learned_it(
    films: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "connected", lambda _: nullcontext())  # there is one cluster already
    apart = settings.model_copy(update={"ray_address": "local"})
    for holdout in (None, {"last_n": 1, "by": "time"}):
        one, other = (trained(films, chosen, holdout) for chosen in (settings, apart))
        assert (one.status, other.status, other.steps_done) == ("succeeded", "succeeded", 6)
        assert other.metrics == one.metrics
        assert other.provenance is not None
        assert one.provenance is not None
        assert replace(other.provenance, threads=one.provenance.threads) == one.provenance
    assert verify_database(films).faults == []


@pytest.mark.usefixtures("ray_cluster")
def test_who_answers_or_goes_between_the_outline_and_the_reading_is_told_apart(films: Database) -> None:
    outline = read(films)
    with films.writing() as connection:
        put_movie(connection, "films", "new", None, [1.0, 1.0])
        put_response(connection, TrainedModels(), "films", "u00", "new", 1.0, None)
        connection.execute(delete(User).where(User.user == "u01"))
    asked = torch.tensor(outline.users).numpy()
    with films.reading() as connection:
        found = read_range(connection, asked, torch.tensor(outline.movies.keys).numpy())
    assert found is not None
    responses, who = found
    there = [outline.ids[place] for place in who.places.tolist()]
    assert there == [user for user in outline.ids if user != "u01"]
    assert [user for user, version in zip(there, who.versions, strict=True) if version < 0] == ["u00"]
    assert responses.users == len(outline.users) - 1
    from app.training.ray import tasks

    place = tasks.Place(films.address, 30.0)
    learned, seen = tasks.fit(TRAINER, outline, place, 1, unheard, lambda: None)
    assert len(learned.posteriors) == len(seen.users) == len(outline.users) - 1


def test_a_catalog_without_responses_has_no_outline(films: Database) -> None:
    with films.writing() as connection:
        connection.execute(delete(Response))
    with pytest.raises(BadResponsesError, match="no responses"):
        read(films)


def refusal(address: str, database_url: str = "postgresql://likely@db/likely") -> str:
    with pytest.raises(ClusterUnusableError) as refused:
        check_usable(Settings(ray_address=address, database_url=database_url))
    return str(refused.value)


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)


def test_ray_that_is_not_installed_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda _: None)
    assert "pip install 'likely[ray]'" in refusal("local")
    check_usable(Settings(ray_address=None))


@pytest.mark.usefixtures("token")
def test_an_address_where_nothing_answers_is_refused_by_name(likely: Run) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    assert f"nothing answers at {address}" in refusal(address)
    for command in ("worker", "serve", "train films"):
        done = likely(*command.split(), LIKELY_RAY_ADDRESS=address)
        assert (done.status, done.out) == (1, "")
        assert done.err.startswith(f"likely: LIKELY_RAY_ADDRESS: nothing answers at {address}")


@pytest.mark.usefixtures("token")
def test_what_answers_and_is_no_ray_cluster_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_GREETS_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        assert refusal(address) == f"LIKELY_RAY_ADDRESS: what answers at {address} is no Ray cluster"
        with pytest.raises(Unavailable, match="no Ray cluster"), connected(Settings(ray_address=address)):
            pass


def test_a_cluster_elsewhere_needs_a_database_that_it_can_reach_and_a_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "")
    monkeypatch.setattr(cluster, "_HOME_TOKEN", tmp_path / "none")
    assert "cannot read a SQLite file" in refusal("ray.example.org:6379", "sqlite:///likely.db")
    assert "RAY_AUTH_TOKEN" in refusal("ray.example.org:6379")


@pytest.mark.parametrize("address", ["ray", "ray:", "ray://host:10001", "host:port", "a b:1"])
def test_an_address_that_is_none_is_refused_with_an_example(address: str) -> None:
    with pytest.raises(ValidationError, match="for example ray:6379"):
        Settings(ray_address=address)


@pytest.mark.usefixtures("ray_cluster")
def test_a_cluster_of_our_own_wants_its_token_and_shows_and_sends_nothing() -> None:
    import ray

    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
    assert not ray.get_runtime_context().worker.node.webui_url
    address = ray.get_runtime_context().gcs_address
    host, _, port = address.rpartition(":")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_TOKEN", "1" * 64)
        patch.setattr(cluster, "_GREETS_SECONDS", 5.0)
        assert "does not take the token" in refusal(f"{host}:{port}")
