"""Spans as OTLP over HTTP in JSON, https://opentelemetry.io/docs/specs/otlp/.

The SDK's own exporter would bring `requests` and protobuf along for one POST every few seconds.
"""

from __future__ import annotations

import http.client
import json
import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import StatusCode
from opentelemetry.util.types import AttributeValue

TIMEOUT = 5.0  # seconds
PATH = "/v1/traces"
SCOPE = "sampan"

log = logging.getLogger("sampan.telemetry")


class Exporter(SpanExporter):
    """Posts to `endpoint` (`http://host:4318`), from the SDK's own thread. A collector that is away is told of once.

    `may_connect` is asked before each connection and raises where nothing may be sent there.
    """

    def __init__(
        self, endpoint: str, headers: Mapping[str, str], may_connect: Callable[[str, int], object] | None = None
    ) -> None:
        self._parts = urlsplit(endpoint)
        self._headers = {"content-type": "application/json", **headers}
        self._may_connect = may_connect
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        body = json.dumps(document(spans), ensure_ascii=False).encode()
        try:
            status = self._post(body)
        except Exception as error:  # whatever it is, the traces of a moment are all that is lost
            return self._failed(getattr(error, "strerror", None) or type(error).__name__)
        if status >= 300:
            return self._failed(f"status {status}")
        if self._failing:
            log.info("traces are taken again by %s", self._parts.hostname)
        self._failing = False
        return SpanExportResult.SUCCESS

    def _failed(self, why: str) -> SpanExportResult:
        if not self._failing:
            log.warning("traces are lost: %s does not take them (%s)", self._parts.hostname, why)
        self._failing = True
        return SpanExportResult.FAILURE

    def _post(self, body: bytes) -> int:
        parts = self._parts
        secure = parts.scheme == "https"
        host, port = parts.hostname or "localhost", parts.port or (443 if secure else 4318)
        if self._may_connect is not None:
            self._may_connect(host, port)
        connection = (
            http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=ssl.create_default_context())
            if secure
            else http.client.HTTPConnection(host, port, timeout=TIMEOUT)
        )
        try:
            connection.request("POST", parts.path.rstrip("/").removesuffix(PATH) + PATH, body, self._headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def shutdown(self) -> None:
        return


def document(spans: Sequence[ReadableSpan]) -> dict[str, Any]:
    """An ExportTraceServiceRequest; all spans of one process have one resource."""
    resource = spans[0].resource if spans else Resource.get_empty()
    scope = {"scope": {"name": SCOPE}, "spans": [_span(span) for span in spans]}
    return {"resourceSpans": [{"resource": {"attributes": _attributes(resource.attributes)}, "scopeSpans": [scope]}]}


def _span(span: ReadableSpan) -> dict[str, Any]:
    context = span.get_span_context()
    assert context is not None
    told: dict[str, Any] = {
        "traceId": f"{context.trace_id:032x}",
        "spanId": f"{context.span_id:016x}",
        "name": span.name,
        "kind": span.kind.value + 1,  # OTLP begins with UNSPECIFIED
        "startTimeUnixNano": str(span.start_time or 0),
        "endTimeUnixNano": str(span.end_time or 0),
        "attributes": _attributes(span.attributes),
        "events": [_event(event) for event in span.events],
    }
    if span.parent is not None:
        told["parentSpanId"] = f"{span.parent.span_id:016x}"
    if span.status.status_code is not StatusCode.UNSET:
        told["status"] = {"code": span.status.status_code.value}
    return told


def _event(event: Event) -> dict[str, Any]:
    return {"timeUnixNano": str(event.timestamp), "name": event.name, "attributes": _attributes(event.attributes)}


def _attributes(attributes: Mapping[str, AttributeValue] | None) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in (attributes or {}).items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    return {"arrayValue": {"values": [_value(each) for each in value]}}
