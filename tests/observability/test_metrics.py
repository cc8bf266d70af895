"""/metrics: documented as it is, bounded whatever callers send, and right for all web processes together."""

import os
import re
import signal
import time
from collections.abc import Iterable
from pathlib import Path

import httpx2
import pytest
from fastapi.testclient import TestClient
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from app.database.database import Database
from app.observability.database_metrics import MOST_SHOWN, STATUSES
from app.observability.metrics import REFUSALS
from app.training.worker import Worker
from testbed.live import Service, children_of, command_of, serving
from tests.support.documents.checkout import ROOT
from tests.support.stored import queue_running

OPERATIONS = ROOT / "docs" / "operations.md"
_ROW = re.compile(r"^- \*\*`(likely_\w+)`\*\*, (counter|gauge|histogram)(.*?)\.\s", re.MULTILINE | re.DOTALL)
ROUTE = "/v1/catalogs/{catalog}/movies/{movie}"


def families(text: str) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def labels_of(family: Metric) -> set[str]:
    return {name for sample in family.samples for name in sample.labels} - {"le"}


def value(text: str, name: str, **labels: str) -> float | None:
    """Return a sample's value, of several that match their sum; None if there is none."""
    found = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return sum(found) if found else None


def documented() -> dict[str, tuple[str, set[str]]]:
    rows = _ROW.findall(OPERATIONS.read_text())
    # Behind a colon stand a label's values, behind a comma with "not" those that it does not have.
    parts = {name: re.split(r":|, not", labels)[0] for name, _, labels in rows}
    return {name: (kind, set(re.findall(r"`(\w+)`", parts[name]))) for name, kind, _ in rows}


def exercise(client: TestClient, trained: str) -> str:
    """Have something of every metric."""
    client.put(f"{trained}/users/0/responses/m2", json={"response": 1})
    client.get(f"{trained}/users/0/scores?movie=m0")
    return client.get("/metrics").text


def test_every_metric_is_documented_with_its_kind_and_labels(
    client: TestClient, database: Database, trained: str
) -> None:
    queue_running(database, 1)
    shown = families(exercise(client, trained))
    real = {
        name: (family.type, labels_of(family)) for name, family in shown.items() if not _says_since_when(name)
    }
    assert real == documented()


def _says_since_when(name: str) -> bool:
    return name.endswith("_created")  # the library adds when each counter began


def test_every_value_of_a_label_is_documented(client: TestClient, database: Database, trained: str) -> None:
    queue_running(database, 1)
    page = OPERATIONS.read_text()
    for family in families(exercise(client, trained)).values():
        for sample in family.samples:
            for name, given in sample.labels.items():
                if name in {"pool", "kind"} or (name == "status" and family.name == "likely_trainings"):
                    assert f"`{given}`" in page, (family.name, name)
    assert all(f"`{kind}`" in page for kind in REFUSALS.values())


def test_series_are_bounded_whatever_callers_ask_and_however_many_there_are(
    client: TestClient, database: Database, trained: str
) -> None:
    queue_running(database, 3 * MOST_SHOWN)
    series: list[int] = []
    for turn in range(3):
        for number in range(5):
            made_up = f"made-up-{turn}-{number}"
            client.get(f"{trained}/movies/{made_up}")
            client.get(f"{trained}/users/{made_up}/scores?movie={made_up}")
            client.put(f"{trained}/users/{made_up}/responses/m0", json={"response": 1})
            client.get(f"/{made_up}", headers={"X-Request-ID": made_up, "traceparent": made_up})
            client.request(made_up, trained)
        text = client.get("/metrics").text
        assert "made-up" not in text
        series.append(sum(len(family.samples) for family in families(text).values()))
    assert series[1] == series[2]
    running = families(text)["likely_training_steps_done"].samples
    assert [one.labels for one in running] == [{"running": str(n)} for n in range(1, MOST_SHOWN + 1)]


def test_a_score_is_timed_once_and_a_refusal_is_not(client: TestClient, trained: str) -> None:
    client.get(f"{trained}/users/0/scores?movie=m0")
    client.get(f"{trained}/users/0/scores?movie=m0&include=interval,nothing")
    client.get(f"{trained}/users/0/recommendations")
    client.post(f"{trained}/scores", json={"pairs": [["0", "m0"]]})
    client.post(f"{trained}/scores:preview", json={"responses": {}})
    text = client.get("/metrics").text
    counted = {
        kind: value(text, "likely_score_seconds_count", kind=kind)
        for kind in ("scores", "recommendations", "pairs", "preview")
    }
    assert (counted["scores"], counted["recommendations"], counted["pairs"]) == (1, 1, 1)


