"""The OpenAPI document is complete, and the pages that show it need no other host."""

import hashlib
import json
import re
from typing import Any

import pytest
from fastapi.testclient import TestClient

METHODS = {"get", "put", "post", "delete", "patch", "head", "options", "trace"}
SURFACE = "895b2cbfca41a6871031653195183bca846def0d1a41a9410bc4fc0cf36d9cd7"  # of /openapi.json
PROBLEM = "#/components/schemas/ProblemAnswer"


@pytest.fixture(scope="module")
def document(published: TestClient) -> dict[str, Any]:
    content: dict[str, Any] = published.get("/openapi.json").json()
    return content


def test_the_surface_is_that_of_the_last_revision_byte_for_byte(document: dict[str, Any]) -> None:
    """A change that is not meant to touch the surface leaves every byte of it.

    One that is meant to says so in the CHANGELOG, and writes here the digest that this test then shows.
    """
    text = json.dumps(document, indent=1)
    assert hashlib.sha256(text.encode()).hexdigest() == SURFACE


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    ]


def test_every_operation_has_an_id_of_its_own_and_says_what_it_does(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(ids) > 25
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[a-z]+(_[a-z]+)+", one) for one in ids)
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["description"].rstrip().endswith("."), name
        assert operation["tags"], name


def test_every_operation_documents_its_problems(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for status in ("4XX", "5XX"):
            content = operation["responses"][status]["content"]
            assert content == {"application/problem+json": {"schema": {"$ref": PROBLEM}}}, name


def test_a_problem_is_described_by_the_schema_that_it_follows(
    document: dict[str, Any], published: TestClient
) -> None:
    schemas = document["components"]["schemas"]
    problem = published.get("/nothing").json()
    assert set(problem) == set(schemas["ProblemAnswer"]["properties"])
    place = published.get("/v1/catalogs?limit=0").json()["errors"][0]
    assert set(place) <= set(schemas["ProblemPlace"]["properties"])


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    references = set(re.findall(r"'\$ref': '([^']*)'", str(document)))
    assert references
    assert references == {f"#/components/schemas/{name}" for name in schemas}


def test_putting_documents_both_made_and_replaced(document: dict[str, Any]) -> None:
    upserts = [one for name, one in operations(document) if name.startswith("PUT") and "serving" not in name]
    assert len(upserts) == 3
    for operation in upserts:
        made, replaced = (operation["responses"][status]["content"] for status in ("201", "200"))
        assert made == replaced


def test_a_training_documents_where_to_watch_it(document: dict[str, Any]) -> None:
    accepted = document["paths"]["/v1/catalogs/{catalog}/trainings"]["post"]["responses"]["202"]
    assert "Location" in accepted["headers"]
    events = document["paths"]["/v1/catalogs/{catalog}/trainings/{training}/events"]["get"]["responses"][
        "200"
    ]
    assert set(events["content"]) == {"text/event-stream"}


def test_the_documentation_page_needs_no_other_host(published: TestClient) -> None:
    page = published.get("/docs")
    assert page.status_code == 200
    assert "text/html" in page.headers["content-type"]
    assert re.findall(r"(?:https?:)?//[^\"'\s]+", page.text) == []
    linked = re.findall(r"(?:src|href)=\"([^\"]+)\"", page.text)
    assert linked
    for path in linked:
        assert published.get(path).status_code == 200, path
