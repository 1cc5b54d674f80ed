"""Logs and metrics. Neither holds a prompt, a picture or a key: labels and fields are names, states and numbers.

Metric names follow https://prometheus.io/docs/practices/naming/; every label set is bounded by the configuration.
"""

from __future__ import annotations

import logging
import sys
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Protocol

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from structlog.typing import Processor

from sampan.core import Fault, Operation, Record

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600)
BREAKER_STATES = ("closed", "open", "half_open", "isolated")


def configure_logging(level: str) -> None:
    """Everything to standard error, one line an event, our own loggers and the libraries' alike."""
    number = getattr(logging, level.upper())
    colours = sys.stderr.isatty()
    steps: list[Processor] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=False),
    ]
    renderer = (
        structlog.dev.ConsoleRenderer(colors=colours)
        if colours
        else structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "logger", "event"])
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=steps,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("sampan").setLevel(number)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *steps, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


class Load(Protocol):
    """How full a bulkhead is now; looked at when somebody scrapes."""

    @property
    def taken(self) -> int: ...

    @property
    def waiting(self) -> int: ...


@dataclass(slots=True)
class _Tally:
    """What is known of the calls of one kind. Buckets hold counts of their own, not yet cumulative."""

    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(SECONDS) + 1))
    first_seconds: float = 0.0
    first_buckets: list[int] = field(default_factory=lambda: [0] * (len(SECONDS) + 1))
    input_tokens: int = 0
    output_tokens: int = 0
    images: int = 0


class Metrics(Collector):
    """The numbers behind `GET /metrics`.

    Calls are tallied in plain numbers on the event loop and become metric families only when somebody looks: the
    library's own counters and histograms cost a call more than its routing.
    """

    def __init__(self) -> None:
        self._open = 0
        self._tallies: dict[tuple[str, str, str, str], _Tally] = {}
        self._attempts: dict[tuple[str, str, str], int] = {}
        self._probes: dict[tuple[str, str], int] = {}
        self._breakers: dict[tuple[str, str], str] = {}
        self._engines: dict[str, bool] = {}
        self._loads: dict[str, Load] = {}
        self._shared_state: bool | None = None
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def opened(self) -> None:
        self._open += 1

    def closed(self, record: Record) -> None:
        """Counts an ended call from its record."""
        self._open -= 1
        key = (record.dialect, record.operation, record.outcome, record.tier)
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = _Tally()
        seconds = record.total_ms / 1000
        tally.seconds += seconds
        tally.buckets[bisect_left(SECONDS, seconds)] += 1
        first = record.first_event_ms / 1000
        if first:
            tally.first_seconds += first
            tally.first_buckets[bisect_left(SECONDS, first)] += 1
        tally.input_tokens += record.input_tokens
        tally.output_tokens += record.output_tokens
        if record.images:
            tally.images += record.images

    def attempted(self, upstream: str, operation: Operation, fault: Fault | None) -> None:
        key = (upstream, operation, fault or "ok")
        self._attempts[key] = self._attempts.get(key, 0) + 1

    def probed(self, upstream: str, fault: Fault | None) -> None:
        key = (upstream, fault or "ok")
        self._probes[key] = self._probes.get(key, 0) + 1

    def breaker(self, upstream: str, operation: Operation, state: str) -> None:
        self._breakers[upstream, operation.value] = state

    def bulkhead(self, upstream: str, load: Load) -> None:
        self._loads[upstream] = load

    def engine(self, name: str, ready: bool) -> None:
        self._engines[name] = ready

    def shared_state(self, up: bool) -> None:
        self._shared_state = up

    def exposition(self) -> bytes:
        """The text format, https://prometheus.io/docs/instrumenting/exposition_formats/."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """The families as they are now; called by the registry."""
        labels = ["dialect", "operation", "outcome", "tier"]
        calls = CounterMetricFamily("sampan_calls", "Calls by how they ended.", labels=labels)
        seconds = HistogramMetricFamily("sampan_call_seconds", "Whole calls.", labels=labels)
        first = HistogramMetricFamily("sampan_first_event_seconds", "Until the first content.", labels=labels)
        tokens = CounterMetricFamily("sampan_tokens", "Tokens, as upstreams count.", labels=[*labels, "direction"])
        images = CounterMetricFamily("sampan_images", "Pictures made.", labels=labels)
        for key, tally in self._tallies.items():
            calls.add_metric(key, sum(tally.buckets))
            seconds.add_metric(key, _cumulative(tally.buckets), tally.seconds)
            first.add_metric(key, _cumulative(tally.first_buckets), tally.first_seconds)
            tokens.add_metric((*key, "input"), tally.input_tokens)
            tokens.add_metric((*key, "output"), tally.output_tokens)
            images.add_metric(key, tally.images)
        yield from (calls, seconds, first, tokens, images)
        attempts = CounterMetricFamily(
            "sampan_attempts", "Attempts by their fault.", labels=["upstream", "operation", "fault"]
        )
        for attempt, count in self._attempts.items():
            attempts.add_metric(attempt, count)
        probes = CounterMetricFamily("sampan_probes", "Probes by their fault.", labels=["upstream", "fault"])
        for probe, count in self._probes.items():
            probes.add_metric(probe, count)
        yield from (attempts, probes)
        yield from self._gauges()

    def _gauges(self) -> Iterator[Metric]:
        breakers = GaugeMetricFamily(
            "sampan_breaker_state", "1 for the state a breaker is in.", labels=["upstream", "operation", "state"]
        )
        for (upstream, operation), state in self._breakers.items():
            for each in BREAKER_STATES:
                breakers.add_metric((upstream, operation, each), each == state)
        taken = GaugeMetricFamily("sampan_bulkhead_taken", "Calls open at an upstream.", labels=["upstream"])
        waiting = GaugeMetricFamily("sampan_bulkhead_waiting", "Calls in line before it.", labels=["upstream"])
        for upstream, load in self._loads.items():
            taken.add_metric((upstream,), load.taken)
            waiting.add_metric((upstream,), load.waiting)
        yield from (taken, waiting)
        engines = GaugeMetricFamily("sampan_engine_ready", "1 where an engine is warm.", labels=["engine"])
        for name, ready in self._engines.items():
            engines.add_metric((name,), ready)
        if self._shared_state is not None:
            yield GaugeMetricFamily(
                "sampan_shared_state_up", "1 while breakers are shared and kept.", float(self._shared_state)
            )
        yield from (breakers, engines, GaugeMetricFamily("sampan_open_calls", "Calls being answered.", self._open))


def _cumulative(buckets: list[int]) -> list[tuple[str, float]]:
    """Prometheus' buckets count everything up to their bound."""
    bounds = [*(str(float(bound)) for bound in SECONDS), "+Inf"]
    return list(zip(bounds, accumulate(map(float, buckets)), strict=True))
