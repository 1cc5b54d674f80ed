"""Traces: one span for a call at the gateway, one below it in the engine that answered.

Attributes are named by the GenAI conventions, https://opentelemetry.io/docs/specs/semconv/gen-ai/; none holds a prompt,
an answer or a key.

Whether a call is traced is decided before anything is made for it: a span costs 33 µs, none nothing.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from sampan.core import Record
from sampan.telemetry.otlp import Exporter

TRACEPARENT = "traceparent"
ENDPOINT, HEADERS, SERVICE = "SAMPAN_TRACES", "SAMPAN_TRACES_HEADERS", "SAMPAN_TRACES_SERVICE"
QUEUE = 4096  # spans that wait for the collector; more are dropped
DELAY = 2000  # milliseconds that they gather

_PARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_OPERATIONS = {"text": "chat", "vision": "chat", "embed": "embeddings", "generate": "generate_content"}
_PROVIDERS = {"anthropic": "anthropic"}


@dataclass(frozen=True, slots=True)
class Collector:
    """Where traces go: an OTLP endpoint over HTTP, `http://host:4318`; `headers` may hold a key."""

    endpoint: str
    headers: Mapping[str, str] = field(default_factory=dict)
    service: str = "sampan"

    def environment(self) -> dict[str, str]:
        """The same for another process of ours."""
        headers = "\n".join(f"{name}: {value}" for name, value in self.headers.items())
        return {ENDPOINT: self.endpoint, HEADERS: headers, SERVICE: self.service}

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Collector | None:
        """As `environment` says it; None where it says nothing."""
        if not environ.get(ENDPOINT):
            return None
        pairs = [line.split(": ", 1) for line in environ.get(HEADERS, "").split("\n") if ": " in line]
        return cls(environ[ENDPOINT], {name: value for name, value in pairs}, environ.get(SERVICE, "sampan"))


class Traced:
    """One span, open until it is ended."""

    __slots__ = ("_span",)

    def __init__(self, span: Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-01"

    def event(self, name: str, attributes: Mapping[str, str | int | float] | None = None) -> None:
        self._span.add_event(name, attributes)

    def end(self, record: Record) -> None:
        """Tells what the record of the call says."""
        span = self._span
        span.update_name(f"{_OPERATIONS.get(record.operation, record.operation) or 'call'} {record.model}".strip())
        span.set_attributes(_told(record))
        for attempt in filter(None, record.attempts.split(",")):
            upstream, _, fault = attempt.partition("=")
            span.add_event("attempt", {"sampan.upstream": upstream, "sampan.fault": fault})
        if record.outcome not in ("ok", "left"):
            span.set_status(StatusCode.ERROR)
        span.end()

    def finish(self, attributes: Mapping[str, str | int | float], *, failed: bool = False) -> None:
        """For a span that is no call of the gateway's."""
        self._span.set_attributes(attributes)
        if failed:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


def _told(record: Record) -> dict[str, str | int | float]:
    told: dict[str, str | int | float] = {
        "gen_ai.operation.name": _OPERATIONS.get(record.operation, record.operation),
        "gen_ai.request.model": record.model,
        "gen_ai.provider.name": _PROVIDERS.get(record.dialect, "openai"),
        "gen_ai.usage.input_tokens": record.input_tokens,
        "gen_ai.usage.output_tokens": record.output_tokens,
        "http.response.status_code": record.status,
        "sampan.request_id": record.id,
        "sampan.dialect": record.dialect,
        "sampan.operation": record.operation,
        "sampan.outcome": record.outcome,
        "sampan.upstream": record.upstream,
        "sampan.tier": record.tier,
        "sampan.department": record.department,
        "sampan.rule": record.rule,
        "sampan.cache": record.cache,
        "sampan.first_event_ms": record.first_event_ms,
        "error.type": record.error,
    }
    return {name: value for name, value in told.items() if value != ""}


class Tracing:
    """Made once a process. `sample` is the share of calls traced that nobody has decided about yet.

    A caller's `traceparent` is followed, to trace or not to.
    """

    def __init__(
        self,
        collector: Collector,
        sample: float = 1.0,
        *,
        service: str = "",
        may_connect: Callable[[str, int], object] | None = None,
        luck: Callable[[], float] = random.random,
    ) -> None:
        resource = Resource({"service.name": service or collector.service})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = Exporter(collector.endpoint, collector.headers, may_connect)
        self._provider.add_span_processor(
            BatchSpanProcessor(exporter, max_queue_size=QUEUE, schedule_delay_millis=DELAY, max_export_batch_size=512)
        )
        self._tracer = self._provider.get_tracer("sampan")
        self._sample = sample
        self._luck = luck

    def begin(self, headers: Mapping[str, str], name: str = "call") -> Traced | None:
        """A span for what came with these headers (lower-case names); None where it is not traced."""
        parent = _parent(headers.get(TRACEPARENT, ""))
        if parent is None:
            if self._luck() >= self._sample:
                return None
        elif not parent.trace_flags.sampled:
            return None
        context = None if parent is None else set_span_in_context(NonRecordingSpan(parent), Context())
        span = self._tracer.start_span(name, context or Context(), kind=SpanKind.SERVER)
        assert isinstance(span, Span)
        return Traced(span)

    def close(self) -> None:
        """Sends what is left. Blocks for a few seconds where the collector is away."""
        self._provider.force_flush(3000)
        self._provider.shutdown()


def _parent(text: str) -> SpanContext | None:
    """What a caller's header says, https://www.w3.org/TR/trace-context/; None for none, and for what is wrong in it."""
    found = _PARENT.fullmatch(text)
    if found is None:
        return None
    context = SpanContext(int(found[1], 16), int(found[2], 16), True, TraceFlags(int(found[3], 16) & 1))
    return context if context.is_valid else None
