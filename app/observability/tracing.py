"""Traces by OpenTelemetry, sent by OTLP over HTTP where the standard OTEL_* variables ask for it.

Off by default, and then only OpenTelemetry's API is imported, by FastAPI; what sends comes with the extra
`otel`. A span says which route, which pool, which trainer, and how it ended: no ids, paths, bodies or keys,
nor what exceptions say. `span` is no call of OpenTelemetry's own no-op tracer, which takes 17 times as long
(docs/decisions/0021).
"""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from http import HTTPStatus
from importlib.util import find_spec
from typing import TYPE_CHECKING, Self

from app.errors import Problem

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import Span

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_OVER_HTTP = "http/protobuf"
_CLOSE_SECONDS = 2.0  # for the last spans; a collector that does not answer keeps no service from ending


_current: ContextVar["Tracing | None"] = ContextVar("tracing", default=None)


def span(name: str, *, root: bool = False, **attributes: str | int) -> AbstractContextManager[None]:
    """Return the span of a block, a child of the current one; without a current one none, unless ``root``.

    Attributes are fixed words and counts, never ids, titles, bodies or keys.
    """
    tracing = _current.get()
    return nullcontext() if tracing is None else tracing.span(name, attributes, root=root)


class TracingUnusableError(Exception):
    """Traces are configured and cannot be sent; the message is a sentence for whoever starts the service."""


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Return whether the environment asks for traces; raises `TracingUnusableError` if they cannot be had."""
    exporter = environment.get("OTEL_TRACES_EXPORTER", "")
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or exporter == "none":
        return False
    if exporter not in {"", "otlp"}:
        raise TracingUnusableError("OTEL_TRACES_EXPORTER can be otlp or none here")
    if not exporter and not any(environment.get(name) for name in _ENDPOINTS):
        return False
    protocol = next((environment[name] for name in _PROTOCOLS if environment.get(name)), _OVER_HTTP)
    if protocol != _OVER_HTTP:
        raise TracingUnusableError(f"OTEL_EXPORTER_OTLP_PROTOCOL can be {_OVER_HTTP} only here")
    if find_spec("opentelemetry.sdk") is None or find_spec("opentelemetry.exporter") is None:
        raise TracingUnusableError(
            "OTEL_* variables ask for traces: install what sends them with pip install 'likely[otel]', "
            "or set OTEL_SDK_DISABLED=true"
        )
    return True


class Tracing:
    """A tracer of this process, and the thread that exports its spans."""

    def __init__(self, processor: "SpanProcessor") -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider

        has_name = "OTEL_SERVICE_NAME" in os.environ or "service.name" in os.environ.get(
            "OTEL_RESOURCE_ATTRIBUTES", ""
        )
        resource = Resource.create({} if has_name else {"service.name": "likely"})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("likely")

    @classmethod
    def of_environment(cls) -> Self | None:
        """Return the tracing that the standard variables configure; None if they configure none."""
        if not is_wanted(os.environ):
            return None
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        return cls(BatchSpanProcessor(OTLPSpanExporter()))

    @contextmanager
    def activated(self) -> Iterator[None]:
        """Record the spans of this context, a request's or a worker's."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    @contextmanager
    def span(self, name: str, attributes: Mapping[str, str | int], *, root: bool) -> Iterator[None]:
        """Open a span as a child of the current one; without a current one, only if it is a root."""
        from opentelemetry.trace import get_current_span

        if not root and not get_current_span().get_span_context().is_valid:
            yield
            return
        own_attributes = {f"likely.{attribute}": value for attribute, value in attributes.items()}
        with self._tracer.start_as_current_span(
            name, attributes=own_attributes, record_exception=False, set_status_on_exception=False
        ) as current:
            try:
                yield
            except BaseException as error:
                _note(current, error)
                raise

    @contextmanager
    def open_request(self, method: str, traceparent: str) -> Iterator["Span"]:
        """Open the span of a request, within the caller's trace where it names one."""
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        caller = TraceContextTextMapPropagator().extract({"traceparent": traceparent})
        with self._tracer.start_as_current_span(
            method,
            context=caller,
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method},
            record_exception=False,
            set_status_on_exception=False,
        ) as request_span:
            try:
                yield request_span
            except BaseException as error:
                _note(request_span, error)
                raise

    def end_request(self, request_span: "Span", method: str, route: str, status: int) -> None:
        """Set the route and the status of a request."""
        request_span.update_name(f"{method} {route}")
        request_span.set_attributes({"http.route": route, "http.response.status_code": status})
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _mark_failed(request_span)

    def close(self) -> None:
        """Send the last spans, for at most two seconds."""
        closing = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        closing.start()
        closing.join(_CLOSE_SECONDS)


def _note(current: "Span", error: BaseException) -> None:
    """Record the class of the exception that ended a span; a caller's mistake is no error of the service."""
    current.set_attribute("error.type", type(error).__qualname__)
    if not isinstance(error, Problem) or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _mark_failed(current)


def _mark_failed(current: "Span") -> None:
    from opentelemetry.trace import StatusCode

    current.set_status(StatusCode.ERROR)
