"""Traces: a request with its transactions and pools is a tree, a training too, and nobody is named."""

import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.catalogs import users
from app.database.urls import open_database
from app.main import create_app
from app.observability.tracing import Tracing, TracingUnusableError, is_wanted, span
from app.settings import Settings
from app.training.worker import Worker
from testbed.live import serving
from tests.support.requests.classroom import CLASS

ALLOWED = {
    "http.request.method",
    "http.route",
    "http.response.status_code",
    "error.type",
    "likely.pool",
    "likely.trainer",
}
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
RESPONSE = "PUT /v1/catalogs/{catalog}/users/{user}/responses/{movie}"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracing(exporter: InMemorySpanExporter) -> Tracing:
    return Tracing(SimpleSpanProcessor(exporter))


@pytest.fixture
def traced(settings: Settings, tracing: Tracing) -> Iterator[TestClient]:
    one = settings.model_copy(update={"compute_processes": 1})
    with TestClient(create_app(one, tracing=tracing), raise_server_exceptions=False) as client:
        yield client


def tree(exporter: InMemorySpanExporter) -> set[tuple[str, str]]:
    """Return each span's name with that of the one around it, and forget them."""
    spans = exporter.get_finished_spans()
    names = {span.context.span_id: span.name for span in spans if span.context}
    exporter.clear()
    return {(names.get(span.parent.span_id, "?") if span.parent else "", span.name) for span in spans}


def find(exporter: InMemorySpanExporter, name: str) -> ReadableSpan:
    [span] = [span for span in exporter.get_finished_spans() if span.name == name]
    return span


@pytest.mark.usefixtures("class_catalog")
def test_a_write_is_a_tree_of_its_turn_and_its_transaction(
    traced: TestClient, exporter: InMemorySpanExporter
) -> None:
    assert traced.put(f"{CLASS}/users/0/responses/m2", json={"response": 1}).status_code == 200
    assert tree(exporter) == {("", RESPONSE), (RESPONSE, "wait for a turn"), (RESPONSE, "database write")}


@pytest.mark.usefixtures("class_catalog")
def test_a_computation_is_in_the_request_that_waited_for_it(
    traced: TestClient, exporter: InMemorySpanExporter
) -> None:
    assert traced.post("/v1/compute/tensor", json={"program": "1 + 1"}).status_code == 200
    request = "POST /v1/compute/tensor"
    assert tree(exporter) >= {("", request), (request, "wait for a process"), (request, "pool")}


def test_a_training_is_a_tree_and_an_idle_worker_says_nothing(
    traced: TestClient,
    settings: Settings,
    tracing: Tracing,
    exporter: InMemorySpanExporter,
    class_catalog: str,
) -> None:
    body = {"trainer": "gradient_descent", "options": {"epochs": 2}}
    traced.post(f"/v1/catalogs/{class_catalog}/trainings", json=body)
    exporter.clear()
    database = open_database(settings.database_url, trace=span)
    worker = Worker(database, settings, name="somebody")
    with tracing.activated():
        assert worker.run_next()
        assert find(exporter, "training").attributes == {"likely.trainer": "gradient_descent"}
        parts = {("training", part) for part in ("fit", "judge", "publish", "database read")}
        assert tree(exporter) >= {("", "training"), ("publish", "database write"), *parts}
        assert not worker.run_next()
        assert not tree(exporter)
    database.close()


