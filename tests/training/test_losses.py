"""Losses: the whole curve, as JSON or CSV, by the Accept header or by suffix."""

import csv
import io

import pytest
from fastapi.testclient import TestClient

from tests.support.requests.classroom import CLASS
from tests.support.requests.refusals import check_problem

LOSSES = f"{CLASS}/trainings/1/losses"


def test_the_curve_has_every_step_once_and_in_order(published: TestClient) -> None:
    shown = published.get(LOSSES).json()
    assert shown["training"] == 1
    assert [loss["step"] for loss in shown["losses"]] == list(range(1, 31))
    for loss in shown["losses"]:
        assert loss["loss"] == pytest.approx(loss["data_loss"] + loss["penalty"], rel=1e-12)
    assert shown["losses"][-1]["loss"] < shown["losses"][0]["loss"]


def test_csv_holds_the_same_numbers(published: TestClient) -> None:
    answered = published.get(f"{LOSSES}.csv")
    assert answered.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answered.text)))
    assert list(rows[0]) == ["step", "loss", "data_loss", "penalty"]
    read = [{name: float(value) for name, value in row.items()} for row in rows]
    assert read == published.get(f"{LOSSES}.json").json()["losses"]


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("text/csv", "text/csv"),
        ("TEXT/CSV", "text/csv"),
        ("text/*", "text/csv"),
        ("application/json", "application/json"),
        ("application/json;q=0.4, text/csv;q=0.5", "text/csv"),
        ("application/json;q=0.5, text/csv;q=0.4", "application/json"),
        ("text/csv;q=0.5, */*;q=0.1", "text/csv"),
        ("*/*, application/json;q=0", "text/csv"),
        ("text/html, */*;q=0.8", "application/json"),
        ("text/csv, application/json", "application/json"),  # equals: the first on offer
        ("null", "application/json"),  # no range: as if it were not there
        ("null, text/csv", "text/csv"),
        ("text/csv; charset=utf-8 ; q=1, application/json;q=0.9", "text/csv"),
    ],
)
def test_the_accept_header_chooses(published: TestClient, accept: str | None, chosen: str) -> None:
    headers = {} if accept is None else {"Accept": accept}
    assert published.get(LOSSES, headers=headers).headers["content-type"].partition(";")[0] == chosen


@pytest.mark.parametrize("suffix", ["json", "csv"])
def test_a_suffix_outweighs_the_accept_header(published: TestClient, suffix: str) -> None:
    answered = published.get(f"{LOSSES}.{suffix}", headers={"Accept": "image/png"})
    assert answered.status_code == 200
    assert suffix in answered.headers["content-type"]


@pytest.mark.parametrize("accept", ["text/html", "text/csv;q=0, application/json;q=0", "*/*;q=0"])
def test_formats_not_on_offer_are_refused_with_those_that_are(published: TestClient, accept: str) -> None:
    problem = check_problem(published.get(LOSSES, headers={"Accept": accept}))
    assert problem["status"] == 406
    assert "application/json, text/csv" in problem["detail"]


def test_caches_are_told_that_the_answer_depends_on_the_accept_header(published: TestClient) -> None:
    for accept in ("application/json", "text/csv"):
        assert "accept" in published.get(LOSSES, headers={"Accept": accept}).headers.get("vary", "").lower()


def test_a_training_that_waits_has_an_empty_curve(client: TestClient, class_catalog: str) -> None:
    path = f"/v1/catalogs/{class_catalog}/trainings"
    location = client.post(path, json={"trainer": "gradient_descent"}).headers["location"]
    assert client.get(f"{location}/losses").json()["losses"] == []
    assert client.get(f"{location}/losses.csv").text == "step,loss,data_loss,penalty\n"