def test_freshness_counts_responses_that_changed_what_serves(
    client: TestClient, worker: Worker, class_catalog: str
) -> None:
    path = f"/v1/catalogs/{class_catalog}"

    def counted() -> float | None:
        return value(client.get("/metrics").text, "likely_freshness_seconds_count")

    client.put(f"{path}/users/0/responses/m1", json={"response": 1})
    assert counted() == 0, "nothing serves, so no score shows it"
    client.post(f"{path}/trainings", json={"trainer": "gradient_descent", "options": {"epochs": 2}})
    worker.run_next()
    client.put(f"{path}/users/0/responses/m1", json={"response": 0})
    client.put(f"{path}/users/0/responses/m1", json={"response": 1, "timestamp": 1})
    client.put(f"{path}/users/0/responses/nothing", json={"response": 0})
    assert counted() == 2


def test_the_queue_says_how_long_its_oldest_waits_and_who_is_silent(
    client: TestClient, database: Database, trained: str
) -> None:
    text = client.get("/metrics").text
    assert value(text, "likely_queue_oldest_seconds") == 0
    assert value(text, "likely_worker_heartbeat_age_seconds") == 0
    queue_running(database, 1, silent_seconds=40, steps=(3, 10), loss=0.25)
    client.post(f"{trained}/trainings", json={"trainer": "gradient_descent"})
    client.post(f"{trained}/trainings", json={"trainer": "gradient_descent"})
    text = client.get("/metrics").text
    assert value(text, "likely_trainings", status="queued") == 2
    assert 0 < (value(text, "likely_queue_oldest_seconds") or 0) < 60
    assert 40 <= (value(text, "likely_worker_heartbeat_age_seconds") or 0) < 70
    assert value(text, "likely_training_steps_done", running="1") == 3
    assert value(text, "likely_training_steps_total", running="1") == 10
    assert value(text, "likely_training_loss", running="1") == 0.25
    assert len(STATUSES) == len(families(text)["likely_trainings"].samples)


@pytest.mark.sqlite  # its file is taken away
def test_a_database_that_does_not_answer_takes_only_its_own_numbers_along(
    client: TestClient, tmp_path: Path
) -> None:
    assert value(client.get("/metrics").text, "likely_database_up") == 1
    (tmp_path / "likely.db").rename(tmp_path / "gone.db")
    client.get("/readyz")
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert value(answer.text, "likely_database_up") == 0
    assert value(answer.text, "likely_refusals_total", kind="database") == 1
    assert value(answer.text, "likely_trainings") is None
    assert value(answer.text, "likely_requests_total", route="/readyz", status="503") == 1


def scraped(service: Service, times: int) -> Iterable[str]:
    """Ask on new connections, so that each process is likely to be among those who answer."""
    for _ in range(times):
        with httpx2.Client(base_url=service.url) as client:
            yield client.get("/metrics").text


def web_pids(service: Service) -> list[int]:
    return [pid for pid in children_of(service.process.pid) if "spawn_main" in command_of(pid)]


@pytest.mark.timeout(600)  # each process that starts imports torch, on a busy machine
def test_two_web_processes_are_one_service_whichever_is_asked_and_whichever_dies(tmp_path: Path) -> None:
    with serving(tmp_path, {"TMPDIR": str(tmp_path)}, "--web-processes", "2", "--no-worker") as service:
        _wait_for(service, "likely_web_processes", 2)
        for _ in range(40):
            with httpx2.Client(base_url=service.url) as client:
                client.get("/v1/catalogs/none/movies/none")
        counted = [
            value(text, "likely_requests_total", route=ROUTE, status="404") for text in scraped(service, 8)
        ]
        assert counted == [40] * 8
        text = next(iter(scraped(service, 1)))
        assert value(text, "likely_pool_places", pool="threads") == 2 * 4
        assert value(text, "likely_pool_places", pool="writers") == 2
        assert (value(text, "likely_web_memory_bytes") or 0) > 2 * 50 * 2**20
        first = value(text, "likely_web_start_time_seconds") or 0.0
        killed, _ = web_pids(service)
        os.kill(killed, signal.SIGKILL)
        restarted = _wait_for_restart(service, first)
        assert value(restarted, "likely_web_processes") == 2
        assert value(restarted, "likely_pool_places", pool="writers") == 2, "the dead one's are gone"
        assert value(restarted, "likely_requests_total", route=ROUTE, status="404") == 40, (
            "what it did is not"
        )
        names = families(restarted).keys()
        assert not list(tmp_path.glob("likely-metrics-*/gauge_live*_" + str(killed) + ".db"))
    assert names >= {"likely_requests", "likely_database_up", "likely_refusals"}
    assert not list(tmp_path.glob("likely-metrics-*")), "the folder goes with the service"


def _wait_for(service: Service, name: str, wanted: float) -> None:
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        if all(value(text, name) == wanted for text in scraped(service, 4)):
            return
        time.sleep(0.1)
    raise AssertionError(f"{name} is not {wanted}")


def _wait_for_restart(service: Service, since: float) -> str:
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        try:
            [text] = scraped(service, 1)
        except httpx2.TransportError:
            continue
        if (value(text, "likely_web_start_time_seconds") or 0) > since:
            return text
        time.sleep(0.1)
    raise AssertionError("no other process came")