@pytest.mark.usefixtures("class_catalog")
def test_nothing_of_anybody_is_in_a_span(
    traced: TestClient, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret")

    heads = {"Authorization": "Bearer secret", "X-Request-ID": "secret", "tracestate": "secret=secret"}
    traced.put(f"{CLASS}/users/secret/responses/m0", json={"response": 1}, headers=heads)
    traced.get(f"{CLASS}/users/secret/scores?movie=secret", headers={"Host": "secret"})
    traced.put("/v1/catalogs/secret", json={"title": "secret", "dimensions": ["secret"]})
    traced.request("SECRET", "/secret")
    monkeypatch.setattr(users, "list_users", fail)
    assert traced.get(f"{CLASS}/users", headers={"User-Agent": "secret"}).status_code == 500
    spans = exporter.get_finished_spans()
    assert {name for span in spans for name in span.attributes or {}} <= ALLOWED
    assert not any("secret" in span.to_json().lower() for span in spans)
    assert not any(span.events for span in spans)


@pytest.mark.usefixtures("class_catalog")
def test_a_callers_mistake_is_no_error_and_a_bug_is_one(
    traced: TestClient, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced.get(f"{CLASS}/movies/nothing")
    wrong = find(exporter, "GET /v1/catalogs/{catalog}/movies/{movie}")
    assert wrong.status.is_unset
    assert (wrong.attributes or {})["http.response.status_code"] == 404

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(users, "list_users", fail)
    traced.get(f"{CLASS}/users")
    bug = find(exporter, "GET /v1/catalogs/{catalog}/users")
    assert not bug.status.is_ok
    assert not bug.status.is_unset
    assert not bug.status.description


def test_a_request_joins_its_callers_trace_and_a_probe_has_none(
    traced: TestClient, exporter: InMemorySpanExporter
) -> None:
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    traced.get("/v1/catalogs", headers={"traceparent": f"00-{trace}-{parent}-01"})
    span = find(exporter, "GET /v1/catalogs")
    assert span.context is not None
    assert span.parent is not None
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (trace, parent)
    exporter.clear()
    for path in ("/livez", "/readyz", "/metrics"):
        traced.get(path)
    assert not exporter.get_finished_spans()


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "likely"}, False),
        ({ENDPOINT: "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({ENDPOINT: "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({ENDPOINT: "http://collector:4318", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_the_standard_variables_ask_for_traces(environment: Mapping[str, str], *, wanted: bool) -> None:
    assert is_wanted(environment) is wanted


@pytest.mark.parametrize(
    "environment",
    [
        {"OTEL_TRACES_EXPORTER": "console"},
        {ENDPOINT: "http://collector:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ],
)
def test_what_cannot_be_sent_is_said_at_the_start(environment: Mapping[str, str]) -> None:
    with pytest.raises(TracingUnusableError, match="here"):
        is_wanted(environment)


def test_without_the_extra_the_start_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.observability.tracing.find_spec", lambda _: None)
    with pytest.raises(TracingUnusableError, match=r"likely\[otel\]"):
        is_wanted({ENDPOINT: "http://collector:4318"})


@pytest.mark.timeout(600)  # it imports torch, on a busy machine
def test_what_sends_traces_is_not_imported_where_nobody_asks_for_it() -> None:
    program = (
        "import sys, app.main, app.cli.main, app.training.worker\n"
        "from app.observability.tracing import Tracing\n"
        "assert Tracing.of_environment() is None\n"
        "sends = 'opentelemetry.sdk', 'opentelemetry.exporter', 'opentelemetry.proto', 'google', 'requests'\n"
        "print([name for name in sys.modules if name.startswith(sends)])"  # its API is FastAPI's own
    )
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert process.stdout.strip() == "[]"


@contextmanager
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest], set[str]]]:
    """Take traces as a collector does, by OTLP over HTTP; yields its address, what it took, and where."""
    taken: list[ExportTraceServiceRequest] = []
    paths: set[str] = set()

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            paths.add(self.path)
            if self.path == "/v1/traces":
                taken.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Taking) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", taken, paths
        server.shutdown()


@pytest.mark.timeout(600)  # the web process and the worker import torch, on a busy machine
def test_a_service_and_its_worker_send_to_a_collector_traces_and_nothing_else(tmp_path: Path) -> None:
    with collector() as (url, taken, paths):
        with serving(tmp_path, {ENDPOINT: url, "FASTAPI_OTEL_AUTO_CONFIGURE": "true"}) as service:
            service.http.put("/v1/catalogs/a", json={"dimensions": ["x"]})
            service.http.put("/v1/catalogs/a/movies/m", json={"vector": [1]})
            service.http.put("/v1/catalogs/a/users/u/responses/m", json={"response": 1})
            body = {"trainer": "gradient_descent", "options": {"epochs": 2}}
            answer = service.http.post("/v1/catalogs/a/trainings", json=body)
            service.wait_for(answer.headers["location"], "succeeded", seconds=120)
        resources = [one for request in taken for one in request.resource_spans]
        spans = [span for resource in resources for scope in resource.scope_spans for span in scope.spans]
        names = {span.name for span in spans}
        services = {
            attribute.value.string_value
            for resource in resources
            for attribute in resource.resource.attributes
            if attribute.key == "service.name"
        }
    assert names >= {RESPONSE, "database write", "training", "fit"}
    assert services == {"likely"}
    assert paths == {"/v1/traces"}, "what FastAPI would send by itself is off"
    assert {attribute.key for span in spans for attribute in span.attributes} <= ALLOWED
