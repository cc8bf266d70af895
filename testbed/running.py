"""What benchmarks of a running service share: the class, trained and served, and times.

Does not know what is measured.
"""

import time
from collections.abc import Callable, Sequence
from math import ceil

from app.cli.demo import CATALOG, SEED, load_class
from app.database.urls import open_migrated
from testbed.live import Service

_SCORES = f"/v1/catalogs/{CATALOG}/users/0/scores?movie=m0&movie=m1&movie=m2"
PUBLISHED = {"m0": 0.70, "m1": 0.52, "m2": 0.47}  # of user 0, in the class notebook


def store_class(folder: str) -> None:
    """Store the class catalog in a new database in this folder."""
    database = open_migrated(f"sqlite:///{folder}/likely.db", busy_seconds=5)
    with database.writing() as connection:
        load_class(connection)
    database.close()


def train_class(service: Service) -> None:
    """Train the class catalog and wait until it serves."""
    body = {"trainer": "gradient_descent", "seed": SEED}
    location = service.http.post(f"/v1/catalogs/{CATALOG}/trainings", json=body).headers["location"]
    check(service.wait_for(location, "succeeded", "failed")["status"] == "succeeded")


def times_of(ask: Callable[[], None], count: int) -> list[float]:
    """Return how many seconds each of so many requests took."""
    times = []
    for _ in range(count):
        start = time.perf_counter()
        ask()
        times.append(time.perf_counter() - start)
    return times


def median(times: list[float]) -> float:
    """Return the middle one of the times."""
    return percentile(times, 50)


def percentile(times: Sequence[float], percent: float) -> float:
    """Return the time that so many of hundred take at most."""
    return sorted(times)[max(0, ceil(len(times) * percent / 100) - 1)]


def check(right: bool) -> None:  # noqa: FBT001 - a truth
    """End the measuring if an answer was wrong."""
    if not right:
        raise SystemExit("an answer was wrong: nothing measured here would mean anything")


def check_scores(service: Service) -> None:
    """Ask for the scores of user 0, which must be those of the notebook."""
    result = service.http.get(_SCORES).json()["scores"]
    check({item["movie"]: round(item["score"], 2) for item in result} == PUBLISHED)
